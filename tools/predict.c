/* predict: what a checkpoint predicts for each line of a text. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/machine.h"
#include "gptpipe/output.h"
#include "gptpipe/predict.h"

#define FORMATS(X)                                                                                                     \
    X(FORMAT_JSONL, "jsonl")                                                                                           \
    X(FORMAT_SAFETENSORS, "safetensors")
typedef enum format { FORMATS(GP_CHOICE_VALUE) } format;

typedef struct args {
    const char *checkpoint, *input, *jsonl, *out;
    gp_predict_task task;
    gp_pooling pooling;
    gp_truncation truncate;
    format format;
    gp_backend_kind backend;
    gp_compute_dtype dtype;
    gp_list targets, operands;
    int64_t top_k, threads;
    bool normalize, lines, quiet;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"Input", .type = GP_OPT_GROUP},
    {"checkpoint", 'c', GP_OPT_STRING, offsetof(args, checkpoint), "PATH", "checkpoint of any format that convert-gpt2 reads: a file, a folder or a run", .nonempty = true},
    {"input", 'i', GP_OPT_STRING, offsetof(args, input), "FILE|-", "texts, one per line", .default_text = "stdin", .nonempty = true},
    {"jsonl", 0, GP_OPT_STRING, offsetof(args, jsonl), "FIELD", "the input is JSON Lines, and the text is this member; \"text_pair\" is the second text of a pair, and \"id\" is repeated with the result", .default_text = "text, if the first line is an object with that member", .nonempty = true, .excludes = "lines"},
    {"lines", 0, GP_OPT_FLAG, offsetof(args, lines), NULL, "each line is a text, even if the first looks like JSON"},
    {"truncate", 0, GP_OPT_CHOICE, offsetof(args, truncate), "WHICH", "what is kept of a text that has more tokens than the model has positions; none: it is an error", .choices = GP_CHOICES(GP_TRUNCATIONS)},

    {"Prediction", .type = GP_OPT_GROUP},
    {"task", 't', GP_OPT_CHOICE, offsetof(args, task), "WHICH", "what to predict: tokens at a mask, a label, an embedding, the next token", .choices = GP_CHOICES(GP_PREDICT_TASKS), .default_text = "what the model's head computes, or embed"},
    {"top-k", 'k', GP_OPT_INT, offsetof(args, top_k), "K", "the K most likely tokens, or an array of the K most likely labels", .min = 1, .max = 1e9, .default_text = "5 tokens; the one label"},
    {"targets", 0, GP_OPT_LIST, offsetof(args, targets), "TOKEN", "rank only these tokens, written as in the vocabulary; their scores remain those among all tokens"},
    {"pooling", 0, GP_OPT_CHOICE, offsetof(args, pooling), "WHICH", "the hidden states that are an embedding: the mean of all tokens, the first, or the last", .choices = GP_CHOICES(GP_POOLINGS)},
    {"normalize", 0, GP_OPT_FLAG, offsetof(args, normalize), NULL, "divide an embedding by its Euclidean norm"},

    {"Output", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "output", .default_text = "stdout", .nonempty = true},
    {"format", 0, GP_OPT_CHOICE, offsetof(args, format), "WHICH", "a line of JSON for each text, or all embeddings as one tensor", .choices = GP_CHOICES(FORMATS)},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "do not print progress and speed"},

    {"Machine", .type = GP_OPT_GROUP},
    GP_OPTION_BACKEND(offsetof(args, backend), NULL),
    GP_OPTION_DTYPE(offsetof(args, dtype), NULL),
    GP_OPTION_THREADS(0, offsetof(args, threads), NULL),
    {0},
};

static const gp_tool tool = {
    .name = "predict",
    .summary = "predicts masked tokens, labels, embeddings or next tokens for lines of text",
    .usage = "[OPTION]... CHECKPOINT [FILE]",
    .description =
        "Reads a text per line, or JSON Lines, and prints a line of JSON for each, in the same order: what transformers' "
        "pipeline returns for that text. fill-mask: an array of {score, token, token_str, sequence}, or an array of such "
        "arrays for several masks. classify: {label, score}, or an array of them with --top-k. embed: an array of "
        "numbers. next: an array of {score, token, token_str} for the token after the text. For an object with an \"id\" "
        "the line is {\"id\": ..., \"result\": ...}.\n\n"
        "Texts are encoded as transformers encodes them: special tokens are put around them, and the names of special "
        "tokens, such as [MASK] or <mask>, become these tokens.\n\n"
        "A result depends on its line alone: it has the same bits whatever other lines there are. Lines that have arrived "
        "are computed together, in batches by length; results are printed as soon as no more lines are waiting.\n\n"
        "At a line that cannot be predicted, such as a text without a mask, predict stops with the line's number and "
        "exits with 1. On stdout the results of all lines before it have been printed; with --out there is no file.",
    .examples = "# the words that fit\necho 'Paris is the [MASK] of France.' | predict bert-base-uncased\n"
                "# a label for each review, with its id\npredict -c run reviews.jsonl\n"
                "# embeddings as sentence-transformers computes them\n"
                "predict -c all-MiniLM-L6-v2 --task embed --normalize sentences.txt\n"
                "# the same as one tensor\n"
                "predict -c all-MiniLM-L6-v2 --task embed --format safetensors -o vectors.safetensors sentences.txt\n"
                "# the most likely next tokens\necho 'Once upon a' | predict gpt2 --top-k 10",
    .options = options,
    .positionals = 1 + offsetof(args, operands),
    .computes = true,
};
/* clang-format on */

