/* sample: a checkpoint and a prompt in, their continuation out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/options.h"
#include "gptpipe/output.h"
#include "gptpipe/sampler.h"
#include "gptpipe/trace.h"

typedef struct args {
    const char *checkpoint, *prompt, *prompt_ids, *out, *trace, *backend, *dtype;
    gp_list stop;
    int64_t max_tokens, num_samples, batch, top_k, seed, threads;
    double temperature, top_p, min_p;
    bool echo, trace_grad, ignore_end, quiet, json;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"Input", .type = GP_OPT_GROUP},
    {"checkpoint", 'c', GP_OPT_STRING, offsetof(args, checkpoint), "PATH", "safetensors file, run directory or Hugging Face directory; - is stdin", .implied = "stdin; with it, stdin is the prompt"},
    {"prompt", 'p', GP_OPT_STRING, offsetof(args, prompt), "TEXT", "text to continue"},
    {"prompt-ids", 0, GP_OPT_STRING, offsetof(args, prompt_ids), "1,2,3", "token ids to continue, in place of text"},

    {"Sampling", .type = GP_OPT_GROUP},
    {"max-tokens", 'n', GP_OPT_INT, offsetof(args, max_tokens), "N", "new tokens a sample; 0 is valid", .min = 0, .max = 1e9},
    {"num-samples", 0, GP_OPT_INT, offsetof(args, num_samples), "N", "continuations of the prompt", .min = 1, .max = 1e6},
    {"batch-size", 'B', GP_OPT_INT, offsetof(args, batch), "B", "samples drawn at once; each is the same alone", .min = 1, .max = 4096},
    {"temperature", 't', GP_OPT_FLOAT, offsetof(args, temperature), "X", "divides the logits; 0 takes the likeliest token", .min = 0, .max = 1000},
    {"top-k", 'k', GP_OPT_INT, offsetof(args, top_k), "K", "among the K likeliest; 0 = all", .min = 0, .max = 1e9},
    {"top-p", 0, GP_OPT_FLOAT, offsetof(args, top_p), "P", "among the fewest tokens whose probabilities reach P", .min = 1e-6, .max = 1},
    {"min-p", 0, GP_OPT_FLOAT, offsetof(args, min_p), "P", "among tokens at least P times as likely as the likeliest", .min = 0, .max = 1},
    {"seed", 's', GP_OPT_INT, offsetof(args, seed), "N", "of the random numbers", .min = 0, .max = 9e15},
    {"stop", 0, GP_OPT_LIST, offsetof(args, stop), "TEXT", "end a sample before this text"},
    {"ignore-end", 0, GP_OPT_FLAG, offsetof(args, ignore_end), NULL, "go on past the end-of-text token"},

    {"Output", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "where samples go", .implied = "stdout"},
    {"echo", 0, GP_OPT_FLAG, offsetof(args, echo), NULL, "print the prompt before each continuation"},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "one JSON object a sample: {\"sample\", \"prompt\", \"text\"}"},
    {"trace", 0, GP_OPT_STRING, offsetof(args, trace), "FILE|-", "write every tensor of the prompt's forward pass as safetensors"},
    {"trace-grad", 0, GP_OPT_FLAG, offsetof(args, trace_grad), NULL, "with --trace: the gradients of the mean next-token loss too"},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "no closing line about speed"},

    {"Machine", .type = GP_OPT_GROUP},
    {"backend", 0, GP_OPT_CHOICE, offsetof(args, backend), "WHICH", "what computes", .choices = "auto|ref|cpu"},
    {"dtype", 0, GP_OPT_CHOICE, offsetof(args, dtype), "WHICH", "of matrix products; sums are fp32", .choices = "auto|fp32|bf16"},
    {"threads", 0, GP_OPT_INT, offsetof(args, threads), "N", "threads", .min = 0, .max = 4096, .implied = "the machine's cores"},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "sample",
    .summary = "continues a prompt with a trained model",
    .usage = "[OPTION]... [--checkpoint PATH]",
    .description =
        "Prints the prompt and its continuation, character by character as they come. The checkpoint is "
        "--checkpoint "
        "or, without it, stdin; with it, stdin is the prompt unless --prompt or --prompt-ids is given. "
        "Without any "
        "prompt a sample begins behind an end-of-text token, or a newline where the tokenizer has none.\n\n"
        "A sample depends on the checkpoint, the prompt, --seed and its number: it is the same alone and "
        "among "
        "others. Past the model's context it goes on over the last half window.",
    .examples = "# one continuation of a prompt\nsample --checkpoint run --prompt 'Once upon a time'\n"
                "# three, cooler, 100 tokens each\n"
                "sample -c run -p 'The' --num-samples 3 --temperature 0.7 --top-k 40 --max-tokens 100\n"
                "# what happens inside, for one prompt\n"
                "sample -c run -p 'Once' --max-tokens 0 --trace trace.safetensors --trace-grad",
    .options = options,
};

typedef struct prompt {
    int32_t *ids;
    int64_t count;
    char *text; /* what is echoed; NULL: nothing */
    size_t length;
} prompt;

