/* train: a token stream in, a run directory or a checkpoint out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/config.h"
#include "gptpipe/machine.h"
#include "gptpipe/output.h"
#include "gptpipe/train.h"

typedef struct args {
    gp_train_options o;
} args;

#define AT(field) offsetof(args, o.field)

/* clang-format off */
static const gp_option options[] = {
    {"Data", .type = GP_OPT_GROUP},
    {"data", 'd', GP_OPT_LIST, AT(data), "FILE[=W]", "token stream to train on, as written by tokenize or llm.c, or a quoted pattern ('shard_*.bin'); several are read as one long stream, in order, or, with a weight each, as sets with that share of the rows", .default_text = "stdin", .nonempty = true},
    {"val", 0, GP_OPT_LIST, AT(val), "[NAME=]FILE", "token stream, or pattern, to evaluate on; each --val is a separate set with its own loss, and the loss of the first decides which checkpoint is best", .default_text = "a part of the data", .nonempty = true},
    {"val-fraction", 0, GP_OPT_FLOAT, AT(val_fraction), "F", "without --val: fraction of the data to evaluate on, taken from its end, from the start of a document", .min = 0, .max = 0.9, .excludes = "val|eval-batches=0"},
    {"order", 0, GP_OPT_CHOICE, AT(order), "WHICH", "windows at random positions, shuffled epochs, one after the other, or each at the start of a document", .choices = GP_CHOICES(GP_DATA_ORDERS)},
    {"format", 0, GP_OPT_CHOICE, AT(format), "WHICH", "format of the stream", .choices = GP_CHOICES(GP_STREAM_FORMATS), .default_text = "recognised"},
    {"vocab-size", 0, GP_OPT_INT, AT(vocab_size), "V", "vocabulary size, for raw streams, which do not record it", .min = 0, .max = 1e8},

    {"Model", .type = GP_OPT_GROUP},
    {"preset", 'p', GP_OPT_CHOICE, AT(preset), "NAME", "family and sizes of the model", .choices = GP_CHOICES(GP_PRESETS), .default_text = "nano (bert-nano with --objective mlm), or what --init has"},
    {"init", 0, GP_OPT_STRING, AT(init), "PATH", "\"scratch\", or a checkpoint to begin with: a file, a folder, a run (its last) or RUN/best; its sizes replace those of the preset", .nonempty = true},
    {"layers", 0, GP_OPT_INT, AT(layers), "L", "transformer blocks", .min = 0, .max = 4096, .default_text = "the preset's"},
    {"heads", 0, GP_OPT_INT, AT(heads), "H", "attention heads; must divide the channels", .min = 0, .max = 65536, .default_text = "the preset's"},
    {"channels", 0, GP_OPT_INT, AT(channels), "C", "width of the model", .min = 0, .max = 1 << 20, .default_text = "the preset's"},
    {"seq-len", 'T', GP_OPT_INT, AT(seq_len), "T", "tokens per sequence; also the context of a model from scratch, while one of --init keeps its own", .min = 0, .max = 1 << 24, .default_text = "the preset's context"},
    {"crop", 0, GP_OPT_FLAG, AT(crop), NULL, "a smaller --seq-len cuts the context of --init's model down to it; else the model keeps its context and trains on shorter sequences", .excludes = "resume|init=scratch"},
    {"dropout", 0, GP_OPT_FLOAT, AT(dropout), "P", "dropout of embeddings, attention and residual branches", .min = 0, .max = 0.95},
    {"init-std", 0, GP_OPT_FLOAT, AT(init_std), "X",
     "standard deviation of initial weights; at the end of a residual branch it is X / sqrt(2 layers)", .min = 0, .max = 1, .needs = "init=scratch"},
    {"bias", 0, GP_OPT_FLAG, AT(bias), NULL, "biases in linears and norms, as GPT-2 has"},
    {"tied", 0, GP_OPT_FLAG, AT(tied), NULL, "the head shares the token embedding, as in GPT-2"},

    {"Objective", .type = GP_OPT_GROUP},
    {"objective", 0, GP_OPT_CHOICE, AT(objective), "WHICH", "what is predicted: the next token; masked tokens, between the tokens that the tokenizer puts around a text ([CLS] and [SEP]); or the label of each item of a labelled stream, for which a model with another head gets a new one", .choices = GP_CHOICES(GP_OBJECTIVES), .default_text = "what the model's head is for: GPT-2 lm, BERT and RoBERTa mlm"},
    {"mlm-probability", 0, GP_OPT_FLOAT, AT(mlm_probability), "P", "mlm: fraction of a sequence's tokens that are predicted; special and added tokens never are", .min = 1e-4, .max = 1},
    {"mask-replace-prob", 0, GP_OPT_FLOAT, AT(mask_replace_prob), "P", "mlm: probability that a predicted token is replaced by the mask token", .min = 0, .max = 1},
    {"random-replace-prob", 0, GP_OPT_FLOAT, AT(random_replace_prob), "P", "mlm: probability that it is replaced by a random one; otherwise it stays as it is", .min = 0, .max = 1},
    {"whole-words", 0, GP_OPT_FLAG, AT(whole_words), NULL, "mlm: mask all tokens of a word or none"},

    {"truncate", 0, GP_OPT_CHOICE, AT(truncate), "WHAT", "classify: what remains of an item longer than --seq-len: its head, its head and its tail, or none: it is an error", .choices = GP_CHOICES(GP_TRUNCATIONS)},
    {"class-weights", 0, GP_OPT_STRING, AT(class_weights), "X,...", "classify: weight of label 0, 1, ... in the loss; balanced: by how rare a label is", .default_text = "all 1", .nonempty = true},
    {"label-smoothing", 0, GP_OPT_FLOAT, AT(label_smoothing), "X", "classify: share of the target that all labels have in equal parts", .min = 0, .max = 0.999},

    {"Optimization", .type = GP_OPT_GROUP},
    {"batch-size", 'B', GP_OPT_INT, AT(batch_size), "B", "sequences per micro-batch", .min = 1, .max = 1 << 20},
    {"grad-accum", 0, GP_OPT_INT, AT(grad_accum), "N", "micro-batches per step", .min = 1, .max = 1 << 20},
    {"steps", 's', GP_OPT_INT, AT(steps), "N", "optimizer steps", .min = 0, .max = 1e12, .replaces = "epochs|tokens"},
    {"epochs", 0, GP_OPT_FLOAT, AT(epochs), "X", "instead of --steps: passes over the training data; 0.5 is half a pass", .min = 1e-9, .max = 1e9, .replaces = "steps|tokens"},
    {"tokens", 0, GP_OPT_INT, AT(tokens), "N", "instead of --steps: total number of tokens to train on", .min = 1, .max = 1e17, .replaces = "steps|epochs"},
    {"max-time", 0, GP_OPT_TIME, AT(max_time), "TIME", "90s, 10m, 2h: then the step is completed and saved, and --resume continues; the schedule keeps its steps", .min = 0.001, .max = 1e9},
    {"schedule", 0, GP_OPT_CHOICE, AT(schedule), "WHICH", "of the learning rate after the warm-up; wsd keeps it constant and decays it by 1 - sqrt at the end", .choices = GP_CHOICES(GP_SCHEDULES)},
    {"lr", 0, GP_OPT_FLOAT, AT(lr), "X", "peak learning rate", .min = 0, .max = 10, .default_text = "by width: nano 2e-3, gpt2 6e-4, medium 3e-4, large 2.5e-4, xl 2e-4, bert-nano 2e-3, bert-base 1e-4; with --init 3e-5"},
    {"min-lr", 0, GP_OPT_FLOAT, AT(min_lr), "X", "learning rate at the end of the schedule", .min = 0, .max = 10, .default_text = "2e-4, at most --lr; a tenth of an --lr that is not given", .excludes = "schedule=constant"},
    {"warmup", 0, GP_OPT_INT, AT(warmup), "N", "steps of linear warm-up", .min = 0, .max = 1e12},
    {"decay-steps", 0, GP_OPT_INT, AT(decay_steps), "N", "step at which the schedule reaches --min-lr", .min = 0, .max = 1e12, .default_text = "--steps", .excludes = "schedule=constant"},
    {"decay-fraction", 0, GP_OPT_FLOAT, AT(decay_fraction), "F", "fraction of --decay-steps, at their end, in which the rate decays", .min = 0, .max = 1, .needs = "schedule=wsd"},
    {"beta1", 0, GP_OPT_FLOAT, AT(beta1), "X", "AdamW's first decay rate", .min = 0, .max = 0.999999},
    {"beta2", 0, GP_OPT_FLOAT, AT(beta2), "X", "AdamW's second decay rate", .min = 0, .max = 0.999999},
    {"eps", 0, GP_OPT_FLOAT, AT(eps), "X", "AdamW's epsilon", .min = 1e-20, .max = 1},
    {"weight-decay", 0, GP_OPT_FLOAT, AT(weight_decay), "X", "decay of weights of two dimensions", .min = 0, .max = 10},
    {"layer-decay", 0, GP_OPT_FLOAT, AT(layer_decay), "X", "layer-wise learning rates: a block's is X times that of the block above it", .min = 1e-3, .max = 1},
    {"freeze", 0, GP_OPT_STRING, AT(freeze), "N|embeddings", "do not train the embeddings, nor the N lowest blocks", .default_text = "none", .nonempty = true},
    {"grad-clip", 0, GP_OPT_FLOAT, AT(grad_clip), "X", "largest norm of the gradients; 0 = no clipping", .min = 0, .max = 1e9},
    {"skip-loss-z", 0, GP_OPT_FLOAT, AT(skip_loss_z), "Z", "make no update where the loss is more than Z standard deviations above the mean of the last 128 steps; 0 = always update", .min = 0, .max = 11},
    {"skip-norm-z", 0, GP_OPT_FLOAT, AT(skip_norm_z), "Z", "the same for the gradient norm", .min = 0, .max = 11},
    {"seed", 0, GP_OPT_INT, AT(seed), "N", "of weights, data order and dropout", .min = 0, .max = 9e15},

    {"Output and checkpoints", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, AT(out), "DIR|-", "run directory to create, or - for a checkpoint on stdout", .default_text = "- into a pipe or file, else run", .nonempty = true},
    {"run", 0, GP_OPT_STRING, AT(run), "DIR", "with --out -: also write a run directory", .nonempty = true, .excludes = "resume"},
    {"resume", 0, GP_OPT_STRING, AT(resume), "RUN", "continue a run, with its options unless given here; RUN/ckpt-N or RUN/best goes back to that checkpoint first and removes what came after it", .unlogged = true, .nonempty = true},
    {"eval-every", 0, GP_OPT_INT, AT(eval_every), "N", "steps between evaluations, in addition to those at each checkpoint; 0 = only these", .min = 0, .max = 1e12, .excludes = "eval-batches=0"},
    {"eval-batches", 0, GP_OPT_INT, AT(eval_batches), "N", "batches an evaluation takes; 0 = no evaluation", .min = 0, .max = 1e9},
    {"eval-documents", 0, GP_OPT_FLAG, AT(eval_documents), NULL, "at the end, score validation documents whole where their entropy is known (stories), and print that entropy too"},
    {"save-every", 0, GP_OPT_INT, AT(save_every), "N", "steps between checkpoints; 0 = only at the end", .min = 0, .max = 1e12},
    {"keep", 0, GP_OPT_INT, AT(keep), "N", "newest checkpoints to keep, in addition to the best", .min = 1, .max = 1e9},
    {"sample-every", 0, GP_OPT_INT, AT(sample_every), "N", "steps between samples in RUN/samples.txt; 0 = none", .min = 0, .max = 1e12},
    {"log-every", 0, GP_OPT_INT, AT(log_every), "N", "steps between progress lines where stderr is not a terminal", .min = 1, .max = 1e12},
    {"tensorboard", 0, GP_OPT_FLAG, AT(tensorboard), NULL, "also write RUN/events.out.tfevents.train, for TensorBoard"},
    {"dry-run", 0, GP_OPT_FLAG, AT(dry_run), NULL, "print parameters, FLOPs, memory and, from a few timed steps, the duration of the run (with --resume: of the rest of it); nothing is written (with --json: as an object)", .unlogged = true},
    {"quiet", 'q', GP_OPT_FLAG, AT(quiet), NULL, "no progress", .unlogged = true},
    {"json", 0, GP_OPT_FLAG, AT(json), NULL, "print the final summary as one JSON object on stderr", .unlogged = true},

    {"Machine", .type = GP_OPT_GROUP},
    GP_OPTION_BACKEND(AT(backend), NULL),
    GP_OPTION_TRAINING_DTYPE(AT(dtype)),
    {"master-weights", 0, GP_OPT_FLAG, AT(master_weights), NULL, "with --dtype bf16: the weights in fp32, of which products read a copy in bf16. Without, matrices are in bf16 only and every update rounds them stochastically: 4 bytes per parameter less, on cuda and ref"},
    {"attention", 0, GP_OPT_CHOICE, AT(attention), "WHICH", "library that computes it on a GPU: the backend's own kernels, cuDNN (bf16, without dropout), or cuDNN for one of the passes; or the fastest on this batch, measured once when the run begins and recorded with it", .choices = GP_CHOICES(GP_ATTENTIONS_OR_MEASURE)},
    {"products", 0, GP_OPT_CHOICE, AT(products), "WHICH", "algorithm of each matrix product on a GPU: the library's first heuristic choice, or the fastest of a few on this batch, with or without fused epilogue, measured once when the run begins and recorded with it", .choices = GP_CHOICES(GP_PRODUCTS)},
    GP_OPTION_THREADS('t', AT(threads), NULL),
    {"recompute", 0, GP_OPT_CHOICE, AT(recompute), "WHAT", "activations to recompute in the backward pass instead of storing: none, the outputs of norms and GELU, or all within a block: less memory, more time", .choices = GP_CHOICES(GP_RECOMPUTES)},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "train",
    .summary = "trains a GPT-2, BERT or RoBERTa on a token stream",
    .usage = "[OPTION]... [FILE[=WEIGHT]]...",
    .description =
        "Reads a token stream (FILE, --data, or stdin), trains a model, and leaves a run directory that sample, "
        "eval-mfu, convert-gpt2 and transformers' from_pretrained load; or, with --out -, one checkpoint on stdout.\n\n"
        "A run directory holds checkpoints, log.jsonl (one object a step) and config.yaml, every option of the "
        "run: `train --config RUN/config.yaml -o AGAIN` repeats it, `train --resume RUN` continues it.\n\n"
        "Ctrl-C finishes the step, saves a checkpoint and prints how to continue, as SIGTERM and a terminal that hangs "
        "up do; a second one ends at once.",
    .examples = "# a small model of Shakespeare's characters\n"
                "train --data shakespeare.tok --preset nano --seq-len 64 --steps 2000 -o run\n"
                "# the whole line in one pipe\n"
                "fetch-data stories | tokenize --tokenizer char | train --preset nano --steps 200 | sample "
                "--prompt 'Once'\n"
                "# llm.c's shards, in its order, for eight hours at a rate that falls when the run is resumed to its "
                "end\n"
                "train 'fineweb_train_*.bin' --val 'fineweb_val_*.bin' --preset gpt2 --order sequential --schedule "
                "wsd --steps 1e9 --max-time 8h -o web\n"
                "# a small BERT, on a stream whose tokenizer has a mask token\n"
                "train bert.tok --preset bert-nano --steps 1000 -o bert\n"
                "# a classifier of labelled reviews, fine-tuned from a folder with BERT\n"
                "train reviews.tok --objective classify --init bert-base-uncased --epochs 3 -o reviews\n"
                "# 1000 steps more\n"
                "train --resume run --steps 3000",
    .options = options,
    .positionals = 1 + AT(data), /* FILE is --data FILE */
    .computes = true,
};

