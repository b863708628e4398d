/* Reading and writing safetensors files: what is refused and how it is said, round trips through files and
 * pipes, the reference implementation's files, and files with random damage. */
#include "gptpipe/safetensors.h"
#include "base/file.h"
#include "base/rng.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/gptpipe-test.XXXXXX";
static char *file; /* in folder */

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    file = gp_path_join(folder, "t.safetensors");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    free(file);
    return rmdir(folder); /* fails when a test left a temporary file behind */
}

/* A file of this header (its true length in front unless `claimed` says otherwise) and `data` bytes counting
 * up. */
static void write_raw(const char *header, int64_t claimed, int data)
{
    gp_buf b = {0};
    uint64_t n = claimed < 0 ? strlen(header) : (uint64_t)claimed;
    for (int i = 0; i < 8; i++)
        gp_buf_add(&b, &(char){(char)(n >> 8 * i)}, 1);
    gp_buf_puts(&b, header);
    for (int i = 0; i < data; i++)
        gp_buf_add(&b, &(char){(char)i}, 1);
    assert_int_equal(gp_file_write(file, b.data, b.len), 0);
    gp_buf_release(&b);
}

static void assert_refused(const char *expected)
{
    gp_safetensors *s = gp_safetensors_open(file);
    if (s)
        fail_msg("opened, expected: %s", expected);
    if (!strstr(gp_error(), expected))
        fail_msg("refused with \"%s\", expected \"%s\"", gp_error(), expected);
    assert_non_null(strstr(gp_error(), "t.safetensors: "));
    assert_null(strchr(gp_error(), '\n'));
}

static void test_reads_what_the_format_describes(void **state)
{
    (void)state;
    /* "b" first in the header, second in the data; 2 and 4 bytes */
    write_raw("{\"b\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[2,6]},"
              "\"__metadata__\":{\"format\":\"pt\",\"zero\":\"a\\u0000b\"},"
              "\"a\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[0,2]}}   ",
              -1, 6);
    gp_safetensors *s = gp_safetensors_open(file);
    assert_non_null(s);
    assert_int_equal(gp_safetensors_count(s), 2);
    gp_tensor t;
    assert_string_equal(gp_safetensors_get(s, 0, &t), "a");
    assert_int_equal(t.dtype, GP_BF16);
    assert_int_equal(t.ndim, 0);
    assert_string_equal(gp_safetensors_get(s, 1, NULL), "b");
    assert_true(gp_safetensors_find(s, "b", &t));
    assert_int_equal(t.ndim, 2);
    assert_int_equal(t.dim[0] * 10 + t.dim[1], 22);
    assert_memory_equal(t.data, "\2\3\4\5", 4);
    assert_false(gp_safetensors_find(s, "c", &t));
    assert_false(gp_safetensors_find(s, "__metadata__", &t));
    size_t length;
    assert_string_equal(gp_safetensors_metadata(s, "format", NULL), "pt");
    assert_memory_equal(gp_safetensors_metadata(s, "zero", &length), "a\0b", 4);
    assert_int_equal(length, 3);
    assert_null(gp_safetensors_metadata(s, "none", NULL));
    gp_safetensors_close(s);
}

static void test_reads_the_reference_implementations_file(void **state)
{
    (void)state;
    gp_safetensors *s = gp_safetensors_open("tests/golden/gpt2-tiny/model.safetensors");
    assert_non_null(s);
    assert_int_equal(gp_safetensors_count(s), 28);
    assert_string_equal(gp_safetensors_metadata(s, "format", NULL), "pt");
    gp_tensor t;
    assert_true(gp_safetensors_find(s, "transformer.h.1.attn.c_attn.weight", &t));
    char text[64];
    assert_string_equal(gp_tensor_format(&t, text, sizeof text), "F32 [32,96]");
    assert_true(gp_safetensors_find(s, "transformer.wte.weight", &t));
    float first; /* safetensors.numpy's float(load_file(...)["transformer.wte.weight"][0, 0]) */
    memcpy(&first, t.data, sizeof first);
    assert_float_equal(first, 0x1.55a616p-5f, 0);
    gp_safetensors_close(s);
}

/* safetensors 0.8 opens both: its metadata is an optional map, and its JSON parser passes over white space. */
static void test_null_metadata_and_blanks_before_the_header_are_as_without(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"__metadata__\": null, \"a\": {\"dtype\": \"U8\", \"shape\": [2], \"data_offsets\": [0, 2]}}",
        " \n\t{\"a\": {\"dtype\": \"U8\", \"shape\": [2], \"data_offsets\": [0, 2]}}",
    };
    for (int i = 0; i < 2; i++) {
        gp_tensor t;
        write_raw(headers[i], -1, 2);
        gp_safetensors *s = gp_safetensors_open(file);
        assert_non_null(s);
        assert_int_equal(gp_safetensors_count(s), 1);
        assert_true(gp_safetensors_find(s, "a", &t));
        assert_memory_equal(t.data, "\0\1", 2);
        assert_null(gp_safetensors_metadata(s, "format", NULL));
        gp_safetensors_close(s);
    }
    write_raw("  ", -1, 0);
    assert_refused("does not begin with '{'");
    write_raw("{\"__metadata__\": []}", -1, 0);
    assert_refused("__metadata__ is not a JSON object");
}

