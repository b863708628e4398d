/* GGUF: how ggml stores numbers and metadata, in a file that its own package (gguf 0.19) wrote; and files written
 * here. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint/gguf/gguf.h"

#define BLOCKS TEST_DIR "/golden/formats/gguf/blocks.gguf"

static gp_container *open_file(const char *path)
{
    gp_map map;
    assert_int_equal(gp_map_open(&map, path), 0);
    gp_container *k = gp_gguf_read(&map, path);
    if (!k)
        print_error("%s\n", gp_error());
    assert_non_null(k);
    return k;
}

static float *numbers_of(const gp_container *k, const char *name)
{
    int64_t i = gp_container_find(k, name);
    assert_true(i >= 0);
    float *x = gp_malloc((size_t)k->tensors[i].elements * sizeof *x);
    assert_int_equal(gp_container_read(k, i, 0, k->tensors[i].elements, x), 0);
    return x;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* Every type gives the numbers that the package's dequantize gave, bit for bit, in any range. */
static void test_reads_numbers_as_ggml(void **state)
{
    (void)state;
    static const char *const names[] = {"x.F16",  "x.BF16", "x.Q8_0", "x.Q4_0", "x.Q4_1",
                                        "x.Q5_0", "x.Q5_1", "k.Q4_K", "k.Q5_K", "k.Q6_K"};
    gp_container *k = open_file(BLOCKS);
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        char *wanted_name = gp_format("%s.numbers", names[n]);
        float *wanted = numbers_of(k, wanted_name), *found = numbers_of(k, names[n]);
        int64_t i = gp_container_find(k, names[n]), count = k->tensors[i].elements;
        assert_string_equal(k->tensors[i].type, strchr(names[n], '.') + 1);
        assert_true(k->tensors[i].is_float);
        assert_memory_equal(found, wanted, (size_t)count * sizeof *found);
        for (int64_t first = 0; first < count; first += 37) {
            int64_t some = gp_min(101, count - first);
            assert_int_equal(gp_container_read(k, i, first, some, found), 0);
            assert_memory_equal(found, wanted + first, (size_t)some * sizeof *found);
        }
        free(wanted_name);
        free(wanted);
        free(found);
    }
    gp_container_close(k);
}

/* Shapes are row-major; what is not read as numbers is listed. */
static void test_lists_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name, *format;
        bool is_float;
    } expected[] = {{"x", "F32 [2,256]", true},
                    {"k.Q4_K", "Q4_K [3,256]", true},
                    {"k.Q6_K", "Q6_K [3,256]", true},
                    {"k.Q3_K", "Q3_K [1,256]", false},
                    {"ints", "I32 [1,2,3]", false}};
    gp_container *k = open_file(BLOCKS);
    assert_int_equal(k->count, 23);
    for (size_t n = 0; n < ARRAY_LEN(expected); n++) {
        char text[64];
        int64_t i = gp_container_find(k, expected[n].name);
        assert_true(i >= 0);
        assert_string_equal(gp_stored_format(&k->tensors[i], text, sizeof text), expected[n].format);
        assert_int_equal(k->tensors[i].is_float, expected[n].is_float);
    }
    gp_container_close(k);
}

