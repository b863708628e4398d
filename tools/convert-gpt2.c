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
    gp_store dtype;
    bool info, verify, json, quiet;
    gp_list operands;
} args;

static const char *const stores[] = {GP_STORES(GP_CHOICE_NAME)};

/* clang-format off */
static const gp_option options[] = {
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|DIR/|-", "output; a name that ends in / becomes a folder for transformers' from_pretrained", .default_text = "stdout where that is no terminal", .nonempty = true},
    {"to", 0, GP_OPT_STRING, offsetof(args, to), "FORMAT", "format of the result: safetensors"},
    {"dtype", 0, GP_OPT_CHOICE, offsetof(args, dtype), "WHICH", "of the numbers in the result", .choices = GP_CHOICES(GP_STORES)},
    {"info", 'i', GP_OPT_FLAG, offsetof(args, info), NULL, "print configuration, tokenizer and tensors; convert nothing", .unlogged = true},
    {"verify", 0, GP_OPT_FLAG, offsetof(args, verify), NULL, "read every tensor, of a run those of all its checkpoints and its state, and compare the CRCs that the files carry", .needs = "info", .unlogged = true},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "as one JSON object", .needs = "info", .unlogged = true},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "no closing line", .unlogged = true},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "convert-gpt2",
    .summary = "converts GPT-2 checkpoints",
    .usage = "[OPTION]... [INPUT]",
    .description = "Reads a checkpoint (a safetensors file, a Hugging Face folder, in shards or not, a run directory, "
                   "or "
                   "stdin) and writes it in another format. What INPUT is shows in its content, not its name. BERT and "
                   "RoBERTa with their masked-language head are read and written too.\n\n"
                   "A file carries configuration and tokenizer along in its metadata, so it can be piped into the next "
                   "tool. Every tensor is checked by name, dtype and shape, and so is every number: NaN and infinity "
                   "are refused.",
    .examples = "# what is in it\nconvert-gpt2 --info run\n"
                "# whether all of a run is what was written\nconvert-gpt2 --info --verify run\n"
                "# a run's weights as 16-bit numbers, for transformers\n"
                "convert-gpt2 run --dtype bf16 -o hf/\n"
                "# a Hugging Face folder as one file that can be piped\n"
                "convert-gpt2 gpt2/ -o gpt2.safetensors",
    .options = options,
    .positionals = 1 + offsetof(args, operands),
};

static void tell(void *self, const char *why)
{
    (void)self;
    fprintf(stderr, "convert-gpt2: %s\n", why);
}

static int print_info(const args *a, const gp_checkpoint *c)
{
    gp_verified v = {0};
    if (a->verify && gp_checkpoint_verify(c, &v, tell, NULL))
        return -1;
    gp_output *out = gp_output_open(a->out);
    if (out)
        gp_checkpoint_print(c, a->verify ? &v : NULL, a->json, gp_output_stream(out));
    return out ? gp_output_close(out, true) : -1;
}

static int convert(const args *a, const gp_checkpoint *c)
{
    const char *out = a->out ? a->out : "-";
    if (gp_checkpoint_write(c, out, &(gp_checkpoint_output){.format = a->to, .store = a->dtype}))
        return -1;
    if (!a->quiet)
        fprintf(stderr, "convert-gpt2: %lld parameters as %s %s in %s\n",
                (long long)gp_config_parameters(gp_checkpoint_config(c)), a->to, stores[a->dtype],
                strcmp(out, "-") ? out : "stdout");
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

int main(int argc, char **argv)
{
    args a = {.to = "safetensors"};
    int rc = gp_tool_start(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (a.operands.count > 1)
        return gp_tool_usage(&tool, "%d inputs are given, one can be converted", a.operands.count);
    if (!a.operands.count && isatty(STDIN_FILENO))
        return gp_tool_usage(&tool, "no checkpoint: give one, or pipe one in");
    if (gp_options_check(&tool, &a))
        return GP_OPTIONS_USAGE;
    if (!can_write(a.to))
        return gp_tool_usage(&tool, "--to %s: expected one of %s", a.to, gp_checkpoint_formats(true));
    if (!a.info && gp_output_is_terminal(a.out))
        return gp_tool_usage(&tool, "a checkpoint cannot be written to a terminal: name a file with --out");
    if (!a.info && a.out && gp_checkpoint_check_name(a.out, a.to))
        return gp_tool_usage(&tool, "%s", gp_error());

    gp_checkpoint *c = gp_checkpoint_open(a.operands.count ? a.operands.items[0] : "-");
    rc = c ? 0 : -1;
    gp_tool_warning(&tool, c && !a.quiet ? gp_checkpoint_tokenizer_warning(c) : NULL);
    if (c && !a.quiet && gp_checkpoint_tokenizer_problem(c) && gp_checkpoint_config(c)->causal)
        fprintf(stderr, "convert-gpt2: %s; it is %s\n", gp_printable(gp_checkpoint_tokenizer_problem(c)),
                gp_checkpoint_tokenizer(c, NULL) ? "carried as it is" : "left out");
    gp_tool_warning(&tool, c ? gp_checkpoint_warning(c) : NULL);
    if (c)
        rc = a.info ? print_info(&a, c) : convert(&a, c);
    gp_checkpoint_close(c);
    return gp_tool_exit(&tool, rc);
}
