/* tokenize: text to a stream of token ids, and back. */
#include "gptpipe/corpus.h"
#include "gptpipe/options.h"
#include "gptpipe/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct args {
    gp_list files;
    const char *tokenizer, *out, *separator, *format;
    int64_t vocab_size;
    bool decode, info, quiet, json;
} args;

/* clang-format off */
static const gp_option options[] = {
    {"tokenizer", 't', GP_OPT_STRING, offsetof(args, tokenizer), "WHICH", "char, bytes, gpt2, a tokenizer.json, a folder, or a token stream (the one it was made with)"},
    {"separator", 0, GP_OPT_STRING, offsetof(args, separator), "TEXT", "documents end at this text; \\n, \\t, \\\\, \\xHH are understood; '' is none", .implied = "what FILE.json says, if there is one"},
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|-", "where the result goes", .implied = "stdout, where that is no terminal"},
    {"format", 0, GP_OPT_CHOICE, offsetof(args, format), "WHICH", "of the token stream", .choices = "tok|llmc|raw16"},
    {"Reading token streams", .type = GP_OPT_GROUP},
    {"decode", 'd', GP_OPT_FLAG, offsetof(args, decode), NULL, "turn a token stream back into its text"},
    {"info", 'i', GP_OPT_FLAG, offsetof(args, info), NULL, "check a token stream whole and say what it holds"},
    {"vocab-size", 'V', GP_OPT_INT, offsetof(args, vocab_size), "V", "of a stream that does not tell it (raw16)", .min = 1, .max = 65536, .implied = "the stream's"},
    {"Messages", .type = GP_OPT_GROUP},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "with --info: for machines", .unlogged = true},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "say nothing but errors"},
    {0},
};
/* clang-format on */

static const gp_tool tool = {
    .name = "tokenize",
    .summary = "turns text into a stream of token ids, and back",
    .usage = "[OPTION]... [FILE...]",
    .description = "Without a FILE, text comes from stdin. char gives each character of the text an id of "
                   "its own and keeps "
                   "that vocabulary in the stream; bytes has 256 ids; gpt2 is GPT-2's byte-level BPE, "
                   "exactly. Any bytes "
                   "come back from --decode as they were.\n\n"
                   "Several FILEs are several documents; with a separator, each text that it ends is one. "
                   "char and bytes keep "
                   "the separator as text. A BPE with an end-of-text id puts that in its place, or between "
                   "FILEs; decoding "
                   "gives the separator back for it, or nothing.",
    .examples = "# a character vocabulary from the text itself\n"
                "tokenize --tokenizer char input.txt -o train.tok\n"
                "# the same vocabulary for other text\n"
                "tokenize --tokenizer train.tok val.txt -o val.tok\n"
                "# what is in it, and the text back\n"
                "tokenize --info train.tok\n"
                "tokenize --decode train.tok | cmp - input.txt",
    .options = options,
    .positionals = 1 + offsetof(args, files),
};

/* ---- text to ids ----------------------------------------------------------------------------- */

static bool is_stream(const char *path)
{
    char magic[8] = {0};
    FILE *f = fopen(path, "rb");
    bool is =
        f && fread(magic, 1, sizeof magic, f) == sizeof magic && !memcmp(magic, "GPTKTOK1", sizeof magic);
    if (f)
        fclose(f);
    return is;
}

/* A tokenizer by name, from a file or folder, or out of a token stream. */
static gp_tokenizer *open_tokenizer(const char *name)
{
    if (!is_stream(name))
        return gp_tokenizer_open(name);
    gp_tokens *s = gp_tokens_open(name, NULL);
    gp_tokenizer *t = s ? gp_corpus_tokenizer(s, name) : NULL;
    gp_tokens_close(s);
    return t;
}

/* Replaces \n, \t, \\ and \xHH in place; gives the length, -1 when something else follows a backslash. */
static int64_t unescape(char *s)
{
    char *to = s;
    for (const char *from = s; *from; from++) {
        unsigned byte = (unsigned char)*from;
        int used = 0;
        if (*from == '\\') {
            if (from[1] == 'x' && sscanf(from + 2, "%2x%n", &byte, &used) == 1 && used == 2)
                from += 3;
            else if (from[1] == 'n' || from[1] == 't' || from[1] == '\\')
                byte = from[1] == 'n' ? '\n' : from[1] == 't' ? '\t' : '\\', from++;
            else
                return -1;
        }
        *to++ = (char)byte;
    }
    return to - s;
}

static int encode(const args *a, const gp_corpus_options *o)
{
    bool build = !strcmp(a->tokenizer, "char");
    const char *out = a->out ? a->out : "-";
    gp_corpus_counts n;
    gp_text *text = gp_text_open(&a->files, build);
    gp_tokenizer *t = !text ? NULL : build ? gp_corpus_build_char(text, o) : open_tokenizer(a->tokenizer);
    int rc = t ? gp_corpus_encode(text, t, out, o, &n) : -1;
    if (!rc && !a->quiet)
        fprintf(stderr,
                "%s: %" PRId64 " tokens of a vocabulary of %" PRId64 " from %" PRId64 " bytes in %" PRId64
                " document%s\n",
                strcmp(out, "-") ? out : "stdout", n.tokens, gp_tokenizer_vocab_size(t), n.bytes, n.documents,
                n.documents == 1 ? "" : "s");
    gp_tokenizer_close(t);
    gp_text_close(text);
    return rc;
}

