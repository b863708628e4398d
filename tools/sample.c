/* sample: continues prompts with a checkpoint, or scores text. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/config.h"
#include "gptpipe/machine.h"
#include "gptpipe/output.h"
#include "gptpipe/samples.h"
#include "gptpipe/score.h"
#include "gptpipe/trace.h"

typedef struct args {
    const char *checkpoint, *prompt, *prompt_ids, *prompts, *jsonl, *stop_ids, *score;
    const char *out, *trace;
    gp_score_kind task;
    gp_backend_kind backend;
    gp_compute_dtype dtype;
    gp_cache_dtype cache_dtype;
    gp_attention_by attention;
    gp_draft_kind draft;
    gp_list stop, operands;
    int64_t max_tokens, num_samples, batch, draft_tokens, top_k, top_logprobs, stride, seed, threads;
    double temperature, top_p, min_p, repetition_penalty;
    bool allow_special, interactive, echo, trace_grad, ignore_end, from_end, quiet, json;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"Input", .type = GP_OPT_GROUP},
    {"checkpoint", 'c', GP_OPT_STRING, offsetof(args, checkpoint), "PATH", "checkpoint of any format that convert-gpt2 reads: a file, a folder or a run; - is stdin", .default_text = "stdin; with it, stdin is the prompt", .nonempty = true},
    {"prompt", 'p', GP_OPT_STRING, offsetof(args, prompt), "TEXT", "text to continue", .one_of = "text"},
    {"prompt-ids", 0, GP_OPT_STRING, offsetof(args, prompt_ids), "1,2,3", "token ids to continue, in place of text", .one_of = "text"},
    {"prompts", 0, GP_OPT_STRING, offsetof(args, prompts), "FILE|-", "prompts, one JSON object per line; its \"id\" is repeated with the samples", .nonempty = true, .one_of = "text"},
    {"jsonl", 0, GP_OPT_STRING, offsetof(args, jsonl), "FIELD", "the member that holds the text, in prompts or documents", .default_text = "prompt, with --prompts", .nonempty = true, .needs = "prompts|score", .excludes = "task!=text"},
    {"allow-special", 0, GP_OPT_FLAG, offsetof(args, allow_special), NULL, "encode a literal <|endoftext|> in a prompt or a scored text as that token, as transformers does"},
    {"interactive", 'i', GP_OPT_FLAG, offsetof(args, interactive), NULL, "each line typed continues the text so far; Ctrl-C stops an answer, /reset begins a new text, Ctrl-D or exit ends, /help lists the rest", .one_of = "text", .excludes = "json|out"},

    {"Sampling", .type = GP_OPT_GROUP},
    {"max-tokens", 'n', GP_OPT_INT, offsetof(args, max_tokens), "N", "new tokens per sample; 0 is valid", .min = 0, .max = 1e9, .excludes = "score"},
    {"num-samples", 0, GP_OPT_INT, offsetof(args, num_samples), "N", "continuations of each prompt", .min = 1, .max = 1e6, .excludes = "score"},
    {"batch-size", 'B', GP_OPT_INT, offsetof(args, batch), "B", "samples generated at once; the result does not depend on it", .min = 1, .max = 4096, .excludes = "score|draft"},
    {"temperature", 't', GP_OPT_FLOAT, offsetof(args, temperature), "X", "divide the logits by X; 0 takes the most likely token", .min = 0, .max = 1000, .excludes = "score"},
    {"top-k", 'k', GP_OPT_INT, offsetof(args, top_k), "K", "sample from the K most likely tokens; 0 = all", .min = 0, .max = 1e9, .excludes = "score"},
    {"top-p", 0, GP_OPT_FLOAT, offsetof(args, top_p), "P", "sample from the fewest tokens whose probabilities sum to at least P (Holtzman et al. 2020)", .min = 1e-6, .max = 1, .excludes = "score"},
    {"min-p", 0, GP_OPT_FLOAT, offsetof(args, min_p), "P", "sample from the tokens at least P times as likely as the most likely one (Nguyen et al. 2024)", .min = 0, .max = 1, .excludes = "score"},
    {"repetition-penalty", 0, GP_OPT_FLOAT, offsetof(args, repetition_penalty), "X", "divide positive logits of tokens that are in the text by X, and multiply negative ones (Keskar et al. 2019); 1 = none", .min = 0.01, .max = 100, .excludes = "score"},
    {"seed", 's', GP_OPT_INT, offsetof(args, seed), "N", "random seed", .min = 0, .max = 9e15, .excludes = "score"},
    {"stop", 0, GP_OPT_LIST, offsetof(args, stop), "TEXT", "end a sample before this text; \\n is a newline", .excludes = "score"},
    {"stop-ids", 0, GP_OPT_STRING, offsetof(args, stop_ids), "1,2,3", "end a sample at one of these token ids", .excludes = "score"},
    {"ignore-end", 0, GP_OPT_FLAG, offsetof(args, ignore_end), NULL, "continue after the ids that end a text", .excludes = "score"},
    {"draft", 0, GP_OPT_CHOICE, offsetof(args, draft), "WHICH", "guess next tokens from what followed the last ones before, and verify them in one pass: the same text, sooner where it repeats; one sample at a time", .choices = GP_CHOICES(GP_DRAFTS), .default_text = "none", .excludes = "score"},
    {"draft-tokens", 0, GP_OPT_INT, offsetof(args, draft_tokens), "K", "guess up to K tokens at a time", .min = 1, .max = GP_MAX_DRAFT_TOKENS, .needs = "draft"},

    {"Scoring", .type = GP_OPT_GROUP},
    {"score", 0, GP_OPT_STRING, offsetof(args, score), "FILE|-", "print the likelihood of this text instead of sampling", .nonempty = true, .one_of = "text"},
    {"task", 0, GP_OPT_CHOICE, offsetof(args, task), "WHICH", "content of the file: text, or lines of JSON with questions", .choices = GP_CHOICES(GP_SCORE_TASKS), .needs = "score"},
    {"stride", 0, GP_OPT_INT, offsetof(args, stride), "N", "number of tokens by which the window moves over a text longer than the context", .min = 1, .max = 1e9, .default_text = "half the context", .needs = "score", .excludes = "task!=text"},
    {"from-end", 0, GP_OPT_FLAG, offsetof(args, from_end), NULL, "score the first token of a text too, after an end-of-text token (or the tokenizer's prefix)", .needs = "score", .excludes = "task!=text"},

    {"Output", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "output", .default_text = "stdout", .nonempty = true, .excludes = "interactive"},
    {"echo", 0, GP_OPT_FLAG, offsetof(args, echo), NULL, "print the prompt before each continuation", .excludes = "score|json|interactive"},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "print a JSON object per sample (or document, or question), with ids and log-probabilities", .excludes = "interactive"},
    {"top-logprobs", 0, GP_OPT_INT, offsetof(args, top_logprobs), "N", "print the log-probabilities of the N most likely tokens at each position, of samples or of --score's text", .min = 0, .max = GP_MAX_TOP_LOGPROBS, .needs = "json", .excludes = "task!=text"},
    {"trace", 0, GP_OPT_STRING, offsetof(args, trace), "FILE|-", "write every tensor of the prompt's forward pass as safetensors, and the weights if they are under 16 MB; pipelines/explain.sh makes pages of it", .nonempty = true, .excludes = "prompts|score|interactive"},
    {"trace-grad", 0, GP_OPT_FLAG, offsetof(args, trace_grad), NULL, "write the gradients of the mean next-token loss too", .needs = "trace"},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "do not print progress and speed"},

    {"Machine", .type = GP_OPT_GROUP},
    GP_OPTION_BACKEND(offsetof(args, backend), NULL),
    GP_OPTION_DTYPE(offsetof(args, dtype), NULL),
    GP_OPTION_CACHE_DTYPE(offsetof(args, cache_dtype), "score"),
    {"attention", 0, GP_OPT_CHOICE, offsetof(args, attention), "WHICH", "implementation of --score's attention on a GPU: the backend's own kernels, or cuDNN (bf16); sampling has kernels of its own, for one token after another", .choices = GP_CHOICES(GP_SCORE_ATTENTIONS), .needs = "score"},
    GP_OPTION_THREADS(0, offsetof(args, threads), NULL),
    {0},
};

static const gp_tool tool = {
    .name = "sample",
    .summary = "continues prompts with a trained model, or scores text",
    .usage = "[OPTION]... [CHECKPOINT [PROMPT]]",
    .description =
        "Prints the prompt and its continuation, character by character as they are generated. The checkpoint is the first "
        "operand or --checkpoint, or else stdin; with a checkpoint, stdin is the prompt unless one is given. Without a "
        "prompt, or with an empty one, a sample begins after an end-of-text token, or after a newline if the tokenizer has "
        "none. It ends at an eos_token_id of generation_config.json or, if there is no such file, of config.json; if that "
        "has none, at the tokenizer's end-of-text token.\n\n"
        "A sample depends on the checkpoint, the prompt, --seed and its number, not on other samples and their prompts. "
        "--repetition-penalty, --temperature, --top-k, --top-p and --min-p are applied in this order, as in transformers. "
        "Beyond the model's context, a sample continues with the last half of the context.\n\n"
        "--json prints the model's log-probability (nats) of each token, before penalty, temperature and filters, and why "
        "the sample ended: length, end_of_text, stop_id or stop_text.\n\n"
        "--score moves a window as long as the context over the text, by --stride tokens at a time, and scores in each the "
        "tokens that no earlier window scored. With --task, each line of the file is a question: lambada and hellaswag as "
        "in EleutherAI's lm-evaluation-harness, hellaswag-raw as in llm.c, choices with \"context\", \"endings\" and "
        "\"label\".",
    .examples = "# one continuation of a prompt\nsample run 'Once upon a time'\n"
                "# three continuations at a lower temperature, 100 tokens each\n"
                "sample -c run -p 'The' --num-samples 3 --temperature 0.7 --top-k 40 --max-tokens 100\n"
                "# a file of prompts; JSON with log-probabilities\n"
                "sample -c run --prompts prompts.jsonl --json --top-logprobs 5\n"
                "# perplexity of a text\nsample -c run --score story.txt --stride 128\n"
                "# activations and gradients for one prompt\n"
                "sample -c run -p 'Once' --max-tokens 0 --trace trace.safetensors --trace-grad",
    .options = options,
    .positionals = 1 + offsetof(args, operands),
    .computes = true,
};
/* clang-format on */