/* Relative names in the run's config.yaml, unless the command line replaces them, are relative to the folder in which
 * the run was made. */
static int find_files(args *a, args *before, const char *config)
{
    gp_list *data = gp_options_given(&tool, "data") ? NULL : &a->o.data,
            *val = gp_options_given(&tool, "val") ? NULL : &a->o.val;
    if (gp_train_find_files(config, data, val, &a->o.init))
        return -1;
    if (data) /* another path to the same file is no change */
        before->o.data = *data;
    if (val)
        before->o.val = *val;
    before->o.init = a->o.init;
    return 0;
}

/* --preset or --init on the command line replaces the sizes of a --config file, such as a run's config.yaml. */
static void replace_sizes(args *a)
{
    struct {
        const char *name;
        int64_t *value;
    } sizes[] = {
        {"layers", &a->o.layers}, {"heads", &a->o.heads}, {"channels", &a->o.channels}, {"seq-len", &a->o.seq_len}};
    bool preset = gp_options_on_command_line(&tool, "preset"), init = gp_options_on_command_line(&tool, "init");
    for (size_t i = 0; (preset || init) && i < sizeof sizes / sizeof *sizes; i++) {
        if (!*sizes[i].value || gp_options_on_command_line(&tool, sizes[i].name))
            continue;
        if (!a->o.quiet)
            fprintf(stderr, "train: --%s takes the place of the file's %s: %lld\n", init ? "init" : "preset",
                    sizes[i].name, (long long)*sizes[i].value);
        *sizes[i].value = 0;
    }
    if (init && !preset)
        a->o.preset = GP_PRESET_NONE;
}

