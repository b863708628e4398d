/* TensorFlow's checkpoints: read as TensorFlow's Saver wrote OpenAI's model (golden/formats/README.md: hf has the same
 * weights), and what is refused in bundles that are made here. */
#include "test.h"

#include <unistd.h>

#include "checkpoint/tensorflow/protobuf.h"
#include "checkpoint/tensorflow/tensorflow.h"
#include "gptpipe/safetensors.h"
#include "tensor_bundle.h"

#define GOLDEN TEST_DIR "/golden/formats/tensorflow/model.ckpt"
#define SHARD  ".data-00000-of-00001"

static char folder[] = "/tmp/gptpipe-tensorflow.XXXXXX";
static char *the_index;

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    prefix = gp_path_join(folder, "m");
    the_index = gp_format("%s.index", prefix);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(prefix);
    free(the_index);
    return gp_folder_remove(folder) < 0;
}

static gp_buf bytes_of(const char *file)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, file, 1 << 20), 0);
    return b;
}

static void refused(const char *why)
{
    assert_null(gp_tensorflow_read(the_index));
    if (!strstr(gp_error(), why))
        fail_msg("\"%s\" does not say \"%s\"", gp_error(), why);
    assert_non_null(strstr(gp_error(), prefix));
    assert_null(strchr(gp_error(), '\n'));
}

/* ---- the golden ------------------------------------------------------------------------------------------ */

static const struct {
    const char *theirs, *hf, *format;
} tensors[] = {
    {"model/wte", "wte.weight", "DT_FLOAT [272,16]"},
    {"model/wpe", "wpe.weight", "DT_FLOAT [16,16]"},
    {"model/h0/ln_1/g", "h.0.ln_1.weight", "DT_FLOAT [16]"},
    {"model/h1/ln_1/b", "h.1.ln_1.bias", "DT_FLOAT [16]"},
    {"model/h0/attn/c_attn/w", "h.0.attn.c_attn.weight", "DT_FLOAT [1,16,48]"},
    {"model/h1/attn/c_attn/b", "h.1.attn.c_attn.bias", "DT_FLOAT [48]"},
    {"model/h1/attn/c_proj/w", "h.1.attn.c_proj.weight", "DT_FLOAT [1,16,16]"},
    {"model/h0/ln_2/g", "h.0.ln_2.weight", "DT_FLOAT [16]"},
    {"model/h0/mlp/c_fc/w", "h.0.mlp.c_fc.weight", "DT_FLOAT [1,16,64]"},
    {"model/h1/mlp/c_proj/w", "h.1.mlp.c_proj.weight", "DT_FLOAT [1,64,16]"},
    {"model/ln_f/g", "ln_f.weight", "DT_FLOAT [16]"},
    {"model/ln_f/b", "ln_f.bias", "DT_FLOAT [16]"},
};

static void has_the_weights_in_row_major_order(void **state)
{
    (void)state;
    gp_container *k = gp_tensorflow_read(GOLDEN ".index");
    gp_safetensors *hf = gp_safetensors_open(TEST_DIR "/golden/formats/hf/model.safetensors");
    assert_non_null(k);
    assert_non_null(hf);
    assert_int_equal(k->count, 28);
    for (size_t i = 0; i < ARRAY_LEN(tensors); i++) {
        char text[64], name[64];
        gp_tensor t;
        snprintf(name, sizeof name, "transformer.%s", tensors[i].hf);
        assert_true(gp_safetensors_find(hf, name, &t));
        int64_t at = gp_container_find(k, tensors[i].theirs), count = gp_tensor_count(&t);
        assert_true(at >= 0);
        assert_string_equal(gp_stored_format(&k->tensors[at], text, sizeof text), tensors[i].format);
        float *x = gp_malloc((size_t)count * sizeof *x);
        assert_int_equal(gp_container_read(k, at, 0, count, x), 0);
        assert_memory_equal(x, t.data, (size_t)count * sizeof *x);
        assert_int_equal(gp_container_read(k, at, count - 1, 1, x), 0);
        assert_memory_equal(x, (float *)t.data + count - 1, sizeof *x);
        free(x);
    }
    gp_safetensors_close(hf);
    gp_container_close(k);
}

