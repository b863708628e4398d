/* The zip of torch.save: what lies about itself is refused in one line; what is written is read again. */
#include "torch_files.h"

#include <zlib.h>

/* ---- zips that lie --------------------------------------------------------------------------------------- */

static void put(char *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (char)(v >> (8 * i));
}

/* One number of the central directory's first entry, or of the end record, is changed. */
static void assert_lie(bool in_end, size_t offset, uint64_t v, int bytes, const char *why)
{
    gp_buf b = {0};
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0K\6\x85K\1\x85")));
    assert_int_equal(gp_file_read(&b, path, 1 << 20), 0);
    char *end = b.data + b.len - 22, *directory = b.data + (uint8_t)end[16] + 256 * (uint8_t)end[17];
    put((in_end ? end : directory) + offset, v, bytes);
    write_file(b.data, b.len);
    gp_buf_release(&b);
    assert_refused(why);
}

static void refuses_zips_that_lie(void **state)
{
    (void)state;
    assert_lie(true, 10, 3, 2, "split zip");
    assert_lie(true, 4, 1, 2, "split zip");
    assert_lie(true, 16, 0xFFFFFFFF, 4, "its central directory lies at");
    assert_lie(true, 12, 7, 4, "its central directory lies at");
    assert_lie(false, 0, 0, 4, "its central directory is damaged");
    assert_lie(false, 8, 9, 2, "encrypted");
    assert_lie(false, 10, 12, 2, "compressed by method 12");
    assert_lie(false, 20, 0x7FFFFFFF, 4, "which cannot be");
    assert_lie(false, 24, 0xFFFFFFFF, 4, "lacks its zip64 sizes");
    assert_lie(false, 28, 0xFFFF, 2, "is cut");
    assert_lie(false, 42, 0x7FFFFFFF, 4, "has no local header");
    assert_lie(false, 42, 1, 4, "has no local header");
    assert_lie(false, 16, 1, 4, "is damaged (CRC-32"); /* of the pickle */
}

static uint64_t get(const char *at, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes; i > 0; i--)
        v = v << 8 | (uint8_t)at[i - 1];
    return v;
}

static void add(gp_buf *b, uint64_t v, int bytes)
{
    char text[8];
    put(text, v, bytes);
    gp_buf_add(b, text, (size_t)bytes);
}

/* One entry of a central directory, and its offset plus `shift`, as zip64 has them. */
static const char *add_wide_entry(gp_buf *b, const char *entry, uint64_t shift)
{
    size_t name = get(entry + 28, 2), extra = get(entry + 30, 2);
    size_t at = b->len;
    gp_buf_add(b, entry, 46 + name);
    put(b->data + at + 20, UINT32_MAX, 4);
    put(b->data + at + 24, UINT32_MAX, 4);
    put(b->data + at + 30, 28, 2);
    put(b->data + at + 42, UINT32_MAX, 4);
    add(b, 1, 2);
    add(b, 24, 2);
    add(b, get(entry + 24, 4), 8); /* size, packed size, offset */
    add(b, get(entry + 20, 4), 8);
    add(b, get(entry + 42, 4) + shift, 8);
    return entry + 46 + name + extra;
}

