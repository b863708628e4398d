/* tokenize: converts text to a stream of token ids, and back. */
#include "gptpipe/corpus.h"
#include "gptpipe/options.h"
#include "gptpipe/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct args {
    gp_list files;
    const char *tokenizer, *out, *separator, *jsonl, *label, *pair, *labels, *val, *save_tokenizer;
    gp_stream_format format;
    gp_truncation truncate;
    int64_t vocab_size, shard_size, train_bpe, train_wordpiece, threads, max_tokens;
    double val_fraction;
    bool decode, info, show, allow_special, quiet, json, cased;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"tokenizer", 't', GP_OPT_STRING, offsetof(args, tokenizer), "WHICH", "char, bytes, gpt2, a tokenizer.json or other tokenizer file, a folder with one, or a token stream (for its tokenizer)", .default_text = "char", .nonempty = true, .one_of = "tokenizer"},
    {"train-bpe", 0, GP_OPT_INT, offsetof(args, train_bpe), "V", "train a byte-level BPE of V ids on the text, as for GPT-2", .min = 257, .max = 1 << 20, .default_text = "none", .one_of = "tokenizer", .excludes = "decode|info"},
    {"train-wordpiece", 0, GP_OPT_INT, offsetof(args, train_wordpiece), "V", "train a WordPiece of V ids on the text, as for BERT", .min = 6, .max = 1 << 20, .default_text = "none", .one_of = "tokenizer", .excludes = "decode|info"},
    {"cased", 0, GP_OPT_FLAG, offsetof(args, cased), NULL, "keep upper case and accents, as BERT cased", .needs = "train-wordpiece"},
    {"save-tokenizer", 0, GP_OPT_STRING, offsetof(args, save_tokenizer), "FILE", "also write the tokenizer, as Hugging Face's tokenizer.json", .nonempty = true, .excludes = "decode|info|show"},
    {"Text", .type = GP_OPT_GROUP},
    {"separator", 0, GP_OPT_STRING, offsetof(args, separator), "TEXT", "text that separates documents; \\n, \\t, \\\\ and \\xHH are escapes; '' for none", .default_text = "from FILE.json, if it exists", .excludes = "decode|info"},
    {"jsonl", 0, GP_OPT_STRING, offsetof(args, jsonl), "FIELD", "the FILEs are JSON Lines: each line is a document, an object with its text in member FIELD", .nonempty = true, .excludes = "decode|info"},
    {"label", 0, GP_OPT_STRING, offsetof(args, label), "FIELD", "each line is an item with a label, a name or a number, in member FIELD, for train --objective classify", .nonempty = true, .needs = "jsonl", .excludes = "decode|info|show"},
    {"pair", 0, GP_OPT_STRING, offsetof(args, pair), "FIELD", "items are pairs of texts, the second one in member FIELD", .nonempty = true, .needs = "label|show"},
    {"labels", 0, GP_OPT_STRING, offsetof(args, labels), "NAMES", "the names of label 0, 1, ..., separated by commas: neg,pos; a line with another label is an error", .default_text = "those that occur, sorted", .nonempty = true, .needs = "label"},
    {"allow-special", 0, GP_OPT_FLAG, offsetof(args, allow_special), NULL, "encode a literal <|endoftext|> in the text as that token; only for trusted text", .excludes = "decode|info"},
    {"Token stream", .type = GP_OPT_GROUP},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "output", .default_text = "stdout, if it is not a terminal", .nonempty = true, .excludes = "info"},
    {"format", 0, GP_OPT_CHOICE, offsetof(args, format), "WHICH", "format of the token stream", .choices = GP_CHOICES(GP_STREAM_FORMATS)},
    {"val-fraction", 0, GP_OPT_FLOAT, offsetof(args, val_fraction), "F", "write this fraction of the text, from its end, to a separate validation stream; documents stay whole", .min = 1e-9, .max = 0.999999999, .default_text = "0.1 with --val, else none", .excludes = "decode|info|show"},
    {"val", 0, GP_OPT_STRING, offsetof(args, val), "FILE", "the validation stream", .default_text = "OUT-val.tok for OUT.tok", .nonempty = true, .excludes = "decode|info|show"},
    {"shard-size", 0, GP_OPT_INT, offsetof(args, shard_size), "N", "write OUT_000000.tok, OUT_000001.tok, ... of N tokens each, plus the rest of the last document of each", .min = 1, .max = 1e15, .default_text = "one stream", .excludes = "decode|info|show"},
    {"threads", 0, GP_OPT_INT, offsetof(args, threads), "N", "number of encoding threads; the ids do not depend on it", .min = 0, .max = 64, .default_text = "the machine's cores, up to 16"},
    {"Inspection", .type = GP_OPT_GROUP},
    {"decode", 'd', GP_OPT_FLAG, offsetof(args, decode), NULL, "turn token streams back into their text", .one_of = "job"},
    {"info", 'i', GP_OPT_FLAG, offsetof(args, info), NULL, "verify a token stream and describe its content", .one_of = "job"},
    {"show", 's', GP_OPT_FLAG, offsetof(args, show), NULL, "show how text is split into tokens: in colour with the ids below each line on a terminal, else one token per line", .one_of = "job"},
    {"max-tokens", 0, GP_OPT_INT, offsetof(args, max_tokens), "N", "cut what a model reads (--json) to N tokens, of a pair the longer text first", .min = 1, .max = 1 << 24, .default_text = "not cut", .needs = "show"},
    {"truncate", 0, GP_OPT_CHOICE, offsetof(args, truncate), "WHICH", "what remains of a text that is cut: its head; a quarter from its head, the rest from its tail; none: it is an error", .choices = GP_CHOICES(GP_TRUNCATIONS), .needs = "max-tokens"},
    {"vocab-size", 'V', GP_OPT_INT, offsetof(args, vocab_size), "V", "vocabulary size of a stream that does not record it (raw16)", .min = 1, .max = 65536, .default_text = "the stream's, or that of --tokenizer", .needs = "decode|info"},
    {"Messages", .type = GP_OPT_GROUP},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "print one JSON object; of --show, one for each document, with ids, token types and offsets in bytes", .needs = "info|show", .unlogged = true},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "print errors only"},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "tokenize",
    .summary = "converts text to a stream of token ids, and back",
    .usage = "[OPTION]... [FILE...]",
    .description = "Without a FILE, text is read from stdin. char has an id for each character that occurs in the "
                   "text; bytes has 256 ids; gpt2 is GPT-2's byte-level BPE. The stream contains its tokenizer, and "
                   "--decode restores the text byte for byte.\n\n"
                   "Each FILE is a document; with a separator, each part of a FILE up to it; with --jsonl, each line. "
                   "char and bytes encode the separator as text. A BPE with an end-of-text id puts that id in its "
                   "place, or between FILEs; decoding replaces it by the separator, or by nothing. A literal "
                   "<|endoftext|> is text.\n\n"
                   "With --label the stream also records the label of each line, and --decode writes JSON Lines.",
    .examples = "# a character vocabulary from the text, with the last tenth for validation\n"
                "tokenize --tokenizer char input.txt -o train.tok --val val.tok\n"
                "# the same vocabulary for other text\n"
                "tokenize --tokenizer train.tok more.txt -o more.tok\n"
                "# a BPE trained on the text, saved for other programs\n"
                "tokenize --train-bpe 4096 --save-tokenizer tokenizer.json input.txt -o train.tok\n"
                "# a WordPiece, as BERT has\n"
                "tokenize --train-wordpiece 8000 --save-tokenizer tokenizer.json input.txt -o train.tok\n"
                "# JSON Lines with GPT-2's tokenizer, in shards for llm.c\n"
                "tokenize -t gpt2 --jsonl text docs.jsonl --format llmc --shard-size 100000000 -o docs.bin\n"
                "# reviews with their labels, for a classifier\n"
                "tokenize -t gpt2 --jsonl text --label label --labels neg,pos reviews.jsonl -o reviews.tok\n"
                "# inspect a stream, and restore its text\n"
                "tokenize --info train.tok\n"
                "tokenize --decode train.tok val.tok | cmp - input.txt\n"
                "# show how a word is split into tokens\n"
                "echo 'antidisestablishmentarianism' | tokenize -t gpt2 --show",
    .options = options,
    .positionals = 1 + offsetof(args, files),
};