static void every_tensor_has_a_checksum(void **state)
{
    (void)state;
    gp_container *k = gp_tensorflow_read(GOLDEN ".index");
    for (int64_t i = 0; i < k->count; i++) {
        bool summed = false;
        assert_int_equal(gp_container_check(k, i, &summed), 0);
        assert_true(summed);
        gp_container_forget(k, i);
    }
    gp_container_close(k);
}

static void a_damaged_index_is_refused(void **state)
{
    (void)state;
    gp_buf b = bytes_of(GOLDEN ".index"), data = bytes_of(GOLDEN SHARD);
    put(SHARD, data.data, data.len);
    for (size_t i = 0; i < b.len - GP_TABLE_FOOTER; i++) {
        b.data[i] ^= 1;
        put(".index", b.data, b.len);
        refused("");
        b.data[i] ^= 1;
    }
    gp_buf_release(&b);
    gp_buf_release(&data);
}

static void a_truncated_index_is_refused(void **state)
{
    (void)state;
    gp_buf b = bytes_of(GOLDEN ".index");
    for (size_t n = 0; n < b.len; n++) {
        put(".index", b.data, n);
        refused("is truncated");
    }
    gp_buf_release(&b);
}

static void truncated_data_are_refused(void **state)
{
    (void)state;
    gp_buf b = bytes_of(GOLDEN ".index"), data = bytes_of(GOLDEN SHARD);
    char *path = gp_format("%s%s", prefix, SHARD);
    put(".index", b.data, b.len);
    put(SHARD, data.data, data.len);
    for (size_t n = data.len - 1; n; n -= n > 61 ? 61 : 1) { /* tensors end at multiples of 64 bytes */
        assert_int_equal(truncate(path, (off_t)n), 0);
        refused("m" SHARD ": is truncated: tensor model/");
    }
    unlink(path);
    refused("No such file");
    free(path);
    gp_buf_release(&b);
    gp_buf_release(&data);
}

static void damaged_data_are_found(void **state)
{
    (void)state;
    gp_buf b = bytes_of(GOLDEN ".index"), data = bytes_of(GOLDEN SHARD);
    put(".index", b.data, b.len);
    for (size_t at = 0; at < data.len; at += 997) {
        data.data[at] ^= 4;
        put(SHARD, data.data, data.len);
        gp_container *k = gp_tensorflow_read(the_index);
        assert_non_null(k);
        int damaged = 0;
        for (int64_t i = 0; i < k->count; i++)
            damaged += gp_container_check(k, i, NULL) != 0;
        assert_int_equal(damaged, 1);
        assert_non_null(strstr(gp_error(), "is damaged: its masked CRC-32C is"));
        gp_container_close(k);
        data.data[at] ^= 4;
    }
    gp_buf_release(&b);
    gp_buf_release(&data);
}

/* ---- bundles made here ----------------------------------------------------------------------------------- */

static const made good = {.shards = 1, .name = "w", .type = 1, .ndim = 2, .dim = {2, 1}, .size = 8};

static void made_refused(made m, const char *why)
{
    put_made(&m, NULL);
    refused(why);
}

static void what_a_bundle_must_not_have_is_refused(void **state)
{
    (void)state;
    put(SHARD, "01234567", 8);
#define REFUSES(field, value, why)                                                                                     \
    do {                                                                                                               \
        made m = good;                                                                                                 \
        m.field = value;                                                                                               \
        made_refused(m, why);                                                                                          \
    } while (0)
    REFUSES(shards, 0, "begins with no BundleHeaderProto");
    REFUSES(shards, 2, "has 2 shards for 1 tensors");
    REFUSES(shards, INT32_MAX, "has 2147483647 shards for 1 tensors");
    REFUSES(shards, -1, "shards for 1 tensors");
    REFUSES(endianness, 1, "big-endian");
    REFUSES(consumer, 2, "for readers of version 2");
    REFUSES(name, NULL, "has no tensors");
    REFUSES(name, "w\x80", "is not text");
    REFUSES(ndim, 6, "has 6 dimensions");
    REFUSES(ndim, 7, "has 6 dimensions");
    REFUSES(dim[0], -1, "its shape overflows");
    REFUSES(dim[0], INT64_MAX, "its shape overflows");
    REFUSES(dim[0], 3, "takes 8 bytes, expected 12 by its shape");
    REFUSES(type, 2, "takes 8 bytes, expected 16 by its shape");
    REFUSES(unknown_rank, true, "the BundleEntryProto of tensor w is malformed");
    REFUSES(sliced, true, "tensor w is stored in slices (a partitioned variable)");
    REFUSES(shard, 1, "is in shard 1, expected one below 1");
    REFUSES(offset, 1, "tensor w takes 8 bytes from byte 1 on, the file has 8");
    REFUSES(offset, UINT64_MAX, "is truncated");
}