/* A resumed run begins with the options that it logged (*before); those on the command line replace them. */
static int parse(args *a, args *before, int argc, char **argv)
{
    int rc = gp_tool_start(&tool, a, argc, argv);
    if (rc == GP_OPTIONS_RUN && !a->o.resume)
        replace_sizes(a);
    if (rc != GP_OPTIONS_RUN || !a->o.resume)
        return rc;
    if (strcmp(a->o.init, "scratch"))
        return gp_tool_usage(&tool, "--resume continues a run, --init begins one: give one of them");
    if (a->o.out && strcmp(a->o.out, "-"))
        return gp_tool_usage(&tool, "--resume writes into its run, --out makes a new one: give one of them");
    char *config = gp_train_resumable(a->o.resume);
    if (!config)
        return gp_tool_exit(&tool, -1);
    *before = (args){.o = gp_train_defaults()};
    *a = (args){.o = gp_train_defaults()};
    bool bad = gp_options_load(&tool, before, config) || gp_options_load(&tool, a, config);
    a->o.args_before = before;
    rc = bad ? gp_tool_exit(&tool, -1) : gp_options_parse(&tool, a, argc, argv);
    if (rc == GP_OPTIONS_RUN && find_files(a, before, config))
        rc = gp_tool_exit(&tool, -1);
    free(config);
    if (!a->o.out) /* a --config file that does not set them must not reset what the run has decided */
        a->o.out = before->o.out;
    if (!a->o.preset)
        a->o.preset = before->o.preset;
    return rc;
}

