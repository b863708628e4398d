/* eval-mfu: how fast a model runs here, beside the machine's own measured peak. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/config.h"
#include "gptpipe/mfu.h"
#include "gptpipe/options.h"
#include "gptpipe/output.h"

typedef struct args {
    const char *checkpoint, *preset, *backend, *dtype, *out;
    int64_t vocab_size, layers, heads, channels, seq_len, batch_size, decode_batch, threads;
    double seconds, peak;
    bool json, quiet;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"Model", .type = GP_OPT_GROUP},
    {"checkpoint", 'c', GP_OPT_STRING, offsetof(args, checkpoint), "PATH", "safetensors file, run directory or Hugging Face directory; - is stdin", .implied = "stdin, where that is a pipe"},
    {"preset", 'p', GP_OPT_CHOICE, offsetof(args, preset), "NAME", "a fresh model of these sizes instead", .choices = "nano|gpt2|gpt2-medium|gpt2-large|gpt2-xl"},
    {"vocab-size", 0, GP_OPT_INT, offsetof(args, vocab_size), "V", "with --preset: vocabulary size", .min = 0, .max = 1e8, .implied = "the preset's"},
    {"layers", 0, GP_OPT_INT, offsetof(args, layers), "L", "with --preset: blocks", .min = 0, .max = 4096, .implied = "the preset's"},
    {"heads", 0, GP_OPT_INT, offsetof(args, heads), "H", "with --preset: heads", .min = 0, .max = 65536, .implied = "the preset's"},
    {"channels", 0, GP_OPT_INT, offsetof(args, channels), "C", "with --preset: width", .min = 0, .max = 1 << 20, .implied = "the preset's"},

    {"Measurement", .type = GP_OPT_GROUP},
    {"batch-size", 'B', GP_OPT_INT, offsetof(args, batch_size), "B", "sequences a batch", .min = 1, .max = 1 << 20},
    {"seq-len", 'T', GP_OPT_INT, offsetof(args, seq_len), "T", "tokens a sequence", .min = 0, .max = 1 << 24, .implied = "the model's context"},
    {"decode-batch", 0, GP_OPT_INT, offsetof(args, decode_batch), "B", "samples decoded at once", .min = 1, .max = 65536},
    {"seconds", 0, GP_OPT_FLOAT, offsetof(args, seconds), "S", "time for each measurement", .min = 0.01, .max = 3600},
    {"peak", 0, GP_OPT_FLOAT, offsetof(args, peak), "FLOPS", "peak FLOP/s to compare with", .min = 0, .max = 1e20, .implied = "measured here"},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "where the report goes", .implied = "stdout"},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "the report as one JSON object"},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "the table alone, without the formulas"},

    {"Machine", .type = GP_OPT_GROUP},
    {"backend", 0, GP_OPT_CHOICE, offsetof(args, backend), "WHICH", "what computes", .choices = "auto|ref|cpu"},
    {"dtype", 0, GP_OPT_CHOICE, offsetof(args, dtype), "WHICH", "of matrix products; sums are fp32", .choices = "auto|fp32|bf16"},
    {"threads", 't', GP_OPT_INT, offsetof(args, threads), "N", "threads", .min = 0, .max = 4096, .implied = "the machine's cores"},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "eval-mfu",
    .summary = "measures tokens a second and model FLOP utilization",
    .usage = "[OPTION]... [CHECKPOINT on stdin]",
    .description =
        "Times forward passes, training steps and decoding of a model, and the machine's own matrix-multiply "
        "rate in the same process: utilization is the model's FLOPs a second over that measured peak, not "
        "over a "
        "figure from a data sheet.\n\n"
        "FLOPs of a token in a forward pass, counted by op: 2 (L (3CC + CC + 2CF) + CV) for the matrix "
        "products "
        "and 2 L 2CT for attention, F the MLP's width; the causal half of attention is not deducted. "
        "Training "
        "costs three times that. The usual estimate 6N + 12 L H Q T is printed beside it: it counts the "
        "position "
        "table, norms and biases, which multiply nothing, into N.",
    .examples = "# a checkpoint from a run\neval-mfu --checkpoint run\n"
                "# GPT-2 124M with fresh weights, four sequences of 256\n"
                "eval-mfu --preset gpt2 --batch-size 4 --seq-len 256",
    .options = options,
};

typedef struct report {
    const char *name;
    const char *shape;
    gp_speed speed;
} report;

static double utilization(const report *r, double peak)
{
    return r->speed.tok_s * r->speed.flops_token / peak;
}

static void print_table(FILE *out, const args *a, gp_model *m, const report *r, int n, double peak, int64_t T)
{
    const gp_config *c = gp_model_config(m);
    gp_backend *be = gp_model_backend(m);
    double N = (double)gp_config_parameters(c), exact = 3 * gp_config_flops(c, T);
    double estimate = 6 * N + 12 * (double)c->layers * (double)c->channels * (double)T;
    fprintf(out, "model      %lld layers, %lld heads, %lld channels, vocabulary %lld: %.2f M parameters\n",
            (long long)c->layers, (long long)c->heads, (long long)c->channels, (long long)c->vocab_size,
            N / 1e6);
    fprintf(out, "machine    %s, backend %s, %s, %d threads\n", gp_backend_device(be), gp_backend_name(be),
            gp_backend_dtype(be), gp_backend_threads(be));
    fprintf(out, "peak       %.1f GFLOP/s, %s\n\n", peak / 1e9,
            a->peak > 0 ? "as given by --peak" : "its own matrix multiply, measured now");
    fprintf(out, "%-10s %-14s %12s %23s %10s %7s\n", "pass", "batch", "tok/s", "least .. most", "GFLOP/s",
            "MFU");
    for (int i = 0; i < n; i++) {
        char spread[64];
        snprintf(spread, sizeof spread, "%.0f .. %.0f", r[i].speed.tok_s_least, r[i].speed.tok_s_most);
        fprintf(out, "%-10s %-14s %12.0f %23s %10.1f %6.1f%%\n", r[i].name, r[i].shape, r[i].speed.tok_s,
                spread, r[i].speed.tok_s * r[i].speed.flops_token / 1e9, 100 * utilization(&r[i], peak));
        if (utilization(&r[i], peak) > 1)
            fprintf(out, "           (above 100%%: the peak is wrong, the machine was slower while it was "
                         "measured)\n");
    }
    if (!a->quiet)
        fprintf(
            out,
            "\nMFU = tok/s x FLOPs a token / peak. Training: %.3f MFLOP a token, exactly by op, three times\n"
            "2 (L (4CC + 2CF) + CV) + 4 LCT; the estimate 6N + 12 L H Q T gives %.3f.\n",
            exact / 1e6, estimate / 1e6);
}

static void print_json(FILE *out, gp_model *m, const report *r, int n, double peak)
{
    gp_backend *be = gp_model_backend(m);
    fprintf(out,
            "{\"parameters\": %lld, \"backend\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, \"peak_flops\": "
            "%.6g",
            (long long)gp_config_parameters(gp_model_config(m)), gp_backend_name(be), gp_backend_dtype(be),
            gp_backend_threads(be), peak);
    for (int i = 0; i < n; i++)
        fprintf(
            out,
            ", \"%s\": {\"tok_s\": %.6g, \"tok_s_least\": %.6g, \"tok_s_most\": %.6g, \"flops_token\": %.6g, "
            "\"mfu\": %.4f}",
            r[i].name, r[i].speed.tok_s, r[i].speed.tok_s_least, r[i].speed.tok_s_most,
            r[i].speed.flops_token, utilization(&r[i], peak));
    fprintf(out, "}\n");
}

static int measure(const args *a, gp_model *m, FILE *out)
{
    const gp_config *c = gp_model_config(m);
    int64_t T = a->seq_len ? a->seq_len : gp_config_context(c);
    char batch[32], rows[32];
    snprintf(batch, sizeof batch, "%lld x %lld", (long long)a->batch_size, (long long)T);
    snprintf(rows, sizeof rows, "%lld x 1", (long long)a->decode_batch);
    report r[3] = {{"forward", batch, {0}}, {"train", batch, {0}}, {"decode", rows, {0}}};
    int n = c->causal && c->head == GP_HEAD_LM ? 3 : 2;
    if (gp_model_plan(m, a->batch_size, T))
        return -1;
    double peak = a->peak > 0 ? a->peak : gp_measure_peak(gp_model_backend(m), 1024, a->seconds);
    if (gp_measure_forward(m, a->batch_size, T, a->seconds, &r[0].speed) ||
        gp_measure_train(m, a->batch_size, T, a->seconds, &r[1].speed) ||
        (n > 2 && gp_measure_decode(m, a->decode_batch, T, a->seconds, &r[2].speed)))
        return -1;
    if (a->json)
        print_json(out, m, r, n, peak);
    else
        print_table(out, a, m, r, n, peak, T);
    return 0;
}

/* The model to measure: a checkpoint's, or a fresh one. */
static gp_model *open_model(const args *a, gp_backend *be)
{
    gp_config c;
    if (!a->preset) {
        gp_checkpoint *ckpt = gp_checkpoint_open(a->checkpoint ? a->checkpoint : "-");
        gp_model *m = ckpt ? gp_checkpoint_model(ckpt, be, true) : NULL;
        if (m && gp_checkpoint_remark(ckpt))
            fprintf(stderr, "eval-mfu: %s\n", gp_checkpoint_remark(ckpt));
        gp_checkpoint_close(ckpt);
        return m;
    }
    if (gp_config_preset(&c, a->preset))
        return NULL;
    int64_t *sizes[] = {&c.vocab_size, &c.layers, &c.heads, &c.channels};
    const int64_t given[] = {a->vocab_size, a->layers, a->heads, a->channels};
    for (int i = 0; i < 4; i++)
        if (given[i])
            *sizes[i] = given[i];
    c.inner = 4 * c.channels;
    if (a->seq_len > c.positions)
        c.positions = a->seq_len;
    if (gp_config_check(&c, "the model asked for"))
        return NULL;
    gp_model *m = gp_model_create(&c, be, true);
    gp_model_init(m, 1);
    return m;
}

int main(int argc, char **argv)
{
    gp_backend_prepare(argv);
    args a = {.backend = "auto", .dtype = "auto", .seconds = 2, .batch_size = 8, .decode_batch = 1};
    int rc = gp_options_parse(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (a.preset && a.checkpoint)
        return gp_tool_usage(&tool, "--preset and --checkpoint name two models: give one of them");
    if (!a.preset && (a.layers || a.heads || a.channels || a.vocab_size))
        return gp_tool_usage(&tool, "--layers, --heads, --channels and --vocab-size go with --preset");
    if (!a.preset && !a.checkpoint && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool,
                             "no model: give --checkpoint PATH or --preset NAME, or pipe a checkpoint in");
    gp_output *out = gp_output_open(a.out);
    gp_backend *be = !out ? NULL : gp_backend_open(a.backend, a.dtype, (int)a.threads);
    gp_model *m = be ? open_model(&a, be) : NULL;
    rc = m ? 0 : -1;
    if (!rc)
        rc = measure(&a, m, gp_output_stream(out));
    if (out && gp_output_close(out, rc == 0))
        rc = -1;
    gp_model_free(m);
    gp_backend_close(be);
    return gp_tool_exit(&tool, rc);
}
