/* weight.c: the slots of weights: rounded to bf16 where ref computes so, or in a weight format. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"

#include <stdlib.h>
#include <string.h>

void gp_ref_weight_open(gp_backend *be, gp_weight *w, int64_t rows)
{
    (void)be, (void)rows;
    BUG_ON(w->w.ndim != 2);
    w->form = NULL;
}

/* In bf16 the slot contains the rounded weight (or the converted one, if it is stored in bf16), then the rounded bias;
 * otherwise products read the stored weight. */
size_t gp_ref_weight_bytes(gp_backend *be, const gp_weight *w)
{
    int64_t count = gp_tensor_count(&w->w) + (w->bias ? gp_tensor_count(w->bias) : 0);
    if (w->format != GP_WEIGHTS_FP32)
        return gp_weight_format_bytes(w);
    return be->rounds ? (size_t)count * sizeof(real) : 0;
}

void gp_ref_weights_changed(gp_backend *be, gp_weight *const *w, int count)
{
    for (int i = 0; be->rounds && i < count; i++) {
        real *slot = w[i]->slot;
        const gp_tensor *parts[] = {&w[i]->w, w[i]->bias};
        for (size_t k = 0; w[i]->format == GP_WEIGHTS_FP32 && k < ARRAY_LEN(parts) && parts[k]; k++)
            for (int64_t n = 0; n < gp_tensor_count(parts[k]); n++)
                *slot++ = (real)stored(be, parameter_at(parts[k], n));
    }
}

void gp_ref_weight_close(gp_backend *be, gp_weight *w)
{
    (void)be, (void)w;
}

/* Lines are rows of the format if they are outputs. If they are inputs, a block of them is transposed for a few outputs
 * at a time: what is read and written is a cache line each. */
enum { BLOCK = GP_WEIGHT_BLOCK, OUTPUTS = 16 };

void gp_ref_weight_fill_by(gp_weight_encoder *encode, const gp_weight *w, int64_t first, int64_t lines,
                           const float *host)
{
    int64_t I = gp_weight_inputs(w), O = gp_weight_outputs(w);
    if (w->transposed)
        encode(w->format, host, lines, I, I, 0, I, gp_weight_row_at(w, first));
    for (int64_t i0 = 0; !w->transposed && i0 < lines; i0 += BLOCK)
        for (int64_t o0 = 0; o0 < O; o0 += OUTPUTS) {
            float block[OUTPUTS][BLOCK];
            int64_t inputs = gp_min(BLOCK, lines - i0), outputs = gp_min(OUTPUTS, O - o0);
            for (int64_t i = 0; i < inputs; i++)
                for (int64_t o = 0; o < outputs; o++)
                    block[o][i] = host[(i0 + i) * O + o0 + o];
            encode(w->format, block[0], outputs, BLOCK, I, first + i0, inputs, gp_weight_row_at(w, o0));
        }
}

void gp_ref_weight_fill(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, const float *host)
{
    (void)be;
    gp_ref_weight_fill_by(gp_weight_encode_rows, w, first, lines, host);
}

void gp_ref_weight_lines(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, float *host)
{
    int64_t I = gp_weight_inputs(w), O = gp_weight_outputs(w);
    (void)be;
    for (int64_t o = 0; w->transposed && o < lines; o++)
        gp_weight_decode(w->format, gp_weight_row_at(w, first + o), I, host + o * I);
    for (int64_t i0 = 0; !w->transposed && i0 < lines; i0 += BLOCK)
        for (int64_t o = 0; o < O; o++) {
            float block[BLOCK];
            int64_t inputs = gp_min(BLOCK, lines - i0);
            gp_weight_decode_part(w->format, gp_weight_row_at(w, o), I, first + i0, inputs, block);
            for (int64_t i = 0; i < inputs; i++)
                host[(i0 + i) * O + o] = block[i];
        }
}

gp_tensor gp_ref_decode_input(gp_backend *be, const gp_norm_op *norm, const gp_weight *w, const gp_tensor *x)
{
    if (norm)
        gp_ref_norm_forward(be, norm);
    gp_tensor input = *x;
    int64_t I = columns_of(x);
    if (!gp_weight_rounds_input(w->format))
        return input;
    int16_t *q = gp_malloc((size_t)I * sizeof *q);
    float *row = gp_malloc((size_t)I * sizeof *row);
    real *rounded = input.data = gp_malloc((size_t)gp_tensor_count(x) * sizeof *rounded);
    for (int64_t n = 0; n < rows_of(x); n++) {
        for (int64_t i = 0; i < I; i++)
            row[i] = (float)reals(x)[n * I + i];
        real d = gp_weight_round_input(row, I, q);
        for (int64_t i = 0; i < I; i++)
            rounded[n * I + i] = d * (real)q[i];
    }
    free(row);
    free(q);
    return input;
}

void gp_ref_decode_done(const gp_tensor *x, gp_tensor *input)
{
    if (input->data != x->data)
        free(input->data);
}