/* The same file with all its sizes and offsets in zip64's fields, as of one above 4 GiB. */
static void write_wide(uint64_t shift, uint64_t where)
{
    gp_buf b = {0}, wide = {0};
    PICKLE(STATE(TENSOR(STORAGE("\6"), WHOLE)));
    assert_int_equal(gp_file_read(&b, path, 1 << 20), 0);
    const char *end = b.data + b.len - 22, *entry = b.data + get(end + 16, 4);
    uint64_t count = get(end + 10, 2), begin = get(end + 16, 4);
    gp_buf_add(&wide, b.data, begin);
    for (uint64_t i = 0; i < count; i++)
        entry = add_wide_entry(&wide, entry, shift);
    uint64_t at = wide.len;
    add(&wide, 0x06064b50, 4);
    add(&wide, 44, 8);
    add(&wide, 45, 2);
    add(&wide, 45, 2);
    add(&wide, 0, 8);
    add(&wide, count, 8);
    add(&wide, count, 8);
    add(&wide, at - begin, 8);
    add(&wide, begin, 8);
    add(&wide, 0x07064b50, 4);
    add(&wide, 0, 4);
    add(&wide, at + where, 8);
    add(&wide, 1, 4);
    add(&wide, 0x06054b50, 4);
    add(&wide, 0, 4);
    add(&wide, UINT64_MAX, 8);
    add(&wide, UINT64_MAX, 4);
    add(&wide, 0, 2);
    write_file(wide.data, wide.len);
    gp_buf_release(&wide);
    gp_buf_release(&b);
}

static void reads_zip64(void **state)
{
    (void)state;
    write_wide(0, 0);
    assert_opens("F32 [6]");
    write_wide(UINT64_C(1) << 40, 0);
    assert_refused("has no local header at offset 1099511627776");
    write_wide(0, 1);
    assert_refused("has no zip64 record where its locator points");
}