typedef struct session {
    args a;
    gp_backend *be;
    gp_model *m;
    gp_tokenizer *t; /* NULL: the checkpoint has none */
    gp_generation how;
    gp_prompts prompts;
    char **stops;
    int32_t *stop_ids;
    FILE *out;
} session;

static void release(session *s)
{
    gp_stops_free(s->stops);
    free(s->stop_ids);
    gp_prompts_release(&s->prompts);
    gp_tokenizer_close(s->t);
    gp_model_free(s->m);
}

/* Parses the options that are lists. */
static int read_lists(session *s)
{
    const args *a = &s->a;
    s->how.stops = s->stops = gp_stops_parse(&a->stop);
    if (!s->stops)
        return gp_fail_in("--stop");
    if (a->stop_ids && gp_ids_parse(a->stop_ids, &s->stop_ids, &s->how.stop_id_count))
        return gp_fail_in("--stop-ids");
    s->how.stop_ids = s->stop_ids;
    return a->prompt_ids && gp_prompts_add_ids(&s->prompts, a->prompt_ids) ? gp_fail_in("--prompt-ids") : 0;
}

static int read_prompts(session *s)
{
    const args *a = &s->a;
    s->prompts.allow_special = a->allow_special;
    if (a->prompt_ids)
        return 0; /* read_lists has added them */
    if (a->prompts)
        return gp_prompts_add_file(&s->prompts, s->t, a->prompts, a->jsonl ? a->jsonl : "prompt",
                                   gp_model_config(s->m)->vocab_size);
    if (a->prompt)
        return gp_prompts_add_text(&s->prompts, s->t, a->prompt, strlen(a->prompt));
    if (a->checkpoint && strcmp(a->checkpoint, "-") && !isatty(STDIN_FILENO))
        return gp_prompts_add_stdin(&s->prompts, s->t);
    return gp_prompts_add_text(&s->prompts, s->t, "", 0);
}