static gp_container *open_made(const made *m, const void *data, size_t n)
{
    put(SHARD, data, n);
    put_made(m, data);
    gp_container *k = gp_tensorflow_read(the_index);
    if (!k)
        fail_msg("%s", gp_error());
    return k;
}

static void numbers_of_each_dtype_are_read(void **state)
{
    (void)state;
    static const struct {
        int type;
        const char *name, *bytes;
        uint64_t size;
        gp_dtype dtype;
    } floats[] = {
        {1, "DT_FLOAT", "\0\0\x80\x3f\0\0\0\xc0", 8, GP_F32},
        {2, "DT_DOUBLE", "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\xc0", 16, GP_F32},
        {14, "DT_BFLOAT16", "\x80\x3f\0\xc0", 4, GP_BF16},
        {19, "DT_HALF", "\0\x3c\0\xc0", 4, GP_F16},
    };
    for (size_t i = 0; i < ARRAY_LEN(floats); i++) {
        float x[2];
        made m = good;
        m.type = floats[i].type;
        m.size = floats[i].size;
        gp_container *k = open_made(&m, floats[i].bytes, m.size);
        assert_string_equal(k->tensors[0].type, floats[i].name);
        assert_int_equal(k->tensors[0].dtype, floats[i].dtype);
        assert_int_equal(gp_container_read(k, 0, 0, 2, x), 0);
        assert_true(x[0] == 1 && x[1] == -2);
        assert_int_equal(gp_container_read(k, 0, 1, 1, x), 0);
        assert_true(x[0] == -2);
        assert_int_equal(gp_container_check(k, 0, NULL), 0);
        gp_container_close(k);
    }
}

static void other_tensors_are_listed(void **state)
{
    (void)state;
    static const struct {
        int type;
        const char *name;
        bool summed;
    } others[] = {{9, "DT_INT64", true}, {7, "DT_STRING", false}, {99, "a type unknown here", false}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        bool summed;
        made m = {.shards = 1, .name = "global_step", .type = others[i].type, .size = 8};
        gp_container *k = open_made(&m, "\7\0\0\0\0\0\0\0", 8);
        assert_string_equal(k->tensors[0].type, others[i].name);
        assert_false(k->tensors[0].is_float);
        assert_int_equal(k->tensors[0].elements, 1);
        assert_int_equal(gp_container_check(k, 0, &summed), 0);
        assert_int_equal(summed, others[i].summed);
        gp_container_close(k);
    }
}

static void tensors_are_found_in_their_shards(void **state)
{
    (void)state;
    const float first[] = {1, 2}, second[] = {3, 4};
    made m = good;
    m.shards = 2;
    gp_buf entries = {0}, header = header_of(&m), a = entry_of(&m, first);
    m.shard = 1;
    gp_buf b = entry_of(&m, second);
    put_entry(&entries, 0, "", &header);
    put_entry(&entries, 0, "w/a", &a);
    put_entry(&entries, 2, "b", &b); /* "w/b" */
    put_index(&entries, 0, 1);
    put(".data-00000-of-00002", first, sizeof first);
    put(".data-00001-of-00002", second, sizeof second);
    gp_container *k = gp_tensorflow_read(the_index);
    assert_non_null(k);
    float x;
    assert_int_equal(gp_container_read(k, gp_container_find(k, "w/b"), 1, 1, &x), 0);
    assert_true(x == 4);
    assert_int_equal(gp_container_check(k, 0, NULL), 0);
    assert_int_equal(gp_container_check(k, 1, NULL), 0);
    gp_container_close(k);
    gp_buf_release(&entries);
    gp_buf_release(&header);
    gp_buf_release(&a);
    gp_buf_release(&b);
}

