/* prove.c: what a conversion has written is read back and compared with its input: every number has to be the input's
 * as the output's type rounds it; the configuration that is read back has to give the same logits as the input's does
 * with these numbers; and how far rounding moves the logits is reported. */
#include "base/file.h"
#include "checkpoint/compare.h"
#include "model/config.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const stores[] = {GP_STORES(GP_CHOICE_NAME)};

typedef struct proof {
    const gp_checkpoint *a, *b; /* the input, and what was written of it */
    gp_store store;
    gp_config config; /* the input's, with the biases and the head that are stored */
} proof;

/* A row that the input does not have: the zeros that stand for its biases. */
static int check_added(const proof *p, const gp_param *row)
{
    char name[GP_PARAM_NAME];
    float *x = gp_malloc((size_t)row->count * sizeof *x);
    int rc = p->b->read(p->b->self, row, 0, row->dim[0], x);
    for (int64_t i = 0; !rc && i < row->count; i++)
        if (row->init != GP_INIT_ZERO || x[i] != 0)
            rc = fail("%s: %s is read back, which the input does not have", p->b->path, gp_param_name(row, name));
    free(x);
    return rc;
}

static int check_row(const proof *p, const gp_param *row, double *largest)
{
    char name[GP_PARAM_NAME];
    gp_number_difference d = {0};
    const gp_param *other = gp_params_row(&p->b->params, row->role, row->index);
    if (!other)
        return fail("%s: %s is missing when it is read back", p->b->path, gp_param_name(row, name));
    if (row->dim[0] != other->dim[0] || row->dim[1] != other->dim[1])
        return fail("%s: %s is read back as %lld x %lld, expected %lld x %lld", p->b->path, gp_param_name(row, name),
                    (long long)other->dim[0], (long long)other->dim[1], (long long)row->dim[0], (long long)row->dim[1]);
    if (gp_compare_columns(p->a, row, p->b, other, 0, row->dim[row->ndim - 1], p->store, &d))
        return -1;
    if (d.unexplained)
        return fail("%s: %lld of %lld numbers of %s are read back otherwise than %s rounds them, by up to %.3g",
                    p->b->path, (long long)d.unexplained, (long long)d.numbers, gp_param_name(row, name),
                    stores[p->store], d.largest);
    *largest = fmax(*largest, d.largest);
    return 0;
}

static int check_carried(const proof *p, const gp_carried *t)
{
    gp_number_difference d = {0};
    const gp_carried *other = gp_find_carried(p->b, t);
    if (other && gp_compare_carried(t, other, p->store, &d))
        return -1;
    if (!other || d.unexplained)
        return fail("%s: tensor %s is %s when it is read back", p->b->path, t->name, other ? "another" : "missing");
    return 0;
}

static int check_numbers(const proof *p, double *largest)
{
    const gp_params *ours = &p->a->params, *theirs = &p->b->params;
    for (int i = 0; i < p->a->carried_count; i++)
        if (check_carried(p, &p->a->carried[i]))
            return -1;
    for (int i = 0; i < ours->count; i++)
        if (check_row(p, &ours->rows[i], largest))
            return -1;
    for (int i = 0; i < theirs->count; i++)
        if (!gp_params_row(ours, theirs->rows[i].role, theirs->rows[i].index) && check_added(p, &theirs->rows[i]))
            return -1;
    return 0;
}

static double farthest(const float *x, const float *y, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)x[i] - (y ? y[i] : 0));
        largest = d > largest || isnan(d) ? d : largest;
    }
    return largest;
}