/* Drafts do not pay if tokens of passes with a draft took longer than tokens of passes without one. */
static void print_drafts(const gp_generate_stats *g)
{
    enum { ENOUGH = 8 }; /* passes of each, to compare them */
    const gp_draft_stats *d = &g->draft;
    int64_t plain = d->passes - d->verified;
    double token = (g->decode_seconds - g->verify_seconds) / (double)(plain > 0 ? plain : 1);
    double tokens = (double)(d->verified + d->accepted);
    fprintf(stderr, "sample: %lld of %lld drafted tokens accepted, %lld passes\n", (long long)d->accepted,
            (long long)d->drafted, (long long)d->passes);
    if (plain >= ENOUGH && d->verified >= ENOUGH && g->verify_seconds > tokens * token)
        fprintf(stderr,
                "sample: --draft does not pay here: a pass with a draft takes as long as %.2f without, and gives %.2f "
                "tokens\n",
                g->verify_seconds / (double)d->verified / token, tokens / (double)d->verified);
}

static void print_stats(const session *s, const gp_generate_stats *g)
{
    long long times = (long long)(g->long_prompts + g->refills);
    if (times)
        fprintf(stderr, "sample: beyond the context of %lld tokens: continued with its last half, %lld time%s\n",
                (long long)gp_config_context(gp_model_config(s->m)), times, times > 1 ? "s" : "");
    if (!g->tokens || s->a.interactive)
        return;
    fprintf(stderr, "sample: %lld token%s in %.2f s, %.0f tok/s, %s\n", (long long)g->tokens, gp_plural(g->tokens),
            g->seconds, (double)g->tokens / g->seconds, gp_backend_dtype(s->be));
    if (s->how.draft_tokens)
        print_drafts(g);
}