/* ---- text to ids ----------------------------------------------------------------------------------------- */

/* Opens the text, and opens the tokenizer or builds it from the text. */
static int open_text(const args *a, const gp_corpus_options *o, gp_text **text, gp_tokenizer **t)
{
    bool build = a->train_bpe || a->train_wordpiece || !a->tokenizer || !strcmp(a->tokenizer, "char");
    *t = NULL;
    *text = gp_text_open(&a->files, &(gp_text_options){.twice = build || o->val_fraction > 0,
                                                       .jsonl = a->jsonl,
                                                       .label = a->label,
                                                       .pair = a->pair,
                                                       .labels = a->labels});
    if (*text)
        *t = a->train_bpe         ? gp_corpus_train_bpe(*text, a->train_bpe, o)
             : a->train_wordpiece ? gp_corpus_train_wordpiece(*text, a->train_wordpiece, a->cased, o)
             : build              ? gp_corpus_build_char(*text, o)
                                  : gp_corpus_tokenizer_open(a->tokenizer);
    return *t ? 0 : -1;
}

static void print_counts(const char *out, const gp_tokenizer *t, const gp_corpus_counts *n)
{
    fprintf(stderr,
            "%s: %" PRId64 " tokens of a vocabulary of %" PRId64 " from %" PRId64 " bytes in %" PRId64 " document%s",
            strcmp(out, "-") ? out : "stdout", n->tokens, gp_tokenizer_vocab_size(t), n->bytes, n->documents,
            gp_plural(n->documents));
    if (n->val_tokens)
        fprintf(stderr, ", %" PRId64 " tokens of them for validation", n->val_tokens);
    if (n->files > 1)
        fprintf(stderr, ", %d files", n->files);
    fputc('\n', stderr);
}

