/* decode.c: products of decoding in each weight format, as bytes a second beside the read bandwidth of this machine,
 * measured in the same run.
 *
 *     build/bin/bench-decode                       # GPT-2's (C,4C), batches of 1, 4, 16 and 64
 *     build/bin/bench-decode -f int8 -B 1 -C 1600  # one format, one batch, gpt2-xl
 *
 * One run multiplies by many weights in turn, more than the caches hold, as a token does. Reported is the median of the
 * runs; the bandwidth is measured before each format, since on a shared machine it changes. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/measure.h"

enum { BYTES = 256 << 20, MAX_BATCH = 64, RUNS = 200 };

typedef struct bench {
    gp_backend *be;
    int64_t C;
    double seconds; /* for each figure */
} bench;

static gp_tensor make(bench *b, int64_t rows, int64_t columns)
{
    gp_tensor t = {.dtype = GP_F32, .ndim = 2, .dim = {rows, columns}};
    t.data = b->be->ops->alloc(b->be, (size_t)gp_tensor_bytes(&t));
    gp_fill_normal(b->be, &t);
    return t;
}

/* `count` weights (C,4C), stored (O,I) where `transposed`; values are the same in all. */
static gp_weight *make_weights(bench *b, gp_weight_format format, bool transposed, int64_t count)
{
    gp_weight *w = gp_calloc((size_t)count, sizeof *w);
    gp_tensor numbers = make(b, 4 * b->C, b->C);
    size_t row = format ? gp_weight_row_bytes(format, b->C) : 0;
    for (int64_t i = 0; i < count; i++) {
        w[i] = (gp_weight){.w = numbers, .transposed = transposed, .format = format};
        w[i].w.dim[0] = transposed ? 4 * b->C : b->C;
        w[i].w.dim[1] = transposed ? b->C : 4 * b->C;
        if (!format) {
            w[i].w.data = b->be->ops->alloc(b->be, (size_t)gp_tensor_bytes(&numbers));
            memcpy(w[i].w.data, numbers.data, (size_t)gp_tensor_bytes(&numbers));
            continue;
        }
        w[i].w.data = NULL;
        w[i].slot = b->be->ops->alloc(b->be, gp_weight_format_bytes(&w[i]));
        for (int64_t o = 0; o < 4 * b->C; o++)
            if (i)
                memcpy((char *)w[i].slot + (size_t)o * row, (char *)w[0].slot + (size_t)o * row, row);
            else
                gp_weight_encode(format, (float *)numbers.data + o * b->C, b->C, (char *)w[i].slot + (size_t)o * row);
    }
    b->be->ops->free(b->be, numbers.data, (size_t)gp_tensor_bytes(&numbers));
    return w;
}

static void free_weights(bench *b, gp_weight *w, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (w[i].slot)
            b->be->ops->free(b->be, w[i].slot, gp_weight_format_bytes(&w[i]));
        else
            b->be->ops->free(b->be, w[i].w.data, (size_t)gp_tensor_bytes(&w[i].w));
    free(w);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds to multiply by all weights, in the median. */
static double measure(bench *b, gp_weight *w, int64_t count, gp_tensor x, gp_tensor y, int64_t batch)
{
    double took[RUNS], end = gp_now() + b->seconds;
    int n = 0;
    x.dim[0] = y.dim[0] = batch;
    while (n < 3 || (n < RUNS && gp_now() < end)) {
        double start = gp_now();
        for (int64_t i = 0; i < count; i++)
            b->be->ops->linear_decode(b->be, &(gp_linear_op){.x = &x, .w = &w[i], .y = &y});
        took[n++] = gp_now() - start;
    }
    qsort(took, (size_t)n, sizeof *took, ascending);
    return took[n / 2];
}

static void show(bench *b, gp_weight_format format, bool transposed, int only_batch)
{
    static const int batches[] = {1, 4, 16, MAX_BATCH};
    size_t each = format ? gp_weight_row_bytes(format, b->C) * (size_t)(4 * b->C) : (size_t)(16 * b->C * b->C);
    int64_t count = BYTES / (int64_t)each + 1;
    gp_weight *w = make_weights(b, format, transposed, count);
    gp_tensor x = make(b, MAX_BATCH, b->C), y = make(b, MAX_BATCH, 4 * b->C);
    double bandwidth = gp_measure_bandwidth(b->be, b->seconds), bytes = (double)each * (double)count;
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        if (only_batch && batches[i] != only_batch)
            continue;
        double t = measure(b, w, count, x, y, batches[i]);
        printf("%-5s %-5s %5d %8.1f %10.1f %6.0f%% %9.1f\n", gp_weight_format_name(format),
               format || transposed ? "(O,I)" : "(I,O)", batches[i], bytes / t * 1e-9, bandwidth * 1e-9,
               100 * bytes / t / bandwidth, 8 * (double)(b->C * b->C * batches[i] * count) / t * 1e-9);
    }
    free_weights(b, w, count);
    b->be->ops->free(b->be, x.data, (size_t)gp_tensor_bytes(&x));
    b->be->ops->free(b->be, y.data, (size_t)gp_tensor_bytes(&y));
}

int main(int argc, char **argv)
{
    bench b = {.C = 768, .seconds = 0.5};
    int threads = 0, batch = 0, wrong = 0;
    const char *only = "";
    for (int c; (c = getopt(argc, argv, "f:t:s:B:C:")) != -1;) {
        if (c == 'f')
            only = optarg;
        else if (c == 't')
            threads = atoi(optarg);
        else if (c == 's')
            b.seconds = atof(optarg);
        else if (c == 'B')
            batch = atoi(optarg);
        else if (c == 'C')
            wrong |= (b.C = atoi(optarg)) < 1;
        else
            wrong = 1;
    }
    if (wrong)
        return fprintf(stderr, "bench-decode [-f format] [-t threads] [-s seconds] [-B 1|4|16|64] [-C channels]\n"), 2;
    b.be = gp_backend_open("cpu", "fp32", threads);
    if (!b.be)
        return fprintf(stderr, "bench-decode: %s\n", gp_error()), 1;
    gp_backend_plan(b.be, &(gp_shape){.B = MAX_BATCH, .T = 1, .C = (int)b.C, .H = 1, .V = 2, .cache = 1});
    printf("%s, %d threads; weights of %lld x %lld\n%-5s %-5s %5s %8s %10s %7s %9s\n", gp_backend_device(b.be),
           gp_backend_threads(b.be), (long long)b.C, 4 * (long long)b.C, "", "", "batch", "GB/s", "bandwidth", "of it",
           "GFLOP/s");
    for (int f = GP_WEIGHTS_FP32; f <= GP_WEIGHTS_INT4; f++)
        for (int transposed = 0; transposed <= (f == GP_WEIGHTS_FP32); transposed++)
            if (strstr(gp_weight_format_name((gp_weight_format)f), only))
                show(&b, (gp_weight_format)f, transposed, batch);
    return 0;
}
