/* tokenizer_write.c: writes a tokenizer as Hugging Face's tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "text/text.h"

static const char *word(int flag)
{
    return flag ? "true" : "false";
}

/* Added tokens that are not in the model's vocabulary are written into it too, unless the model would then encode text
 * as one of them; in that case they are written only as added tokens. */
static bool omits_added(const gp_tokenizer *t)
{
    const gp_vocab *v = &t->vocab;
    bool omits = t->bpe.ignore_merges || t->kind != GP_KIND_BPE;
    for (int32_t id = 0; id < v->size && !omits; id++)
        omits = v->flags[id] & GP_TOKEN_NOT_IN_MODEL && v->at[id + 1] - v->at[id] == 1;
    return omits;
}

/* char and bytes are BPE models without merges and pre_tokenizer: a character in the vocabulary becomes its id, and any
 * other falls back to its bytes, <0x00> to <0xFF>. U+0000 is written as such a byte too, because many JSON parsers
 * accept no NUL in a key. */
static void put_char_name(gp_buf *b, const char *bytes, size_t n)
{
    uint32_t c;
    gp_utf8_last((const uint8_t *)bytes, n, &c);
    if (c && c < GP_BAD_BYTE)
        gp_json_quote_minimal(b, bytes, n);
    else
        gp_buf_printf(b, "\"<0x%02X>\"", (uint8_t)bytes[0]);
}

/* Appends "added_tokens":[...]. */
static void put_added(gp_buf *b, const gp_vocab *v)
{
    const char *comma = "";
    gp_buf_puts(b, "\"added_tokens\":[");
    for (int32_t id = 0; id < v->size; id++) {
        uint8_t flags = v->flags[id];
        if (!(flags & GP_TOKEN_NAMED))
            continue;
        gp_buf_printf(b, "%s{\"id\":%d,\"content\":", comma, id);
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        gp_json_quote_minimal(b, bytes, n);
        gp_buf_printf(b, ",\"single_word\":%s,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,\"special\":%s}",
                      word(flags & GP_TOKEN_SINGLE_WORD), word(flags & GP_TOKEN_LSTRIP), word(flags & GP_TOKEN_RSTRIP),
                      word(flags & GP_TOKEN_NORMALIZED), word(flags & GP_TOKEN_SPECIAL));
        comma = ",";
    }
    gp_buf_puts(b, "]");
}

/* Appends what the template calls a token: its name, or its number if it is not an added token. */
static void put_template_name(gp_buf *b, const gp_tokenizer *t, int32_t id)
{
    size_t n;
    const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
    if (t->vocab.flags[id] & GP_TOKEN_NAMED)
        gp_json_quote_minimal(b, bytes, n);
    else
        gp_buf_printf(b, "\"id %d\"", id);
}

static void put_template_list(gp_buf *b, const gp_tokenizer *t, const gp_template_list *l)
{
    for (int64_t i = 0; i < l->count; i++) {
        const gp_template_token *p = &l->tokens[i];
        gp_buf_puts(b, i ? "," : "");
        if (p->id < 0) {
            gp_buf_printf(b, "{\"Sequence\":{\"id\":\"%s\"", p->id == GP_TEMPLATE_A ? "A" : "B");
        } else {
            gp_buf_puts(b, "{\"SpecialToken\":{\"id\":");
            put_template_name(b, t, p->id);
        }
        gp_buf_printf(b, ",\"type_id\":%d}}", p->type);
    }
}

/* Appends the name of a token in the model's vocabulary: an added token's is literal, as WordPiece's are. */
static void put_token_name(gp_buf *b, const gp_tokenizer *t, int32_t id)
{
    size_t n;
    const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
    gp_buf name = {0};
    gp_alphabet a;
    if (t->vocab.flags[id] & GP_TOKEN_NAMED || t->kind == GP_KIND_WORDPIECE) {
        gp_json_quote_minimal(b, bytes, n);
    } else if (t->kind != GP_KIND_BPE) {
        put_char_name(b, bytes, n);
    } else {
        gp_alphabet_init(&a);
        gp_alphabet_encode(&a, &name, bytes, n);
        gp_json_quote_minimal(b, name.data, name.len);
    }
    gp_buf_release(&name);
}