/* Prints the tokenizer's warning and, for a stream, that a template is not applied. */
static void warn(const gp_tokenizer *t, bool stream)
{
    int64_t before, after;
    gp_tokenizer_prefix(t, &before);
    gp_tokenizer_suffix(t, &after);
    gp_tool_warning(&tool, gp_tokenizer_warning(t));
    if (stream && before + after)
        gp_tool_warning(&tool, "the ids that the tokenizer's post_processor puts around each text are left out of the "
                               "stream, whose documents end with end-of-text");
}

static int encode(const args *a, const gp_corpus_options *o)
{
    const char *out = a->out ? a->out : "-";
    gp_corpus_counts n;
    gp_text *text;
    gp_tokenizer *t;
    int rc = open_text(a, o, &text, &t);
    if (!rc && !a->quiet)
        warn(t, true);
    if (!rc && a->save_tokenizer)
        rc = gp_tokenizer_save(t, a->save_tokenizer);
    if (!rc)
        rc = gp_corpus_encode(text, t, out, o, &n);
    if (!rc && !a->quiet)
        print_counts(out, t, &n);
    if (!rc && !a->quiet && n.special)
        fprintf(stderr,
                "tokenize: %s: the name of a special token at byte %" PRId64 " is encoded as text; use --allow-special "
                "to encode it as that token\n",
                gp_printable(n.special), n.special_offset);
    if (!rc && !a->quiet && n.label)
        fprintf(stderr,
                "tokenize: label %s occurs in only one of the two parts: the validation part is the end of the text; "
                "shuffle the lines if they are sorted by label\n",
                gp_printable(n.label));
    size_t length = strlen(out);
    if (!rc && !a->quiet && length > 4 && !strcmp(out + length - 4, ".bin") && !gp_options_given(&tool, "format"))
        fprintf(stderr, "%s: is in format tok; nanoGPT's .bin files are --format raw16, llm.c's --format llmc\n", out);
    gp_tokenizer_close(t);
    gp_text_close(text);
    return rc;
}

static int show(const args *a, const gp_corpus_options *o)
{
    gp_text *text;
    gp_tokenizer *t;
    gp_output *out = open_text(a, o, &text, &t) ? NULL : gp_output_open(a->out);
    int rc = -1;
    if (out && !a->quiet)
        warn(t, false);
    if (out) {
        bool colour = gp_output_has_colour(a->out);
        rc = a->json ? gp_corpus_show_json(text, t, o, &(gp_show_options){a->max_tokens, a->truncate, a->allow_special},
                                           gp_output_stream(out))
                     : gp_corpus_show(text, t, o, colour, gp_output_stream(out));
        rc = gp_output_close(out, !rc) ? -1 : rc;
    }
    gp_tokenizer_close(t);
    gp_text_close(text);
    return rc;
}

/* ---- ids to text ----------------------------------------------------------------------------------------- */

static int open_stream(const args *a, const char *path, bool need, gp_tokens **s, gp_tokenizer **t)
{
    return gp_corpus_open(path, gp_options_given(&tool, "format") ? a->format : GP_STREAM_ANY, a->vocab_size,
                          a->tokenizer, need, s, t);
}