static void test_missing_file_and_folder_are_refused(void **state)
{
    (void)state;
    assert_null(gp_safetensors_open("/nonexistent/x.safetensors"));
    assert_string_equal(gp_error(), "/nonexistent/x.safetensors: No such file or directory");
    assert_null(gp_safetensors_open(folder));
    assert_non_null(strstr(gp_error(), "is a folder"));
}

static void test_file_without_a_header_is_refused(void **state)
{
    (void)state;
    assert_int_equal(gp_file_write(file, "", 0), 0);
    assert_refused("is not a safetensors file: it has 0 bytes");
    assert_int_equal(gp_file_write(file, "PK\3\4", 4), 0);
    assert_refused("is not a safetensors file: it has 4 bytes");
    assert_int_equal(gp_file_write(file, "GGUF\3\0\0\0\0\0\0\0", 12), 0);
    assert_refused("is not a safetensors file: its header length is 14064895815, expected 2 to 100000000");
    write_raw("[1]", -1, 0);
    assert_refused("does not begin with '{'");
    write_raw("", 0, 0);
    assert_refused("its header length is 0");
}

static void test_truncated_header_is_refused(void **state)
{
    (void)state;
    write_raw("{}", 100, 0);
    assert_refused("is truncated: the header takes 100 bytes, 2 are left");
    write_raw("{}", INT64_MAX, 0);
    assert_refused("its header length is 9223372036854775807");
}

static void test_bad_json_is_refused(void **state)
{
    (void)state;
    write_raw("{\"a\":", -1, 0);
    assert_refused("the header is not valid JSON");
    write_raw("{} {}", -1, 0);
    assert_refused("the header is not valid JSON");
    write_raw("{\"\xff\":1}", -1, 0);
    assert_refused("the header is not valid JSON");
}

#define ONE(dtype, shape, offsets) "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_duplicate_name_is_refused(void **state)
{
    (void)state;
    write_raw("{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
              "\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
              -1, 2);
    assert_refused("duplicate object key");
}

static void test_control_character_in_a_name_is_refused(void **state)
{
    (void)state;
    write_raw("{\"x\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", -1, 1);
    assert_refused("the name of a tensor has a control character");
}

/* It is read without jansson where it is written in the usual way; what is not has to be the same. */
static void test_tokenizer_in_the_metadata_is_read_as_any_string(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text; /* NULL: refused */
        size_t length;
    } cases[] = {
        {"\"\"", "", 0},
        {"\"{\\\"a\\\":\\\"\\\\u0120b\\/\\t\\u00e9\xc3\xa9\\\"}\"", "{\"a\":\"\\u0120b/\t\xc3\xa9\xc3\xa9\"}", 21},
        {"\"\\ud83d\\ude00\\u0000.\"", "\xf0\x9f\x98\x80\0.", 6},
        {"\"\\ud83d\"", NULL, 0},
        {"\"\\x\"", NULL, 0},
        {"\"\xff\"", NULL, 0},
        {"\"a\nb\"", NULL, 0},
        {"\"a\",\"gptpipe.tokenizer\":\"b\"", NULL, 0},
        {"\"a\",\"gptpipe.tokenize\\u0072\":\"b\"", NULL, 0},
        {"\"a\"},\"__metadata__\":{\"b\":\"c\"", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *header =
            gp_format("{\"__metadata__\":{\"a\":\"x\",\"gptpipe.tokenizer\":%s,\"b\":\"y\"}}", cases[i].json);
        size_t length = 1;
        write_raw(header, -1, 0);
        gp_safetensors *s = gp_safetensors_open(file);
        if (!s != !cases[i].text)
            fail_msg("%s: %s", header, s ? "opened" : gp_error());
        if (s) {
            const char *key, *text = gp_safetensors_metadata(s, "gptpipe.tokenizer", &length);
            assert_int_equal(length, cases[i].length);
            assert_memory_equal(text, cases[i].text, length + 1);
            assert_string_equal(gp_safetensors_metadata(s, "b", NULL), "y");
            assert_true(gp_safetensors_metadata_at(s, 1, &key, &length) == text);
        } else {
            assert_non_null(strstr(gp_error(), "the header is not valid JSON"));
        }
        gp_safetensors_close(s);
        free(header);
    }
}

static void test_bad_metadata_is_refused(void **state)
{
    (void)state;
    write_raw("{\"__metadata__\":[]}", -1, 0);
    assert_refused("__metadata__ is not a JSON object");
    write_raw("{\"__metadata__\":{\"step\":3}}", -1, 0);
    assert_refused("__metadata__ may contain only strings, \"step\" is not one");
}