static void test_reads_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key, *text;
    } expected[] = {
        {"general.architecture", "\"blocks\""},
        {"a.uint8", "200"},
        {"a.int8", "-100"},
        {"a.uint16", "60000"},
        {"a.int16", "-30000"},
        {"a.uint32", "4000000000"},
        {"a.int32", "-2000000000"},
        {"a.uint64", "9223372036854775809"},
        {"a.int64", "-4611686018427387904"},
        {"a.float32", "1e-05"},
        {"a.float64", "0.10000000000000001"},
        {"a.bool", "true"},
        {"a.string", "\"text \u00e9\""},
        {"a.strings", "3 x STRING [\"one\", \"\", \"three\"]"},
        {"a.ints", "3 x INT32 [1, 2, 3]"},
        {"a.floats", "2 x FLOAT32 [0.5, -1.5]"},
        {"a.nested", "2 x ARRAY [...]"},
    };
    gp_container *k = open_file(BLOCKS);
    const gp_gguf *g = gp_gguf_of(k);
    assert_int_equal(g->version, 3);
    assert_int_equal(g->pair_count, ARRAY_LEN(expected));
    for (size_t n = 0; n < ARRAY_LEN(expected); n++) {
        gp_buf text = {0};
        const gp_gguf_pair *p = gp_gguf_find(g, expected[n].key);
        assert_non_null(p);
        gp_gguf_print(&text, p);
        assert_string_equal(text.data, expected[n].text);
        gp_buf_release(&text);
    }
    int64_t v = 0;
    double eps = 0;
    assert_null(gp_gguf_find(g, "a"));
    assert_null(gp_gguf_find(g, "a.int"));
    assert_null(gp_gguf_find(g, "a.int88"));
    assert_int_equal(gp_gguf_integer(g, "a.missing", &v), 0);
    assert_int_equal(gp_gguf_integer(g, "a.uint64", &v), -1);
    assert_string_equal(gp_error(), BLOCKS ": a.uint64 is 9223372036854775809 (UINT64), expected an integer");
    assert_int_equal(gp_gguf_integer(g, "a.string", &v), -1);
    assert_int_equal(gp_gguf_real(g, "a.float32", &eps), 1);
    assert_true(eps == 1e-5); /* although no float is */
    gp_container_close(k);
}

/* ---- hostile files --------------------------------------------------------------------------------------- */

static gp_container *open_bytes(const void *data, size_t size)
{
    gp_map map;
    int fd = gp_temporary_fd();
    assert_true(fd >= 0);
    assert_int_equal(gp_write_all(fd, data, size, "a temporary file"), 0);
    assert_int_equal(gp_map_fd(&map, fd, "a.gguf"), 0);
    close(fd);
    return gp_gguf_read(&map, "a.gguf");
}

static void expect_one_line(void)
{
    assert_int_equal(strncmp(gp_error(), "a.gguf: ", 8), 0);
    assert_null(strchr(gp_error(), '\n'));
}

static void test_refuses_truncated_files(void **state)
{
    (void)state;
    gp_buf file = {0};
    assert_int_equal(gp_file_read(&file, BLOCKS, 1 << 20), 0);
    size_t end = file.len - 8; /* the last tensor is 24 bytes, and 8 of padding */
    for (size_t size = 0; size < end; size++) {
        assert_null(open_bytes(file.data, size));
        expect_one_line();
    }
    gp_container_close(open_bytes(file.data, end));
    gp_buf_release(&file);
}

static void add(gp_buf *b, uint64_t v, size_t size)
{
    gp_buf_add(b, &v, size);
}

static void add_text(gp_buf *b, const char *text)
{
    add(b, strlen(text), 8);
    gp_buf_puts(b, text);
}

static void add_header(gp_buf *b, uint64_t tensors, uint64_t pairs)
{
    b->len = 0;
    gp_buf_puts(b, "GGUF");
    add(b, 3, 4);
    add(b, tensors, 8);
    add(b, pairs, 8);
}

static void add_tensor(gp_buf *b, const char *name, uint64_t dim, uint64_t rows, uint32_t type, uint64_t offset)
{
    add_text(b, name);
    add(b, 2, 4);
    add(b, dim, 8);
    add(b, rows, 8);
    add(b, type, 4);
    add(b, offset, 8);
}

static void expect_refused(const gp_buf *b, const char *why)
{
    clock_t start = clock();
    assert_null(open_bytes(b->data, b->len));
    expect_one_line();
    if (!strstr(gp_error(), why))
        print_error("%s, expected %s\n", gp_error(), why);
    assert_non_null(strstr(gp_error(), why));
    assert_true(clock() - start < CLOCKS_PER_SEC / 20); /* of the processor, however busy it is */
}

