/* Rows that a model reads in the checkpoint's file: which ones, that they are the file's numbers, and for how long. The
 * expected numbers are the files' own bytes. */
#include "test.h"

#include "gptpipe/checkpoint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "model/model.h"

static const char golden[] = "tests/golden/gpt2-tiny", formats[] = "tests/golden/formats";
static char folder[] = "/tmp/gptpipe-test.XXXXXX";
static gp_backend *be;

static int set_up(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "fp32", 2);
    return mkdtemp(folder) && be ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gp_backend_close(be);
    return gp_folder_remove(folder);
}

/* How many rows are borrowed; each row's numbers are those that the checkpoint reads. */
static int count_borrowed(const gp_checkpoint *c, const gp_model *m)
{
    int borrowed = 0;
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        float *x = gp_malloc((size_t)row->count * sizeof *x), *y = gp_malloc((size_t)row->count * sizeof *y);
        gp_model_row_download(m, row, x);
        assert_int_equal(c->read(c->self, &c->params.rows[i], 0, row->dim[0], y), 0);
        assert_memory_equal(x, y, (size_t)row->count * sizeof *x);
        free(x);
        free(y);
        borrowed += gp_model_row_borrowed(m, row) != NULL;
    }
    return borrowed;
}

static gp_checkpoint *opened(const char *path)
{
    gp_checkpoint *c = gp_checkpoint_open(path);
    if (!c)
        fail_msg("%s", gp_error());
    return c;
}

/* Of the model in `path`: borrowed rows, and how many it has. */
static void borrowed_of(const char *path, int *borrowed, int *count)
{
    gp_checkpoint *c = opened(path);
    gp_model *m = gp_checkpoint_model(c, be, false);
    if (!m)
        fail_msg("%s", gp_error());
    *borrowed = count_borrowed(c, m);
    *count = m->params.count;
    gp_model_free(m);
    gp_checkpoint_close(c);
}

/* Formats that store a linear's weight as (out, in) have to be transposed: the four of each of two layers. */
static void rows_in_fp32_and_in_order_are_read_in_the_file(void **state)
{
    (void)state;
    enum { ROWS = 28, TRANSPOSED = 8 };
    static const struct {
        const char *name;
        int borrowed;
    } files[] = {{"hf", ROWS},
                 {"hf-sharded", ROWS},
                 {"bin", ROWS},
                 {"bin-sharded", ROWS},
                 {"bin-deflated", 0},
                 {"bin-bf16", 0},
                 {"bin-f16", 0},
                 {"llmc/gpt2.bin", ROWS - TRANSPOSED},
                 {"llmc/gpt2_bf16.bin", 0},
                 {"nanogpt/ckpt.pt", ROWS - TRANSPOSED},
                 {"gguf/gpt2-f32.gguf", ROWS - TRANSPOSED},
                 {"tensorflow", ROWS}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *path = gp_path_join(formats, files[i].name);
        int borrowed, rows;
        borrowed_of(path, &borrowed, &rows);
        if (rows != ROWS || borrowed != files[i].borrowed)
            fail_msg("%s: %d of %d rows are borrowed, expected %d", files[i].name, borrowed, rows, files[i].borrowed);
        free(path);
    }
}

/* The golden's safetensors file with `blanks` more blanks at the end of the header, which moves all of its data. */
static char *moved(int blanks)
{
    gp_buf b = {0};
    uint64_t length;
    char *config = gp_path_join(golden, "config.json"), *file = gp_path_join(golden, "model.safetensors");
    char *path = gp_path_join(folder, "model.safetensors"), *beside = gp_path_join(folder, "config.json");
    assert_int_equal(gp_file_read(&b, config, 1 << 20) || gp_file_write(beside, b.data, b.len), 0);
    b.len = 0;
    assert_int_equal(gp_file_read(&b, file, 1 << 24), 0);
    memcpy(&length, b.data, sizeof length);
    size_t at = sizeof length + (size_t)length;
    gp_buf out = {0};
    length += (uint64_t)blanks;
    gp_buf_add(&out, &length, sizeof length);
    gp_buf_add(&out, b.data + sizeof length, at - sizeof length);
    gp_buf_add(&out, "       ", (size_t)blanks);
    gp_buf_add(&out, b.data + at, b.len - at);
    assert_int_equal(gp_file_write(path, out.data, out.len), 0);
    gp_buf_release(&b);
    gp_buf_release(&out);
    free(config);
    free(file);
    free(beside);
    return path;
}