static void test_bad_dtype_is_refused(void **state)
{
    (void)state;
    write_raw("{\"x\":3}", -1, 0);
    assert_refused("tensor x: its description is not a JSON object");
    write_raw(ONE("\"F8_E4M3\"", "[1]", "[0,1]"), -1, 1);
    assert_refused("tensor x: dtype is \"F8_E4M3\", expected F32, F16, BF16, F64, I32, I64, U8 or BOOL");
    write_raw("{\"x\":{\"shape\":[1],\"data_offsets\":[0,1]}}", -1, 1);
    assert_refused("tensor x: dtype is nothing, expected F32");
}

static void test_bad_shape_is_refused(void **state)
{
    (void)state;
    write_raw(ONE("\"U8\"", "3", "[0,3]"), -1, 3);
    assert_refused("tensor x: shape is 3, expected a list");
    write_raw(ONE("\"U8\"", "[1,1,1,1,1,1]", "[0,1]"), -1, 1);
    assert_refused("tensor x: shape is [1,1,1,1,1,1], expected a list of at most 5 sizes");
    write_raw(ONE("\"U8\"", "[-1]", "[0,1]"), -1, 1);
    assert_refused("tensor x: shape is [-1], expected whole numbers from 0 on");
    write_raw(ONE("\"U8\"", "[1.0]", "[0,1]"), -1, 1);
    assert_refused("tensor x: shape is [1.0], expected whole numbers");
    write_raw(ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), -1, 0);
    assert_refused("tensor x: shape [4294967296,4294967296] overflows");
    write_raw(ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), -1, 0);
    assert_refused("tensor x: shape [4611686018427387904] overflows");
}

static void test_bad_offsets_are_refused(void **state)
{
    (void)state;
    write_raw(ONE("\"U8\"", "[1]", "[0]"), -1, 1);
    assert_refused("tensor x: data_offsets are [0], expected [begin,end]");
    write_raw(ONE("\"U8\"", "[1]", "[0,\"1\"]"), -1, 1);
    assert_refused("tensor x: data_offsets are [0,\"1\"], expected [begin,end]");
    write_raw(ONE("\"U8\"", "[1]", "[2,1]"), -1, 1);
    assert_refused("tensor x: data_offsets are [2,1], expected 0 <= begin <= end");
    write_raw(ONE("\"U8\"", "[1]", "[-9223372036854775808,9223372036854775807]"), -1, 1);
    assert_refused("expected 0 <= begin <= end");
    write_raw(ONE("\"U8\"", "[1]", "[0,18446744073709551616]"), -1, 1);
    assert_refused("the header is not valid JSON: too big integer");
    write_raw(ONE("\"F32\"", "[2,3]", "[0,20]"), -1, 20);
    assert_refused("tensor x: F32 [2,3] takes 24 bytes, its data_offsets [0,20] hold 20");
}

static void write_two(int begin, int end, int data)
{
    char *header = gp_format("{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                             "\"y\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]}}",
                             end - begin, begin, end);
    write_raw(header, -1, data);
    free(header);
}

static void test_overlapping_tensors_are_refused(void **state)
{
    (void)state;
    write_two(3, 8, 8);
    assert_refused("tensor y begins at byte 3 of the data, x ends at 4: tensors overlap");
    write_two(0, 4, 4);
    assert_refused("tensors overlap");
}

static void test_holes_between_tensors_are_refused(void **state)
{
    (void)state;
    write_two(5, 8, 8);
    assert_refused("tensor y begins at byte 5 of the data, x ends at 4: tensors leave a hole");
    write_raw(ONE("\"U8\"", "[1]", "[1,2]"), -1, 2);
    assert_refused("tensor x begins at byte 1 of the data, the header ends at 0: tensors leave a hole");
}

static void test_data_of_the_wrong_size_is_refused(void **state)
{
    (void)state;
    write_two(4, 8, 8);
    gp_safetensors_close(gp_safetensors_open(file)); /* sound so far */
    write_two(4, 8, 7);
    assert_refused("is truncated: the header describes 8 bytes of data, there are 7");
    write_two(4, 8, 9);
    assert_refused("has something after its last tensor: the header describes 8 bytes of data, there are 9");
}

static void test_empty_tensors_share_a_place(void **state)
{
    (void)state;
    write_raw("{\"z\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
              "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]},"
              "\"f\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[1,1]}}",
              -1, 1);
    gp_safetensors *s = gp_safetensors_open(file);
    assert_non_null(s);
    assert_string_equal(gp_safetensors_get(s, 0, NULL), "e");
    assert_string_equal(gp_safetensors_get(s, 1, NULL), "z");
    gp_safetensors_close(s);
}

/* Writes two tensors, the second in pieces. */
static int write_sample(const char *path)
{
    float a[6] = {0.5f, -1, 2, 3, 4, 5};
    gp_tensor ta = gp_tensor_view(a, GP_F32, 2, 2, 3), tb = gp_tensor_view(NULL, GP_U8, 1, 5);
    gp_safetensors_writer *w = gp_safetensors_create(path);
    if (!w)
        return -1;
    gp_safetensors_add_metadata(w, "format", "pt", 2);
    gp_safetensors_add_metadata(w, "nul", "a\0b", 3);
    gp_safetensors_declare(w, "a", &ta);
    gp_safetensors_declare(w, "größe", &tb);
    gp_safetensors_write(w, a, sizeof a);
    gp_safetensors_write(w, "he", 2);
    gp_safetensors_write(w, "llo", 3);
    return gp_safetensors_finish(w);
}

