/* train: a token stream in, a run directory or a checkpoint out. */
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "gptpipe/backend.h"
#include "gptpipe/config.h"
#include "gptpipe/train.h"

typedef struct args {
    gp_train_options o;
    gp_list operands;
} args;

#define AT(field) offsetof(args, o.field)

/* clang-format off */
static const gp_option options[] = {
    {"Data", .type = GP_OPT_GROUP},
    {"data", 'd', GP_OPT_LIST, AT(data), "FILE", "token stream to train on, as tokenize writes it", .implied = "stdin"},
    {"val", 0, GP_OPT_STRING, AT(val), "FILE", "token stream to evaluate on", .implied = "a part of the data"},
    {"val-fraction", 0, GP_OPT_FLOAT, AT(val_fraction), "F", "without --val: the last part of the data, cut at a document's start, is kept for evaluation", .min = 0, .max = 0.9},
    {"order", 0, GP_OPT_CHOICE, AT(order), "WHICH", "windows at random places, shuffled epochs, one behind the other, or each at the start of a document", .choices = "random|shuffle|sequential|documents"},
    {"format", 0, GP_OPT_CHOICE, AT(format), "WHICH", "format of the stream", .choices = "tok|llmc|raw16", .implied = "recognised"},
    {"vocab-size", 0, GP_OPT_INT, AT(vocab_size), "V", "vocabulary size, for raw streams that do not tell it", .min = 0, .max = 1e8},

    {"Model", .type = GP_OPT_GROUP},
    {"preset", 'p', GP_OPT_CHOICE, AT(preset), "NAME", "sizes of the model", .choices = "nano|gpt2|gpt2-medium|gpt2-large|gpt2-xl"},
    {"init", 0, GP_OPT_STRING, AT(init), "PATH", "\"scratch\", or a checkpoint to begin with (its sizes then hold)"},
    {"layers", 0, GP_OPT_INT, AT(layers), "L", "transformer blocks", .min = 0, .max = 4096, .implied = "the preset's"},
    {"heads", 0, GP_OPT_INT, AT(heads), "H", "attention heads; divides the channels", .min = 0, .max = 65536, .implied = "the preset's"},
    {"channels", 0, GP_OPT_INT, AT(channels), "C", "width of the model", .min = 0, .max = 1 << 20, .implied = "the preset's"},
    {"seq-len", 'T', GP_OPT_INT, AT(seq_len), "T", "tokens a sequence; a model from scratch gets this context", .min = 0, .max = 1 << 24, .implied = "the preset's context"},
    {"dropout", 0, GP_OPT_FLOAT, AT(dropout), "P", "dropout of embeddings, attention and residual branches", .min = 0, .max = 0.95},
    {"init-std", 0, GP_OPT_FLOAT, AT(init_std), "X",
     "standard deviation of fresh weights; behind a residual branch it is X / sqrt(2 layers)", .min = 0, .max = 1},
    {"bias", 0, GP_OPT_FLAG, AT(bias), NULL, "biases in linears and norms, as GPT-2 has"},
    {"tied", 0, GP_OPT_FLAG, AT(tied), NULL, "the head shares the token embedding, as in GPT-2"},

    {"Optimization", .type = GP_OPT_GROUP},
    {"batch-size", 'B', GP_OPT_INT, AT(batch_size), "B", "sequences a micro-batch", .min = 1, .max = 1 << 20},
    {"grad-accum", 0, GP_OPT_INT, AT(grad_accum), "N", "micro-batches a step", .min = 1, .max = 1 << 20},
    {"steps", 's', GP_OPT_INT, AT(steps), "N", "optimizer steps", .min = 0, .max = 1e12},
    {"lr", 0, GP_OPT_FLOAT, AT(lr), "X", "peak learning rate", .min = 0, .max = 10},
    {"min-lr", 0, GP_OPT_FLOAT, AT(min_lr), "X", "learning rate at the end of the cosine", .min = 0, .max = 10},
    {"warmup", 0, GP_OPT_INT, AT(warmup), "N", "steps of linear warm-up", .min = 0, .max = 1e12},
    {"decay-steps", 0, GP_OPT_INT, AT(decay_steps), "N", "step at which the cosine reaches --min-lr", .min = 0, .max = 1e12, .implied = "--steps"},
    {"beta1", 0, GP_OPT_FLOAT, AT(beta1), "X", "AdamW's first decay rate", .min = 0, .max = 0.999999},
    {"beta2", 0, GP_OPT_FLOAT, AT(beta2), "X", "AdamW's second decay rate", .min = 0, .max = 0.999999},
    {"eps", 0, GP_OPT_FLOAT, AT(eps), "X", "AdamW's epsilon", .min = 1e-20, .max = 1},
    {"weight-decay", 0, GP_OPT_FLOAT, AT(weight_decay), "X", "decay of weights of two dimensions", .min = 0, .max = 10},
    {"grad-clip", 0, GP_OPT_FLOAT, AT(grad_clip), "X", "largest norm of the gradients; 0 = no clipping", .min = 0, .max = 1e9},
    {"seed", 0, GP_OPT_INT, AT(seed), "N", "of weights, data order and dropout", .min = 0, .max = 9e15},

    {"What is told and kept", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, AT(out), "DIR|-", "run directory to make, or - for a checkpoint on stdout", .implied = "- into a pipe or file, else run"},
    {"run", 0, GP_OPT_STRING, AT(run), "DIR", "with --out -: a run directory beside it"},
    {"resume", 0, GP_OPT_STRING, AT(resume), "RUN", "go on with a run, with its options unless given here", .unlogged = true},
    {"eval-every", 0, GP_OPT_INT, AT(eval_every), "N", "steps between evaluations; 0 = only at the end", .min = 0, .max = 1e12},
    {"eval-batches", 0, GP_OPT_INT, AT(eval_batches), "N", "batches an evaluation takes; 0 = no evaluation", .min = 0, .max = 1e9},
    {"eval-documents", 0, GP_OPT_FLAG, AT(eval_documents), NULL, "at the end, score validation documents whole where their entropy is known (stories), beside that floor"},
    {"save-every", 0, GP_OPT_INT, AT(save_every), "N", "steps between checkpoints; 0 = only at the end", .min = 0, .max = 1e12},
    {"keep", 0, GP_OPT_INT, AT(keep), "N", "newest checkpoints to keep, beside the best", .min = 1, .max = 1e9},
    {"sample-every", 0, GP_OPT_INT, AT(sample_every), "N", "steps between samples in RUN/samples.txt; 0 = none", .min = 0, .max = 1e12},
    {"log-every", 0, GP_OPT_INT, AT(log_every), "N", "steps between lines on a stderr that is no terminal", .min = 1, .max = 1e12},
    {"quiet", 'q', GP_OPT_FLAG, AT(quiet), NULL, "no progress", .unlogged = true},
    {"json", 0, GP_OPT_FLAG, AT(json), NULL, "the closing summary as one JSON object on stderr", .unlogged = true},

    {"Machine", .type = GP_OPT_GROUP},
    {"backend", 0, GP_OPT_CHOICE, AT(backend), "WHICH", "what computes", .choices = "auto|ref|cpu"},
    {"dtype", 0, GP_OPT_CHOICE, AT(dtype), "WHICH", "of matrix products; sums are fp32", .choices = "auto|fp32|bf16"},
    {"threads", 't', GP_OPT_INT, AT(threads), "N", "threads", .min = 0, .max = 4096, .implied = "the machine's cores"},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "train",
    .summary = "trains a GPT-2 on a token stream",
    .usage = "[OPTION]... [FILE]",
    .description =
        "Reads a token stream (FILE, --data, or stdin), trains a model, and leaves a run directory that "
        "sample, "
        "eval-mfu, convert-gpt2 and transformers' from_pretrained load; or, with --out -, one checkpoint on "
        "stdout.\n\n"
        "A run directory holds checkpoints, log.jsonl (one object a step) and config.yaml, every option of "
        "the "
        "run: `train --config RUN/config.yaml -o AGAIN` repeats it, `train --resume RUN` goes on with it.\n\n"
        "Ctrl-C finishes the step, saves a checkpoint and says how to go on.",
    .examples = "# a small model of Shakespeare's characters\n"
                "train --data shakespeare.tok --preset nano --seq-len 64 --steps 2000 -o run\n"
                "# the whole line in one pipe\n"
                "fetch-data stories | tokenize --tokenizer char | train --preset nano --steps 200 | sample "
                "--prompt 'Once'\n"
                "# 1000 steps more\n"
                "train --resume run --steps 3000",
    .options = options,
    .positionals = 1 + offsetof(args, operands),
};