/* Options that need a run directory, unless they have their defaults. */
static int check_run(const args *a)
{
    const struct {
        const char *name;
        bool on;
    } needs_run[] = {{"tensorboard", a->o.tensorboard},
                     {"sample-every", a->o.sample_every > 0},
                     {"save-every", gp_options_on_command_line(&tool, "save-every")},
                     {"keep", gp_options_on_command_line(&tool, "keep")}};
    if (gp_options_on_command_line(&tool, "run") && strcmp(a->o.out, "-") && strcmp(a->o.out, a->o.run))
        return gp_tool_usage(&tool, "--run requires --out -: --out %s makes a run directory itself", a->o.out);
    if (strcmp(a->o.out, "-") || a->o.run || a->o.resume)
        return 0;
    for (size_t i = 0; i < sizeof needs_run / sizeof *needs_run; i++)
        if (needs_run[i].on)
            return gp_tool_usage(&tool, "--%s writes into a run directory: give --run as well as --out -",
                                 needs_run[i].name);
    return 0;
}

int main(int argc, char **argv)
{
    args a = {.o = gp_train_defaults()}, before = a;
    int rc = parse(&a, &before, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    rc = gp_options_check(&tool, &a);
    if (rc)
        return rc;
    if (a.o.min_lr > a.o.lr && gp_options_on_command_line(&tool, "lr") && !gp_options_on_command_line(&tool, "min-lr"))
        a.o.min_lr = a.o.lr; /* the --min-lr of a file belongs to the --lr of that file */
    if (a.o.schedule != GP_SCHEDULE_CONSTANT && a.o.min_lr > a.o.lr)
        return gp_tool_usage(&tool, "--min-lr %g is above --lr %g: the rate would rise", a.o.min_lr, a.o.lr);
    if (a.o.decay_steps && a.o.decay_steps <= a.o.warmup && a.o.schedule != GP_SCHEDULE_CONSTANT)
        return gp_tool_usage(&tool, "--decay-steps %lld is not after --warmup %lld", (long long)a.o.decay_steps,
                             (long long)a.o.warmup);
    if (!a.o.data.count && !a.o.resume && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool, "no token stream: give a FILE, or pipe one in (tokenize makes them)");
    if (!a.o.out)
        a.o.out = gp_stdout_takes_data() ? "-" : a.o.run ? a.o.run : "run";
    if (!a.o.dry_run && gp_output_is_terminal(a.o.out))
        return gp_tool_usage(&tool,
                             "a checkpoint cannot be written to a terminal: pipe it, or name a run directory with "
                             "--out");
    rc = check_run(&a);
    if (rc)
        return rc;
    a.o.bias_required = gp_options_on_command_line(&tool, "bias");
    a.o.tied_required = gp_options_on_command_line(&tool, "tied");
    a.o.tool = &tool;
    a.o.args = &a;
    rc = gp_train(&a.o);
    return rc > 0 ? rc : gp_tool_exit(&tool, rc);
}