static void assert_sample(gp_safetensors *s)
{
    if (!s)
        fail_msg("%s", gp_error());
    gp_tensor t;
    size_t length;
    assert_int_equal(gp_safetensors_count(s), 2);
    assert_true(gp_safetensors_find(s, "a", &t));
    assert_int_equal(t.dtype, GP_F32);
    assert_int_equal((uintptr_t)t.data % 64, 0);
    assert_float_equal(((float *)t.data)[0], 0.5, 0);
    assert_float_equal(((float *)t.data)[5], 5, 0);
    assert_true(gp_safetensors_find(s, "größe", &t));
    assert_memory_equal(t.data, "hello", 5);
    assert_memory_equal(gp_safetensors_metadata(s, "nul", &length), "a\0b", 4);
    assert_int_equal(length, 3);
    gp_safetensors_close(s);
}

static void test_written_file_reads_back(void **state)
{
    (void)state;
    assert_int_equal(write_sample(file), 0);
    assert_sample(gp_safetensors_open(file));
}

static void test_streams_through_a_pipe(void **state)
{
    (void)state;
    int fd[2], status, keep = dup(STDIN_FILENO);
    assert_int_equal(pipe(fd), 0);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        dup2(fd[1], STDOUT_FILENO);
        close(fd[0]);
        close(fd[1]);
        _exit(write_sample("-") ? 1 : 0);
    }
    close(fd[1]);
    dup2(fd[0], STDIN_FILENO);
    close(fd[0]);
    gp_safetensors *s = gp_safetensors_open("-");
    dup2(keep, STDIN_FILENO);
    close(keep);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_string_equal(s ? gp_safetensors_path(s) : gp_error(), "stdin");
    assert_sample(s);
}

/* Opens the first `size` bytes of the file, then `extra` more, through a pipe. */
static gp_safetensors *open_through_pipe(size_t size, size_t extra)
{
    gp_buf b = {0};
    int fd[2];
    assert_int_equal(gp_file_read(&b, file, 1 << 16), 0);
    assert_int_equal(pipe(fd), 0); /* a pipe holds 64 KB: no second process is needed */
    gp_buf_reserve(&b, extra);
    assert_int_equal(gp_write_all(fd[1], b.data, size + extra, "pipe"), 0);
    close(fd[1]);
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fd[0]);
    gp_safetensors *s = gp_safetensors_open(path);
    close(fd[0]);
    gp_buf_release(&b);
    return s;
}

static void test_truncated_stream_is_refused(void **state)
{
    (void)state;
    assert_int_equal(write_sample(file), 0);
    gp_map m;
    assert_int_equal(gp_map_open(&m, file), 0);
    size_t size = m.size;
    gp_map_close(&m);
    for (size_t n = 0; n < size; n++)
        if (open_through_pipe(n, 0))
            fail_msg("opened after %zu of %zu bytes", n, size);
    assert_non_null(strstr(gp_error(), "is truncated: the header describes 29 bytes of data, there are 28"));
    assert_null(open_through_pipe(size, 1));
    assert_non_null(strstr(gp_error(), "has something after its last tensor"));
    assert_sample(open_through_pipe(size, 0));
}

