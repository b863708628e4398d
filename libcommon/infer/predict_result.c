/* predict_result.c: what is read of a text's pass, and the JSON that transformers' pipelines make of it. */
#include "infer/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "infer/score.h"
#include "model/model.h"

enum { DIGITS = 9 }; /* of a number: as many as give back the same fp32 */

/* ---- before the pass ------------------------------------------------------------------------------------- */

int gp_predict_prepare(const gp_predictor *p, gp_predict_text *text)
{
    size_t length = 0;
    if (p->task != GP_PREDICT_FILL_MASK && p->task != GP_PREDICT_NEXT)
        return 0;
    text->places = gp_calloc((size_t)text->count, sizeof *text->places);
    if (p->task == GP_PREDICT_NEXT) {
        text->places[text->reads++] = (int32_t)text->count - 1;
        return 0;
    }
    for (int64_t i = 0; i < text->count; i++)
        if (text->ids[i] == p->mask)
            text->places[text->reads++] = (int32_t)i;
    const char *name = gp_tokenizer_bytes(p->t, p->mask, &length);
    return text->reads ? 0 : fail("no %s in the text", gp_printable_bytes(name, (int64_t)length));
}

/* ---- text of tokens -------------------------------------------------------------------------------------- */

static void put_decoded(const gp_predictor *p, gp_buf *b, const char *key, const int32_t *ids, int64_t count)
{
    size_t capacity = (size_t)count, length = 0; /* a space before each */
    for (int64_t i = 0; i < count; i++) {
        size_t n = 0;
        capacity += gp_tokenizer_bytes(p->t, ids[i], &n) ? n : 0;
    }
    char *text = gp_malloc(capacity + 1);
    gp_tokenizer_decode(p->t, ids, count, text, capacity, &length);
    gp_json_bytes(b, key, text, length);
    free(text);
}

/* The text with `token` at a mask. Of a text with one mask, special tokens are left out; of several, they stay, as the
 * other masks would be lost. */
static void put_sequence(const gp_predictor *p, gp_buf *b, const gp_predict_text *text, int32_t place, int32_t token)
{
    int32_t *ids = gp_malloc((size_t)text->count * sizeof *ids);
    int64_t n = 0;
    for (int64_t i = 0; i < text->count; i++) {
        int32_t id = i == place ? token : text->ids[i];
        if (id != p->pad && (text->reads > 1 || !gp_tokenizer_is_special(p->t, id)))
            ids[n++] = id;
    }
    put_decoded(p, b, "sequence", ids, n);
    free(ids);
}

/* ---- the tasks ------------------------------------------------------------------------------------------- */

static bool are_finite(const float *x, int64_t n)
{
    bool finite = true;
    for (int64_t i = 0; i < n; i++)
        finite &= isfinite(x[i]) != 0;
    return finite;
}

static void put_tokens(const gp_predictor *p, gp_predict_text *text, const char *key, int64_t read, const float *logits)
{
    int64_t V = gp_model_config(p->m)->vocab_size, all = p->o.targets ? p->o.target_count : V;
    int64_t n = gp_min(p->top_k, all);
    gp_token_logprob *top = gp_calloc((size_t)n, sizeof *top);
    gp_find_top(logits, V, p->o.targets, p->o.target_count, top, n);
    gp_json_open(&text->result, key, '[');
    for (int64_t i = 0; i < n; i++) {
        gp_buf *b = &text->result;
        gp_json_open(b, NULL, '{');
        gp_json_put(b, REAL("score", exp(top[i].log_p), DIGITS), MEMBER("token", top[i].id));
        put_decoded(p, b, "token_str", &top[i].id, 1);
        if (p->task == GP_PREDICT_FILL_MASK)
            put_sequence(p, b, text, text->places[read], top[i].id);
        gp_json_close(b, '}');
    }
    gp_json_close(&text->result, ']');
    free(top);
}

