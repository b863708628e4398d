/* load.c: a checkpoint's weights into a model. A row that the file has in fp32 and in the row's order is read there
 * from now on (gp_model_row_borrow). Others are converted by all threads, range by range, straight to their place; or
 * uploaded as the file has them, to a device that converts them. In the same pass CRCs and numbers are checked. Damage
 * is found again by gp_container_check, and a number too large for the model's format by reading the row again: these
 * report it. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/pieces.h"
#include "base/file.h"
#include "base/threads.h"
#include "data/range_check.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>

static int check_same_rows(const gp_checkpoint *c, const gp_params *p)
{
    bool same = p->count == c->params.count;
    for (int i = 0; same && i < p->count; i++) {
        const gp_param *ours = &c->params.rows[i], *theirs = &p->rows[i];
        char name[GP_PARAM_NAME];
        bool crops = ours->role == GP_WPE && theirs->dim[0] < ours->dim[0];
        if (ours->role == theirs->role &&
            ((ours->dim[0] != theirs->dim[0] && !crops) || ours->dim[1] != theirs->dim[1]))
            return fail("%s: %s is %lld x %lld, %lld x %lld in the model that it should fill", c->path,
                        gp_param_name(ours, name), (long long)ours->dim[0], (long long)ours->dim[1],
                        (long long)theirs->dim[0], (long long)theirs->dim[1]);
        same = ours->role == theirs->role;
    }
    if (!same)
        return fail("%s: its parameter tensors are not those of the model to load into (found %d, expected %d)",
                    c->path, c->params.count, p->count);
    return 0;
}

/* Fails where a number is too large for the format in which the model stores it. Loops have a constant length, so that
 * the compiler vectorizes them. */
static int check_format(const gp_checkpoint *c, const gp_param *to, int64_t first, int64_t count, const float *x)
{
    enum { AT_ONCE = GP_WEIGHT_BLOCK };
    char name[GP_PARAM_NAME];
    float max = gp_weight_format_max(to->format);
    int64_t i = 0;
    if (to->format == GP_WEIGHTS_FP32)
        return 0;
    for (int bad = 0; count - i >= AT_ONCE; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            bad |= !(fabsf(x[i + k]) <= max);
        if (bad)
            break;
    }
    for (; i < count; i++)
        if (!(fabsf(x[i]) <= max))
            return fail("%s: tensor %s has %g at element %lld, which %s does not store (expected at most %g); use "
                        "another --dtype",
                        c->path, gp_param_name(to, name), (double)x[i], (long long)(first * to->dim[1] + i),
                        gp_weight_format_name(to->format), (double)max);
    return 0;
}

/* One row. data: in the file, `elements` of them or more than the row has (a padded vocabulary); NULL: it is read. */
typedef struct row_load {
    const gp_param *from, *to;
    gp_row_place place;
    const char *data;
    gp_dtype dtype;
    int64_t elements, lines; /* lines of a range */
    bool borrows, summed, failed;
    uint32_t crc; /* expected */
    gp_range_check *ranges;
    int64_t range_count;
} row_load;

typedef struct range_of_row {
    row_load *row;
    int64_t index;
} range_of_row;

typedef struct load {
    const gp_checkpoint *c;
    gp_model *m;
    row_load *rows;
    int64_t count;
    range_of_row *tasks; /* of rows that several threads may read */
    int64_t task_count;
    bool checks, stores; /* what the pass over them does */
} load;

/* Lines of a row that are read at once. */
static int64_t lines_at_once(const gp_param *row)
{
    return (int64_t)gp_round_up((size_t)gp_slice_lines(row), GP_WEIGHT_BLOCK);
}

static void list_row(load *l, row_load *r)
{
    r->place = l->c->locate ? l->c->locate(l->c->self, r->from) : (gp_row_place){0};
    r->lines = lines_at_once(r->to);
    r->range_count = 1;
    if (!r->place.file)
        return;
    const gp_container *k = r->place.file;
    r->data = gp_container_data(k, r->place.index, &r->dtype);
    r->elements = k->tensors[r->place.index].elements;
    r->borrows = r->dtype == GP_F32 && gp_model_can_borrow(l->m, r->to, r->data);
    r->summed = k->ops->crc32c && k->ops->crc32c(k->self, r->place.index, &r->crc);
    r->range_count = (r->elements + r->lines * r->to->dim[1] - 1) / (r->lines * r->to->dim[1]);
    r->ranges = gp_calloc((size_t)r->range_count, sizeof *r->ranges);
}