/* Appends the tokens of both templates, each once. */
static void put_template_tokens(gp_buf *b, const gp_tokenizer *t)
{
    const gp_template *a = &t->template;
    bool any = false;
    for (int64_t i = 0; i < a->single.count + a->pair.count; i++) {
        int32_t id = gp_template_at(a, i)->id;
        bool again = id < 0;
        for (int64_t k = 0; k < i && !again; k++)
            again = gp_template_at(a, k)->id == id;
        if (again)
            continue;
        gp_buf_puts(b, any ? "," : "");
        any = true;
        put_template_name(b, t, id);
        gp_buf_puts(b, ":{\"id\":");
        put_template_name(b, t, id);
        gp_buf_printf(b, ",\"ids\":[%d],\"tokens\":[", id);
        put_token_name(b, t, id);
        gp_buf_puts(b, "]}");
    }
}

/* Appends the post_processor. `tokenizers` requires a template for pairs: one that has none gets the two texts. */
static void put_template(gp_buf *b, const gp_tokenizer *t)
{
    const gp_template *a = &t->template;
    bool both = a->single.count && t->trim.spaces;
    gp_buf_puts(b, "\"post_processor\":");
    if (both)
        gp_buf_puts(b, "{\"type\":\"Sequence\",\"processors\":[");
    if (t->trim.spaces)
        gp_buf_printf(b, "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,\"use_regex\":true}",
                      word(t->trim.keeps_prefix));
    if (both)
        gp_buf_puts(b, ",");
    if (a->single.count) {
        gp_buf_puts(b, "{\"type\":\"TemplateProcessing\",\"single\":[");
        put_template_list(b, t, &a->single);
        gp_buf_puts(b, "],\"pair\":[");
        put_template_list(b, t, a->pair.count ? &a->pair : &a->single);
        gp_buf_puts(b, a->pair.count ? "" : ",{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}");
        gp_buf_puts(b, "],\"special_tokens\":{");
        put_template_tokens(b, t);
        gp_buf_puts(b, "}}");
    } else if (!t->trim.spaces) {
        gp_buf_puts(b, "null");
    }
    gp_buf_puts(b, both ? "]}," : ",");
}

static void put_chars(gp_buf *b, const gp_tokenizer *t)
{
    const char *comma = "";
    put_added(b, &t->vocab);
    gp_buf_puts(b, ",\"normalizer\":null,\"pre_tokenizer\":null,");
    put_template(b, t);
    gp_buf_puts(b, "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},"
                   "{\"type\":\"Fuse\"}]},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                   "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                   "\"byte_fallback\":true,\"ignore_merges\":false,\"vocab\":{");
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        if (!n || t->vocab.flags[id] & GP_TOKEN_NOT_IN_MODEL)
            continue;
        gp_buf_puts(b, comma);
        if (t->vocab.flags[id])
            gp_json_quote_minimal(b, bytes, n);
        else
            put_char_name(b, bytes, n);
        gp_buf_printf(b, ":%d", id);
        comma = ",";
    }
    gp_buf_puts(b, "},\"merges\":[]}}");
}

/* The JSON text of each byte: its character of GPT-2's alphabet, one or two bytes of UTF-8, or a quote or backslash
 * after a backslash. So it has at most two bytes, and none is a control character. */
typedef struct spelling {
    char text[256][2];
    uint8_t length[256];
} spelling;

static void spelling_init(spelling *s)
{
    gp_alphabet a;
    gp_alphabet_init(&a);
    for (int i = 0; i < 256; i++) {
        char text[4];
        s->length[i] = (uint8_t)gp_utf8_put(text, a.code[i]);
        memcpy(s->text[i], text, 2);
        if (i == '"' || i == '\\') {
            memcpy(s->text[i], (char[]){'\\', (char)i}, 2);
            s->length[i] = 2;
        }
    }
}