/* A file in memory and a path to it: quick where thousands are written. Close *fd. */
static const char *memory_file(int *fd)
{
    static char path[32];
    *fd = memfd_create("test", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    return path;
}

static void test_data_begins_at_a_multiple_of_64(void **state)
{
    (void)state;
    int fd;
    const char *path = memory_file(&fd);
    for (int n = 1; n < 70; n++) {
        char name[80] = {0};
        memset(name, 'n', (size_t)n);
        assert_int_equal(lseek(fd, 0, SEEK_SET) | ftruncate(fd, 0), 0);
        gp_safetensors_writer *w = gp_safetensors_create(path);
        gp_tensor t = gp_tensor_view(NULL, GP_U8, 1, 1);
        gp_safetensors_declare(w, name, &t);
        gp_safetensors_write(w, "x", 1);
        assert_int_equal(gp_safetensors_finish(w), 0);
        gp_map m;
        assert_int_equal(gp_map_open(&m, path), 0);
        assert_int_equal(m.size % 64, 1);
        assert_int_equal(m.data[m.size - 1], 'x');
        gp_map_close(&m);
    }
    close(fd);
}

static void test_a_name_declared_twice_is_refused(void **state)
{
    (void)state;
    unlink(file);
    gp_tensor t = gp_tensor_view(NULL, GP_U8, 1, 1);
    gp_safetensors_writer *w = gp_safetensors_create(file);
    assert_int_equal(gp_safetensors_declare(w, "x", &t), 0);
    assert_int_equal(gp_safetensors_declare(w, "x", &t), -1);
    assert_int_equal(gp_safetensors_finish(w), -1);
    assert_non_null(strstr(gp_error(), "tensor x is declared twice"));
    assert_false(gp_exists(file));
}

static void test_a_misaligned_declaration_is_refused(void **state)
{
    (void)state;
    gp_tensor byte = gp_tensor_view(NULL, GP_U8, 1, 3), word = gp_tensor_view(NULL, GP_F32, 0);
    gp_safetensors_writer *w = gp_safetensors_create(file);
    assert_int_equal(gp_safetensors_declare(w, "x", &byte), 0);
    assert_int_equal(gp_safetensors_declare(w, "y", &word), -1);
    assert_non_null(strstr(gp_error(), "tensor y of F32 would begin at byte 3: wider dtypes go first"));
    gp_safetensors_abort(w);
}

static void test_abandoned_file_leaves_nothing(void **state)
{
    (void)state;
    unlink(file);
    gp_safetensors_writer *w = gp_safetensors_create(file);
    gp_tensor t = gp_tensor_view(NULL, GP_U8, 1, 2);
    gp_safetensors_declare(w, "x", &t);
    gp_safetensors_write(w, "x", 1);
    gp_safetensors_abort(w);
    assert_false(gp_exists(file));
}

static void test_closed_pipe_is_a_failure(void **state)
{
    (void)state;
    int fd[2], keep = dup(STDOUT_FILENO);
    assert_int_equal(pipe(fd), 0);
    signal(SIGPIPE, SIG_IGN);
    fflush(stdout);
    dup2(fd[1], STDOUT_FILENO);
    close(fd[0]);
    close(fd[1]);
    int rc = write_sample("-");
    dup2(keep, STDOUT_FILENO);
    close(keep);
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(rc, -1);
    assert_string_equal(gp_error(), "stdout: cannot be written: Broken pipe");
}

/* Whatever opened has to keep its promises: adjacent views that cover the data, names that are found. */
static int64_t walk(gp_safetensors *s)
{
    int64_t sum = 0;
    const unsigned char *next = NULL;
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        gp_tensor t, found;
        const char *name = gp_safetensors_get(s, i, &t);
        assert_true(gp_safetensors_find(s, name, &found));
        assert_ptr_equal(found.data, t.data);
        const unsigned char *p = t.data;
        assert_true(!next || p == next);
        int64_t bytes = gp_tensor_bytes(&t);
        for (int64_t k = 0; k < bytes; k++)
            sum += p[k];
        next = p + bytes;
    }
    return sum;
}

static void test_random_damage_never_crashes(void **state)
{
    (void)state;
    enum { ROUNDS = 10000, MAX = 1 << 12 };
    unsigned char sound[MAX], hurt[MAX];
    gp_map m;
    assert_int_equal(write_sample(file), 0);
    assert_int_equal(gp_map_open(&m, file), 0);
    size_t size = m.size, header = 8;
    assert_true(size < MAX);
    memcpy(sound, m.data, size);
    gp_map_close(&m);
    while (memcmp(sound + header, "}}  ", 4))
        header++;
    static const char alphabet[] = "0123456789[]{}\",:-.eE \\u\n_abFIU";
    int refused = 0, opened = 0, fd;
    const char *path = memory_file(&fd);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        memcpy(hurt, sound, size);
        uint64_t draw = 0, places = 1 + gp_random_below(1, 99, 0, round, 3);
        for (uint64_t k = 0; k < places; k++) { /* mostly in the length and the header */
            uint64_t at = gp_random_below(round, 99, 1, draw++, header + 8);
            uint64_t how = gp_random64(round, 99, 2, draw++);
            uint64_t value = how % 3 == 0   ? how >> 8
                             : how % 3 == 1 ? hurt[at] ^ UINT64_C(1) << (how >> 8) % 8
                                            : (unsigned char)alphabet[(how >> 8) % (sizeof alphabet - 1)];
            hurt[at] = (unsigned char)value;
        }
        size_t n = round % 8 ? size : (size_t)gp_random_below(round, 99, 3, 0, size);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, hurt, n, 0), (ssize_t)n);
        gp_safetensors *s = gp_safetensors_open(path);
        if (s) {
            opened += walk(s) >= 0;
            gp_safetensors_close(s);
        } else {
            refused++;
            assert_null(strchr(gp_error(), '\n'));
        }
    }
    close(fd);
    assert_true(refused > ROUNDS / 2 && opened > ROUNDS / 100); /* both ways were walked */
}

/* ---- CRCs ------------------------------------------------------------------------------------------------ */

