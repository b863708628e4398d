/* eval-mfu: measures the speed of a model and compares it with the machine's peak. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/config.h"
#include "gptpipe/machine.h"
#include "gptpipe/mfu.h"
#include "gptpipe/output.h"
#include "gptpipe/roofline.h"

enum { MAX_VALUES = 32 };

typedef struct args {
    const char *checkpoint, *out, *passes, *sweep, *plot;
    gp_preset preset;
    gp_roofline_gpu roofline;
    gp_backend_kind backend;
    gp_compute_dtype dtype;
    gp_cache_dtype cache_dtype;
    gp_attention_by attention;
    gp_products_by products;
    int64_t vocab_size, layers, heads, channels, seq_len, batch_size, decode_batch, threads;
    double seconds, peak;
    bool ops, master_weights, json, quiet;
    gp_list operands;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"Model", .type = GP_OPT_GROUP},
    {"checkpoint", 'c', GP_OPT_STRING, offsetof(args, checkpoint), "PATH", "checkpoint of any format that convert-gpt2 reads: a file, a folder or a run; - is stdin", .default_text = "stdin, where that is a pipe", .nonempty = true, .one_of = "model"},
    {"preset", 'p', GP_OPT_CHOICE, offsetof(args, preset), "NAME", "a model of these sizes with fresh weights", .choices = GP_CHOICES(GP_PRESETS), .one_of = "model"},
    {"vocab-size", 0, GP_OPT_INT, offsetof(args, vocab_size), "V", "vocabulary size", .min = 0, .max = 1e8, .default_text = "the preset's", .needs = "preset"},
    {"layers", 0, GP_OPT_INT, offsetof(args, layers), "L", "transformer blocks", .min = 0, .max = 4096, .default_text = "the preset's", .needs = "preset"},
    {"heads", 0, GP_OPT_INT, offsetof(args, heads), "H", "attention heads", .min = 0, .max = 65536, .default_text = "the preset's", .needs = "preset"},
    {"channels", 0, GP_OPT_INT, offsetof(args, channels), "C", "width", .min = 0, .max = 1 << 20, .default_text = "the preset's", .needs = "preset"},

    {"Measurement", .type = GP_OPT_GROUP},
    {"passes", 0, GP_OPT_STRING, offsetof(args, passes), "LIST", "passes to measure, of forward,train,prefill,decode; without train, no memory is needed for gradients", .nonempty = true},
    {"batch-size", 'B', GP_OPT_INT, offsetof(args, batch_size), "B", "sequences per batch, for forward and train", .min = 1, .max = 1 << 20},
    {"seq-len", 'T', GP_OPT_INT, offsetof(args, seq_len), "T", "tokens per sequence", .min = 0, .max = 1 << 24, .default_text = "the model's context"},
    {"decode-batch", 0, GP_OPT_INT, offsetof(args, decode_batch), "B", "samples decoded at once", .min = 1, .max = 65536},
    {"seconds", 0, GP_OPT_FLOAT, offsetof(args, seconds), "S", "time for each measurement", .min = 0.01, .max = 3600, .excludes = "roofline"},
    {"peak", 0, GP_OPT_FLOAT, offsetof(args, peak), "FLOPS", "peak FLOP/s to compare with", .min = 1, .max = 1e20, .default_text = "measured here", .excludes = "roofline"},
    {"ops", 0, GP_OPT_FLAG, offsetof(args, ops), NULL, "report each op: time, FLOP/s, bytes/s, and its bound"},
    {"sweep", 0, GP_OPT_STRING, offsetof(args, sweep), "WHAT=N,N,...", "measure for each value of batch (of decoding too; prefill always reads one prompt), context or threads", .nonempty = true, .excludes = "roofline"},
    {"roofline", 0, GP_OPT_CHOICE, offsetof(args, roofline), "GPU", "compute, instead of measuring, what these passes should reach on that GPU (also --paper)", .choices = GP_CHOICES(GP_ROOFLINE_GPUS), .alias = "paper"},

    {"Output", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "output file of the report", .default_text = "stdout", .nonempty = true},
    {"plot", 0, GP_OPT_STRING, offsetof(args, plot), "FILE.svg", "write a plot of the sweep", .nonempty = true, .needs = "sweep"},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "print the report as one JSON object"},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "print the tables only, without the formulas"},

    {"Machine", .type = GP_OPT_GROUP},
    GP_OPTION_BACKEND(offsetof(args, backend), "roofline"),
    GP_OPTION_DTYPE(offsetof(args, dtype), "roofline"),
    GP_OPTION_CACHE_DTYPE(offsetof(args, cache_dtype), "roofline"),
    {"attention", 0, GP_OPT_CHOICE, offsetof(args, attention), "WHICH", "implementation of attention on a GPU: the backend's own kernels, cuDNN (bf16, without dropout), or cuDNN for one direction", .choices = GP_CHOICES(GP_ATTENTIONS), .excludes = "roofline"},
    {"products", 0, GP_OPT_CHOICE, offsetof(args, products), "WHICH", "algorithm of each matrix product on a GPU: the library's first heuristic choice, or the fastest of a few, measured before each pass", .choices = GP_CHOICES(GP_PRODUCTS), .excludes = "roofline"},
    {"master-weights", 0, GP_OPT_FLAG, offsetof(args, master_weights), NULL, "in bf16 on a GPU: weights in fp32, with a bf16 copy for matrix products; else matrices are in bf16 only, as with train"},
    GP_OPTION_THREADS('t', offsetof(args, threads), "roofline"),
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "eval-mfu",
    .summary = "measures tokens per second and model FLOP utilization",
    .usage = "[OPTION]... [CHECKPOINT]",
    .description =
        "Times forward passes, training steps, prefill and decoding of a model and, in the same process, the "
        "machine's peak rate of matrix products and its memory bandwidth. Utilization is the model's FLOPs per "
        "second over that measured peak (or --peak). For a few devices, the vendor's peak is printed too. Speed is "
        "that of the median run, with the range between the 10th and the 90th percentile. A utilization above 100% "
        "means that the peak is wrong, and is reported.\n\n"
        "FLOPs of a token in a forward pass, counted by op: 2 (L (3CC + CC + 2CF) + CV) for matrix products and 4 "
        "L C T for attention, F being the MLP's width; the causal half of attention is not deducted. Training "
        "takes three times as many. The usual estimate 6N + 12 L H Q T (Chowdhery et al. 2022, appendix B; Q = "
        "C/H) is printed too, with the difference: its N includes positions, norms and biases, which are in no "
        "matrix product.\n\n"
        "--ops times each op. Its FLOPs are those of its matrix products (half for causal attention), its bytes "
        "those of each tensor read or written once. The larger of FLOPs / peak and bytes / bandwidth is the op's "
        "bound, a lower limit of its time, and `of it` is that bound over the measured time. More than 100% means "
        "that caches served the bytes, or that the machine was slower while its bandwidth was measured. Decoding "
        "reads every weight in each step, so bytes per token / bandwidth is its bound.\n\n"
        "--roofline needs no GPU: the model runs on a backend that only counts what each kernel would do, and the "
        "times are computed for bf16 from the GPU's data sheet and stated factors. The report of a measured device "
        "that is one of these GPUs has that figure too.",
    .examples = "# a checkpoint from a run\neval-mfu run\n"
                "# GPT-2 124M with fresh weights, four sequences of 256, op by op\n"
                "eval-mfu --preset gpt2 --batch-size 4 --seq-len 256 --ops\n"
                "# how decoding grows with the batch\n"
                "eval-mfu --preset nano --passes decode --sweep batch=1,2,4,8 --plot decode.svg\n"
                "# the expected time of a training step of GPT-2 124M on an H200\n"
                "eval-mfu --preset gpt2 --passes train --batch-size 64 --roofline h200",
    .options = options,
    .positionals = 1 + offsetof(args, operands),
    .computes = true,
};

/* The preset, with sizes overridden by options. */
static int preset_config(const args *a, gp_config *c)
{
    *c = gp_config_of_preset(a->preset);
    int64_t *sizes[] = {&c->vocab_size, &c->layers, &c->heads, &c->channels};
    const int64_t given[] = {a->vocab_size, a->layers, a->heads, a->channels};
    for (int i = 0; i < 4; i++)
        if (given[i])
            *sizes[i] = given[i];
    c->inner = 4 * c->channels;
    if (a->seq_len > c->positions)
        c->positions = a->seq_len;
    return gp_config_check(c, "the requested model");
}