static void test_refuses_counts_beyond_the_file(void **state)
{
    (void)state;
    gp_buf b = {0};
    static const uint64_t huge[] = {UINT64_MAX, INT64_MAX, 1ull << 61, 1ull << 32, 100};
    for (size_t i = 0; i < ARRAY_LEN(huge); i++) {
        add_header(&b, 0, huge[i]);
        expect_refused(&b, "metadata pair 0: a count of");
        add_header(&b, huge[i], 0);
        expect_refused(&b, "tensor 0: a count of");
        add_header(&b, 0, 1); /* a key */
        add(&b, huge[i], 8);
        gp_buf_puts(&b, "general.name..........");
        expect_refused(&b, "metadata pair 0 ends beyond the end of the file");
        add_header(&b, 0, 1); /* a string */
        add_text(&b, "general.name");
        add(&b, GP_GGUF_STRING, 4);
        add(&b, huge[i], 8);
        expect_refused(&b, "metadata pair 0 ends beyond the end of the file");
        for (uint64_t item = 0; item < GP_GGUF_TYPES; item++) { /* an array */
            add_header(&b, 0, 1);
            add_text(&b, "a.list");
            add(&b, GP_GGUF_ARRAY, 4);
            add(&b, item, 4);
            add(&b, huge[i], 8);
            expect_refused(&b, "metadata pair 0: a count of");
        }
    }
    gp_buf_release(&b);
}

static void test_refuses_arrays_that_are_nested_deeply(void **state)
{
    (void)state;
    gp_buf b = {0};
    add_header(&b, 0, 1);
    add_text(&b, "a.list");
    add(&b, GP_GGUF_ARRAY, 4);
    for (int i = 0; i < 100000; i++) {
        add(&b, GP_GGUF_ARRAY, 4);
        add(&b, 1, 8);
    }
    expect_refused(&b, "arrays in arrays, more than 4 deep");
    gp_buf_release(&b);
}

static void test_refuses_wrong_metadata(void **state)
{
    (void)state;
    gp_buf b = {0};
    add_header(&b, 0, 1);
    add_text(&b, "a.value");
    add(&b, 13, 4);
    add(&b, 0, 8);
    expect_refused(&b, "a value of type 13, expected 0 to 12");
    add_header(&b, 0, 1);
    add_text(&b, "a.\033[2J");
    add(&b, GP_GGUF_UINT32, 4);
    add(&b, 0, 4);
    expect_refused(&b, "the key of metadata pair 0 is not a word of printable ASCII");
    add_header(&b, 0, 2);
    for (int i = 0; i < 2; i++) {
        add_text(&b, "a.value");
        add(&b, GP_GGUF_UINT32, 4);
        add(&b, 0, 4);
    }
    expect_refused(&b, "has the metadata key a.value twice");
    static const uint32_t alignments[] = {0, 3, 33, UINT32_MAX, 1u << 31};
    for (size_t i = 0; i < ARRAY_LEN(alignments); i++) {
        add_header(&b, 0, 1);
        add_text(&b, "general.alignment");
        add(&b, GP_GGUF_UINT32, 4);
        add(&b, alignments[i], 4);
        expect_refused(&b, "expected a power of two");
    }
    gp_buf_release(&b);
}

static void pad(gp_buf *b, size_t data)
{
    while (b->len % 32)
        add(b, 0, 1);
    for (size_t i = 0; i < data; i++)
        add(b, 0, 1);
}