/* RFC 3720's vectors as tensors, and as a string. */
static void write_vectors(const char *path)
{
    uint8_t x[3][32];
    memset(x[0], 0, 32);
    memset(x[1], 0xff, 32);
    for (int i = 0; i < 32; i++)
        x[2][i] = (uint8_t)i;
    gp_tensor words = gp_tensor_view(NULL, GP_I64, 2, 2, 2), bytes = gp_tensor_view(NULL, GP_U8, 1, 32),
              none = gp_tensor_view(NULL, GP_U8, 1, 0), digits = gp_tensor_view(NULL, GP_U8, 1, 9);
    gp_safetensors_writer *w = gp_safetensors_create(path);
    gp_safetensors_declare(w, "zeros", &words);
    gp_safetensors_add_metadata(w, "digits", "123456789", 9);
    gp_safetensors_declare(w, "none", &none);
    gp_safetensors_declare(w, "ones", &bytes);
    gp_safetensors_declare(w, "rising \"", &bytes);
    gp_safetensors_declare(w, "digits", &digits);
    gp_safetensors_write(w, x, 40); /* calls need not end where tensors do */
    gp_safetensors_write(w, (char *)x + 40, 0);
    gp_safetensors_write(w, (char *)x + 40, 56);
    gp_safetensors_write(w, "123456789", 9);
    assert_int_equal(gp_safetensors_finish(w), 0);
}

static void test_file_carries_the_crc_of_each_tensor_and_string(void **state)
{
    (void)state;
    write_vectors(file);
    gp_safetensors *s = gp_safetensors_open(file);
    assert_non_null(s);
    assert_string_equal(gp_safetensors_metadata(s, "gptpipe.crc32c", NULL),
                        "{\"metadata\":{\"digits\":\"e3069283\"},\"tensors\":{\"zeros\":\"8a9136aa\","
                        "\"none\":\"00000000\",\"ones\":\"62a8ab43\",\"rising \\\"\":\"46dd794e\","
                        "\"digits\":\"e3069283\"}}");
    uint32_t crc;
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        assert_true(gp_safetensors_crc(s, i, &crc));
        assert_int_equal(gp_safetensors_check(s, i, true), 0);
    }
    assert_int_equal(crc, 0xe3069283);
    gp_safetensors_close(s);
}

/* What passes through a pipe has left before its CRC is known; nor does an old record go with new data. */
static void test_stream_carries_no_crcs(void **state)
{
    (void)state;
    int fd[2];
    char path[32];
    assert_int_equal(pipe(fd), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", fd[1]);
    gp_safetensors_writer *w = gp_safetensors_create(path);
    gp_tensor t = gp_tensor_view(NULL, GP_U8, 1, 1);
    gp_safetensors_add_metadata(w, "gptpipe.crc32c", "{}", 2);
    gp_safetensors_declare(w, "x", &t);
    gp_safetensors_write(w, "x", 1);
    assert_int_equal(gp_safetensors_finish(w), 0);
    close(fd[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", fd[0]);
    gp_safetensors *s = gp_safetensors_open(path);
    close(fd[0]);
    assert_non_null(s);
    assert_null(gp_safetensors_metadata(s, "gptpipe.crc32c", NULL));
    assert_false(gp_safetensors_crc(s, 0, &(uint32_t){0}));
    assert_int_equal(gp_safetensors_check(s, 0, true), 0);
    gp_safetensors_close(s);
}

/* Each string of the metadata and each tensor, as `sound` has them. */
static bool has_all_of(gp_safetensors *s, gp_safetensors *sound)
{
    gp_tensor t, was;
    bool all = gp_safetensors_count(s) == gp_safetensors_count(sound) &&
               !strcmp(gp_safetensors_metadata(s, "digits", NULL), "123456789");
    for (int64_t i = 0; all && i < gp_safetensors_count(sound); i++) {
        const char *name = gp_safetensors_get(sound, i, &was);
        all = gp_safetensors_find(s, name, &t) && t.dtype == was.dtype && t.ndim == was.ndim &&
              !memcmp(t.dim, was.dim, sizeof t.dim) && !memcmp(t.data, was.data, (size_t)gp_tensor_bytes(&was));
    }
    return all;
}

/* In the header, in the record itself, in the data. What opens and passes has all that was written: the record's own
 * name may be lost, and with it the checks, but not the one bit and something else. */
static void test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    gp_buf b = {0};
    int fd, passed = 0;
    const char *path = memory_file(&fd);
    write_vectors(file);
    gp_safetensors *sound = gp_safetensors_open(file);
    assert_int_equal(gp_file_read(&b, file, 1 << 16), 0);
    assert_int_equal(pwrite(fd, b.data, b.len, 0), (ssize_t)b.len);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        char hurt = (char)(b.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(pwrite(fd, &hurt, 1, (off_t)(bit / 8)), 1);
        gp_safetensors *s = gp_safetensors_open(path);
        bool good = s != NULL;
        for (int64_t i = 0; good && i < gp_safetensors_count(s); i++)
            good = !gp_safetensors_check(s, i, true);
        if (good && !has_all_of(s, sound))
            fail_msg("bit %zu of byte %zu was not noticed", bit % 8, bit / 8);
        passed += good;
        gp_safetensors_close(s);
        assert_int_equal(pwrite(fd, b.data + bit / 8, 1, (off_t)(bit / 8)), 1);
    }
    assert_true(passed < 8 * 20); /* no more than the record's name */
    close(fd);
    gp_safetensors_close(sound);
    gp_buf_release(&b);
}

/* Several threads read it, each a megabyte at a time. */
static void test_damage_anywhere_in_a_large_tensor_is_noticed(void **state)
{
    (void)state;
    enum { N = 5 * (1 << 20) + 13 };
    static const int64_t places[] = {0, (1 << 20) - 1, 1 << 20, 3 * (1 << 20) + 77777, N - 1};
    gp_tensor t = gp_tensor_view(NULL, GP_U8, 1, N);
    uint8_t *x = gp_malloc(N);
    for (uint32_t i = 0; i < N; i++)
        x[i] = (uint8_t)(i * 2654435761u >> 24);
    int fd;
    const char *path = memory_file(&fd);
    gp_safetensors_writer *w = gp_safetensors_create(file);
    gp_safetensors_declare(w, "x", &t);
    gp_safetensors_write(w, x, N);
    assert_int_equal(gp_safetensors_finish(w), 0);
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, file, N + 4096), 0);
    assert_int_equal(gp_write_all(fd, b.data, b.len, path), 0);
    for (size_t k = 0; k <= ARRAY_LEN(places); k++) {
        size_t at = b.len - N + (size_t)(k ? places[k - 1] : 0);
        char hurt = (char)(b.data[at] ^ (k ? 0x10 : 0)); /* sound at first */
        assert_int_equal(pwrite(fd, &hurt, 1, (off_t)at), 1);
        gp_safetensors *s = gp_safetensors_open(path);
        assert_non_null(s);
        assert_int_equal(gp_safetensors_check(s, 0, true), k ? -1 : 0);
        if (k && !strstr(gp_error(), ": tensor x is damaged: its CRC-32C is "))
            fail_msg("%s", gp_error());
        gp_safetensors_forget(s, 0); /* it is read again where it is used */
        assert_int_equal(gp_safetensors_check(s, 0, true), k ? -1 : 0);
        gp_safetensors_close(s);
        assert_int_equal(pwrite(fd, b.data + at, 1, (off_t)at), 1);
    }
    close(fd);
    free(x);
    gp_buf_release(&b);
}

