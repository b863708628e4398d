/* Which machines have an NVIDIA GPU, by what /dev, /proc and /sys show. */
#include "test.h"

#include "backend/nvidia.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/gptpipe-test.XXXXXX";

/* Whether a machine of these files has one. "" as content makes a folder. */
static bool has_one(const char *const (*files)[2])
{
    for (; files[0][0]; files++) {
        char *path = gp_path_join(root, files[0][0]);
        assert_int_equal(*files[0][1] ? gp_make_parent(path) : gp_make_dirs(path), 0);
        if (*files[0][1])
            assert_int_equal(gp_file_write(path, files[0][1], strlen(files[0][1])), 0);
        free(path);
    }
    bool present = gp_nvidia_present(root);
    char *command = gp_format("rm -rf %s/*", root);
    assert_int_equal(system(command), 0);
    free(command);
    return present;
}

#define HAS(...) has_one((const char *const[][2]){__VA_ARGS__, {NULL, NULL}})

static void a_gpu_is_seen_with_and_without_its_driver(void **state)
{
    (void)state;
    assert_true(HAS({"dev/nvidia0", "x"}));
    assert_true(HAS({"dev/nvidia3", "x"}));
    assert_true(HAS({"dev/dxg", "x"}));
    assert_true(HAS({"proc/driver/nvidia/gpus/0000:01:00.0", ""}));
    assert_true(HAS({"sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"},
                    {"sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"}));
    assert_true(HAS({"sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n"},
                    {"sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n"},
                    {"sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"},
                    {"sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n"}));
}

static void other_machines_have_none(void **state)
{
    (void)state;
    assert_false(HAS({"dev/null", "x"}));
    assert_false(HAS({"dev/nvidiactl", "x"}, {"dev/nvidia-uvm", "x"}, {"proc/driver/nvidia/version", "x"}));
    assert_false(HAS({"sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n"},
                     {"sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n"}));
    assert_false(HAS({"sys/bus/pci/devices/0000:01:00.1/vendor", "0x10de\n"}, /* the sound of a card, or its network */
                     {"sys/bus/pci/devices/0000:01:00.1/class", "0x040300\n"}));
    assert_false(HAS({"sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"}));
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_is_seen_with_and_without_its_driver),
        cmocka_unit_test(other_machines_have_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