static void test_refuses_wrong_tensors(void **state)
{
    (void)state;
    static const struct {
        uint64_t dim, rows;
        uint32_t type;
        uint64_t offset;
        const char *why;
    } cases[] = {
        {1ull << 40, 1ull << 40, 0, 0, "tensor a: its shape overflows"},
        {UINT64_MAX, 1, 0, 0, "tensor 0: its shape overflows"},
        {UINT64_MAX, 0, 0, 0, "tensor 0: its shape overflows"},
        {1ull << 58, 1, 0, 0, "tensor a is 1152921504606846976 bytes at offset 0"},
        {9, 1, 0, 0, "tensor a is 36 bytes at offset 0 of the data, of which the file has 32: it is truncated"},
        {8, 1, 0, 32, "at offset 32 of the data"},
        {8, 1, 0, 1ull << 63, "at offset 9223372036854775808 of the data"},
        {1, 1, 0, 4, "tensor a is at offset 4, expected a multiple of the alignment, 32"},
        {33, 1, 8, 0, "tensor a is Q8_0, whose rows are multiples of 32 numbers (found 33)"},
        {32, 2, 8, 0, "tensor a is 68 bytes"},
        {1, 1, 99, 64, "tensor a is 0 bytes at offset 64 of the data"},
    };
    gp_buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        add_header(&b, 1, 0);
        add_tensor(&b, "a", cases[i].dim, cases[i].rows, cases[i].type, cases[i].offset);
        pad(&b, 32);
        expect_refused(&b, cases[i].why);
    }
    add_header(&b, 2, 0);
    add_tensor(&b, "a", 8, 1, 0, 0);
    add_tensor(&b, "a", 8, 1, 0, 32);
    pad(&b, 64);
    expect_refused(&b, "has two tensors named a");
    add_header(&b, 2, 0);
    add_tensor(&b, "a", 9, 1, 0, 0);
    add_tensor(&b, "b", 8, 1, 0, 32);
    pad(&b, 64);
    expect_refused(&b, "tensors a and b overlap");
    add_header(&b, 1, 0);
    add_text(&b, "a");
    add(&b, 5, 4);
    pad(&b, 96);
    expect_refused(&b, "tensor 0 has 5 dimensions, expected at most 4");
    add_header(&b, 1, 0);
    add_tensor(&b, "a\nb", 8, 1, 0, 0);
    pad(&b, 32);
    expect_refused(&b, "the name of tensor 0 is not text");
    gp_buf_release(&b);
}

static void test_lists_unknown_types(void **state)
{
    (void)state;
    gp_buf b = {0};
    add_header(&b, 1, 0);
    add_tensor(&b, "a", 8, 4, 99, 0);
    pad(&b, 0);
    gp_container *k = open_bytes(b.data, b.len);
    assert_non_null(k);
    assert_string_equal(k->tensors[0].type, "type 99");
    assert_false(k->tensors[0].is_float);
    gp_container_close(k);
    gp_buf_release(&b);
}