/* Continues the prompts p. lines: interactive input, whose Ctrl-C stops generation, or NULL. 1 if it did. */
static int generate(session *s, const gp_prompts *p, const gp_lines *lines)
{
    gp_samples_options print = {.prompts = p,
                                .tokenizer = s->t,
                                .samples = s->how.samples,
                                .first_sample = s->how.first_sample,
                                .dtype = gp_backend_dtype(s->be),
                                .cache_dtype = gp_backend_cache(s->be),
                                .json = s->a.json,
                                .drafts = s->how.draft_tokens > 0,
                                .echo = s->a.echo && !lines,
                                .abandon = lines};
    gp_generate_stats stats = {0};
    gp_samples *samples = gp_samples_open(s->out, &print);
    int rc = gp_generate_all(s->m, s->t, p->items, p->count, &s->how, gp_samples_print, samples, &stats);
    if (rc > 0) {
        fputc('\n', s->out); /* after the ^C that the terminal shows */
        fflush(s->out);
    }
    if (rc >= 0 && !s->a.quiet)
        print_stats(s, &stats);
    gp_samples_close(samples);
    return rc;
}

static void print_help(const session *s)
{
    const args *a = &s->a;
    printf("%s Ctrl-C stops an answer; Ctrl-D, exit or quit ends.\n"
           "Repeating a line gives another continuation. Options of this session:\n"
           "  --max-tokens %lld --temperature %g --top-k %lld --top-p %g --seed %lld\n"
           "For a prompt that is one of these words, or has several lines: sample CHECKPOINT --prompt TEXT\n",
           a->num_samples > 1 ? "Each line is a separate prompt (--num-samples), which the model continues."
                              : "Each line, which may be empty, is appended to the text, which the model continues.\n"
                                "/reset begins a new text.",
           (long long)a->max_tokens, a->temperature, (long long)a->top_k, a->top_p, (long long)a->seed);
}

/* A line that is a command: 'q' to end, 'h' for help, 'r' for a new text; 0 for other lines. */
static char command(const char *line)
{
    static const struct {
        const char *word;
        char command;
    } commands[] = {{"exit", 'q'},  {"quit", 'q'}, {"/exit", 'q'},  {"/quit", 'q'}, {"/bye", 'q'},
                    {"/help", 'h'}, {"/?", 'h'},   {"/reset", 'r'}, {"/clear", 'r'}};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(line, commands[i].word))
            return commands[i].command;
    return 0;
}