/* A deflated pickle of zeros, which no deflate stream is: what it says of its size is checked before it is inflated. */
static void bounds_inflation(void **state)
{
    (void)state;
    static const struct {
        size_t packed, size;
        const char *why;
    } cases[] = {
        {64, 100, "does not inflate to its 100 bytes"},
        {64, 64 * 1032 + 1040, "which cannot be"},
        {20000, 20000 * 101 + 4096, "its pickle of 2024096 bytes is deflated to 20000, which no object is"},
        {90000, (1 << 26) + 200 * 90000 + 1000, "more than 64 MiB and 200 times as much"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t packed = cases[i].packed, size = cases[i].size, length = 30 + 10 + packed + 46 + 10 + 22;
        char *local = gp_calloc(length, 1), *entry = local + 30 + 10 + packed, *end = entry + 46 + 10;
        put(local, 0x04034b50, 4);
        put(local + 8, Z_DEFLATED, 2);
        put(local + 18, packed, 4);
        put(local + 22, size, 4);
        put(local + 26, 10, 2);
        memcpy(local + 30, "a/data.pkl", 10);
        put(entry, 0x02014b50, 4);
        put(entry + 10, Z_DEFLATED, 2);
        put(entry + 20, packed, 4);
        put(entry + 24, size, 4);
        put(entry + 28, 10, 2);
        memcpy(entry + 46, "a/data.pkl", 10);
        put(end, 0x06054b50, 4);
        put(end + 8, 1, 2);
        put(end + 10, 1, 2);
        put(end + 12, 56, 4);
        put(end + 16, (uint64_t)(entry - local), 4);
        write_file(local, length);
        free(local);
        assert_refused(cases[i].why);
    }
}

/* Any byte of a file, whatever it becomes: it opens or is refused; ASan sees the rest. */
static void survives_any_wrong_byte(void **state)
{
    (void)state;
    static const char values[] = {0, 1, 0x7F, (char)0x80, (char)0xFF};
    gp_buf b = {0};
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0K\2K\3\x86K\1K\2\x86")));
    assert_int_equal(gp_file_read(&b, path, 1 << 20), 0);
    for (size_t i = 0; i < b.len; i++) {
        for (size_t v = 0; v < sizeof values; v++) {
            char *bytes = gp_malloc(b.len);
            memcpy(bytes, b.data, b.len);
            bytes[i] = values[v];
            write_file(bytes, b.len);
            free(bytes);
            gp_container *k = open_file(path);
            for (int64_t j = 0; k && j < k->count; j++)
                (void)!gp_container_check(k, j, NULL);
            gp_container_close(k);
        }
    }
    gp_buf_release(&b);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static void write_model(gp_store store, bool nanogpt, float *x, int64_t n)
{
    gp_torch_entry args[] = {
        {.name = (char[]){"n_layer"}, .type = GP_TORCH_INT, .whole = 2},
        {.name = (char[]){"vocab_size"}, .type = GP_TORCH_INT, .whole = 50304},
        {.name = (char[]){"bias"}, .type = GP_TORCH_BOOL, .whole = 1},
        {.name = (char[]){"dropout"}, .type = GP_TORCH_REAL, .real = 0.1},
    };
    gp_torch_writer *w = gp_torch_create(path, store, nanogpt, args, nanogpt ? 4 : 0);
    assert_non_null(w);
    gp_tensor_writer t = gp_torch_tensor_writer(w);
    gp_torch_alias(w, "head", "wte");
    assert_int_equal(t.declare(t.self, "wte", 2, (int64_t[]){n / 4, 4}), 0);
    assert_int_equal(t.declare(t.self, "none", 1, (int64_t[]){0}), 0);
    assert_int_equal(t.declare(t.self, "bias", 1, (int64_t[]){3}), 0);
    assert_int_equal(t.write(t.self, x, n / 2), 0);
    assert_int_equal(t.write(t.self, x + n / 2, n - n / 2), 0);
    assert_int_equal(t.write(t.self, x, 3), 0);
    assert_int_equal(gp_torch_finish(w), 0);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    enum { N = 80000 };
    static float x[N];
    static const char *const types[] = {[GP_STORE_F32] = "F32", [GP_STORE_BF16] = "BF16", [GP_STORE_F16] = "F16"};
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 257) - 100; /* whole numbers that each type has */
    for (int store = GP_STORE_F32; store <= GP_STORE_F16; store++) {
        for (int nanogpt = 0; nanogpt < 2; nanogpt++) {
            write_model((gp_store)store, nanogpt, x, N);
            gp_container *k = open_file(path);
            assert_non_null(k);
            assert_int_equal(k->count, 4);
            const gp_torch_extras *e = gp_torch_extras_of(k);
            assert_int_equal(e->arg_count, nanogpt ? 4 : 0);
            assert_int_equal(e->has_args, nanogpt);
            static const char *const names[] = {"wte", "head"};
            for (int i = 0; i < 2; i++) {
                int64_t at = gp_container_find(k, names[i]);
                bool summed;
                assert_string_equal(k->tensors[at].type, types[store]);
                assert_int_equal(gp_container_check(k, at, &summed), 0);
                assert_true(summed);
                float *y = numbers(k, at);
                assert_memory_equal(x, y, sizeof x);
                free(y);
            }
            gp_container_close(k);
        }
    }
}

/* torch.save puts each file's data at a multiple of 64, so that it can be mapped. */
static void data_is_aligned(void **state)
{
    (void)state;
    float x[8] = {0};
    gp_map map;
    gp_zip z;
    write_model(GP_STORE_F32, true, x, 8);
    assert_int_equal(gp_map_open(&map, path), 0);
    assert_int_equal(gp_zip_open(&z, &map, path), 0);
    assert_int_equal(z.count, 6);
    for (int64_t i = 0; i < z.count; i++)
        assert_int_equal((z.files[i].data - map.data) % 64, 0);
    gp_zip_close(&z);
    gp_map_close(&map);
}

static void an_alias_of_nothing_is_left_out(void **state)
{
    (void)state;
    gp_torch_writer *w = gp_torch_create(path, GP_STORE_F32, false, NULL, 0);
    gp_torch_alias(w, "head", "wte");
    assert_int_equal(gp_torch_finish(w), 0);
    gp_container *k = open_file(path);
    assert_non_null(k);
    assert_int_equal(k->count, 0);
    gp_container_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_zips_that_lie),
        cmocka_unit_test(reads_zip64),
        cmocka_unit_test(bounds_inflation),
        cmocka_unit_test(survives_any_wrong_byte),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(data_is_aligned),
        cmocka_unit_test(an_alias_of_nothing_is_left_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
