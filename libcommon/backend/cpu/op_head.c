/* op_head.c: logits, cross-entropy and their gradients, a chunk of rows at a time. */
#include "backend/cpu/cpu.h"

/* Logits of a chunk: enough rows for the products to be efficient, though dW passes through memory once a
 * chunk; few enough to be small beside the model. */
enum { CHUNK_BYTES = 64 << 20, LEAST_ROWS = 16 };

static int64_t rows_at_once(int64_t rows, int64_t V)
{
    return gp_min(rows, gp_max(LEAST_ROWS, CHUNK_BYTES / (V * (int64_t)sizeof(float))));
}

/* The chunk's logits; in bf16 also their gradient and the rows of x as such. */
typedef struct logits_chunk {
    float *logits;
    uint16_t *d, *x;
    size_t bytes;
} logits_chunk;

static logits_chunk cut(const gp_backend *be, char *ws, int64_t rows, int64_t V, int64_t C)
{
    size_t logits = gp_round_up((size_t)(rows * V) * sizeof(float), 64), d = 0, x = 0;
    if (be->dtype == GP_BF16) {
        d = gp_round_up((size_t)(rows * V) * sizeof(uint16_t), 64);
        x = gp_round_up((size_t)(rows * C) * sizeof(uint16_t), 64);
    }
    if (!ws)
        return (logits_chunk){.bytes = logits + d + x};
    void *at_d = ws + logits, *at_x = ws + logits + d;
    return (logits_chunk){(float *)(void *)ws, at_d, at_x, logits + d + x};
}

size_t gp_cpu_head_workspace(const gp_backend *be, const gp_shape *shape)
{
    int64_t rows = rows_at_once((int64_t)shape->B * shape->T, shape->V);
    size_t all_of_x = (size_t)((int64_t)shape->B * shape->T * shape->C) * sizeof(uint16_t); /* head_logits */
    return gp_round_up(all_of_x, 64) + cut(be, NULL, rows, shape->V, shape->C).bytes;
}

/* Rows of x as the products want them. */
static const void *operand(gp_backend *be, uint16_t *bf16, const float *x, int64_t count)
{
    if (be->dtype == GP_F32)
        return x;
    gp_cpu_to_bf16(be, bf16, x, count);
    return bf16;
}

/* The loss of rows n0 .. of the op, whose logits are the chunk's. */
typedef struct loss_job {
    const gp_head_op *op;
    int64_t n0, V;
    float *logits;
} loss_job;

static void loss_rows(gp_backend *be, const void *job, gp_range r, int part)
{
    const loss_job *j = job;
    const gp_head_op *op = j->op;
    float *losses = gp_cpu_data(op->losses) + j->n0;
    (void)part;
    for (int64_t n = r.lo; n < r.hi; n++)
        losses[n] = gp_cpu_state(be)->k->cross_entropy(j->logits + n * j->V, j->V, op->targets[j->n0 + n], op->train,
                                                       op->step->scale);
}

void gp_cpu_head_loss(gp_backend *be, const gp_head_op *op)
{
    int64_t N = gp_cpu_rows(op->x), C = gp_cpu_columns(op->x), V = gp_cpu_weight_outputs(op->w);
    int64_t most = rows_at_once(N, V);
    size_t bytes = cut(be, NULL, most, V, C).bytes;
    logits_chunk ws = cut(be, gp_cpu_workspace(be, bytes), most, V, C);
    const float *x = gp_cpu_data(op->x), *losses = gp_cpu_data(op->losses);
    BUG_ON(C != gp_cpu_weight_inputs(op->w));
    for (int64_t n = 0; n < N; n++)
        BUG_ON(op->targets[n] != GP_NOT_COUNTED && (op->targets[n] < 0 || op->targets[n] >= V));
    double sum = 0;
    for (int64_t n = 0; n < N; n += most) {
        int64_t rows = gp_min(most, N - n);
        const void *x_operand = operand(be, ws.x, x + n * C, rows * C);
        gp_cpu_weight_forward(be, op->w, x_operand, rows, gp_cpu_data(op->bias), ws.logits);
        gp_cpu_split(be, rows * V * GP_PS_LOSS, rows, 1, loss_rows, &(loss_job){op, n, V, ws.logits});
        for (int64_t r = 0; r < rows; r++)
            sum += losses[n + r];
        if (!op->train)
            continue;
        const void *d = operand(be, ws.d, ws.logits, rows * V);
        gp_cpu_weight_backward(be, op->w, d, rows, gp_cpu_data(op->dx) + n * C);
        gp_cpu_weight_grad(be, op->w, x_operand, d, rows, gp_cpu_data(op->dw));
        if (op->dbias)
            gp_cpu_add_rows(be, ws.logits, rows, V, gp_cpu_data(op->dbias));
    }
    op->step->loss += (double)op->step->scale * sum;
}

void gp_cpu_head_logits(gp_backend *be, const gp_head_op *op)
{
    int64_t rows = gp_cpu_rows(op->x), count = gp_tensor_count(op->x);
    BUG_ON(gp_tensor_count(op->logits) != rows * gp_cpu_weight_outputs(op->w));
    uint16_t *bf16 = NULL;
    if (be->dtype == GP_BF16)
        bf16 = gp_cpu_workspace(be, (size_t)count * sizeof *bf16);
    gp_cpu_weight_forward(be, op->w, operand(be, bf16, gp_cpu_data(op->x), count), rows, gp_cpu_data(op->bias),
                          gp_cpu_data(op->logits));
}