/* By SaveV2 with shape_and_slices "4 2 0,2:-" and "4 2 2,2:-": the slices stand before their variable, w. */
static void a_partitioned_variable_is_refused(void **state)
{
    (void)state;
    static const char index[] = /* ends in a zero byte more */
        "\x00\x00\x06\x08\x01\x1a\x02\x08\x01\x00\x0a\x13\x00\x77\x00\x01\x01\x02\x80\x82\x80\x7f\x08\x01"
        "\x12\x08\x12\x02\x08\x02\x12\x02\x08\x02\x28\x10\x35\x23\x37\xcb\xbb\x06\x04\x15\x82\x82\x80\x7f"
        "\x08\x01\x12\x08\x12\x02\x08\x02\x12\x02\x08\x02\x20\x10\x28\x10\x35\x23\x37\xcb\xbb\x00\x01\x1e"
        "\x77\x08\x01\x12\x08\x12\x02\x08\x04\x12\x02\x08\x02\x3a\x06\x0a\x02\x10\x02\x0a\x00\x3a\x08\x0a"
        "\x04\x08\x02\x10\x02\x0a\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x32\x91\xa4\x61\x00\x00\x00\x00"
        "\x01\x00\x00\x00\x00\xc0\xf2\xa1\xb0\x00\x01\x02\x78\x00\x6f\x00\x00\x00\x00\x01\x00\x00\x00\x00"
        "\x2c\xed\x6b\x38\x74\x08\x81\x01\x0e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x57\xfb\x80\x8b"
        "\x24\x75\x47\xdb";
    put(".index", index, sizeof index - 1);
    put(SHARD, "", 0);
    refused("tensor w is stored in slices (a partitioned variable)");
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static void tables_that_are_none_are_refused(void **state)
{
    (void)state;
    gp_buf entries = {0}, none = {0}, header = header_of(&good), entry = entry_of(&good, NULL);
    put(SHARD, "01234567", 8);
    put_entry(&entries, 0, "", &header);
    put_entry(&entries, 0, "w", &entry);
    put_index(&entries, 1, 1);
    refused("is compressed (by snappy)");
    put_index(&entries, 0, 2);
    refused("begins before the end of the last one");
    put_entry(&entries, 0, "w", &entry);
    put_index(&entries, 0, 1);
    refused("has keys that do not ascend");
    put_index(&none, 0, 1);
    refused("has no tensors");
    none.len = 0;
    put_entry(&none, 1, "w", &entry);
    put_index(&none, 0, 1);
    refused("has an entry that does not lie in it");
    gp_buf_release(&entries);
    gp_buf_release(&none);
    gp_buf_release(&header);
    gp_buf_release(&entry);
}

/* Each key has all of the last one and a byte more: n of them would take n * n / 2 bytes. */
static void keys_that_grow_without_end_are_refused(void **state)
{
    (void)state;
    enum { KEYS = 100000 };
    gp_buf entries = {0}, header = header_of(&good), entry = entry_of(&good, NULL);
    put_entry(&entries, 0, "", &header);
    for (size_t i = 0; i < KEYS; i++)
        put_entry(&entries, i, "k", &entry);
    put_index(&entries, 0, 1);
    double begin = gp_now();
    refused("its names take more than 64 times its bytes");
    assert_true(gp_now() - begin < 5);
    gp_buf_release(&entries);
    gp_buf_release(&header);
    gp_buf_release(&entry);
}

static void a_varint_ends_within_64_bits(void **state)
{
    (void)state;
    uint64_t x;
    gp_proto p = gp_proto_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    assert_true(gp_proto_varint(&p, &x) && x == UINT64_MAX && p.at == p.end);
    p = gp_proto_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    assert_false(gp_proto_varint(&p, &x));
    p = gp_proto_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
    assert_false(gp_proto_varint(&p, &x));
    p = gp_proto_of("\x80", 1);
    assert_false(gp_proto_varint(&p, &x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_weights_in_row_major_order),
        cmocka_unit_test(every_tensor_has_a_checksum),
        cmocka_unit_test(a_damaged_index_is_refused),
        cmocka_unit_test(a_truncated_index_is_refused),
        cmocka_unit_test(truncated_data_are_refused),
        cmocka_unit_test(damaged_data_are_found),
        cmocka_unit_test(what_a_bundle_must_not_have_is_refused),
        cmocka_unit_test(numbers_of_each_dtype_are_read),
        cmocka_unit_test(other_tensors_are_listed),
        cmocka_unit_test(tensors_are_found_in_their_shards),
        cmocka_unit_test(a_partitioned_variable_is_refused),
        cmocka_unit_test(tables_that_are_none_are_refused),
        cmocka_unit_test(keys_that_grow_without_end_are_refused),
        cmocka_unit_test(a_varint_ends_within_64_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
