/* gpt2.c: GPT-2 in one file: forward, backward and AdamW as plain loops, to be read from top to bottom. The library
 * opens the checkpoint and the token stream; every number of the model is computed here.
 *
 *     make -C examples
 *     examples/gpt2 run stories.tok 10       # the loss of ten steps on the stream's beginning
 *
 * Sizes: B sequences of T tokens make N = B T rows; C channels, H heads of D = C/H, L layers, a vocabulary of V tokens;
 * arrays are row-major: row n of x (N,C) begins at x + n*C. A backward function takes dy, the gradient of the loss with
 * respect to the op's output, and gives those of its inputs. It adds to a parameter's (+=), since the token embedding
 * is used twice, and writes an activation's (=) where nothing else is said.
 *
 * The model is that of Radford et al. 2019. tests/model/test_gpt2_example.c compares logits, loss, gradients and ten
 * steps of AdamW with transformers' and with the library's. The code to read after this: docs/reading.md.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gptpipe/checkpoint.h>
#include <gptpipe/tokens.h>
#include <gptpipe/trace.h>

/* A parameter: weights, their gradient, and AdamW's two moments, (rows,cols) each; a vector has one row. */
typedef struct parameter {
    char name[48]; /* Hugging Face's */
    int64_t rows, cols;
    float *w, *g, *m, *v;
} parameter;

/* ------------------------------------------------------ ops ------------------------------------------------------- */

static float dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y += scale * x */
static void add(float *y, float scale, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += scale * x[i];
}

/* x[n] = wte[ids[n]] + wpe[t], n = b T + t      x (N,C), wte (V,C), wpe (context,C) */
static void embed(float *x, const int32_t *ids, const parameter *wte, const parameter *wpe, int64_t N, int64_t T)
{
    int64_t C = wte->cols;
    for (int64_t n = 0; n < N; n++) {
        memcpy(x + n * C, wte->w + ids[n] * C, (size_t)C * sizeof *x);
        add(x + n * C, 1, wpe->w + n % T * C, C);
    }
}

/* dwte[ids[n]] += dx[n], dwpe[t] += dx[n] */
static void embed_backward(const float *dx, const int32_t *ids, parameter *wte, parameter *wpe, int64_t N, int64_t T)
{
    int64_t C = wte->cols;
    for (int64_t n = 0; n < N; n++) {
        add(wte->g + ids[n] * C, 1, dx + n * C, C);
        add(wpe->g + n % T * C, 1, dx + n * C, C);
    }
}

/* y = x W + b      x (N,I), W (I,O), b (O), y (N,O). Hugging Face keeps GPT-2's W in this order, input by output. */
static void linear(float *y, const float *x, const parameter *W, const parameter *b, int64_t N)
{
    int64_t I = W->rows, O = W->cols;
    for (int64_t n = 0; n < N; n++) {
        memcpy(y + n * O, b->w, (size_t)O * sizeof *y);
        for (int64_t i = 0; i < I; i++)
            add(y + n * O, x[n * I + i], W->w + i * O, O);
    }
}

/* dx = dy W^T, dW += x^T dy, db += the sum of dy's rows */
static void linear_backward(float *dx, const float *dy, const float *x, parameter *W, parameter *b, int64_t N)
{
    int64_t I = W->rows, O = W->cols;
    for (int64_t n = 0; n < N; n++) {
        for (int64_t i = 0; i < I; i++) {
            dx[n * I + i] = dot(dy + n * O, W->w + i * O, O);
            add(W->g + i * O, x[n * I + i], dy + n * O, O);
        }
        add(b->g, 1, dy + n * O, O);
    }
}

static void mean_and_rstd(const float *x, int64_t C, float eps, float *mean, float *rstd)
{
    float sum = 0, squares = 0;
    for (int64_t c = 0; c < C; c++)
        sum += x[c];
    *mean = sum / (float)C;
    for (int64_t c = 0; c < C; c++)
        squares += (x[c] - *mean) * (x[c] - *mean);
    *rstd = 1 / sqrtf(squares / (float)C + eps);
}

