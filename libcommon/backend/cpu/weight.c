/* weight.c: packed weights, and the three products with a weight.
 *
 * In fp32 products read the stored weight: the library's own layouts save a few percent of a product, and repacking
 * after every step costs as much. In bf16 it must be converted anyway, so the slot contains it in the layouts that the
 * library prefers for x W and, if it trains, for dy W^T. */
#include "backend/cpu/cpu.h"

#include <stdlib.h>

/* w->form in bf16: the slot contains W packed for forward, then for backward. */
typedef struct form {
    gp_product forward, backward; /* M is set when they run */
    size_t forward_bytes, backward_bytes;
} form;

int64_t gp_cpu_weight_inputs(const gp_weight *w)
{
    return w->w.dim[w->transposed ? 1 : 0];
}

int64_t gp_cpu_weight_outputs(const gp_weight *w)
{
    return w->w.dim[w->transposed ? 0 : 1];
}

/* x W and dy W^T with the stored W. */
static gp_product plain_forward(const gp_weight *w)
{
    return (gp_product){
        .N = gp_cpu_weight_outputs(w), .K = gp_cpu_weight_inputs(w), .b_transposed = w->transposed, .dtype = GP_F32};
}

static gp_product plain_backward(const gp_weight *w)
{
    return (gp_product){
        .N = gp_cpu_weight_inputs(w), .K = gp_cpu_weight_outputs(w), .b_transposed = !w->transposed, .dtype = GP_F32};
}

static void run(gp_backend *be, gp_product *p, const void *a, const void *b, const float *bias, float *c)
{
    int64_t each = p->dtype == GP_BF16 ? GP_PS_PRODUCT_BF16 : GP_PS_PRODUCT;
    p->threads = gp_cpu_team(be, p->M * p->N * p->K * each);
    gp_matmul_run(gp_cpu_state(be)->mm, p, a, b, bias, c);
}

void gp_cpu_weight_open(gp_backend *be, gp_weight *w, int64_t rows)
{
    BUG_ON(w->w.ndim != 2 || rows < 1);
    w->form = NULL;
    if (be->dtype == GP_F32)
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
    return f ? f->forward_bytes + f->backward_bytes : 0;
}

void gp_cpu_weights_changed(gp_backend *be, gp_weight *const *w, int count)
{
    gp_matmul *mm = gp_cpu_state(be)->mm;
    for (int i = 0; i < count; i++) {
        const form *f = w[i]->form;
        if (!f)
            continue;
        char *slot = w[i]->slot;
        gp_matmul_pack(mm, &f->forward, gp_cpu_data(&w[i]->w), slot);
        if (f->backward_bytes)
            gp_matmul_pack(mm, &f->backward, gp_cpu_data(&w[i]->w), slot + f->forward_bytes);
    }
}

void gp_cpu_weight_close(gp_backend *be, gp_weight *w)
{
    (void)be;
    free(w->form);
    w->form = NULL;
}

void gp_cpu_weight_forward(gp_backend *be, const gp_weight *w, const void *x, int64_t rows, const float *bias, float *y)
{
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
    BUG_ON(f && !f->backward_bytes);
    p.M = rows;
    const void *b = f ? (const char *)w->slot + f->forward_bytes : (const char *)w->w.data;
    run(be, &p, dy, b, NULL, dx);
}

void gp_cpu_weight_grad(gp_backend *be, const gp_weight *w, const void *x, const void *dy, int64_t rows, float *dw)
{
    gp_product p = {
        .M = w->w.dim[0], .N = w->w.dim[1], .K = rows, .a_transposed = true, .add = true, .dtype = be->dtype};
    if (w->transposed) /* stored (O,I): dy^T x */
        run(be, &p, dy, x, NULL, dw);
    else
        run(be, &p, x, dy, NULL, dw);
}