static int parse_ids(prompt *p, const char *list)
{
    p->ids = malloc((strlen(list) / 2 + 1) * sizeof *p->ids);
    for (const char *s = list;; s++) {
        char *end;
        long id = strtol(s, &end, 10);
        if (end == s || id < 0 || id > INT32_MAX || (*end && *end != ','))
            return gp_fail("--prompt-ids %s: expected token ids separated by commas, such as 1,2,3", list);
        p->ids[p->count++] = (int32_t)id;
        if (!*end)
            return 0;
        s = end;
    }
}

/* The text of the prompt: --prompt, or stdin where the checkpoint is not there. */
static int read_text(const args *a, prompt *p)
{
    bool piped = a->checkpoint && strcmp(a->checkpoint, "-") && !isatty(STDIN_FILENO);
    if (a->prompt) {
        p->length = strlen(a->prompt);
        p->text = strdup(a->prompt);
    } else if (piped) {
        char part[65536];
        for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0; p->length += n) {
            char *longer = realloc(p->text, p->length + n + 1);
            if (!longer)
                return gp_fail("stdin: the prompt does not fit into memory");
            p->text = longer;
            memcpy(p->text + p->length, part, n);
        }
        if (ferror(stdin))
            return gp_fail("stdin: the prompt cannot be read");
        if (p->length && p->text[p->length - 1] == '\n')
            p->length--; /* echo's newline */
    }
    return 0;
}

static int encode(const args *a, const gp_tokenizer *t, prompt *p)
{
    static const char newline[] = "\n";
    if (a->prompt_ids)
        return parse_ids(p, a->prompt_ids);
    if (read_text(a, p))
        return -1;
    if (!t)
        return gp_fail("the checkpoint has no tokenizer: give --prompt-ids 1,2,3 in place of text");
    if (p->length)
        return gp_tokenizer_encode(t, p->text, p->length, &p->ids, &p->count);
    if (gp_tokenizer_end_of_text(t) < 0)
        return gp_tokenizer_encode(t, newline, 1, &p->ids, &p->count);
    p->ids = malloc(sizeof *p->ids);
    p->ids[p->count++] = gp_tokenizer_end_of_text(t);
    return 0;
}

/* Samples come interleaved; they are printed one behind the other: the first that is not complete streams,
 * later ones wait in memory. */
typedef struct printer {
    const args *a;
    const prompt *p;
    FILE *out;
    struct waiting {
        char *bytes;
        size_t n;
        bool done;
    } * samples;
    int64_t current;
} printer;

static void print_json_string(FILE *out, const char *s, size_t n)
{
    char *quoted = gp_json_quote(s, n);
    fputs(quoted, out);
    free(quoted);
}

static void begin_sample(printer *pr)
{
    const args *a = pr->a;
    if (!a->json && a->num_samples > 1)
        fprintf(pr->out, "%s--- sample %lld ---\n", pr->current ? "\n" : "", (long long)pr->current + 1);
    if (!a->json && a->echo && pr->p->length)
        fwrite(pr->p->text, 1, pr->p->length, pr->out);
}

static void end_sample(printer *pr, const struct waiting *w)
{
    if (!pr->a->json) {
        fputc('\n', pr->out);
        return;
    }
    fprintf(pr->out, "{\"sample\": %lld, \"prompt\": ", (long long)pr->current);
    print_json_string(pr->out, pr->p->text ? pr->p->text : "", pr->p->length);
    fputs(", \"text\": ", pr->out);
    print_json_string(pr->out, w->bytes ? w->bytes : "", w->n);
    fputs("}\n", pr->out);
}

/* Prints what may be printed by now. */
static int flush_samples(printer *pr)
{
    while (pr->current < pr->a->num_samples) {
        struct waiting *w = &pr->samples[pr->current];
        if (!pr->a->json && w->n) {
            fwrite(w->bytes, 1, w->n, pr->out);
            w->n = 0;
        }
        if (!w->done)
            break;
        end_sample(pr, w);
        free(w->bytes);
        w->bytes = NULL;
        if (++pr->current < pr->a->num_samples)
            begin_sample(pr);
    }
    return fflush(pr->out) || ferror(pr->out)
               ? gp_fail("the samples cannot be written: the reader or the disk is gone")
               : 0;
}