/* y = gamma * xhat + beta, xhat = (x - mean) * rstd      over each row of x (N,C); gamma, beta (C). Ba et al. 2016. */
static void layernorm(float *y, const float *x, const parameter *gamma, const parameter *beta, float eps, int64_t N)
{
    int64_t C = gamma->cols;
    for (int64_t n = 0; n < N; n++, x += C, y += C) {
        float mean, rstd;
        mean_and_rstd(x, C, eps, &mean, &rstd);
        for (int64_t c = 0; c < C; c++)
            y[c] = gamma->w[c] * (x[c] - mean) * rstd + beta->w[c];
    }
}

/* With dxhat = dy * gamma:  dx += rstd * (dxhat - average(dxhat) - xhat * average(dxhat * xhat)),
 * dgamma += dy * xhat, dbeta += dy. dx is added to: the gradient that goes past the branch is in it already. */
static void layernorm_backward(float *dx, const float *dy, const float *x, parameter *gamma, parameter *beta, float eps,
                               int64_t N)
{
    int64_t C = gamma->cols;
    for (int64_t n = 0; n < N; n++, x += C, dx += C, dy += C) {
        float mean, rstd, average = 0, slope = 0;
        mean_and_rstd(x, C, eps, &mean, &rstd);
        for (int64_t c = 0; c < C; c++) {
            float xhat = (x[c] - mean) * rstd, dxhat = dy[c] * gamma->w[c];
            average += dxhat / (float)C;
            slope += dxhat * xhat / (float)C;
            gamma->g[c] += dy[c] * xhat;
            beta->g[c] += dy[c];
        }
        for (int64_t c = 0; c < C; c++)
            dx[c] += rstd * (dy[c] * gamma->w[c] - average - (x[c] - mean) * rstd * slope);
    }
}

/* For each b, head h and position t:  p[u] = softmax over u <= t of q[t].k[u] / sqrt(D),  y[t] = sum of p[u] v[u].
 * A token sees itself and what is before it: that is the causal mask.
 * qkv (B,T,3C): a row has q, k and v, C channels each, head after head; p (B,H,T,T) is kept for backward; y (B,T,C). */
static void attention(float *y, float *p, const float *qkv, int64_t B, int64_t T, int64_t C, int64_t H)
{
    int64_t D = C / H;
    memset(y, 0, (size_t)(B * T * C) * sizeof *y);
    for (int64_t i = 0; i < B * H * T; i++, p += T) { /* i = (b H + h) T + t */
        int64_t t = i % T, h = i / T % H, b = i / T / H;
        const float *q = qkv + (b * T + t) * 3 * C + h * D, *k = qkv + b * T * 3 * C + C + h * D, *v = k + C;
        float largest = -INFINITY, total = 0;
        for (int64_t u = 0; u <= t; u++) {
            p[u] = dot(q, k + u * 3 * C, D) / sqrtf((float)D);
            largest = fmaxf(largest, p[u]);
        }
        for (int64_t u = 0; u <= t; u++)
            total += p[u] = expf(p[u] - largest);
        for (int64_t u = 0; u <= t; u++)
            add(y + (b * T + t) * C + h * D, p[u] /= total, v + u * 3 * C, D);
    }
}

/* dv[u] += p[u] dy[t],  dp[u] = dy[t].v[u],  ds[u] = p[u] (dp[u] - sum of p dp) / sqrt(D)  (softmax's gradient),
 * dq[t] += ds[u] k[u],  dk[u] += ds[u] q[t].  The sum of p dp is dy[t].y[t]. */