/* ---- ids to text ----------------------------------------------------------------------------- */

/* A token stream and the tokenizer that it was made with, which may be NULL where `need` is false. */
typedef struct source {
    const char *name;
    gp_tokens *tokens;
    gp_tokenizer *t;
} source;

static int open_source(const args *a, source *s, bool need)
{
    const char *path = a->files.count ? a->files.items[0] : "-";
    static const uint8_t unknown[16];
    uint8_t fingerprint[16];
    *s = (source){.name = strcmp(path, "-") ? path : "stdin"};
    s->tokens =
        gp_tokens_open_as(path, gp_options_given(&tool, "format") ? a->format : NULL, a->vocab_size, NULL);
    if (!s->tokens)
        return -1;
    const gp_tokens_info *info = gp_tokens_get_info(s->tokens);
    if (!gp_options_given(&tool, "tokenizer")) {
        s->t = gp_corpus_tokenizer(s->tokens, s->name);
        return need && !s->t ? -1 : 0;
    }
    if (!(s->t = open_tokenizer(a->tokenizer)))
        return -1;
    gp_tokenizer_fingerprint(s->t, fingerprint);
    if (memcmp(fingerprint, info->fingerprint, 16) && memcmp(unknown, info->fingerprint, 16))
        return gp_fail("%s: was made with another tokenizer than %s; leave --tokenizer out to use its own",
                       s->name, a->tokenizer);
    return 0;
}

static int decode(const args *a)
{
    source s;
    int rc = open_source(a, &s, true);
    gp_output *out = rc ? NULL : gp_output_open(a->out);
    if (!out || gp_corpus_decode(s.tokens, s.t, gp_output_stream(out)) < 0)
        rc = -1;
    if (out && gp_output_close(out, rc == 0))
        rc = -1;
    gp_tokens_close(s.tokens);
    gp_tokenizer_close(s.t);
    return rc;
}

static void print_info(const args *a, const source *s, int64_t bytes)
{
    const gp_tokens_info *info = gp_tokens_get_info(s->tokens);
    const char *kind = s->t ? gp_tokenizer_kind(s->t) : "unknown";
    double ratio = info->count ? (double)bytes / (double)info->count : 0;
    char hex[33];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", info->fingerprint[i]);
    if (a->json) {
        char *name = gp_json_quote(s->name, strlen(s->name));
        printf("{\"file\":%s,\"format\":\"%s\",\"tokens\":%" PRId64 ",\"documents\":%" PRId64 ",\"width\":%d,"
               "\"vocab_size\":%" PRId64 ",\"tokenizer\":\"%s\",\"fingerprint\":\"%s\"",
               name, info->format, info->count, info->documents, info->width, info->vocab_size, kind, hex);
        if (s->t)
            printf(",\"bytes\":%" PRId64 ",\"bytes_per_token\":%.6g", bytes, ratio);
        puts("}");
        free(name);
        return;
    }
    printf("%s\n  format      %s, %d bytes a token, %s\n  tokens      %" PRId64 "\n", s->name, info->format,
           info->width, strcmp(info->format, "tok") ? "all ids in the vocabulary" : "CRC and ids are good",
           info->count);
    if (info->documents)
        printf("  documents   %" PRId64 "\n", info->documents);
    printf("  tokenizer   %s, %" PRId64 " ids, fingerprint %s\n", kind, info->vocab_size, hex);
    if (s->t)
        printf("  text        %" PRId64 " bytes, %.3f bytes a token\n", bytes, ratio);
}

static int info(const args *a)
{
    source s;
    int rc = open_source(a, &s, false);
    int64_t bytes = 0;
    if (!rc && (gp_tokens_verify(s.tokens) || (s.t && (bytes = gp_corpus_decode(s.tokens, s.t, NULL)) < 0)))
        rc = -1;
    if (!rc)
        print_info(a, &s, bytes);
    gp_tokens_close(s.tokens);
    gp_tokenizer_close(s.t);
    return rc;
}

int main(int argc, char **argv)
{
    args a = {.tokenizer = "char", .format = "tok"};
    int rc = gp_options_parse(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (a.decode && a.info)
        return gp_tool_usage(&tool, "--decode and --info are two jobs: give one of them");
    if (a.decode || a.info) {
        if (a.files.count > 1)
            return gp_tool_usage(&tool, "one token stream at a time, %d are given", a.files.count);
        return gp_tool_exit(&tool, a.info ? info(&a) : decode(&a));
    }
    if (!a.out && isatty(STDOUT_FILENO))
        return gp_tool_usage(&tool, "a token stream is not for terminals; give -o FILE");
    gp_corpus_options o = {.format = a.format};
    char *separator = a.separator ? strdup(a.separator) : NULL;
    int64_t length = separator ? unescape(separator) : 0;
    o.separator = separator;
    o.separator_length = (size_t)length;
    rc = length < 0
             ? gp_tool_usage(&tool, "--separator %s: a backslash is followed by n, t, \\ or xHH", a.separator)
             : gp_tool_exit(&tool, encode(&a, &o));
    free(separator);
    return rc;
}