/* Takes CHECKPOINT and FILE from the operands, unless they are options. Returns an error message or NULL. */
static const char *take_operands(args *a)
{
    int next = 0;
    if (a->operands.count > next && !a->checkpoint)
        a->checkpoint = a->operands.items[next++];
    if (a->operands.count > next && !a->input)
        a->input = a->operands.items[next++];
    if (a->operands.count > next)
        return "the operands are CHECKPOINT and FILE, and --checkpoint or --input may be one of them";
    a->input = a->input ? a->input : "-";
    return a->checkpoint ? NULL : "no checkpoint: name one";
}

/* Returns an error message or NULL. */
static const char *check_files(const args *a)
{
    bool tensors = a->format == FORMAT_SAFETENSORS;
    if (!strcmp(a->checkpoint, "-") && !strcmp(a->input, "-"))
        return "stdin cannot be both the checkpoint and the texts: name a FILE";
    if (tensors && gp_output_is_terminal(a->out))
        return "--format safetensors writes tensors, which cannot be written to a terminal: name a file with --out";
    if (gp_output_replaces(a->out, a->input))
        return "--out would replace the input file: name another";
    if (tensors && a->task != GP_PREDICT_BY_HEAD && a->task != GP_PREDICT_EMBED)
        return "--format safetensors is for embeddings: --task embed";
    return tensors && a->out && gp_checkpoint_check_name(a->out, "safetensors") ? gp_error() : NULL;
}

/* Refuses options without effect on what the model predicts. */
static int check_task(const args *a, const gp_config *c)
{
    static const struct {
        const char *option;
        bool tasks[GP_PREDICT_NEXT + 1]; /* on which it has an effect */
    } effects[] = {
        {"top-k", {[GP_PREDICT_FILL_MASK] = true, [GP_PREDICT_CLASSIFY] = true, [GP_PREDICT_NEXT] = true}},
        {"targets", {[GP_PREDICT_FILL_MASK] = true, [GP_PREDICT_NEXT] = true}},
        {"pooling", {[GP_PREDICT_EMBED] = true}},
        {"normalize", {[GP_PREDICT_EMBED] = true}},
    };
    gp_predict_task task = a->format == FORMAT_SAFETENSORS ? GP_PREDICT_EMBED : a->task;
    if (task == GP_PREDICT_BY_HEAD)
        task = gp_predict_task_of(c);
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++)
        if (gp_options_on_command_line(&tool, effects[i].option) && !effects[i].tasks[task])
            return gp_fail("--%s has no effect on %s", effects[i].option, gp_predict_task_name(task));
    return 0;
}