static void attention_backward(float *dqkv, const float *dy, const float *y, const float *p, const float *qkv,
                               int64_t B, int64_t T, int64_t C, int64_t H)
{
    int64_t D = C / H;
    memset(dqkv, 0, (size_t)(B * T * 3 * C) * sizeof *dqkv);
    for (int64_t i = 0; i < B * H * T; i++, p += T) {
        int64_t t = i % T, h = i / T % H, b = i / T / H, out = (b * T + t) * C + h * D;
        int64_t q = (b * T + t) * 3 * C + h * D, k = b * T * 3 * C + C + h * D;
        float mean = dot(dy + out, y + out, D);
        for (int64_t u = 0; u <= t; u++, k += 3 * C) {
            float ds = p[u] * (dot(dy + out, qkv + k + C, D) - mean) / sqrtf((float)D);
            add(dqkv + k + C, p[u], dy + out, D);
            add(dqkv + q, ds, qkv + k, D);
            add(dqkv + k, ds, qkv + q, D);
        }
    }
}

/* y = x/2 (1 + tanh z),  z = sqrt(2/pi) (x + 0.044715 x^3)      Hendrycks and Gimpel 2016, as GPT-2 has it */
static void gelu(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] / 2 * (1 + tanhf(0.7978845608f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
}

/* In place: d *= gelu'(x) */
static void gelu_backward(float *d, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float tanh_z = tanhf(0.7978845608f * (x[i] + 0.044715f * x[i] * x[i] * x[i]));
        float dz = 0.7978845608f * (1 + 3 * 0.044715f * x[i] * x[i]);
        d[i] *= (1 + tanh_z) / 2 + x[i] / 2 * (1 - tanh_z * tanh_z) * dz;
    }
}

/* logits = x wte^T      x (N,C), logits (N,V): the token embedding is the head's weight too. */
static void head(float *logits, const float *x, const parameter *wte, int64_t N)
{
    int64_t V = wte->rows, C = wte->cols;
    for (int64_t n = 0; n < N; n++)
        for (int64_t v = 0; v < V; v++)
            logits[n * V + v] = dot(x + n * C, wte->w + v * C, C);
}

/* dx = dlogits wte, dwte += dlogits^T x */
static void head_backward(float *dx, const float *dlogits, const float *x, parameter *wte, int64_t N)
{
    int64_t V = wte->rows, C = wte->cols;
    memset(dx, 0, (size_t)(N * C) * sizeof *dx);
    for (int64_t n = 0; n < N; n++)
        for (int64_t v = 0; v < V; v++) {
            add(dx + n * C, dlogits[n * V + v], wte->w + v * C, C);
            add(wte->g + v * C, dlogits[n * V + v], x + n * C, C);
        }
}

/* loss = mean over n of -log softmax(logits[n])[targets[n]];  dlogits = (softmax - one at the target) / N */
static double cross_entropy(float *dlogits, const float *logits, const int32_t *targets, int64_t N, int64_t V)
{
    double loss = 0;
    for (int64_t n = 0; n < N; n++, logits += V, dlogits += V) {
        float largest = -INFINITY;
        double total = 0;
        for (int64_t v = 0; v < V; v++)
            largest = fmaxf(largest, logits[v]);
        for (int64_t v = 0; v < V; v++)
            total += dlogits[v] = expf(logits[v] - largest);
        for (int64_t v = 0; v < V; v++)
            dlogits[v] /= (float)(total * (double)N);
        dlogits[targets[n]] -= 1 / (float)N;
        loss += (log(total) + largest - logits[targets[n]]) / (double)N;
    }
    return loss;
}

/* ----------------------------------------------------- model ------------------------------------------------------ */

/* A layer's parameters, in the order of their table. */
enum { LN1, LN1_B, QKV, QKV_B, PROJ, PROJ_B, LN2, LN2_B, FC, FC_B, OUT, OUT_B, PER_LAYER };

static const struct {
    const char *name;
    int rows, cols; /* in units of C; 0 rows: a vector */
} layer_table[PER_LAYER] = {
    {"ln_1.weight", 0, 1},        {"ln_1.bias", 0, 1},        {"attn.c_attn.weight", 1, 3}, {"attn.c_attn.bias", 0, 3},
    {"attn.c_proj.weight", 1, 1}, {"attn.c_proj.bias", 0, 1}, {"ln_2.weight", 0, 1},        {"ln_2.bias", 0, 1},
    {"mlp.c_fc.weight", 1, 4},    {"mlp.c_fc.bias", 0, 4},    {"mlp.c_proj.weight", 4, 1},  {"mlp.c_proj.bias", 0, 1},
};

