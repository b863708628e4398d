/* convert-gpt2: any GPT-2 weights in, any format out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "gptpipe/options.h"
#include "gptpipe/output.h"
#include "gptpipe/tokenizer.h"

typedef struct args {
    const char *out, *to;
    gp_act activation;
    gp_store dtype;
    int64_t heads;
    double shard_mb;
    gp_list allow_missing, ignore, operands;
    bool info, diff, verify, keep_padding, json, quiet;
} args;

static const char *const stores[] = {GP_STORES(GP_CHOICE_NAME)};

/* clang-format off */
static const gp_option options[] = {
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|DIR/|-", "output; a name that ends in / becomes a folder for transformers' from_pretrained", .default_text = "stdout where that is no terminal", .nonempty = true},
    {"to", 0, GP_OPT_STRING, offsetof(args, to), "FORMAT", "output format: safetensors, torch, nanogpt, llmc or gguf", .default_text = "by the suffix of the output's name, else safetensors", .nonempty = true},
    {"dtype", 0, GP_OPT_CHOICE, offsetof(args, dtype), "WHICH", "type of the numbers in the output, rounded to nearest even", .choices = GP_CHOICES(GP_STORES)},
    {"shard-size", 0, GP_OPT_FLOAT, offsetof(args, shard_mb), "MB", "split the weights in a folder into files of at most this many megabytes (10^6 bytes)", .default_text = "one file", .min = 0.001, .max = 1e9},
    {"verify", 0, GP_OPT_FLAG, offsetof(args, verify), NULL, "read the output back and compare every number, and the logits of a fixed prompt, with the input's; with --info: read every tensor, of a run those of all its checkpoints and its state, and compare the CRCs in the files", .unlogged = true},

    {"reading", 0, GP_OPT_GROUP},
    {"heads", 0, GP_OPT_INT, offsetof(args, heads), "N", "attention heads, for files without a configuration", .min = 1, .max = 1 << 20, .default_text = "from the file"},
    {"activation", 0, GP_OPT_CHOICE, offsetof(args, activation), "WHICH", "activation, for files without a configuration: exact GELU is gelu, its tanh form gelu_new", .choices = GP_CHOICES(GP_ACTIVATIONS), .default_text = "from the file"},
    {"keep-padding", 0, GP_OPT_FLAG, offsetof(args, keep_padding), NULL, "keep rows of the vocabulary that the tokenizer has no ids for"},
    {"allow-missing", 0, GP_OPT_LIST, offsetof(args, allow_missing), "PATTERN", "tensors that may be missing, by a shell pattern of their names; a norm's gain is then 1, everything else 0"},
    {"ignore", 0, GP_OPT_LIST, offsetof(args, ignore), "PATTERN", "tensors that the model has no place for and that are left out"},

    {"instead of converting", 0, GP_OPT_GROUP},
    {"info", 'i', GP_OPT_FLAG, offsetof(args, info), NULL, "print configuration, tokenizer, metadata and tensors, also of models that are not supported", .one_of = "action", .unlogged = true},
    {"diff", 0, GP_OPT_FLAG, offsetof(args, diff), NULL, "compare two checkpoints of any formats; the exit status is 1 where they differ", .one_of = "action", .unlogged = true},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "print one JSON object", .needs = "info|diff", .unlogged = true},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "no progress and no closing line", .unlogged = true},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "convert-gpt2",
    .summary = "converts GPT-2 checkpoints",
    .usage = "[OPTION]... [INPUT [OTHER]]",
    .description =
        "Reads a checkpoint and writes it in another format. The format of INPUT is recognized by its content, not its "
        "name; a folder, a file, a run directory or a pipe will do. BERT and RoBERTa are converted too, and "
        "models with a head for labels, for masked tokens, or without head.\n\n"
        "Nothing is dropped or made up in silence: every tensor is checked by name, type and shape, NaN and infinity "
        "are refused, and so is a setting that the output's readers would compute otherwise. When the output is a file "
        "or folder, it is read back and compared with the input.",
    .examples = "# what is in it\nconvert-gpt2 --info run\n"
                "# whether all of a run is what was written\nconvert-gpt2 --info --verify run\n"
                "# a run's weights as 16-bit numbers, for transformers\n"
                "convert-gpt2 run --dtype bf16 -o hf/\n"
                "# a Hugging Face folder as one file that can be piped\n"
                "convert-gpt2 gpt2/ -o gpt2.safetensors\n"
                "# for llama.cpp; and from nanoGPT to Hugging Face\n"
                "convert-gpt2 gpt2/ -o gpt2.gguf\n"
                "convert-gpt2 ckpt.pt -o hf/\n"
                "# how two checkpoints differ\n"
                "convert-gpt2 --diff run hf/",
    .options = options,
    .computes = true, /* to verify */
    .positionals = 1 + offsetof(args, operands),
};

static void tell(void *self, const char *why)
{
    (void)self;
    fprintf(stderr, "convert-gpt2: %s\n", why);
}