/* stdout takes the checkpoint where it is a pipe or a file; a terminal or /dev/null does not want one. */
static bool stdout_wants_data(void)
{
    struct stat st;
    return !fstat(STDOUT_FILENO, &st) &&
           (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* A resumed run begins with the options that it logged; what stands on the command line wins. */
static int parse(args *a, int argc, char **argv)
{
    int rc = gp_options_parse(&tool, a, argc, argv);
    if (rc != GP_OPTIONS_RUN || !a->o.resume)
        return rc;
    char path[4096];
    snprintf(path, sizeof path, "%s/config.yaml", a->o.resume);
    *a = (args){.o = gp_train_defaults()};
    if (gp_options_load(&tool, a, path))
        return gp_tool_exit(&tool, -1);
    return gp_options_parse(&tool, a, argc, argv);
}

int main(int argc, char **argv)
{
    gp_backend_prepare(argv);
    args a = {.o = gp_train_defaults()};
    int rc = parse(&a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (a.operands.count && a.o.data.count)
        return gp_tool_usage(&tool, "the token stream is given twice: %s and --data %s", a.operands.items[0],
                             a.o.data.items[0]);
    if (a.operands.count)
        a.o.data = a.operands;
    if (a.o.data.count > 1)
        return gp_tool_usage(&tool, "%d token streams are given; train reads one", a.o.data.count);
    if (a.o.resume && gp_options_given(&tool, "init") && strcmp(a.o.init, "scratch"))
        return gp_tool_usage(&tool, "--resume goes on with a run, --init begins one: give one of them");
    if (!a.o.data.count && !a.o.resume && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool, "no token stream: give a FILE, or pipe one in (tokenize makes them)");
    if (!a.o.out)
        a.o.out = stdout_wants_data() ? "-" : "run";
    a.o.tool = &tool;
    a.o.args = &a;
    rc = gp_train(&a.o);
    return rc > 0 ? rc : gp_tool_exit(&tool, rc);
}