/* What a layer computes and backward reads again. */
typedef struct layer {
    parameter *p;                         /* (PER_LAYER) */
    float *x, *ln1, *qkv, *probs, *heads; /* (N,C) (N,C) (N,3C) (B,H,T,T) (N,C) */
    float *mid, *ln2, *fc, *act;          /* (N,C) (N,C) (N,4C) (N,4C) */
} layer;

typedef struct gpt2 {
    int64_t L, H, C, V, count, loaded;           /* count: parameters; loaded of them */
    float eps;                                   /* of the norms */
    parameter *params, *wte, *wpe, *lnf, *lnf_b; /* all; of them (V,C), (context,C), (C), (C) */
    layer *layers;                               /* (L) */
    float *x, *ln, *logits;                      /* after the last layer (N,C), its norm (N,C), (N,V) */
    float *dx, *d1, *d4, *dlogits; /* gradients: of the residual stream (N,C); scratch (N,C), (N,4C); (N,V) */
    float *memory, *free;          /* one block, and where what is left of it begins */
} gpt2;

/* x -> mid = x + proj(attention(ln1(x))) -> mid + out(gelu(fc(ln2(mid)))), layer after layer; a norm and the head. */
static void forward(gpt2 *m, const int32_t *ids, int64_t B, int64_t T)
{
    int64_t N = B * T, C = m->C;
    embed(m->layers[0].x, ids, m->wte, m->wpe, N, T);
    for (int64_t l = 0; l < m->L; l++) {
        layer *a = &m->layers[l];
        layernorm(a->ln1, a->x, a->p + LN1, a->p + LN1_B, m->eps, N);
        linear(a->qkv, a->ln1, a->p + QKV, a->p + QKV_B, N);
        attention(a->heads, a->probs, a->qkv, B, T, C, m->H);
        linear(a->mid, a->heads, a->p + PROJ, a->p + PROJ_B, N);
        add(a->mid, 1, a->x, N * C);
        layernorm(a->ln2, a->mid, a->p + LN2, a->p + LN2_B, m->eps, N);
        linear(a->fc, a->ln2, a->p + FC, a->p + FC_B, N);
        gelu(a->act, a->fc, N * 4 * C);
        float *next = l + 1 < m->L ? a[1].x : m->x;
        linear(next, a->act, a->p + OUT, a->p + OUT_B, N);
        add(next, 1, a->mid, N * C);
    }
    layernorm(m->ln, m->x, m->lnf, m->lnf_b, m->eps, N);
    head(m->logits, m->ln, m->wte, N);
}

/* The same ops in reverse. dx is the residual stream's gradient, to which each branch adds. Returns the mean loss. */
static double backward(gpt2 *m, const int32_t *ids, const int32_t *targets, int64_t B, int64_t T)
{
    int64_t N = B * T, C = m->C;
    double loss = cross_entropy(m->dlogits, m->logits, targets, N, m->V);
    head_backward(m->d1, m->dlogits, m->ln, m->wte, N);
    memset(m->dx, 0, (size_t)(N * C) * sizeof *m->dx);
    layernorm_backward(m->dx, m->d1, m->x, m->lnf, m->lnf_b, m->eps, N);
    for (int64_t l = m->L - 1; l >= 0; l--) {
        layer *a = &m->layers[l];
        linear_backward(m->d4, m->dx, a->act, a->p + OUT, a->p + OUT_B, N);
        gelu_backward(m->d4, a->fc, N * 4 * C);
        linear_backward(m->d1, m->d4, a->ln2, a->p + FC, a->p + FC_B, N);
        layernorm_backward(m->dx, m->d1, a->mid, a->p + LN2, a->p + LN2_B, m->eps, N);
        linear_backward(m->d1, m->dx, a->heads, a->p + PROJ, a->p + PROJ_B, N);
        attention_backward(m->d4, m->d1, a->heads, a->probs, a->qkv, B, T, C, m->H);
        linear_backward(m->d1, m->d4, a->ln1, a->p + QKV, a->p + QKV_B, N);
        layernorm_backward(m->dx, m->d1, a->x, a->p + LN1, a->p + LN1_B, m->eps, N);
    }
    embed_backward(m->dx, ids, m->wte, m->wpe, N, T);
    return loss;
}