/* The bytes of every id in the alphabet, as in a JSON string: those of id i are text[at[i]] to text[at[i + 1]]. They
 * are copied AT_ONCE bytes at a time, so as many follow the last. */
typedef struct spelled {
    char *text;
    uint32_t *at; /* (vocabulary + 1) */
} spelled;

enum { AT_ONCE = 16 };

static spelled spell(const gp_vocab *v)
{
    spelling s;
    spelling_init(&s);
    spelled all = {.text = gp_malloc(2 * (size_t)v->at[v->size] + AT_ONCE),
                   .at = gp_malloc(((size_t)v->size + 1) * sizeof *all.at)};
    char *to = all.text;
    for (int32_t id = 0; id < v->size; id++) {
        size_t n;
        const uint8_t *bytes = (const uint8_t *)gp_vocab_bytes(v, id, &n);
        all.at[id] = (uint32_t)(to - all.text);
        for (size_t i = 0; i < n; i++) {
            memcpy(to, s.text[bytes[i]], 2);
            to += s.length[bytes[i]];
        }
    }
    all.at[v->size] = (uint32_t)(to - all.text);
    memset(to, 0, AT_ONCE);
    return all;
}

/* The length of id's text; put_spelled may write up to AT_ONCE bytes more. */
static size_t spelled_length(const spelled *s, int32_t id)
{
    return s->at[id + 1] - s->at[id];
}

/* Writes id's text; returns its end. */
static char *put_spelled(char *to, const spelled *s, int32_t id)
{
    const char *from = s->text + s->at[id];
    size_t n = spelled_length(s, id);
    memcpy(to, from, AT_ONCE);
    if (n > AT_ONCE)
        memcpy(to + AT_ONCE, from + AT_ONCE, n - AT_ONCE);
    return to + n;
}

/* Writes a number >= 0; returns its end. printf would take longer than everything else. */
static char *put_number(char *to, int32_t n)
{
    char digits[12];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(to, digits + first, sizeof digits - first);
    return to + sizeof digits - first;
}

/* Appends "name":id for every id. The names of added tokens are literal. */
static void put_vocab(gp_buf *b, const spelled *s, const gp_tokenizer *t)
{
    const gp_vocab *v = &t->vocab;
    bool first = true, omits = omits_added(t);
    for (int32_t id = 0; id < v->size; id++) {
        gp_buf_reserve(b, spelled_length(s, id) + AT_ONCE + 32);
        char *to = b->data + b->len;
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        if ((v->flags[id] & GP_TOKEN_UNINDEXED && !n) || (v->flags[id] & GP_TOKEN_NOT_IN_MODEL && omits))
            continue;
        if (!first)
            *to++ = ',';
        first = false;
        if (v->flags[id]) {
            b->len = (size_t)(to - b->data);
            gp_json_quote_minimal(b, bytes, n);
            gp_buf_reserve(b, 32);
            to = b->data + b->len;
        } else {
            *to++ = '"';
            to = put_spelled(to, s, id);
            *to++ = '"';
        }
        *to++ = ':';
        b->len = (size_t)(put_number(to, id) - b->data);
    }
}

/* Appends "left right" for every merge. */
static void put_merges(gp_buf *b, const spelled *s, const gp_tokenizer *t)
{
    for (int64_t i = 0; i < t->bpe.count; i++) {
        const gp_merge *m = &t->bpe.list[i];
        gp_buf_reserve(b, spelled_length(s, m->left) + spelled_length(s, m->right) + AT_ONCE + 32);
        char *to = b->data + b->len;
        if (i)
            *to++ = ',';
        *to++ = '"';
        to = put_spelled(to, s, m->left);
        *to++ = ' ';
        to = put_spelled(to, s, m->right);
        *to++ = '"';
        b->len = (size_t)(to - b->data);
    }
}