static gp_checkpoint *open_checkpoint(const args *a)
{
    return gp_checkpoint_open(a->checkpoint ? a->checkpoint : "-");
}

/* The model to measure: of a checkpoint, or with fresh weights. */
static gp_model *open_model(const args *a, gp_backend *be, bool trains)
{
    gp_config c;
    if (!a->preset) {
        gp_checkpoint *ckpt = open_checkpoint(a);
        gp_model *m = ckpt ? gp_checkpoint_model(ckpt, be, trains) : NULL;
        gp_tool_warning(&tool, m ? gp_checkpoint_warning(ckpt) : NULL);
        gp_checkpoint_close(ckpt);
        return m;
    }
    if (preset_config(a, &c))
        return NULL;
    gp_model *m = gp_model_create(&c, be, trains);
    gp_model_init(m, 1);
    return m;
}

static gp_mfu_plan plan_of(const args *a)
{
    return (gp_mfu_plan){.batch_size = a->batch_size,
                         .seq_len = a->seq_len,
                         .decode_batch = a->decode_batch,
                         .seconds = a->seconds,
                         .peak = a->peak,
                         .passes = gp_passes_parse(a->passes),
                         .ops = a->ops,
                         .attention = a->attention,
                         .measure_products = a->products == GP_PRODUCTS_MEASURE,
                         .no_masters = !a->master_weights};
}