/* x: of a dtype that the model takes: of a weight format, fp32. */
static int upload(const load *l, const row_load *r, int64_t first, int64_t lines, const void *x, gp_dtype dtype)
{
    if (check_format(l->c, r->to, first, lines * r->to->dim[1], x))
        return -1;
    gp_model_lines_upload(l->m, r->to, first, lines, x, dtype);
    return 0;
}

/* Lines [first, first + lines) of a row, from the file. -1: a number is too large for the model's format. */
static int store_lines(const load *l, const row_load *r, int64_t first, int64_t lines, const char *data)
{
    int64_t count = lines * r->to->dim[1];
    float *place = gp_model_lines_place(l->m, r->to, first);
    bool aligned = !((uintptr_t)data % (size_t)gp_dtype_size(r->dtype));
    if (!place && aligned && gp_model_takes(l->m, r->to, r->dtype))
        return upload(l, r, first, lines, data, r->dtype);
    float *x = place ? place : gp_malloc((size_t)count * sizeof *x);
    gp_to_f32(x, data, r->dtype, count);
    int rc = place ? 0 : upload(l, r, first, lines, x, GP_F32);
    if (!place)
        free(x);
    return rc;
}

static void load_range(const load *l, row_load *r, int64_t index)
{
    const gp_container *k = r->place.file;
    int64_t first = index * r->lines, width = r->to->dim[1], size = gp_dtype_size(r->dtype);
    int64_t count = gp_min(r->lines * width, r->elements - first * width);
    int64_t lines = gp_min(r->lines, r->to->dim[0] - first);
    const char *data = r->data + first * width * size;
    gp_map_populate(data, (size_t)(count * size));
    if (l->checks)
        r->ranges[index] = gp_range_check_bytes(data, count * size, r->dtype, r->summed, true);
    bool verifies = l->checks && !index && !r->summed && k->ops->verify && !k->ops->verifies_finite; /* another sum */
    bool stores = l->stores && lines > 0 && !r->borrows;
    if ((verifies && k->ops->verify(k->self, r->place.index) < 0) || (stores && store_lines(l, r, first, lines, data)))
        __atomic_store_n(&r->failed, true, __ATOMIC_RELAXED);
    if (l->stores && !r->borrows)
        gp_map_drop_pages(data, (size_t)(count * size));
}

/* A row that has no range: of pieces, transposed, deflated, or of a model. -1: the read failed. */
static int read_row(const load *l, const row_load *r)
{
    const gp_param *to = r->to;
    float *place = gp_model_lines_place(l->m, to, 0);
    int64_t step = place ? to->dim[0] : r->lines;
    float *x = place ? place : gp_malloc((size_t)(gp_min(step, to->dim[0]) * to->dim[1]) * sizeof *x);
    int rc = 0;
    for (int64_t first = 0; !rc && first < to->dim[0]; first += step) {
        int64_t lines = gp_min(step, to->dim[0] - first);
        rc = l->c->read(l->c->self, r->from, first, lines, x);
        if (!rc && !place)
            rc = upload(l, r, first, lines, x, GP_F32);
    }
    if (!place)
        free(x);
    return rc;
}

static void run_task(void *self, int64_t i)
{
    const load *l = self;
    row_load *r = l->tasks[i].row;
    if (r->data)
        load_range(l, r, l->tasks[i].index);
    else if (l->stores)
        r->failed = read_row(l, r) != 0;
}

/* Ranges that check and store on the host at once; to a device, whose memory a single thread may fill, one after the
 * other. */
static void run_tasks(load *l)
{
    bool host = gp_model_is_on_host(l->m);
    int threads = host ? l->m->be->threads : gp_processors();
    l->checks = true;
    l->stores = host;
    gp_parallel(threads, l->task_count, run_task, l);
    if (host)
        return;
    l->checks = false;
    l->stores = true;
    gp_parallel(1, l->task_count, run_task, l);
}

/* -1 where a row is damaged. */
static int check_row(const load *l, const row_load *r)
{
    bool ok = !r->failed;
    for (int64_t k = 0; r->data && k < r->range_count; k++)
        ok &= r->ranges[k].finite;
    if (r->data && r->summed) {
        int64_t size = gp_dtype_size(r->dtype), each = r->lines * r->to->dim[1] * size;
        ok &= gp_range_join(r->ranges, r->range_count, each, r->elements * size) == r->crc;
    }
    if (ok || (r->data && gp_container_check(r->place.file, r->place.index, NULL)) || read_row(l, r))
        return ok ? 0 : -1;
    return fail("%s: changed while it was read", l->c->path);
}