static int decode_one(const args *a, const char *path, FILE *out)
{
    gp_tokens *s;
    gp_tokenizer *t;
    int rc = open_stream(a, path, true, &s, &t);
    if (!rc && gp_corpus_decode(s, t, out) < 0)
        rc = -1;
    gp_tokens_close(s);
    gp_tokenizer_close(t);
    return rc;
}

static int decode(const args *a)
{
    gp_output *out = gp_output_open(a->out);
    int rc = out ? 0 : -1;
    if (!rc && !a->files.count)
        rc = decode_one(a, "-", gp_output_stream(out));
    for (int i = 0; i < a->files.count && !rc; i++)
        rc = decode_one(a, a->files.items[i], gp_output_stream(out));
    return out && gp_output_close(out, !rc) ? -1 : rc;
}

static int info(const args *a)
{
    gp_tokens *s;
    gp_tokenizer *t;
    int rc = open_stream(a, a->files.count ? a->files.items[0] : "-", false, &s, &t);
    if (!rc)
        rc = gp_corpus_print_info(s, t, a->json, stdout);
    gp_tokens_close(s);
    gp_tokenizer_close(t);
    return rc;
}

/* ---- the command line ------------------------------------------------------------------------------------ */

/* No output may replace an input: not every stream can be decoded to its text. */
static int check_replaced(const args *a)
{
    const struct {
        const char *option, *path;
    } written[] = {{"out", a->out}, {"val", a->val}, {"save-tokenizer", a->save_tokenizer}};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        for (int k = 0; k < a->files.count; k++)
            if (gp_output_replaces(written[i].path, a->files.items[k]))
                return gp_tool_usage(&tool, "--%s would replace the input %s: name another file", written[i].option,
                                     a->files.items[k]);
    return 0;
}

static int check(const args *a)
{
    if (gp_options_check(&tool, a) || check_replaced(a))
        return GP_OPTIONS_USAGE;
    if (a->info && a->files.count > 1)
        return gp_tool_usage(&tool, "--info takes one token stream (found %d)", a->files.count);
    if (a->pair && !a->jsonl)
        return gp_tool_usage(&tool, "--pair requires --jsonl");
    if (a->show && !a->json && (a->pair || a->max_tokens))
        return gp_tool_usage(&tool, "--show requires --json for --%s", a->pair ? "pair" : "max-tokens");
    if (a->decode || a->info || a->show)
        return 0;
    if (gp_output_is_terminal(a->out) || (a->val && gp_output_is_terminal(a->val)))
        return gp_tool_usage(&tool, "a token stream cannot be written to a terminal; give -o FILE");
    bool std = !a->out || !strcmp(a->out, "-");
    if (std && a->shard_size)
        return gp_tool_usage(&tool, "--shard-size makes several files; give -o FILE");
    if (std && a->val_fraction > 0 && !a->val)
        return gp_tool_usage(&tool, "--val-fraction makes two streams; give -o FILE, or name the second with --val");
    if (a->val && !strcmp(a->val, std ? "-" : a->out))
        return gp_tool_usage(&tool, "--val and --out name the same file");
    return 0;
}

int main(int argc, char **argv)
{
    args a = {.format = GP_STREAM_TOK, .truncate = GP_TRUNCATE_HEAD};
    int rc = gp_tool_start(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if ((rc = check(&a)))
        return rc;
    if (a.decode || a.info)
        return gp_tool_exit(&tool, a.info ? info(&a) : decode(&a));
    char *separator = a.separator ? strdup(a.separator) : NULL;
    if (a.separator && !separator)
        return gp_tool_exit(&tool, gp_fail("out of memory"));
    int64_t length = separator ? gp_unescape(separator) : 0;
    gp_corpus_options o = {.format = a.format,
                           .separator = separator,
                           .separator_length = (size_t)length,
                           .val = a.val,
                           .val_fraction = a.val && a.val_fraction == 0 ? 0.1 : a.val_fraction,
                           .shard_size = a.shard_size,
                           .threads = (int)a.threads,
                           .allow_special = a.allow_special,
                           .quiet = a.quiet};
    if (length < 0)
        rc = gp_tool_usage(&tool, "--separator %s: a backslash is followed by n, t, \\ or xHH", a.separator);
    else
        rc = gp_tool_exit(&tool, a.show ? show(&a, &o) : encode(&a, &o));
    free(separator);
    return rc;
}