/* AdamW (Loshchilov and Hutter 2017) at step 1, 2, ...:
 *     m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *     w -= lr (mhat / (sqrt(vhat) + eps) + decay w),  mhat = m / (1 - beta1^step),  vhat = v / (1 - beta2^step)
 * Gradients of a norm above 1 are scaled down to it first. Vectors do not decay. Zeroes gradients; returns the norm. */
static double update(gpt2 *model, double lr, int64_t step)
{
    const double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0.1;
    double squares = 0, bias1 = 1 - pow(beta1, (double)step), bias2 = 1 - pow(beta2, (double)step);
    for (parameter *p = model->params; p < model->params + model->count; p++)
        squares += dot(p->g, p->g, p->rows * p->cols);
    double norm = sqrt(squares), scale = fmin(1, 1 / (norm + 1e-6));
    for (parameter *p = model->params; p < model->params + model->count; p++)
        for (int64_t i = 0; i < p->rows * p->cols; i++) {
            double g = p->g[i] * scale;
            p->m[i] = (float)(beta1 * p->m[i] + (1 - beta1) * g);
            p->v[i] = (float)(beta2 * p->v[i] + (1 - beta2) * g * g);
            double change = p->m[i] / bias1 / (sqrt(p->v[i] / bias2) + eps);
            p->w[i] -= (float)(lr * (change + (p->rows > 1 ? decay * p->w[i] : 0)));
            p->g[i] = 0;
        }
    return norm;
}

/* ------------------------------------------------ memory, weights ------------------------------------------------- */

/* The end of the program where a call of the library failed, with its message. */
static void check(bool ok)
{
    if (!ok) {
        fprintf(stderr, "gpt2: %s\n", gp_error());
        exit(1);
    }
}

static float *take(gpt2 *m, int64_t n)
{
    float *at = m->free;
    m->free += n;
    return at;
}

static void create_parameter(gpt2 *m, parameter *p, const char *layer, const char *name, int64_t rows, int64_t cols)
{
    int64_t n = rows * cols;
    *p = (parameter){"", rows, cols, take(m, n), take(m, n), take(m, n), take(m, n)};
    snprintf(p->name, sizeof p->name, "transformer.%s%s", layer, name);
}

/* A model of c's sizes, all weights zero, with memory for batches of (B,T): one block for all of it. */
static gpt2 create(const gp_config *c, int64_t B, int64_t T)
{
    gpt2 m = {.L = c->layers, .H = c->heads, .C = c->channels, .V = c->vocab_size, .eps = (float)c->norm_eps};
    int64_t C = m.C, NC = B * T * C, NV = B * T * m.V, probs = B * m.H * T * T;
    int64_t floats = 4 * gp_config_parameters(c) + m.L * (16 * NC + probs) + 8 * NC + 2 * NV;
    m.count = 4 + PER_LAYER * m.L;
    m.params = calloc((size_t)m.count, sizeof *m.params);
    m.layers = calloc((size_t)m.L, sizeof *m.layers);
    m.free = m.memory = calloc((size_t)floats, sizeof *m.memory);
    check((m.params && m.layers && m.memory) || !gp_fail("out of memory"));
    create_parameter(&m, m.wte = m.params, "", "wte.weight", m.V, C);
    create_parameter(&m, m.wpe = m.params + 1, "", "wpe.weight", c->positions, C);
    create_parameter(&m, m.lnf = m.params + 2, "", "ln_f.weight", 1, C);
    create_parameter(&m, m.lnf_b = m.params + 3, "", "ln_f.bias", 1, C);
    for (int64_t l = 0; l < m.L; l++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "h.%d.", (int)l);
        layer *a = &m.layers[l];
        a->p = m.params + 4 + PER_LAYER * l;
        for (int i = 0; i < PER_LAYER; i++)
            create_parameter(&m, a->p + i, prefix, layer_table[i].name,
                             layer_table[i].rows ? layer_table[i].rows * C : 1, layer_table[i].cols * C);
        a->x = take(&m, NC), a->ln1 = take(&m, NC), a->qkv = take(&m, 3 * NC), a->probs = take(&m, probs);
        a->heads = take(&m, NC), a->mid = take(&m, NC), a->ln2 = take(&m, NC);
        a->fc = take(&m, 4 * NC), a->act = take(&m, 4 * NC);
    }
    m.x = take(&m, NC), m.ln = take(&m, NC), m.logits = take(&m, NV);
    m.dx = take(&m, NC), m.d1 = take(&m, NC), m.d4 = take(&m, 4 * NC), m.dlogits = take(&m, NV);
    return m;
}