/* One measurement, on a new backend and model. */
static gp_mfu *measure(const args *a)
{
    gp_mfu_plan plan = plan_of(a);
    gp_backend *be = gp_backend_open_kind(a->backend, a->dtype, (int)a->threads);
    if (be && gp_backend_warning(be) && !a->quiet)
        fprintf(stderr, "eval-mfu: %s; using backend %s\n", gp_backend_warning(be), gp_backend_name(be));
    bool trains = (plan.passes & GP_PASS_TRAIN) != 0;
    bool ready = be && (a->master_weights || !gp_backend_drop_masters(be)) && !gp_backend_set_cache(be, a->cache_dtype);
    ready = ready && !(trains && gp_backend_check_training(be));
    gp_model *m = ready ? open_model(a, be, trains) : NULL;
    gp_mfu *r = m ? gp_mfu_measure(m, &plan) : NULL;
    for (int i = 0; r && !a->quiet && gp_mfu_remark(r, i); i++)
        gp_tool_warning(&tool, gp_mfu_remark(r, i));
    for (const char *remark; be && !r && !a->quiet && (remark = gp_backend_remark(be));)
        gp_tool_warning(&tool, remark);
    gp_model_free(m);
    gp_backend_close(be);
    return r;
}

/* ---- sweeps ---------------------------------------------------------------------------------------------- */

typedef struct sweep {
    char what[16];
    int64_t values[MAX_VALUES];
    gp_mfu *run[MAX_VALUES];
    int count;
} sweep;

/* "batch=1,2,4" */
static int parse_sweep(const char *text, sweep *s)
{
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(s->what, sizeof s->what, "%.*s", (int)n, text);
    if (!equals || (strcmp(s->what, "batch") && strcmp(s->what, "context") && strcmp(s->what, "threads")))
        return -1;
    for (const char *p = equals + 1;; p++) {
        char *end;
        long long value = strtoll(p, &end, 10);
        if (end == p || value < 1 || value > 1 << 20 || s->count == MAX_VALUES || (*end && *end != ','))
            return -1;
        s->values[s->count++] = value;
        if (!*end)
            return 0;
        p = end;
    }
}

static void set_value(args *a, const char *what, int64_t value)
{
    if (!strcmp(what, "batch"))
        a->batch_size = a->decode_batch = value;
    else if (!strcmp(what, "context"))
        a->seq_len = value;
    else
        a->threads = value;
}

static int run_sweep(const args *given, sweep *s)
{
    for (int i = 0; i < s->count; i++) {
        args a = *given;
        set_value(&a, s->what, s->values[i]);
        a.quiet |= i > 0; /* print warnings once */
        if (!given->quiet && isatty(STDERR_FILENO))
            fprintf(stderr, "eval-mfu: %s %lld\n", s->what, (long long)s->values[i]);
        s->run[i] = measure(&a);
        if (!s->run[i])
            return -1;
    }
    if (strcmp(s->what, "threads")) /* the peak does not depend on the other values */
        gp_mfu_share_peak(s->run, s->count);
    return 0;
}

/* ---- reports --------------------------------------------------------------------------------------------- */

static int report_sweep(const args *a, sweep *s, FILE *out)
{
    gp_output *plot = a->plot ? gp_output_open(a->plot) : NULL; /* before measurements of minutes, in case it fails */
    int rc = a->plot && !plot ? -1 : run_sweep(a, s);
    gp_mfu_sweep all = {s->what, s->values, s->run, s->count};
    if (!rc && a->json)
        gp_mfu_sweep_json(&all, out);
    else if (!rc) {
        gp_mfu_print(s->run[s->count - 1], out, !a->quiet);
        gp_mfu_sweep_print(&all, out);
    }
    if (!rc && plot)
        gp_mfu_sweep_svg(&all, gp_output_stream(plot));
    if (plot && gp_output_close(plot, !rc))
        rc = -1;
    for (int i = 0; i < s->count; i++)
        gp_mfu_free(s->run[i]);
    return rc;
}

