/* append.c: appends several tokens to a row of the cache: a prompt (prefill), the next line of a conversation, or
 * drafted tokens to verify.
 *
 * Up to GP_APPEND_FEW tokens use decode's ops, with the same bits as decoding them one by one, however they are
 * grouped. More are divided into chunks at positions that are multiples of m->chunk, and a chunk is processed by the
 * products of a whole pass; so a prompt has the same bits whether it is appended at once or chunk by chunk. The last
 * chunk may have few tokens and use decode's ops; the first chunk of a prompt never does. */
#include "model/model.h"

gp_tensor gp_rows_of(const gp_tensor *t, int64_t first, int64_t count)
{
    int64_t width = t->dim[t->ndim - 1];
    gp_tensor rows = {.dtype = t->dtype, .ndim = 2, .dim = {count, width}};
    rows.data = (char *)t->data + first * width * gp_dtype_size(t->dtype);
    return rows;
}

void gp_model_head(gp_model *m, gp_acts *a, const gp_tensor *x, gp_tensor *logits)
{
    gp_norm_op norm;
    m->be->ops->head_decode(m->be, &(gp_head_op){.x = x,
                                                 .w = &m->head.w,
                                                 .bias = m->head.has_bias ? &m->head.b : NULL,
                                                 .logits = logits,
                                                 .norm = gp_site_take(a, &norm)});
}

int gp_model_check_position(const gp_model *m, int64_t position, int64_t T)
{
    int64_t context = gp_config_context(&m->config);
    if (position >= 0 && position < context && T <= context - position)
        return 0;
    if (T == 1)
        return fail("position %lld is outside the model's context of %lld", (long long)position, (long long)context);
    return fail("%lld tokens at position %lld do not fit the model's context of %lld", (long long)T,
                (long long)position, (long long)context);
}

/* Computes the logits of all tokens in temporary memory, and downloads them. */
static void fetch_logits(gp_model *m, gp_acts *a, const gp_tensor *x, int64_t count, float *logits)
{
    gp_tensor all = {.dtype = GP_F32, .ndim = 2, .dim = {count, m->config.vocab_size}};
    size_t bytes = (size_t)gp_tensor_bytes(&all);
    gp_tensor rows = gp_rows_of(x, 0, count);
    all.data = m->be->ops->alloc(m->be, bytes);
    gp_model_head(m, a, &rows, &all);
    m->be->ops->download(m->be, logits, all.data, bytes);
    m->be->ops->free(m->be, all.data, bytes);
}

/* Computes the logits of each row's last token into m->logits, from cache row `row` on, and those of all tokens unless
 * logits is NULL. x (B,T,C), the input of the head, is overwritten. */
static void finish(gp_model *m, gp_acts *a, const gp_tensor *x, int64_t row, float *logits)
{
    gp_norm_op norm;
    if ((a->T > 1 || logits) && gp_site_take(a, &norm))
        m->be->ops->norm_forward(m->be, &norm);
    if (logits)
        fetch_logits(m, a, x, a->B * a->T, logits);
    gp_tensor rows = gp_rows_of(x, a->B > 1 ? 0 : a->T - 1, a->B), out = gp_rows_of(&m->logits, row, a->B);
    for (int64_t b = 0; b < a->B && a->B > 1 && a->T > 1;
         b++) { /* b <= b T + T - 1, so no row is overwritten before it is copied */
        gp_tensor to = gp_rows_of(x, b, 1), last = gp_rows_of(x, b * a->T + a->T - 1, 1);
        m->be->ops->copy(m->be, to.data, last.data, (size_t)gp_tensor_bytes(&to));
    }
    gp_model_head(m, a, &rows, &out);
}

/* Runs T tokens of each of `rows` rows through decode's ops; rows * T <= GP_APPEND_ROWS. Returns the input of the head,
 * before its norm; NULL on failure. */
static const gp_tensor *forward_few(gp_model *m, int64_t row, int64_t rows, const int32_t *ids, int64_t T,
                                    const int32_t *positions)
{
    gp_acts *a = &m->few;
    gp_acts_plan(a, m, GP_APPEND_ROWS, 1, false);
    gp_model_plan_workspace(m, GP_APPEND_ROWS, 1, gp_config_context(&m->config), false);
    a->decode = true;
    a->cache_row = row;
    if (gp_model_load(m, a, &(gp_batch){.B = rows, .T = T, .inputs = ids}))
        return NULL;
    for (int64_t n = 0; n < rows * T; n++)
        m->positions[n] = positions[n / T] + (int32_t)(n % T);
    m->be->ops->upload(m->be, a->positions, m->positions, (size_t)(rows * T) * sizeof *m->positions);
    return gp_model_forward(m, a);
}