static gp_checkpoint *open_input(const args *a, int i)
{
    gp_checkpoint_options o = {
        .heads = a->heads > 0 ? a->heads : 0,
        .activation = a->activation,
        .allow_missing = a->allow_missing.items,
        .allow_missing_count = a->allow_missing.count,
        .ignore = a->ignore.items,
        .ignore_count = a->ignore.count,
        .cut_padding = !a->keep_padding && !a->info && !a->diff,
        .listing = a->info,
    };
    gp_checkpoint *c = gp_checkpoint_open_with(i < a->operands.count ? a->operands.items[i] : "-", &o);
    if (c && !a->quiet)
        gp_tool_warning(&tool, gp_checkpoint_tokenizer_warning(c));
    if (c && !a->quiet && !gp_checkpoint_problem(c) && gp_checkpoint_tokenizer_problem(c))
        fprintf(stderr, "convert-gpt2: %s; it is %s\n", gp_printable(gp_checkpoint_tokenizer_problem(c)),
                gp_checkpoint_tokenizer(c, NULL) ? "copied unchanged" : "left out");
    gp_tool_warning(&tool, c ? gp_checkpoint_warning(c) : NULL);
    return c;
}

static int print_info(const args *a, const gp_checkpoint *c)
{
    gp_verified v = {0};
    bool verifies = a->verify && gp_options_given(&tool, "verify");
    if (verifies && gp_checkpoint_verify(c, &v, tell, NULL))
        return -1;
    gp_output *out = gp_output_open(a->out);
    if (out)
        gp_checkpoint_print(c, verifies ? &v : NULL, a->json, gp_output_stream(out));
    return out ? gp_output_close(out, true) : -1;
}

/* 1: they differ. */
static int print_diff(const args *a, const gp_checkpoint *c)
{
    gp_checkpoint *other = open_input(a, 1);
    gp_output *out = other ? gp_output_open(a->out) : NULL;
    int rc = out ? gp_checkpoint_diff(c, other, a->json, gp_output_stream(out)) : -1;
    if (out && gp_output_close(out, rc >= 0))
        rc = -1;
    gp_checkpoint_close(other);
    return rc;
}

static int convert(const args *a, const gp_checkpoint *c)
{
    const char *out = a->out ? a->out : "-";
    bool stream = !strcmp(out, "-");
    char proof[256], *warning = NULL;
    gp_checkpoint_output o = {.format = a->to,
                              .store = a->dtype,
                              .progress = !a->quiet,
                              .shard_bytes = a->shard_mb > 0 ? (int64_t)(a->shard_mb * 1e6) : 0,
                              .warning = a->quiet ? NULL : &warning};
    if (gp_checkpoint_write(c, out, &o))
        return -1;
    gp_tool_warning(&tool, warning);
    free(warning);
    if (a->verify && gp_checkpoint_prove(c, out, a->dtype, proof))
        return -1;
    if (!a->quiet)
        fprintf(stderr, "convert-gpt2: %lld parameters as %s %s in %s%s%s\n",
                (long long)gp_config_parameters(gp_checkpoint_config(c)), a->to, stores[a->dtype],
                stream ? "stdout" : out, a->verify ? "; " : "", a->verify ? proof : "");
    return 0;
}

static bool can_write(const char *format)
{
    size_t n = strlen(format);
    for (const char *s = gp_checkpoint_formats(true); s; s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL)
        if (!strncmp(s, format, n) && n && (!s[n] || s[n] == '|'))
            return true;
    return false;
}

/* 0, or the exit status of a wrong command line. */
static int check(args *a)
{
    if (a->diff && a->operands.count != 2)
        return gp_tool_usage(&tool, "--diff compares two checkpoints: name both");
    if (!a->diff && a->operands.count > 1)
        return gp_tool_usage(&tool, "%d inputs are given, one can be converted", a->operands.count);
    if (!a->operands.count && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool, "no checkpoint: name one, or pipe one in");
    if (a->info || a->diff)
        return 0;
    if (!a->to)
        a->to = gp_checkpoint_format_of_name(a->out ? a->out : "-");
    if (!a->to)
        return gp_tool_usage(&tool, "%s", gp_error());
    if (!can_write(a->to))
        return gp_tool_usage(&tool, "--to %s: expected one of %s", a->to, gp_checkpoint_formats(true));
    if (gp_output_is_terminal(a->out))
        return gp_tool_usage(&tool, "a checkpoint cannot be written to a terminal: name a file with --out");
    if (a->out && gp_checkpoint_check_name(a->out, a->to))
        return gp_tool_usage(&tool, "%s", gp_error());
    return 0;
}

int main(int argc, char **argv)
{
    args a = {.verify = true, .heads = -1};
    int rc = gp_tool_start(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (gp_options_check(&tool, &a))
        return GP_OPTIONS_USAGE;
    if ((rc = check(&a)))
        return rc;
    gp_checkpoint *c = open_input(&a, 0);
    rc = c ? 0 : -1;
    if (c)
        rc = a.info ? print_info(&a, c) : a.diff ? print_diff(&a, c) : convert(&a, c);
    gp_checkpoint_close(c);
    return rc > 0 ? 1 : gp_tool_exit(&tool, rc);
}