static void release(gpt2 *m)
{
    free(m->params);
    free(m->layers);
    free(m->memory);
}

/* The library calls this with each parameter of a checkpoint. */
static void load(void *self, const char *name, const gp_tensor *t)
{
    gpt2 *m = self;
    for (parameter *p = m->params; p < m->params + m->count; p++)
        if (!strcmp(p->name, name) && gp_tensor_count(t) == p->rows * p->cols) {
            memcpy(p->w, t->data, (size_t)gp_tensor_bytes(t));
            m->loaded++;
        }
}

/* Whether c is what the code above computes: variants that it leaves out would give other numbers. */
static bool is_plain_gpt2(const gp_config *c)
{
    return c->causal && !c->post_norm && c->activation == GP_ACT_GELU_TANH && c->inner == 4 * c->channels && c->bias &&
           c->tied && !c->scores_unscaled && !c->scores_by_layer;
}

/* ------------------------------------------------------ main ------------------------------------------------------ */

int main(int argc, char **argv)
{
    enum { B = 4, T = 32, N = B * T };
    if (argc != 4)
        return fprintf(stderr, "usage: gpt2 CHECKPOINT TOKENS STEPS\n"), 2;
    gp_backend *be = gp_backend_open("ref", "fp32", 1); /* only holds the weights that are read */
    gp_checkpoint *checkpoint = be ? gp_checkpoint_open(argv[1]) : NULL;
    gp_model *weights = checkpoint ? gp_checkpoint_model(checkpoint, be, false) : NULL;
    gp_tokens *stream = weights ? gp_tokens_open(argv[2], NULL) : NULL;
    check(stream);
    const gp_config *c = gp_model_config(weights);
    check((is_plain_gpt2(c) && gp_config_context(c) >= T && gp_tokens_get_info(stream)->vocab_size <= c->vocab_size) ||
          !gp_fail("%s is no plain GPT-2 with a context of %d and the vocabulary of %s", argv[1], T, argv[2]));
    gpt2 m = create(c, B, T);
    gp_trace_parameters(weights, false, load, &m);
    check(m.loaded == m.count || !gp_fail("%s: has other parameters than a plain GPT-2", argv[1]));
    for (int step = 1; step <= atoi(argv[3]); step++) {
        int32_t ids[N + 1]; /* a target is the token after its input */
        check(!gp_tokens_read(stream, (step - 1) * N, N + 1, ids));
        forward(&m, ids, B, T);
        double loss = backward(&m, ids, ids + 1, B, T), norm = update(&m, 1e-3, step);
        printf("step %d  loss %.4f  norm %.4f\n", step, loss, norm);
    }
    release(&m);
    gp_tokens_close(stream);
    gp_model_free(weights);
    gp_checkpoint_close(checkpoint);
    gp_backend_close(be);
    return 0;
}