static int append_few(gp_model *m, int64_t row, int64_t rows, const int32_t *ids, int64_t T, const int32_t *positions,
                      float *logits)
{
    const gp_tensor *x = forward_few(m, row, rows, ids, T, positions);
    if (x)
        finish(m, &m->few, x, row, logits);
    return x ? 0 : -1;
}

int gp_model_append_all(gp_model *m, int64_t row, const int32_t *ids, int32_t position, gp_tensor *logits)
{
    int64_t T = logits->dim[0];
    BUG_ON(T < 1 || T > GP_APPEND_FEW);
    const gp_tensor *x = gp_model_check_position(m, position, T) ? NULL : forward_few(m, row, 1, ids, T, &position);
    gp_tensor rows;
    if (!x)
        return -1;
    rows = gp_rows_of(x, 0, T);
    gp_model_head(m, &m->few, &rows, logits);
    return 0;
}

/* Appends a chunk of T tokens to one row, from position `start` on, by a pass over a batch. */
static int append_chunk(gp_model *m, int64_t row, const int32_t *ids, int64_t T, int64_t start, float *logits)
{
    gp_acts *a = &m->acts;
    a->start = start;
    int rc = gp_model_load(m, a, &(gp_batch){.B = 1, .T = T, .inputs = ids});
    if (!rc) {
        a->cache_row = row;
        finish(m, a, gp_model_forward(m, a), row, logits);
    }
    a->cache_row = -1;
    a->start = 0;
    return rc;
}

/* Appends T tokens to one row, chunk by chunk. prompt: the first chunk does not use decode's ops, however short. */
static int append_row(gp_model *m, int64_t row, const int32_t *ids, int64_t T, int32_t position, bool prompt,
                      float *logits)
{
    while (T > 0) {
        int64_t n = gp_min(T, m->chunk - position % m->chunk);
        int rc = 0;
        if (!prompt && n <= GP_APPEND_FEW) {
            rc = append_few(m, row, 1, ids, n, &position, logits);
        } else {
            if (position)
                gp_model_plan_workspace(m, 1, n, gp_config_context(&m->config), false);
            rc = gp_model_plan(m, 1, n) || append_chunk(m, row, ids, n, position, logits) ? -1 : 0;
        }
        if (rc)
            return rc;
        prompt = false;
        ids += n;
        position += (int32_t)n;
        T -= n;
        logits = logits ? logits + n * m->config.vocab_size : NULL;
    }
    return 0;
}

int gp_model_append(gp_model *m, int64_t row, int64_t rows, const int32_t *ids, int64_t T, const int32_t *positions,
                    float *logits)
{
    int64_t V = m->config.vocab_size, at_once = T > GP_APPEND_FEW ? 1 : GP_APPEND_ROWS / gp_max(T, 1);
    BUG_ON(row < 0 || rows < 1 || row + rows > m->cache.B);
    if (T < 1)
        return fail("%lld tokens to append: expected at least 1", (long long)T);
    for (int64_t b = 0; b < rows; b++)
        if (gp_model_check_position(m, positions[b], T))
            return -1;
    for (int64_t b = 0, n; b < rows; b += n) {
        float *own = logits ? logits + b * T * V : NULL;
        n = gp_min(at_once, rows - b);
        if (T > GP_APPEND_FEW ? append_row(m, row + b, ids + b * T, T, positions[b], false, own)
                              : append_few(m, row + b, n, ids + b * T, T, positions + b, own))
            return -1;
    }
    return 0;
}

int gp_model_prefill(gp_model *m, int64_t b, const int32_t *ids, int64_t T)
{
    BUG_ON(b < 0 || b >= m->cache.B);
    if (T < 1 || T > gp_config_context(&m->config))
        return fail("a prompt of %lld tokens does not fit the model, whose context is %lld", (long long)T,
                    (long long)gp_config_context(&m->config));
    return append_row(m, b, ids, T, 0, true, NULL);
}