static void close_checkpoint(void *c)
{
    gp_checkpoint_close(c);
}

/* The rows that are read in the file from now on; the model keeps the checkpoint open. */
static void borrow_rows(const load *l)
{
    gp_checkpoint *c = (gp_checkpoint *)(uintptr_t)l->c;
    bool any = false;
    for (int64_t i = 0; i < l->count; i++)
        if (l->rows[i].borrows)
            any |= gp_model_row_borrow(l->m, l->rows[i].to, (const void *)l->rows[i].data);
    if (!any)
        return;
    __atomic_add_fetch(&c->models, 1, __ATOMIC_ACQ_REL);
    gp_model_add_lender(l->m, (gp_lender){c, close_checkpoint});
}

static void list_rows(load *l)
{
    l->count = l->m->params.count;
    l->rows = gp_calloc((size_t)l->count, sizeof *l->rows);
    for (int64_t i = 0; i < l->count; i++) {
        l->rows[i] = (row_load){.from = &l->c->params.rows[i], .to = &l->m->params.rows[i]};
        list_row(l, &l->rows[i]);
        l->task_count += l->rows[i].place.concurrent ? l->rows[i].range_count : 0;
        if (!l->rows[i].borrows)
            gp_model_row_own(l->m, l->rows[i].to);
    }
    l->tasks = gp_calloc((size_t)l->task_count, sizeof *l->tasks);
    l->task_count = 0;
    for (int64_t i = 0; i < l->count; i++)
        for (int64_t k = 0; l->rows[i].place.concurrent && k < l->rows[i].range_count; k++)
            l->tasks[l->task_count++] = (range_of_row){&l->rows[i], k};
}

int gp_checkpoint_load(const gp_checkpoint *c, gp_model *m)
{
    if (check_same_rows(c, &m->params))
        return -1;
    load l = {.c = c, .m = m};
    int rc = 0;
    list_rows(&l);
    run_tasks(&l);
    for (int64_t i = 0; !rc && i < l.count; i++)
        rc = l.rows[i].place.concurrent ? check_row(&l, &l.rows[i]) : read_row(&l, &l.rows[i]);
    for (int64_t i = 0; i < l.count; i++)
        if (!l.rows[i].borrows && l.rows[i].place.file)
            gp_container_forget(l.rows[i].place.file, l.rows[i].place.index);
    if (!rc)
        borrow_rows(&l);
    for (int64_t i = 0; i < l.count; i++)
        free(l.rows[i].ranges);
    free(l.rows);
    free(l.tasks);
    if (!rc && m->slots_open)
        gp_model_weights_changed(m);
    return rc;
}

int gp_checkpoint_check_unchanged(const gp_checkpoint *c)
{
    gp_dtype dtype;
    int rc = 0;
    for (int i = 0; c->models && i < c->file_count; i++)
        for (int64_t k = 0; !rc && k < c->files[i]->count; k++) {
            const void *data = gp_container_data(c->files[i], k, &dtype);
            rc = data ? gp_map_check_unchanged(data) : 0;
        }
    return rc;
}

/* The format of a checkpoint's own matrices, in which none of their numbers is rounded. */
static gp_weight_format own_format(const gp_checkpoint *c)
{
    int64_t matrices = 0, bf16 = 0, fp16 = 0;
    for (int f = 0; f < c->file_count; f++)
        for (int64_t i = 0; i < c->files[f]->count; i++) {
            const gp_stored *t = &c->files[f]->tensors[i];
            bool matrix = t->is_float && t->ndim == 2;
            matrices += matrix;
            bf16 += matrix && t->dtype == GP_BF16;
            fp16 += matrix && t->dtype == GP_F16;
        }
    bool all_bf16 = matrices && bf16 == matrices, all_fp16 = matrices && fp16 == matrices;
    return all_bf16 ? GP_WEIGHTS_BF16 : all_fp16 ? GP_WEIGHTS_FP16 : GP_WEIGHTS_FP32;
}

gp_model *gp_checkpoint_model(const gp_checkpoint *c, gp_backend *be, bool trains)
{
    if (trains && gp_backend_check_training(be))
        return NULL;
    if (!trains)
        gp_backend_choose_format(be, own_format(c));
    gp_model *m = gp_model_create(&c->config, be, trains);
    if (gp_checkpoint_load(c, m)) {
        gp_model_free(m);
        return NULL;
    }
    return m;
}
