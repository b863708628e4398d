/* op_head.c: logits, cross-entropy and their gradients, a chunk of rows at a time. */
#include "backend/cpu/cpu.h"

/* Bytes of a chunk's logits: large enough for efficient products, though each chunk reads and writes dW; small compared
 * with the model. */
enum { CHUNK_BYTES = 64 << 20, MIN_ROWS = 16 };

static int64_t rows_at_once(int64_t rows, int64_t V)
{
    return gp_min(rows, gp_max(MIN_ROWS, CHUNK_BYTES / (V * (int64_t)sizeof(float))));
}

/* A chunk's workspace: fp32 logits, then, in bf16, copies of their gradient d and of the rows of x. */
typedef struct chunk_layout {
    size_t d, x, bytes; /* offsets; size */
} chunk_layout;

static chunk_layout layout(const gp_backend *be, int64_t rows, int64_t V, int64_t C)
{
    size_t logits = gp_round_up((size_t)(rows * V) * sizeof(float), 64);
    if (be->dtype == GP_F32)
        return (chunk_layout){.bytes = logits};
    size_t x = logits + gp_round_up((size_t)(rows * V) * sizeof(uint16_t), 64);
    return (chunk_layout){.d = logits, .x = x, .bytes = x + gp_round_up((size_t)(rows * C) * sizeof(uint16_t), 64)};
}

size_t gp_cpu_head_workspace(const gp_backend *be, const gp_shape *shape)
{
    int64_t rows = rows_at_once((int64_t)shape->B * shape->T, shape->V);
    size_t all_of_x = (size_t)((int64_t)shape->B * shape->T * shape->C) * sizeof(uint16_t); /* head_logits */
    return gp_round_up(all_of_x, 64) + layout(be, rows, shape->V, shape->C).bytes;
}

/* The loss of the rows of a chunk: `logits`, `targets` and `losses` are of its first. */
typedef struct loss_task {
    gp_loss loss;
    float *logits;
    const int32_t *targets;
    float *losses;
} loss_task;

static void loss_rows(gp_backend *be, const void *task, gp_range r)
{
    const loss_task *j = task;
    for (int64_t n = r.lo; n < r.hi; n++)
        j->losses[n] = gp_cpu_state(be)->k->cross_entropy(&j->loss, j->logits + n * j->loss.V, j->targets[n]);
}

static gp_loss loss_of(const gp_head_op *op, int64_t V)
{
    gp_loss loss = {.V = V,
                    .train = op->train,
                    .scale = op->step->scale,
                    .weights = gp_cpu_data(op->class_weights),
                    .smoothing = op->smoothing,
                    .sum_weights = (double)V};
    BUG_ON(op->class_weights && gp_tensor_count(op->class_weights) != V);
    if (loss.weights)
        loss.sum_weights = 0;
    for (int64_t v = 0; loss.weights && v < V; v++)
        loss.sum_weights += loss.weights[v];
    return loss;
}

void gp_cpu_head_loss(gp_backend *be, const gp_head_op *op)
{
    int64_t N = gp_cpu_rows(op->x), C = gp_cpu_columns(op->x), V = gp_weight_outputs(op->w);
    int64_t max_rows = rows_at_once(N, V);
    chunk_layout at = layout(be, max_rows, V, C);
    float *logits = gp_cpu_workspace(be, at.bytes);
    const float *x = gp_cpu_data(op->x);
    float *losses = gp_cpu_data(op->losses);
    gp_loss loss = loss_of(op, V);
    BUG_ON(C != gp_weight_inputs(op->w));
    for (int64_t n = 0; n < N; n++)
        BUG_ON(op->targets[n] != GP_NOT_COUNTED && (op->targets[n] < 0 || op->targets[n] >= V));
    double sum = 0;
    for (int64_t n = 0; n < N; n += max_rows) {
        int64_t rows = gp_min(max_rows, N - n);
        const void *x_operand = gp_cpu_operand(be, x + n * C, rows * C, at.x);
        gp_cpu_weight_forward(be, op->w, x_operand, rows, gp_cpu_data(op->bias), logits);
        gp_cpu_split(be, rows * V * GP_PS_LOSS, rows, 1, loss_rows,
                     &(loss_task){loss, logits, op->targets + n, losses + n});
        for (int64_t r = 0; r < rows; r++)
            sum += losses[n + r];
        if (!op->train)
            continue;
        const void *d = gp_cpu_operand(be, logits, rows * V, at.d);
        gp_cpu_weight_backward(be, op->w, d, rows, gp_cpu_data(op->dx) + n * C);
        gp_cpu_weight_grad(be, op->w, x_operand, d, rows, n || !op->first_dw, gp_cpu_data(op->dw));
        if (op->dbias)
            gp_cpu_add_rows(be, logits, rows, V, gp_cpu_data(op->dbias));
    }
    op->step->loss += (double)op->step->scale * sum;
}

void gp_cpu_head_logits(gp_backend *be, const gp_head_op *op)
{
    int64_t rows = gp_cpu_rows(op->x), count = gp_tensor_count(op->x);
    BUG_ON(gp_tensor_count(op->logits) != rows * gp_weight_outputs(op->w));
    gp_cpu_weight_forward(be, op->w, gp_cpu_operand(be, gp_cpu_data(op->x), count, 0), rows, gp_cpu_data(op->bias),
                          gp_cpu_data(op->logits));
}
