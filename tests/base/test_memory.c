/* How much memory there is: /proc and /sys as machines and containers have them. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"

enum { KB = 1024 };
#define GB (INT64_C(1) << 30)

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gptpipe-test.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char *command = gp_format("rm -r %s", root);
    int rc = system(command);
    free(command);
    return rc;
}

static void file(const char *name, const char *text)
{
    char *path = gp_format("%s/%s", root, name);
    assert_int_equal(gp_make_parent(path), 0);
    assert_int_equal(gp_file_write(path, text, strlen(text)), 0);
    free(path);
}

/* A machine with more memory than the one that runs this could have is of no use: limits are small. */
static void machine(int64_t available_kb)
{
    char text[128];
    snprintf(text, sizeof text, "MemTotal:       99999999 kB\nMemFree:            1 kB\nMemAvailable:   %lld kB\n",
             (long long)available_kb);
    file("proc/meminfo", text);
}

static void without_a_group_the_machine_is_the_limit(void **state)
{
    (void)state;
    int64_t all = gp_memory_query("").total;
    assert_true(all > 0 && gp_memory_query("").available <= all);
    machine(1234);
    gp_memory_info info = gp_memory_query(root);
    assert_true(info.total >= all);
    assert_int_equal(info.available, 1234 * KB);
}

static void a_group_without_a_limit_changes_nothing(void **state)
{
    (void)state;
    machine(1234);
    int64_t all = gp_memory_query(root).total;
    file("proc/self/cgroup", "0::/user.slice\n");
    file("sys/fs/cgroup/user.slice/memory.max", "max\n");
    file("sys/fs/cgroup/user.slice/memory.current", "999\n");
    assert_int_equal(gp_memory_query(root).total, all);
    assert_int_equal(gp_memory_query(root).available, 1234 * KB);
}

static void the_least_limit_from_the_group_to_the_root_holds(void **state)
{
    (void)state;
    machine(16 << 20);
    file("proc/self/cgroup", "0::/job/step\n");
    file("sys/fs/cgroup/job/step/memory.max", "3221225472\n"); /* 3 GB */
    file("sys/fs/cgroup/job/step/memory.current", "1073741824\n");
    file("sys/fs/cgroup/job/step/memory.stat", "anon 5\ninactive_file 536870912\nactive_file 7\n");
    gp_memory_info info = gp_memory_query(root);
    assert_int_equal(info.total, 3 * GB);
    assert_int_equal(info.available, 2 * GB + GB / 2); /* 3 - 1 and the half that its cache gives back */
    file("sys/fs/cgroup/job/memory.max", "2147483648\n");
    file("sys/fs/cgroup/job/memory.current", "2147483648\n"); /* full */
    info = gp_memory_query(root);
    assert_int_equal(info.total, 2 * GB);
    assert_int_equal(info.available, 0);
}

/* In a container /proc/self/cgroup may name the group as the host sees it, while /sys/fs/cgroup is the group itself. */
static void a_container_sees_its_own_group_as_the_root(void **state)
{
    (void)state;
    machine(16 << 20);
    file("proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    file("sys/fs/cgroup/memory.max", "1073741824\n");
    file("sys/fs/cgroup/memory.current", "73741824\n");
    gp_memory_info info = gp_memory_query(root);
    assert_int_equal(info.total, GB);
    assert_int_equal(info.available, 1000000000);
}

static void version_1_has_a_limit_too(void **state)
{
    (void)state;
    machine(16 << 20);
    file("proc/self/cgroup", "12:cpu,cpuacct:/other\n9:hugetlb,memory:/job\n1:name=systemd:/x\n");
    file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    file("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000000000\n");
    file("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2147483648\n");
    file("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "147483648\n");
    file("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 7\n");
    gp_memory_info info = gp_memory_query(root);
    assert_int_equal(info.total, 2 * GB);
    assert_int_equal(info.available, 2000000007);
}

static void the_peak_stays_when_memory_is_given_back(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    int64_t before = gp_memory_peak();
    char *p =
        mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* no sanitizer adds to it */
    assert_true(p != MAP_FAILED);
    memset(p, 1, BYTES);
    assert_int_equal(p[BYTES / 2], 1);
    munmap(p, BYTES);
    int64_t after = gp_memory_peak();
    assert_true(before > 0 && after - before > BYTES - (4 << 20) && after - before < BYTES + (4 << 20));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_group_the_machine_is_the_limit),
        TEST(a_group_without_a_limit_changes_nothing),
        TEST(the_least_limit_from_the_group_to_the_root_holds),
        TEST(a_container_sees_its_own_group_as_the_root),
        TEST(version_1_has_a_limit_too),
        cmocka_unit_test(the_peak_stays_when_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