/* Each line is appended to the last answer or, with --num-samples, is a separate prompt. Samples are numbered
 * consecutively, so that repeating a line gives another answer. */
static int converse(session *s)
{
    const gp_config *c = gp_model_config(s->m);
    if (isatty(STDIN_FILENO) && !s->a.quiet)
        fprintf(stderr,
                "sample: %s, %.1f M parameters, context %lld; type text to continue, /help for help, exit to end\n",
                s->a.checkpoint, (double)gp_config_parameters(c) / 1e6, (long long)gp_config_context(c));
    gp_lines *lines = gp_lines_open("> ");
    gp_context *context = gp_context_open();
    s->how.context = s->how.samples == 1 ? context : NULL;
    const char *line;
    int rc = 0;
    while (rc >= 0 && (line = gp_lines_next(lines))) {
        char c = command(line);
        if (c == 'q')
            break;
        if (c == 'h') {
            print_help(s);
            continue;
        }
        if (c == 'r' || !s->how.context)
            gp_context_reset(context);
        if (c == 'r')
            continue;
        rc = gp_context_add(context, s->t, line, strlen(line), s->a.allow_special);
        if (rc && s->t) { /* for example an unknown character; another line may work */
            fprintf(stderr, "sample: %s\n", gp_error());
            rc = 0;
        } else if (!rc) {
            gp_prompt prompt = gp_context_prompt(context);
            rc = generate(s, &(gp_prompts){.items = &prompt, .count = 1}, lines);
            s->how.first_sample += s->how.samples;
        }
    }
    gp_context_close(context);
    gp_lines_close(lines);
    return rc < 0 ? -1 : 0;
}

static void warn_special(const char *where)
{
    fprintf(stderr, "sample: the %s has the name of a special token, which is text by --no-allow-special\n", where);
}

static int score(const session *s)
{
    const args *a = &s->a;
    bool special_text = false;
    gp_score_options o = {.stride = a->stride > 0 ? a->stride : 0,
                          .attention = a->attention,
                          .from_end = a->from_end,
                          .jsonl = a->jsonl,
                          .json = a->json,
                          .dtype = gp_backend_dtype(s->be),
                          .quiet = a->quiet,
                          .top_logprobs = a->json ? a->top_logprobs : 0,
                          .special_as_text = !a->allow_special,
                          .special_text = &special_text};
    int rc = gp_score_task(s->m, s->t, a->task, a->score, &o, s->out);
    if (special_text && !a->quiet)
        warn_special("text");
    return rc;
}

static int run(session *s, gp_checkpoint *ckpt)
{
    const args *a = &s->a;
    const char *problem = gp_checkpoint_tokenizer_problem(ckpt);
    bool needs_tokenizer = !a->prompt_ids && !a->prompts; /* a file of prompts may have only ids */
    gp_tool_warning(&tool, gp_checkpoint_warning(ckpt));
    gp_tool_warning(&tool, a->quiet ? NULL : gp_checkpoint_tokenizer_warning(ckpt));
    s->prompts.why = problem;
    if (problem && !needs_tokenizer && !a->quiet)
        fprintf(stderr, "sample: %s; only ids can be used\n", gp_printable(problem));
    if ((!problem || needs_tokenizer) && gp_checkpoint_open_tokenizer(ckpt, &s->t))
        return -1;
    if (a->score)
        return score(s);
    if (a->interactive)
        return converse(s);
    if (read_prompts(s))
        return -1;
    if (s->prompts.special_text && !a->quiet)
        warn_special("prompt");
    const gp_prompt *first = s->prompts.items;
    if (a->trace && gp_trace_write(a->trace, s->m, s->t, first->ids, first->count, a->trace_grad))
        return -1;
    if (a->trace && !a->quiet && strcmp(a->trace, "-"))
        fprintf(stderr, "sample: a page of this trace: pipelines/explain.sh attention %s -o attention.html\n",
                a->trace);
    return a->trace && !a->max_tokens ? 0 : generate(s, &s->prompts, NULL);
}

