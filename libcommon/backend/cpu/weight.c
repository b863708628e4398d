/* weight.c: packed weights, and the three products with a weight.
 *
 * A weight in a format is read from its rows: bf16 in place, where products are in bf16; otherwise a tile of outputs at
 * a time is decoded to the dtype of products, at the end of the workspace.
 *
 * In fp32 products read the stored weight: the library's own layouts save a few percent of a product, and repacking
 * after every step costs as much. In bf16 it must be converted anyway, so the slot contains it in the layouts that the
 * library prefers for x W and, if it trains, for dy W^T. */
#include "backend/cpu/cpu.h"
#include "backend/ref/ref.h"

#include <stdlib.h>

/* w->form in bf16: the slot contains W packed for forward, then for backward. */
typedef struct form {
    gp_product forward, backward; /* M is set when they run */
    size_t forward_bytes, backward_bytes;
} form;

/* x W and dy W^T with the stored W. */
static gp_product plain_forward(const gp_weight *w)
{
    return (gp_product){
        .N = gp_weight_outputs(w), .K = gp_weight_inputs(w), .b_transposed = w->transposed, .dtype = GP_F32};
}

static gp_product plain_backward(const gp_weight *w)
{
    return (gp_product){
        .N = gp_weight_inputs(w), .K = gp_weight_outputs(w), .b_transposed = !w->transposed, .dtype = GP_F32};
}

/* AMX packs both operands for each product, which takes longer than it saves if either is read a few times only; and
 * each 32 x 32 of c takes time to begin and to end, which few k do not repay (of 2048 rows and K = 128, N = 384 and 512
 * took 1.2 to 1.3 times as long as without, N = 128 0.9 times). */
static bool amx_pays(const gp_product *p)
{
    enum { MIN_SIDE = 64, MIN_DEPTH = 32, DEEP = 256 };
    bool repays = p->K >= DEEP || (p->K >= MIN_DEPTH && p->N <= p->K);
    return p->dtype == GP_F32 && p->M >= MIN_SIDE && p->N >= MIN_SIDE && repays;
}

static void run(gp_backend *be, gp_product *p, const void *a, const void *b, const float *bias, float *c)
{
    const gp_cpu *cpu = gp_cpu_state(be);
    int64_t each = p->dtype == GP_BF16 ? GP_PS_PRODUCT_BF16 : GP_PS_PRODUCT;
    p->threads = gp_cpu_team(be, p->N * p->K * gp_max(p->M * each, GP_PS_COPY)); /* of few rows: reading W */
    if (cpu->amx && amx_pays(p))
        gp_matmul_parts_run(cpu->amx, p, a, b, bias, c);
    else
        gp_matmul_run(cpu->mm, p, a, b, bias, c);
}

void gp_cpu_weight_open(gp_backend *be, gp_weight *w, int64_t rows)
{
    BUG_ON(w->w.ndim != 2 || rows < 1);
    w->form = NULL;
    if (be->dtype == GP_F32 || w->format != GP_WEIGHTS_FP32)
        return;
    form *f = gp_calloc(1, sizeof *f);
    f->forward = plain_forward(w);
    f->backward = plain_backward(w);
    gp_product *both[] = {&f->forward, &f->backward};
    for (int i = 0; i < 2; i++) {
        both[i]->M = both[i]->packed = rows;
        both[i]->dtype = GP_BF16;
        both[i]->threads = be->threads;
    }
    gp_matmul *mm = gp_cpu_state(be)->mm;
    f->forward_bytes = gp_round_up(gp_matmul_packed_bytes(mm, &f->forward), 64);
    f->backward_bytes = w->trains ? gp_round_up(gp_matmul_packed_bytes(mm, &f->backward), 64) : 0;
    w->form = f;
}

size_t gp_cpu_weight_bytes(gp_backend *be, const gp_weight *w)
{
    (void)be;
    const form *f = w->form;
    if (w->format != GP_WEIGHTS_FP32)
        return gp_weight_format_bytes(w);
    return f ? f->forward_bytes + f->backward_bytes : 0;
}

/* oneDNN packs a matrix that is not transposed several times as fast from bf16 as from fp32. For one of the two
 * products it is transposed: in the place of that form there is a bf16 copy while the other is packed. */
static void pack_both(gp_backend *be, const gp_weight *w, const form *f)
{
    gp_matmul *mm = gp_cpu_state(be)->mm;
    const float *data = gp_cpu_data(&w->w);
    char *forward = w->slot, *backward = forward + f->forward_bytes, *copy = w->transposed ? forward : backward;
    int64_t count = gp_tensor_count(&w->w);
    BUG_ON((size_t)count * sizeof(uint16_t) > (w->transposed ? f->forward_bytes : f->backward_bytes));
    gp_cpu_to_bf16(be, (uint16_t *)(void *)copy, data, count);
    gp_matmul_pack(mm, w->transposed ? &f->backward : &f->forward, GP_BF16, copy, w->transposed ? backward : forward);
    gp_matmul_pack(mm, w->transposed ? &f->forward : &f->backward, GP_F32, data, copy);
}