/* The configurations are compared by what they compute, with the same weights: to the bit. */
static int check_logits(const proof *p, double *moved, double *scale)
{
    enum { SMALL = 1 << 24 }; /* products that ref does in a moment; it needs neither threads nor oneDNN */
    bool small = gp_config_parameters(&p->config) < SMALL / gp_compare_prompt(&p->config);
    gp_backend *be = gp_backend_open_kind(small ? GP_BACKEND_REF : GP_BACKEND_CPU, GP_COMPUTE_FP32, small ? 1 : 0);
    int64_t count = gp_config_outputs(&p->config, 1, gp_compare_prompt(&p->config));
    bool same_sizes = gp_compare_prompt(&p->config) == gp_compare_prompt(&p->b->config) &&
                      p->config.vocab_size == p->b->config.vocab_size &&
                      count == gp_config_outputs(&p->b->config, 1, gp_compare_prompt(&p->b->config));
    float *expected = NULL, *found = NULL, *input = NULL;
    int rc = be ? 0 : -1;
    if (!rc && !same_sizes)
        rc = fail("%s: its context and vocabulary are read back as %lld and %lld, expected %lld and %lld", p->b->path,
                  (long long)gp_config_context(&p->b->config), (long long)p->b->config.vocab_size,
                  (long long)gp_config_context(&p->config), (long long)p->config.vocab_size);
    if (!rc) {
        found = gp_compare_outputs(&p->b->config, p->b, be);
        expected = gp_compare_outputs(&p->config, p->b, be);
        input = gp_compare_outputs(&p->a->config, p->a, be);
        rc = found && expected && input ? 0 : -1;
    }
    if (!rc && farthest(found, expected, count) != 0)
        rc = fail("%s: its configuration is read back as that of another model: logits differ by %.3g", p->b->path,
                  farthest(found, expected, count));
    if (!rc) {
        *moved = farthest(found, input, count);
        *scale = farthest(input, NULL, count);
    }
    if (!rc && p->store == GP_STORE_F32 && !(*moved <= 1e-5 * *scale))
        rc = fail("%s: its logits differ by %.3g of %.3g, expected none from fp32", p->b->path, *moved, *scale);
    free(found);
    free(expected);
    free(input);
    gp_backend_close(be);
    return rc;
}

static int check_tokenizer(const proof *p)
{
    if (p->a->has_fingerprint && p->b->has_fingerprint &&
        memcmp(p->a->fingerprint, p->b->fingerprint, sizeof p->a->fingerprint))
        return fail("%s: its tokenizer is read back as another one", p->b->path);
    return 0;
}

static int check_labels(const proof *p)
{
    const gp_config *ours = &p->a->config, *theirs = &p->b->config;
    if (ours->labels != theirs->labels || memcmp(ours->label_names, theirs->label_names, sizeof ours->label_names))
        return fail("%s: its labels are read back as others", p->b->path);
    return 0;
}

int gp_checkpoint_prove(const gp_checkpoint *c, const char *path, gp_store store, char text[256])
{
    int stream = gp_is_stream(path);
    if (stream) {
        snprintf(text, 256, "not verified: a stream cannot be read back");
        return stream < 0 ? -1 : 0;
    }
    static const char *const widths[] = {
        [GP_STORE_BF16] = "8 bits", [GP_STORE_F16] = "11 bits", [GP_STORE_Q8_0] = "8 bits and a scale a block"};
    gp_checkpoint_options unsaid = {.heads = c->config.heads, .activation = c->config.activation};
    gp_checkpoint *b = gp_checkpoint_open_with(path, &unsaid); /* with what the format cannot say of itself */
    proof p = {c, b, store, c->config};
    double largest = 0, moved = 0, scale = 0;
    if (!b)
        return -1;
    p.config.bias = b->config.bias;
    p.config.tied = b->config.tied;
    bool logits = gp_compare_fits(&p.config);
    int rc = check_tokenizer(&p) || check_labels(&p) || check_numbers(&p, &largest) ||
                     (logits && check_logits(&p, &moved, &scale))
                 ? -1
                 : 0;
    if (!rc && !logits)
        snprintf(text, 256,
                 "read back: all numbers equal to the input's, by at most %.2g (%s); logits were not compared: two "
                 "such models do not fit into memory",
                 largest, stores[store]);
    else if (!rc && store == GP_STORE_F32)
        snprintf(text, 256, "read back: all numbers equal to the input's; logits differ by at most %.2g of %.3g", moved,
                 scale);
    else if (!rc)
        snprintf(
            text, 256,
            "read back: all numbers are the input's in %s; logits differ by at most %.2g of %.3g, as its %s explain",
            stores[store], moved, scale, widths[store]);
    gp_checkpoint_close(b);
    return rc;
}