static int receive(void *self, int64_t sample, const char *bytes, size_t n, bool done)
{
    printer *pr = self;
    struct waiting *w = &pr->samples[sample];
    w->bytes = realloc(w->bytes, w->n + n + 1);
    memcpy(w->bytes + w->n, bytes, n);
    w->n += n;
    w->done = done;
    return sample == pr->current ? flush_samples(pr) : 0;
}

static void tell_speed(const args *a, const gp_generated *g)
{
    if (a->quiet || a->json || !a->max_tokens)
        return;
    if (g->refills)
        fprintf(stderr, "sample: went past the context %lld times: each went on over its last half window\n",
                (long long)g->refills);
    double seconds = g->prefill_seconds + g->decode_seconds;
    fprintf(stderr, "sample: %lld tokens in %.2f s, %.0f tok/s\n", (long long)g->tokens, seconds,
            (double)g->tokens / (seconds > 0 ? seconds : 1e-9));
}

static int generate(const args *a, gp_model *m, const gp_tokenizer *t, const prompt *p, FILE *out)
{
    const char **stops = calloc((size_t)a->stop.count + 1, sizeof *stops);
    for (int i = 0; i < a->stop.count; i++)
        stops[i] = a->stop.items[i];
    gp_generation how = {
        .sampling = {a->temperature, a->top_k, a->top_p, a->min_p, (uint64_t)a->seed},
        .samples = a->num_samples,
        .batch = a->batch,
        .max_tokens = a->max_tokens,
        .stops = stops,
        .stop_at_end_of_text = !a->ignore_end,
    };
    printer pr = {.a = a, .p = p, .out = out};
    gp_generated stats = {0};
    pr.samples = calloc((size_t)a->num_samples, sizeof *pr.samples);
    begin_sample(&pr);
    int rc = gp_generate(m, t, p->ids, p->count, &how, receive, &pr, &stats);
    if (!rc)
        tell_speed(a, &stats);
    for (int64_t i = 0; i < a->num_samples; i++)
        free(pr.samples[i].bytes);
    free(pr.samples);
    free(stops);
    return rc;
}

static int run(const args *a, gp_checkpoint *ckpt, gp_model *m, FILE *out)
{
    size_t length;
    prompt p = {0};
    gp_tokenizer *t = NULL;
    int rc = -1;
    const char *json = gp_checkpoint_tokenizer(ckpt, &length);
    if (json && !(t = gp_tokenizer_from_json(json, length, "the checkpoint's tokenizer")))
        goto out;
    if (encode(a, t, &p))
        goto out;
    if (a->trace && gp_trace_write(a->trace, m, p.ids, p.count, a->trace_grad))
        goto out;
    rc = a->trace && !a->max_tokens ? 0 : generate(a, m, t, &p, out);
out:
    gp_tokenizer_close(t);
    free(p.ids);
    free(p.text);
    return rc;
}

int main(int argc, char **argv)
{
    gp_backend_prepare(argv);
    args a = {.backend = "auto",
              .dtype = "auto",
              .max_tokens = 200,
              .num_samples = 1,
              .batch = 16,
              .temperature = 0.8,
              .top_k = 0,
              .top_p = 1,
              .seed = 1,
              .echo = true};
    int rc = gp_options_parse(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (a.prompt && a.prompt_ids)
        return gp_tool_usage(&tool, "--prompt and --prompt-ids give two prompts: give one of them");
    if (a.trace_grad && !a.trace)
        return gp_tool_usage(&tool, "--trace-grad goes with --trace FILE");
    if (!a.checkpoint && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool, "no checkpoint: give --checkpoint PATH, or pipe one in");
    gp_output *out = gp_output_open(a.out);
    gp_backend *be = !out ? NULL : gp_backend_open(a.backend, a.dtype, (int)a.threads);
    gp_checkpoint *ckpt = be ? gp_checkpoint_open(a.checkpoint ? a.checkpoint : "-") : NULL;
    gp_model *m = ckpt ? gp_checkpoint_model(ckpt, be, a.trace_grad) : NULL;
    rc = m ? 0 : -1;
    if (m && gp_checkpoint_remark(ckpt))
        fprintf(stderr, "sample: %s\n", gp_checkpoint_remark(ckpt));
    if (!rc)
        rc = run(&a, ckpt, m, gp_output_stream(out));
    if (out && gp_output_close(out, rc == 0))
        rc = -1;
    gp_model_free(m);
    gp_checkpoint_close(ckpt);
    gp_backend_close(be);
    return gp_tool_exit(&tool, rc);
}