static int report(const args *a, FILE *out)
{
    gp_mfu *r = measure(a);
    if (!r)
        return -1;
    if (a->json)
        gp_mfu_json(r, out);
    else
        gp_mfu_print(r, out, !a->quiet);
    if (!a->json && !a->quiet && a->checkpoint && strcmp(a->checkpoint, "-"))
        fprintf(stderr, "eval-mfu: a page of this model: pipelines/explain.sh gpt %s PROMPT -o gpt.html\n",
                a->checkpoint);
    gp_mfu_free(r);
    return 0;
}

static int report_roofline(const args *a, FILE *out)
{
    gp_config c;
    if (a->preset && preset_config(a, &c))
        return -1;
    if (!a->preset) {
        gp_checkpoint *ckpt = open_checkpoint(a);
        if (!ckpt)
            return -1;
        c = *gp_checkpoint_config(ckpt);
        gp_checkpoint_close(ckpt);
    }
    gp_mfu_plan plan = plan_of(a);
    gp_roofline *p = gp_roofline_compute(&c, a->roofline, &plan);
    if (!p)
        return -1;
    if (a->json)
        gp_roofline_json(p, out);
    else
        gp_roofline_print(p, out, !a->quiet);
    gp_roofline_free(p);
    return 0;
}

/* A batch size on the command line must apply to one of the measured passes. */
static int check_batches(const args *a)
{
    bool batch = gp_options_on_command_line(&tool, "batch-size"),
         decode = gp_options_on_command_line(&tool, "decode-batch");
    int passes = gp_passes_parse(a->passes);
    bool used = (batch && passes & (GP_PASS_FORWARD | GP_PASS_TRAIN)) || (decode && passes & GP_PASS_DECODE);
    if (used || (!batch && !decode))
        return 0;
    return gp_tool_usage(&tool, "%s, not to --passes %s",
                         batch ? "--batch-size applies to forward and train (decode has --decode-batch)"
                               : "--decode-batch applies to decode",
                         a->passes);
}

/* An option that is swept must not be given too. */
static int check_swept(const sweep *s)
{
    static const struct {
        const char *what, *option;
    } rows[] = {{"batch", "batch-size"}, {"batch", "decode-batch"}, {"context", "seq-len"}, {"threads", "threads"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(s->what, rows[i].what) && gp_options_on_command_line(&tool, rows[i].option))
            return gp_tool_usage(&tool, "--%s has no effect with --sweep %s=", rows[i].option, s->what);
    return 0;
}

/* Rejects names of other formats: the plot is always SVG. */
static int check_plot(const char *path)
{
    static const char *const others[] = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".ps", ".eps", ".html"};
    size_t n = path ? strlen(path) : 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t length = strlen(others[i]);
        if (n > length && !strcasecmp(path + n - length, others[i]))
            return gp_tool_usage(&tool, "--plot %s: the plot is SVG: name it FILE.svg", path);
    }
    return 0;
}

static int check(const args *a, sweep *s)
{
    int rc = gp_options_check(&tool, a);
    if (rc)
        return rc;
    if (!a->preset && !a->checkpoint && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool, "no model: name a checkpoint or give --preset NAME, or pipe a checkpoint in");
    if (!gp_passes_parse(a->passes))
        return gp_tool_usage(&tool, "--passes: %s", gp_error());
    if (a->sweep && !a->preset && (!a->checkpoint || !strcmp(a->checkpoint, "-")))
        return gp_tool_usage(&tool, "--sweep opens the model for each value: give --preset or a --checkpoint that "
                                    "is not a pipe");
    if (a->sweep && parse_sweep(a->sweep, s))
        return gp_tool_usage(&tool,
                             "--sweep %s: expected batch=, context= or threads= and up to %d numbers from 1, "
                             "like batch=1,2,4",
                             a->sweep, MAX_VALUES);
    rc = check_plot(a->plot);
    if (!rc)
        rc = check_batches(a);
    return rc ? rc : check_swept(s);
}

int main(int argc, char **argv)
{
    args a = {.master_weights = true,
              .passes = "forward,train,prefill,decode",
              .seconds = 2,
              .batch_size = 8,
              .decode_batch = 1};
    sweep s = {.count = 0};
    int rc = gp_tool_start(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (a.operands.count > !a.checkpoint)
        return gp_tool_usage(&tool, "expected one checkpoint, found %d", a.operands.count + !!a.checkpoint);
    if (a.operands.count)
        a.checkpoint = a.operands.items[0];
    rc = check(&a, &s);
    if (rc)
        return rc;
    gp_output *out = gp_output_open(a.out);
    rc = !out         ? -1
         : a.roofline ? report_roofline(&a, gp_output_stream(out))
         : a.sweep    ? report_sweep(&a, &s, gp_output_stream(out))
                      : report(&a, gp_output_stream(out));
    if (out && gp_output_close(out, rc == 0))
        rc = -1;
    return gp_tool_exit(&tool, rc);
}