static void test_refuses_other_versions(void **state)
{
    (void)state;
    gp_buf b = {0};
    add_header(&b, 0, 0);
    b.data[4] = 1;
    expect_refused(&b, "is GGUF version 1; versions 2 and 3 are read");
    b.data[4] = 2;
    gp_container_close(open_bytes(b.data, b.len));
    memcpy(b.data + 4, "\0\0\0\3", 4);
    expect_refused(&b, "is a big-endian GGUF file; only little-endian ones are read");
    memcpy(b.data, "GGML", 4);
    expect_refused(&b, "is not a GGUF file");
    gp_buf_release(&b);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/gptpipe-gguf.XXXXXX";

/* Writes tensor x of the file as `store`, and opens it. */
static gp_container *write_x(gp_store store, const float *x, int64_t rows, int64_t columns)
{
    gp_out out;
    assert_int_equal(gp_out_open(&out, path), 0);
    gp_gguf_writer *w = gp_gguf_writer_new(&out, store);
    gp_tensor_writer *t = gp_gguf_writer_tensors(w);
    gp_gguf_put_text(w, "general.architecture", "blocks", 6);
    gp_gguf_put_float32(w, "a.float32", 1e-5f);
    gp_gguf_put_array(w, "a.strings", GP_GGUF_STRING, 2);
    gp_gguf_add_string(w, "one", 3);
    gp_gguf_add_string(w, "", 0);
    assert_int_equal(t->declare(t->self, "x", 2, (const int64_t[]){rows, columns}), 0);
    assert_int_equal(t->declare(t->self, "x.bias", 1, &columns), 0);
    assert_int_equal(t->declare(t->self, "position_embd.weight", 2, (const int64_t[]){rows, columns}), 0);
    for (int64_t r = 0; r < rows; r++)
        assert_int_equal(t->write(t->self, x + r * columns, columns), 0);
    assert_int_equal(t->write(t->self, x, columns), 0);
    assert_int_equal(t->write(t->self, x, rows * columns), 0);
    assert_int_equal(gp_gguf_writer_end(w), 0);
    char *warning = gp_gguf_writer_warning(w);
    if (store == GP_STORE_Q8_0 && columns % 32)
        assert_string_equal(warning, "tensors whose rows are not multiples of 32 numbers are stored in F16 instead of "
                                     "Q8_0, as by llama.cpp's quantizer (1 tensors, the first is x)");
    else
        assert_null(warning);
    free(warning);
    gp_gguf_writer_free(w);
    assert_int_equal(gp_out_commit(&out), 0);
    return open_file(path);
}

/* The bytes of each type are those of the package's quantize. */
static void test_writes_numbers_as_ggml(void **state)
{
    (void)state;
    static const struct {
        gp_store store;
        const char *name, *type;
    } stores[] = {{GP_STORE_F32, "x", "F32"},
                  {GP_STORE_F16, "x.F16", "F16"},
                  {GP_STORE_BF16, "x.BF16", "BF16"},
                  {GP_STORE_Q8_0, "x.Q8_0", "Q8_0"}};
    gp_container *k = open_file(BLOCKS);
    float *x = numbers_of(k, "x");
    for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
        gp_container *written = write_x(stores[i].store, x, 2, 256);
        const gp_gguf_tensor *found = &gp_gguf_of(written)->tensors[0];
        const gp_gguf_tensor *wanted = &gp_gguf_of(k)->tensors[gp_container_find(k, stores[i].name)];
        assert_string_equal(written->tensors[0].type, stores[i].type);
        assert_int_equal(found->bytes, wanted->bytes);
        assert_memory_equal(found->data, wanted->data, (size_t)wanted->bytes);
        assert_string_equal(written->tensors[1].type, "F32");
        assert_string_equal(written->tensors[2].type, "F32");
        float *bias = numbers_of(written, "x.bias");
        assert_memory_equal(bias, x, 256 * sizeof *bias);
        free(bias);
        gp_container_close(written);
    }
    free(x);
    gp_container_close(k);
}

/* Rows that are no multiple of 32 are no blocks of Q8_0. */
static void test_writes_odd_rows_as_f16(void **state)
{
    (void)state;
    float x[3 * 40];
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        x[i] = (float)i / 8;
    gp_container *k = write_x(GP_STORE_Q8_0, x, 3, 40);
    float *found = numbers_of(k, "x");
    assert_string_equal(k->tensors[0].type, "F16");
    assert_int_equal(k->tensors[0].dim[0], 3);
    assert_int_equal(k->tensors[0].dim[1], 40);
    assert_memory_equal(found, x, sizeof x);
    free(found);
    gp_container_close(k);
}

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_numbers_as_ggml),
        cmocka_unit_test(test_lists_tensors),
        cmocka_unit_test(test_reads_metadata),
        cmocka_unit_test(test_refuses_truncated_files),
        cmocka_unit_test(test_refuses_counts_beyond_the_file),
        cmocka_unit_test(test_refuses_arrays_that_are_nested_deeply),
        cmocka_unit_test(test_refuses_wrong_metadata),
        cmocka_unit_test(test_refuses_wrong_tensors),
        cmocka_unit_test(test_lists_unknown_types),
        cmocka_unit_test(test_refuses_other_versions),
        cmocka_unit_test(test_writes_numbers_as_ggml),
        cmocka_unit_test(test_writes_odd_rows_as_f16),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
