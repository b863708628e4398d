/* count.c: see count.h. */
#include "backend/count.h"
#include "backend/ref/ref.h"

#include <stdlib.h>
#include <sys/mman.h>

/* be->state */
typedef struct counting {
    gp_profile *counted;
    bool fuses_gelu;
} counting;

/* ---- memory: addresses, and pages where the host writes -------------------------------------------------- */

static void *reserve(gp_backend *be, size_t bytes)
{
    (void)be;
    void *p = mmap(NULL, bytes + !bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        die("cannot reserve %zu bytes of address space; check ulimit -v", bytes);
    return p;
}

static void unreserve(gp_backend *be, void *p, size_t bytes)
{
    (void)be;
    if (p)
        munmap(p, bytes + !bytes);
}

static void copy(gp_backend *be, void *dst, const void *src, size_t bytes)
{
    (void)be, (void)dst, (void)src, (void)bytes;
}

/* Unlimited: the caller compares the sum with a GPU's memory. */
static void available_memory(gp_backend *be, size_t *free, size_t *total)
{
    (void)be;
    *free = *total = SIZE_MAX;
}

static size_t plan(gp_backend *be, const gp_shape *shape)
{
    (void)be, (void)shape;
    return 0;
}

static void close_count(gp_backend *be)
{
    free(be->state);
}

/* ---- weights: copies in bf16, and of their biases -------------------------------------------------------- */

static size_t weight_bytes(gp_backend *be, const gp_weight *w)
{
    size_t numbers = w->bias ? (size_t)gp_tensor_count(w->bias) : 0;
    if (w->w.dtype != be->dtype) /* else read in place */
        numbers += (size_t)gp_tensor_count(&w->w);
    return numbers * (size_t)gp_dtype_size(be->dtype);
}

/* ---- ops ------------------------------------------------------------------------------------------------- */

static void note(gp_backend *be, const char *op, const gp_weight *w, gp_cost cost)
{
    const counting *c = be->state;
    gp_profile_add(c->counted, op, w, 0, cost);
}

/* One function per op: its name, its struct, its row label, the weight or NULL, its cost. */
#define COUNTED(name, type, label, weight, cost)                                                                       \
    static void name(gp_backend *be, const type *op)                                                                   \
    {                                                                                                                  \
        note(be, label, weight, cost);                                                                                 \
    }

GP_OPS_OF_ONE_COST(COUNTED)
COUNTED(attention_cached, gp_attention_cached_op, op->positions ? "attention, decode" : "attention", NULL,
        gp_cost_attention_cached(be, op))

/* A product with few rows, and the norm that it reads: fused into one kernel, or two kernels. */
static void note_decode(gp_backend *be, const char *op, const gp_weight *w, gp_cost cost, const gp_norm_op *norm)
{
    int64_t channels = norm ? norm->y->dim[norm->y->ndim - 1] : 0;
    bool separate = norm && (gp_tensor_count(norm->y) > GP_NORM_IN_PRODUCT_ROWS * channels ||
                             channels > GP_NORM_IN_PRODUCT_CHANNELS);
    if (separate)
        note(be, "norm", NULL, gp_cost_norm(norm, false));
    note(be, op, w, separate ? cost : gp_cost_with_norm(cost, norm));
}

static void linear_decode(gp_backend *be, const gp_linear_op *op)
{
    note_decode(be, "linear, decode", op->w, gp_cost_decode(be, op->w, op->x, op->y), op->norm);
}

static void head_decode(gp_backend *be, const gp_head_op *op)
{
    note_decode(be, "head, decode", op->w, gp_cost_decode(be, op->w, op->x, op->logits), op->norm);
}

static void act_forward(gp_backend *be, gp_act act, gp_tensor *y, const gp_tensor *pre)
{
    (void)act, (void)pre;
    note(be, "act", NULL, (gp_cost){0, 2 * (double)gp_tensor_bytes(y)});
}

static void act_backward(gp_backend *be, gp_act act, gp_tensor *dx, const gp_tensor *dy, const gp_tensor *pre)
{
    (void)act, (void)dy, (void)pre;
    note(be, "act backward", NULL, (gp_cost){0, 3 * (double)gp_tensor_bytes(dx)});
}

/* Whether the activation, or its derivative, is a kernel after the product's. */
static bool is_separate(const gp_backend *be, gp_act act)
{
    const counting *c = be->state;
    return act != GP_ACT_NONE && !(act == GP_ACT_GELU_TANH && c->fuses_gelu);
}

static void linear_forward(gp_backend *be, const gp_linear_op *op)
{
    gp_linear_op product = *op;
    bool separate = is_separate(be, op->act);
    if (separate && op->pre)
        product.y = op->pre;
    if (separate)
        product.pre = NULL;
    note(be, "linear", op->w, gp_cost_linear(be, &product, false));
    if (separate)
        act_forward(be, op->act, op->y, op->pre);
}

static void linear_backward(gp_backend *be, const gp_linear_op *op)
{
    gp_linear_op product = *op;
    bool separate = is_separate(be, op->in_act);
    if (separate)
        product.in_act = GP_ACT_NONE;
    if (op->dx)
        note(be, "linear dX", op->w, gp_cost_linear_backward(be, &product, GP_PART_DX));
    if (op->dx && separate)
        act_backward(be, op->in_act, op->dx, op->dx, op->in_pre);
    if (op->dw)
        note(be, "linear dW", op->w, gp_cost_linear_backward(be, op, GP_PART_DW));
    if (op->dbias)
        note(be, "bias gradients", NULL, gp_cost_linear_backward(be, op, GP_PART_DBIAS));
}

static void head_loss(gp_backend *be, const gp_head_op *op)
{
    note(be, "head", op->w, gp_cost_head(be, op, GP_PART_LOGITS));
    note(be, "cross-entropy", NULL, gp_cost_head(be, op, GP_PART_LOSS));
    if (!op->train)
        return;
    note(be, "head dX", op->w, gp_cost_head(be, op, GP_PART_DX));
    note(be, "head dW", op->w, gp_cost_head(be, op, GP_PART_DW));
}

static void zero(gp_backend *be, void *p, size_t bytes)
{
    (void)p;
    note(be, "zero gradients", NULL, (gp_cost){0, (double)bytes});
}

static void weights_changed(gp_backend *be, gp_weight *const *w, int count)
{
    note(be, "weights to bf16", NULL, gp_cost_weights(be, w, count));
}

static void dropout(gp_backend *be, gp_tensor *x, gp_dropout drop)
{
    if (gp_drops(&drop))
        note(be, "dropout", NULL, (gp_cost){0, 2 * (double)gp_tensor_bytes(x)});
}

static void grad_norm(gp_backend *be, const gp_segment *segments, int count, gp_step *step)
{
    (void)step;
    note(be, "gradient norm", NULL, gp_cost_grad_norm(segments, count));
}

#define GP_ENTRY(name, parameters) , .name = name
static const gp_backend_ops count_ops = {
    .name = "count",
    .close = close_count,
    .alloc = reserve,
    .free = unreserve,
    .zero = zero,
    .upload = gp_ref_copy,
    .download = gp_ref_copy,
    .copy = copy,
    .sync = gp_ref_sync,
    .available_memory = available_memory,
    .alloc_host = reserve,
    .free_host = unreserve,
    .download_later = gp_ref_copy,
    .mark_set = gp_ref_mark,
    .mark_wait = gp_ref_mark,
    .mark_free = gp_ref_mark,
    .record_begin = gp_ref_record,
    .record_end = gp_ref_record,
    .record_free = gp_ref_record_free,
    .plan = plan,
    .weight_open = gp_ref_weight_open,
    .weight_bytes = weight_bytes,
    .weights_changed = weights_changed,
    .weight_close = gp_ref_weight_close GP_OPS(GP_ENTRY),
};

gp_backend *gp_count_open(gp_profile *counted, bool fuses_gelu)
{
    gp_backend *be = gp_calloc(1, sizeof *be);
    counting *c = gp_calloc(1, sizeof *c);
    *c = (counting){counted, fuses_gelu};
    be->ops = &count_ops;
    be->dtype = be->act_dtype = be->cache_dtype = GP_BF16;
    be->stores_bf16 = true;
    be->threads = 1;
    be->state = c;
    return be;
}
