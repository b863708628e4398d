/* Items that are no text: bytes with a shape come through the same calls, and what needs a text says what it found. */
#include "data/dataset.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 3, H = 2, W = 4, IMAGE = H * W * 3 };

/* A kind of three labelled images. */
static unsigned char pixels[COUNT][IMAGE];

static int images_get(const gp_dataset *d, const gp_dataset_split *s, int64_t i, gp_data_item *item)
{
    (void)d, (void)s;
    item->memory = gp_malloc(IMAGE);
    memcpy(item->memory, pixels[i], IMAGE);
    item->values = (gp_tensor){.data = item->memory, .dtype = GP_U8, .ndim = 3, .dim = {H, W, 3}};
    item->label = (int)(2 - i);
    return 0;
}

static void images_close(gp_dataset_split *s)
{
    (void)s;
}

static const gp_dataset_ops images = {.close = images_close, .get = images_get, .write = gp_dataset_write_lines};

/* A data set of a text file, whose kind is then another one. */
static gp_dataset *three_images(void)
{
    char path[] = "/tmp/gptpipe-images.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "text", 4), 4);
    close(fd);
    gp_dataset *d = gp_dataset_open(path, NULL);
    assert_non_null(d);
    unlink(path);
    d->kind->close(d->splits);
    d->splits[0].state = NULL;
    d->splits[0].count = COUNT;
    d->kind = &images;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < IMAGE; k++)
            pixels[i][k] = (unsigned char)(100 * i + k);
    return d;
}

static void bytes_have_a_shape_and_a_label(void **state)
{
    (void)state;
    gp_dataset *d = three_images();
    gp_data_item item = {0};
    assert_int_equal(gp_dataset_length(d), COUNT);
    for (int i = 0; i < COUNT; i++) {
        char shape[96];
        assert_int_equal(gp_dataset_get(d, i, &item), 0);
        assert_string_equal(gp_tensor_format(&item.values, shape, (int)sizeof shape), "U8 [2,4,3]");
        assert_int_equal(gp_tensor_bytes(&item.values), IMAGE);
        assert_int_equal(item.label, 2 - i);
        /* pixel (1,2), green: (1 * 4 + 2) * 3 + 1 = 19 */
        assert_int_equal(((const unsigned char *)item.values.data)[19], 100 * i + 19);
    }
    gp_data_item_release(&item);
    assert_null(item.values.data);
    gp_dataset_close(d);
}

static void what_needs_a_text_refuses_them(void **state)
{
    (void)state;
    gp_dataset *d = three_images();
    assert_int_equal(gp_dataset_write(d, "/dev/null"), -1);
    assert_non_null(strstr(gp_error(), ": item 0 is U8 [2,4,3], expected a text"));
    gp_dataset_close(d);
}

/* A text is as it was: values are none, also after an image in the same item. */
static void a_text_has_no_values(void **state)
{
    (void)state;
    char path[] = "/tmp/gptpipe-images.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "text", 4), 4);
    close(fd);
    gp_dataset *d = three_images(), *texts = gp_dataset_open(path, NULL);
    gp_data_item item = {0};
    assert_int_equal(gp_dataset_get(d, 0, &item), 0);
    assert_int_equal(gp_dataset_get(texts, 0, &item), 0);
    assert_int_equal(item.length, 4);
    assert_memory_equal(item.text, "text", 4);
    assert_null(item.values.data);
    assert_int_equal(item.label, -1);
    gp_data_item_release(&item);
    gp_dataset_close(texts);
    gp_dataset_close(d);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_a_shape_and_a_label),
        cmocka_unit_test(what_needs_a_text_refuses_them),
        cmocka_unit_test(a_text_has_no_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