static void put_bpe(gp_buf *b, const gp_tokenizer *t)
{
    const gp_vocab *v = &t->vocab;
    const gp_missing *l = &t->bpe.missing;
    spelled s = spell(v);
    /* Each id is written about twice, in the vocabulary and in merges; reserving avoids moving megabytes. */
    gp_buf_reserve(b, 2 * (size_t)s.at[v->size] + 16 * (size_t)v->size + 1024);
    put_added(b, v);
    gp_buf_printf(b,
                  ",\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,"
                  "\"trim_offsets\":true,\"use_regex\":true},",
                  word(t->prefix_space));
    put_template(b, t);
    gp_buf_puts(b, "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                   "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
    if (l->name)
        gp_json_quote_minimal(b, l->name, strlen(l->name));
    else
        gp_buf_puts(b, "null");
    gp_buf_printf(b,
                  ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":%s,"
                  "\"byte_fallback\":%s,\"ignore_merges\":%s,\"vocab\":{",
                  word(l->fuse), word(l->byte_fallback), word(t->bpe.ignore_merges));
    put_vocab(b, &s, t);
    gp_buf_puts(b, "},\"merges\":[");
    put_merges(b, &s, t);
    gp_buf_puts(b, "]}}");
    free(s.text);
    free(s.at);
}

static void put_wordpiece(gp_buf *b, const gp_tokenizer *t)
{
    const gp_wordpiece *w = &t->wordpiece;
    const gp_bert_switches *s = &w->switches;
    const char *comma = "";
    size_t n;
    const char *unknown = gp_vocab_bytes(&t->vocab, w->unknown, &n);
    put_added(b, &t->vocab);
    gp_buf_printf(b,
                  ",\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":%s,\"handle_chinese_chars\":%s,"
                  "\"strip_accents\":%s,\"lowercase\":%s},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},",
                  word(s->clean_text), word(s->handle_chinese_chars),
                  s->strip_accents < 0 ? "null" : word(s->strip_accents), word(s->lowercase));
    put_template(b, t);
    gp_buf_puts(b, "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":");
    gp_json_quote_minimal(b, w->prefix, strlen(w->prefix));
    gp_buf_printf(b, ",\"cleanup\":%s%s},\"model\":{\"type\":\"WordPiece\",\"unk_token\":", word(w->cleanup),
                  w->cleans_text ? ",\"clean_up_tokenization_spaces\":true" : "");
    gp_json_quote_minimal(b, unknown, n);
    gp_buf_puts(b, ",\"continuing_subword_prefix\":");
    gp_json_quote_minimal(b, w->prefix, strlen(w->prefix));
    gp_buf_printf(b, ",\"max_input_chars_per_word\":%d,\"vocab\":{", w->max_chars);
    for (int32_t id = 0; id < t->vocab.size; id++) {
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        if (t->vocab.flags[id] & GP_TOKEN_NOT_IN_MODEL || (t->vocab.flags[id] & GP_TOKEN_UNINDEXED && !n))
            continue;
        gp_buf_puts(b, comma);
        gp_json_quote_minimal(b, bytes, n);
        gp_buf_printf(b, ":%d", id);
        comma = ",";
    }
    gp_buf_puts(b, "}}}");
}

char *gp_tokenizer_to_json(const gp_tokenizer *t)
{
    gp_buf b = {0};
    gp_buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,");
    if (t->kind == GP_KIND_WORDPIECE)
        put_wordpiece(&b, t);
    else if (t->kind == GP_KIND_BPE)
        put_bpe(&b, t);
    else
        put_chars(&b, t);
    return b.data;
}

int gp_tokenizer_save(const gp_tokenizer *t, const char *path)
{
    char *json = gp_tokenizer_to_json(t);
    int rc = gp_file_write(path, json, strlen(json));
    free(json);
    return rc;
}