static int predict(const args *a, gp_model *m, const gp_tokenizer *t, const gp_predict_options *o, const char *dtype)
{
    gp_predict_stats stats;
    gp_output *out = NULL;
    int rc;
    if (a->format == FORMAT_SAFETENSORS) {
        rc = gp_predict_embeddings(m, t, a->input, o, a->out ? a->out : "-", &stats);
    } else {
        out = gp_output_open(a->out);
        rc = out ? gp_predict_file(m, t, a->input, o, gp_output_stream(out), &stats) : -1;
    }
    if (out && gp_output_close(out, rc == 0))
        rc = -1;
    if (!rc && !a->quiet && stats.texts)
        fprintf(stderr, "predict: %lld text%s, %lld token%s in %.2f s, %.0f texts/s, %s\n", (long long)stats.texts,
                gp_plural(stats.texts), (long long)stats.tokens, gp_plural(stats.tokens), stats.seconds,
                (double)stats.texts / stats.seconds, dtype);
    return rc;
}

static int run(const args *a, gp_checkpoint *ckpt, gp_backend *be)
{
    gp_tokenizer *t = NULL;
    gp_model *m = NULL;
    int32_t *ids = NULL;
    char *warning = NULL;
    gp_predict_options o = {.task = a->task,
                            .top_k = a->top_k > 0 ? a->top_k : 0,
                            .pooling = a->pooling,
                            .normalize = a->normalize,
                            .truncate = a->truncate,
                            .jsonl = a->jsonl,
                            .lines = a->lines,
                            .quiet = a->quiet};
    int rc = -1;
    gp_tool_warning(&tool, gp_checkpoint_warning(ckpt));
    gp_tool_warning(&tool, a->quiet ? NULL : gp_checkpoint_tokenizer_warning(ckpt));
    if (check_task(a, gp_checkpoint_config(ckpt)) || gp_checkpoint_open_tokenizer(ckpt, &t))
        goto out;
    if (a->targets.count && t) {
        if (gp_predict_targets(t, &a->targets, &ids, &o.target_count, &warning)) {
            gp_fail_in("--targets");
            goto out;
        }
        o.targets = ids;
        gp_tool_warning(&tool, a->quiet ? NULL : warning);
    }
    m = gp_checkpoint_model(ckpt, be, false);
    if (m)
        rc = predict(a, m, t, &o, gp_backend_dtype(be));
    if (!rc)
        rc = gp_checkpoint_check_unchanged(ckpt);
out:
    free(ids);
    free(warning);
    gp_tokenizer_close(t);
    gp_model_free(m);
    return rc;
}

int main(int argc, char **argv)
{
    args a = {.top_k = -1};
    signal(SIGPIPE, SIG_DFL); /* a closed pipe ends the tool silently, even if the parent ignores SIGPIPE */
    int rc = gp_tool_start(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    const char *problem = take_operands(&a);
    if (!problem && gp_options_check(&tool, &a))
        return GP_OPTIONS_USAGE;
    if (!problem)
        problem = check_files(&a);
    if (problem)
        return gp_tool_usage(&tool, "%s", problem);
    gp_backend *be = gp_backend_open_kind(a.backend, a.dtype, (int)a.threads);
    if (be && gp_backend_warning(be) && !a.quiet)
        fprintf(stderr, "predict: %s; using backend %s\n", gp_backend_warning(be), gp_backend_name(be));
    gp_checkpoint *ckpt = be ? gp_checkpoint_open(a.checkpoint) : NULL;
    rc = ckpt ? run(&a, ckpt, be) : -1;
    for (const char *remark; be && !a.quiet && (remark = gp_backend_remark(be));)
        gp_tool_warning(&tool, remark);
    gp_checkpoint_close(ckpt);
    gp_backend_close(be);
    return gp_tool_exit(&tool, rc);
}