void gp_cpu_weights_changed(gp_backend *be, gp_weight *const *w, int count)
{
    for (int i = 0; i < count; i++) {
        const form *f = w[i]->form;
        if (f && f->backward_bytes)
            pack_both(be, w[i], f);
        else if (f)
            gp_matmul_pack(gp_cpu_state(be)->mm, &f->forward, GP_F32, gp_cpu_data(&w[i]->w), w[i]->slot);
    }
}

void gp_cpu_weight_close(gp_backend *be, gp_weight *w)
{
    (void)be;
    free(w->form);
    w->form = NULL;
}

void gp_cpu_weight_fill(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, const float *host)
{
    gp_ref_weight_fill_by(gp_cpu_state(be)->k->encode_rows, w, first, lines, host);
}

/* A tile is in the L2 cache when the product reads it; with wide ones oneDNN is faster. */
enum { TILE_BYTES = 2 << 20, MIN_OUTPUTS = 64 };

static int64_t tile_outputs(const gp_backend *be, int64_t I)
{
    int64_t outputs = TILE_BYTES / (I * gp_dtype_size(be->dtype));
    return gp_max(MIN_OUTPUTS, outputs / MIN_OUTPUTS * MIN_OUTPUTS);
}

size_t gp_cpu_tile_bytes(const gp_backend *be, const gp_shape *shape)
{
    int64_t widest = gp_max(4 * (int64_t)shape->C, shape->inner);
    return be->weight_format == GP_WEIGHTS_FP32 ? 0 : (size_t)gp_max(TILE_BYTES, MIN_OUTPUTS * widest * 4);
}

typedef struct tile_task {
    const gp_weight *w;
    int64_t first; /* output */
    void *tile;
} tile_task;

static void decode_tile(gp_backend *be, const void *task, gp_range r)
{
    const gp_kernels *k = gp_cpu_state(be)->k;
    const tile_task *j = task;
    int64_t I = gp_weight_inputs(j->w), lo = j->first + r.lo, hi = j->first + r.hi;
    if (be->dtype == GP_BF16)
        k->decode_weights_bf16(j->w, lo, hi, (uint16_t *)j->tile + r.lo * I);
    else
        k->decode_weights(j->w, lo, hi, (float *)j->tile + r.lo * I);
}

static void forward_in_format(gp_backend *be, const gp_weight *w, const void *x, int64_t rows, const float *bias,
                              float *y)
{
    int64_t I = gp_weight_inputs(w), O = gp_weight_outputs(w), outputs = tile_outputs(be, I);
    size_t bytes = (size_t)(outputs * I * gp_dtype_size(be->dtype));
    gp_product p = {.M = rows, .N = O, .K = I, .b_transposed = true, .bias = bias != NULL, .dtype = be->dtype};
    if (w->format == GP_WEIGHTS_BF16 && be->dtype == GP_BF16) {
        p.b_stride = (int64_t)(gp_weight_row_bytes(w->format, I) / sizeof(uint16_t));
        run(be, &p, x, w->slot, bias, y);
        return;
    }
    BUG_ON(bytes > be->workspace_size);
    void *tile = be->workspace + (be->workspace_size - bytes) / 64 * 64;
    p.c_stride = O;
    for (int64_t o = 0; o < O; o += outputs) {
        p.N = gp_min(outputs, O - o);
        gp_cpu_split(be, p.N * I * 2 * GP_PS_COPY, p.N, 1, decode_tile, &(tile_task){w, o, tile});
        run(be, &p, x, tile, bias ? bias + o : NULL, y + o);
    }
}

void gp_cpu_weight_forward(gp_backend *be, const gp_weight *w, const void *x, int64_t rows, const float *bias, float *y)
{
    if (w->format != GP_WEIGHTS_FP32) {
        forward_in_format(be, w, x, rows, bias, y);
        return;
    }
    const form *f = w->form;
    gp_product p = f ? f->forward : plain_forward(w);
    p.M = rows;
    p.bias = bias != NULL;
    run(be, &p, x, f ? w->slot : w->w.data, bias, y);
}

void gp_cpu_weight_backward(gp_backend *be, const gp_weight *w, const void *dy, int64_t rows, float *dx)
{
    const form *f = w->form;
    gp_product p = f ? f->backward : plain_backward(w);
    BUG_ON(w->format != GP_WEIGHTS_FP32 || (f && !f->backward_bytes));
    p.M = rows;
    const void *b = f ? (const char *)w->slot + f->forward_bytes : (const char *)w->w.data;
    run(be, &p, dy, b, NULL, dx);
}

void gp_cpu_weight_grad(gp_backend *be, const gp_weight *w, const void *x, const void *dy, int64_t rows, bool add,
                        float *dw)
{
    gp_product p = {
        .M = w->w.dim[0], .N = w->w.dim[1], .K = rows, .a_transposed = true, .add = add, .dtype = be->dtype};
    if (w->transposed) /* stored (O,I): dy^T x */
        run(be, &p, dy, x, NULL, dw);
    else
        run(be, &p, x, dy, NULL, dw);
}