/* 32 rising bytes are "a" (RFC 3720), four more "b". */
static void write_with_record(const char *record)
{
    char *header = gp_format("{\"__metadata__\":{\"k\":\"123456789\"%s%s},"
                             "\"a\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[0,32]},"
                             "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[32,36]}}",
                             record ? ",\"gptpipe.crc32c\":" : "", record ? record : "");
    write_raw(header, -1, 36);
    free(header);
}

static void test_only_what_has_a_crc_is_compared(void **state)
{
    (void)state;
    static const char *const sound[] = {
        NULL, "\"{\\\"metadata\\\":{},\\\"tensors\\\":{}}\"",
        "\"{\\\"metadata\\\":{\\\"k\\\":\\\"e3069283\\\"},\\\"tensors\\\":{\\\"a\\\":\\\"46dd794e\\\"}}\""};
    for (size_t i = 0; i < ARRAY_LEN(sound); i++) {
        write_with_record(sound[i]);
        gp_safetensors *s = gp_safetensors_open(file);
        if (!s)
            fail_msg("%s", gp_error());
        assert_int_equal(gp_safetensors_crc(s, 0, &(uint32_t){0}), i == 2);
        assert_false(gp_safetensors_crc(s, 1, &(uint32_t){0}));
        assert_int_equal(gp_safetensors_check(s, 0, true), 0);
        assert_int_equal(gp_safetensors_check(s, 1, true), 0);
        gp_safetensors_close(s);
    }
    write_with_record("\"{\\\"metadata\\\":{},\\\"tensors\\\":{\\\"a\\\":\\\"46dd794f\\\"}}\"");
    gp_safetensors *s = gp_safetensors_open(file);
    assert_int_equal(gp_safetensors_check(s, 0, true), -1);
    assert_non_null(strstr(gp_error(), "t.safetensors: tensor a is damaged: its CRC-32C is 46dd794e, "));
    assert_non_null(strstr(gp_error(), "46dd794f"));
    gp_safetensors_close(s);
}

static void test_bad_record_of_crcs_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *record, *expected;
    } bad[] = {
        {"\"\"", "is not a record of CRCs"},
        {"\"{}\"", "is not a record of CRCs"},
        {"\"[1]\"", "is not a record of CRCs"},
        {"\"{\\\"metadata\\\":{},\\\"tensors\\\":{},\\\"more\\\":{}}\"", "is not a record of CRCs"},
        {"\"{\\\"metadata\\\":{},\\\"tensors\\\":{\\\"a\\\":\\\"46dd794\\\"}}\"", "no CRC of 8 digits for tensor a"},
        {"\"{\\\"metadata\\\":{},\\\"tensors\\\":{\\\"a\\\":\\\"46DD794E\\\"}}\"", "no CRC of 8 digits for tensor a"},
        {"\"{\\\"metadata\\\":{},\\\"tensors\\\":{\\\"a\\\":1188919630}}\"", "no CRC of 8 digits for tensor a"},
        {"\"{\\\"metadata\\\":{},\\\"tensors\\\":{\\\"c\\\":\\\"46dd794e\\\"}}\"", "there is no tensor c"},
        {"\"{\\\"metadata\\\":{\\\"k\\\":\\\"e3069282\\\"},\\\"tensors\\\":{}}\"",
         "k in its metadata has the CRC-32C e3069283, expected e3069282"},
        {"\"{\\\"metadata\\\":{\\\"l\\\":\\\"e3069283\\\"},\\\"tensors\\\":{}}\"", "its metadata lack l"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_with_record(bad[i].record);
        assert_refused(bad[i].expected);
    }
}