static void unaligned_tensors_are_copied(void **state)
{
    (void)state;
    for (int blanks = 0; blanks < 8; blanks++) {
        char *path = moved(blanks);
        int borrowed, rows;
        borrowed_of(path, &borrowed, &rows);
        assert_int_equal(borrowed, blanks % 4 ? 0 : rows);
        free(path);
    }
}

static void model_that_trains_copies(void **state)
{
    (void)state;
    gp_checkpoint *c = opened(golden);
    gp_model *m = gp_checkpoint_model(c, be, true);
    assert_int_equal(count_borrowed(c, m), 0);
    gp_checkpoint_close(c);
    gp_model_free(m);
}

static void file_stays_mapped_until_the_last_model_is_freed(void **state)
{
    (void)state;
    char *path = moved(0);
    gp_checkpoint *c = opened(path);
    gp_model *m[] = {gp_checkpoint_model(c, be, false), gp_checkpoint_model(c, be, false)};
    const gp_param *row = &m[0]->params.rows[0];
    size_t bytes = (size_t)row->count * sizeof(float);
    float *before = gp_malloc(bytes), *now = gp_malloc(bytes);
    gp_model_row_download(m[0], row, before);
    gp_checkpoint_close(c);
    assert_int_equal(unlink(path), 0);
    gp_model_free(m[0]);
    gp_model_row_download(m[1], &m[1]->params.rows[0], now);
    assert_memory_equal(before, now, bytes);
    gp_model_free(m[1]);
    free(before);
    free(now);
    free(path);
}

static void upload_copies_the_row_first(void **state)
{
    (void)state;
    gp_checkpoint *c = opened(golden);
    gp_model *m = gp_checkpoint_model(c, be, false);
    gp_memory_use before, after;
    const gp_param *row = gp_params_row(&m->params, GP_WPE, 0);
    int all = count_borrowed(c, m);
    assert_int_equal(all, m->params.count);
    gp_model_memory(m, &before);
    float *x = gp_malloc((size_t)row->count * sizeof *x), line[64];
    gp_model_row_download(m, row, x);
    assert_true(row->dim[1] <= (int64_t)ARRAY_LEN(line));
    for (int64_t i = 0; i < row->dim[1]; i++)
        line[i] = (float)i;
    gp_model_lines_upload(m, row, 2, 1, line, GP_F32);
    memcpy(x + 2 * row->dim[1], line, (size_t)row->dim[1] * sizeof *x);
    float *y = gp_malloc((size_t)row->count * sizeof *y);
    gp_model_row_download(m, row, y);
    assert_memory_equal(x, y, (size_t)row->count * sizeof *x);
    assert_ptr_equal(m->wpe.data, gp_model_parameter(m, row).data);
    assert_null(gp_model_row_borrowed(m, row));
    gp_model_memory(m, &after);
    assert_int_equal(after.weights - before.weights, row->count * 4);
    assert_int_equal(gp_checkpoint_load(c, m), 0); /* borrows it again */
    assert_int_equal(count_borrowed(c, m), all);
    gp_checkpoint_close(c);
    gp_model_free(m);
    free(x);
    free(y);
}

static void file_that_is_written_to_is_noticed(void **state)
{
    (void)state;
    char *path = moved(0);
    gp_checkpoint *c = opened(path);
    gp_model *m = gp_checkpoint_model(c, be, false);
    assert_int_equal(gp_checkpoint_check_unchanged(c), 0);
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, path, 1 << 24) || gp_file_write(path, b.data, b.len), 0); /* by rename */
    assert_int_equal(gp_checkpoint_check_unchanged(c), 0);
    gp_model_free(m);
    gp_checkpoint_close(c);
    c = opened(path);
    m = gp_checkpoint_model(c, be, false);
    usleep(20000); /* the clock of time stamps advances */
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, b.data + b.len - 1, 1, (off_t)b.len - 1) == 1 && !close(fd));
    assert_int_equal(gp_checkpoint_check_unchanged(c), -1);
    assert_non_null(strstr(gp_error(), "model.safetensors: was written to while it was read"));
    gp_model_free(m);
    assert_int_equal(gp_checkpoint_check_unchanged(c), 0); /* nobody reads it any more */
    gp_checkpoint_close(c);
    gp_buf_release(&b);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_fp32_and_in_order_are_read_in_the_file),
        cmocka_unit_test(unaligned_tensors_are_copied),
        cmocka_unit_test(model_that_trains_copies),
        cmocka_unit_test(file_stays_mapped_until_the_last_model_is_freed),
        cmocka_unit_test(upload_copies_the_row_first),
        cmocka_unit_test(file_that_is_written_to_is_noticed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