/* Takes CHECKPOINT and PROMPT from the operands, unless they are options. Returns an error message or NULL. */
static const char *take_operands(args *a)
{
    int next = 0;
    if (a->operands.count > next && !a->checkpoint)
        a->checkpoint = a->operands.items[next++];
    if (a->operands.count > next && !a->prompt)
        a->prompt = a->operands.items[next++];
    else if (a->operands.count > next)
        return a->operands.count > 1
                   ? "the operands are CHECKPOINT and PROMPT, and --checkpoint or --prompt is one of them"
                   : "unexpected operand: CHECKPOINT and PROMPT are both given by options";
    return a->operands.count > next
               ? "the operands are CHECKPOINT and PROMPT: put quotes around a prompt of several words"
               : NULL;
}

/* Checks terminals and files. Returns an error message or NULL. */
static const char *check_files(const args *a)
{
    const char *input = a->prompts ? a->prompts : a->score ? a->score : a->interactive ? "-" : "";
    if (!a->checkpoint && isatty(STDIN_FILENO))
        return "no checkpoint: name one, or pipe one in";
    if ((!a->checkpoint || !strcmp(a->checkpoint, "-")) && !strcmp(input, "-"))
        return "stdin cannot be both the checkpoint and the text: give --checkpoint PATH";
    if (a->trace && gp_output_is_terminal(a->trace))
        return "--trace writes tensors, which cannot be written to a terminal: name a file";
    if (gp_output_replaces(a->out, input))
        return "--out would replace the input file: name another";
    return a->trace && gp_checkpoint_check_name(a->trace, "safetensors") ? gp_error() : NULL;
}

int main(int argc, char **argv)
{
    session s = {.a = {.max_tokens = 200,
                       .num_samples = 1,
                       .batch = 16,
                       .draft_tokens = 8,
                       .temperature = 0.8,
                       .top_p = 1,
                       .repetition_penalty = 1,
                       .stride = -1,
                       .seed = 1,
                       .allow_special = true,
                       .echo = true}};
    const args *a = &s.a;
    signal(SIGPIPE, SIG_DFL); /* a closed pipe ends the tool silently, even if the parent ignores SIGPIPE */
    int rc = gp_tool_start(&tool, &s.a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    const char *problem = take_operands(&s.a);
    if (!problem && gp_options_check(&tool, a))
        return GP_OPTIONS_USAGE;
    if (!problem)
        problem = check_files(a);
    if (problem)
        return gp_tool_usage(&tool, "%s", problem);
    s.how = (gp_generation){
        .sampling = {a->temperature, a->top_k, a->top_p, a->min_p, (uint64_t)a->seed, a->repetition_penalty},
        .samples = a->num_samples,
        .batch = a->batch,
        .max_tokens = a->max_tokens,
        .draft_tokens = a->draft ? a->draft_tokens : 0,
        .stop_at_end_of_text = !a->ignore_end,
        .logprobs = a->json,
        .top_logprobs = a->json ? a->top_logprobs : 0,
    };
    if (read_lists(&s)) {
        rc = gp_tool_usage(&tool, "%s", gp_error());
        release(&s);
        return rc;
    }
    gp_output *out = gp_output_open(a->out);
    gp_backend *be = !out ? NULL : gp_backend_open_kind(a->backend, a->dtype, (int)a->threads);
    if (be && gp_backend_warning(be) && !a->quiet)
        fprintf(stderr, "sample: %s; using backend %s\n", gp_backend_warning(be), gp_backend_name(be));
    bool ready = be && !gp_backend_set_cache(be, a->cache_dtype);
    gp_checkpoint *ckpt = ready ? gp_checkpoint_open(a->checkpoint ? a->checkpoint : "-") : NULL;
    s.be = be;
    s.m = ckpt ? gp_checkpoint_model(ckpt, be, a->trace_grad) : NULL;
    s.out = out ? gp_output_stream(out) : NULL;
    rc = s.m ? run(&s, ckpt) : -1;
    for (const char *remark; be && !a->quiet && (remark = gp_backend_remark(be));)
        gp_tool_warning(&tool, remark);
    if (!rc)
        rc = gp_checkpoint_check_unchanged(ckpt);
    if (out && gp_output_close(out, rc == 0))
        rc = -1;
    release(&s);
    gp_checkpoint_close(ckpt);
    gp_backend_close(be);
    return gp_tool_exit(&tool, rc);
}