static void put_places(const gp_predictor *p, gp_predict_text *text, const char *key, const float *logits)
{
    int64_t V = gp_model_config(p->m)->vocab_size;
    if (text->reads > 1)
        gp_json_open(&text->result, key, '[');
    for (int64_t i = 0; i < text->reads; i++)
        put_tokens(p, text, text->reads > 1 ? NULL : key, i, logits + i * V);
    if (text->reads > 1)
        gp_json_close(&text->result, ']');
}

/* Without --top-k, the most likely label is not in an array. */
static void put_labels(const gp_predictor *p, gp_predict_text *text, const char *key, const float *logits)
{
    const gp_config *c = gp_model_config(p->m);
    int64_t n = gp_min(p->o.top_k ? p->o.top_k : 1, c->labels);
    gp_token_logprob *top = gp_calloc((size_t)n, sizeof *top);
    gp_find_top(logits, c->labels, NULL, 0, top, n);
    if (p->o.top_k)
        gp_json_open(&text->result, key, '[');
    for (int64_t i = 0; i < n; i++) {
        gp_json_open(&text->result, p->o.top_k ? NULL : key, '{');
        gp_json_put(&text->result, MEMBER("label", gp_config_label(c, top[i].id)),
                    REAL("score", exp(top[i].log_p), DIGITS));
        gp_json_close(&text->result, '}');
    }
    if (p->o.top_k)
        gp_json_close(&text->result, ']');
    free(top);
}

static float *pool(const gp_predictor *p, const gp_predict_text *text, const float *hidden)
{
    int64_t C = gp_model_config(p->m)->channels;
    int64_t first = p->o.pooling == GP_POOL_LAST ? text->count - 1 : 0;
    int64_t end = p->o.pooling == GP_POOL_CLS ? 1 : text->count;
    float *pooled = gp_calloc((size_t)C, sizeof *pooled);
    double squares = 0;
    for (int64_t c = 0; c < C; c++) {
        double sum = 0;
        for (int64_t t = first; t < end; t++)
            sum += hidden[t * C + c];
        sum /= (double)(end - first);
        squares += sum * sum;
        pooled[c] = (float)sum;
    }
    double norm = sqrt(squares);
    for (int64_t c = 0; c < C && p->o.normalize; c++)
        pooled[c] = (float)(pooled[c] / (norm > 1e-12 ? norm : 1e-12)); /* as torch's normalize */
    return pooled;
}

static void put_embedding(const gp_predictor *p, gp_predict_text *text, const char *key, const float *hidden)
{
    int64_t C = gp_model_config(p->m)->channels;
    text->embedding = pool(p, text, hidden);
    if (!p->json)
        return;
    gp_json_open(&text->result, key, '[');
    for (int64_t c = 0; c < C; c++)
        gp_json_put(&text->result, REAL(NULL, text->embedding[c], DIGITS));
    gp_json_close(&text->result, ']');
}

void gp_predict_result(const gp_predictor *p, gp_predict_text *text, const float *numbers)
{
    const gp_config *c = gp_model_config(p->m);
    const char *key = text->id ? "result" : NULL;
    bool hidden = p->task == GP_PREDICT_EMBED, labels = p->task == GP_PREDICT_CLASSIFY, object = text->id && p->json;
    if (!are_finite(numbers, hidden ? text->count * c->channels : labels ? c->labels : text->reads * c->vocab_size)) {
        text->problem = gp_format("the model's %s are not finite", hidden ? "hidden states" : "logits");
        return;
    }
    if (object) {
        gp_json_open(&text->result, NULL, '{');
        gp_json_put(&text->result, RAW("id", text->id));
    }
    if (hidden)
        put_embedding(p, text, key, numbers);
    else if (labels)
        put_labels(p, text, key, numbers);
    else
        put_places(p, text, key, numbers);
    if (object)
        gp_json_close(&text->result, '}');
}