/* Not-a-number and infinity of each dtype, at the first, an inner and the last element. */
static void test_numbers_that_are_not_finite_are_found(void **state)
{
    (void)state;
    enum { N = 700001 };
    static const struct {
        gp_dtype dtype;
        uint32_t most, bad[3]; /* bits: the largest number, infinities and NaNs */
    } kinds[] = {{GP_F32, 0xff7fffff, {0x7f800000, 0xff800000, 0x7f800001}},
                 {GP_BF16, 0xff7f, {0x7f80, 0xff80, 0x7fff}},
                 {GP_F16, 0xfbff, {0x7c00, 0xfc00, 0x7c01}}};
    uint8_t *x = gp_malloc(N * 4);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        size_t size = (size_t)gp_dtype_size(kinds[k].dtype);
        gp_tensor t = gp_tensor_view(NULL, kinds[k].dtype, 1, N);
        for (size_t i = 0; i < N; i++)
            memcpy(x + i * size, &kinds[k].most, size); /* little-endian */
        for (int b = -1; b < 3; b++) {
            size_t at = b == 0 ? 0 : b == 1 ? N - 1 : 300007;
            memcpy(x + at * size, b < 0 ? &kinds[k].most : &kinds[k].bad[b], size);
            gp_safetensors_writer *w = gp_safetensors_create(file);
            gp_safetensors_declare(w, "x", &t);
            gp_safetensors_write(w, x, (int64_t)(N * size));
            assert_int_equal(gp_safetensors_finish(w), 0);
            gp_safetensors *s = gp_safetensors_open(file);
            assert_int_equal(gp_safetensors_check(s, 0, false), 0);
            assert_int_equal(gp_safetensors_check(s, 0, true), b < 0 ? 0 : -1);
            char *place = gp_format("at element %zu, expected finite numbers", at);
            if (b >= 0)
                assert_non_null(strstr(gp_error(), place));
            free(place);
            gp_safetensors_close(s);
            memcpy(x + at * size, &kinds[k].most, size);
        }
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_the_format_describes),
        cmocka_unit_test(test_reads_the_reference_implementations_file),
        cmocka_unit_test(test_null_metadata_and_blanks_before_the_header_are_as_without),
        cmocka_unit_test(test_missing_file_and_folder_are_refused),
        cmocka_unit_test(test_file_without_a_header_is_refused),
        cmocka_unit_test(test_truncated_header_is_refused),
        cmocka_unit_test(test_bad_json_is_refused),
        cmocka_unit_test(test_duplicate_name_is_refused),
        cmocka_unit_test(test_control_character_in_a_name_is_refused),
        cmocka_unit_test(test_tokenizer_in_the_metadata_is_read_as_any_string),
        cmocka_unit_test(test_bad_metadata_is_refused),
        cmocka_unit_test(test_bad_dtype_is_refused),
        cmocka_unit_test(test_bad_shape_is_refused),
        cmocka_unit_test(test_bad_offsets_are_refused),
        cmocka_unit_test(test_overlapping_tensors_are_refused),
        cmocka_unit_test(test_holes_between_tensors_are_refused),
        cmocka_unit_test(test_data_of_the_wrong_size_is_refused),
        cmocka_unit_test(test_empty_tensors_share_a_place),
        cmocka_unit_test(test_written_file_reads_back),
        cmocka_unit_test(test_streams_through_a_pipe),
        cmocka_unit_test(test_truncated_stream_is_refused),
        cmocka_unit_test(test_data_begins_at_a_multiple_of_64),
        cmocka_unit_test(test_a_name_declared_twice_is_refused),
        cmocka_unit_test(test_a_misaligned_declaration_is_refused),
        cmocka_unit_test(test_abandoned_file_leaves_nothing),
        cmocka_unit_test(test_closed_pipe_is_a_failure),
        cmocka_unit_test(test_file_carries_the_crc_of_each_tensor_and_string),
        cmocka_unit_test(test_stream_carries_no_crcs),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_damage_anywhere_in_a_large_tensor_is_noticed),
        cmocka_unit_test(test_only_what_has_a_crc_is_compared),
        cmocka_unit_test(test_bad_record_of_crcs_is_refused),
        cmocka_unit_test(test_numbers_that_are_not_finite_are_found),
        cmocka_unit_test(test_random_damage_never_crashes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
