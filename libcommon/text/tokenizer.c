/* tokenizer.c: creating tokenizers, and their properties. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/pretokenize.h"
#include "text/token_finder.h"
#include "text/text.h"

/* ---- creating -------------------------------------------------------------------------------------------- */

gp_token *gp_token_list_add(gp_token_list *d, int32_t id, const char *bytes, size_t length)
{
    d->tokens = gp_grow(d->tokens, d->count, sizeof *d->tokens);
    d->tokens[d->count++] = (gp_token){.id = id, .length = (uint32_t)length, .at = d->bytes.len};
    gp_buf_add(&d->bytes, bytes, length);
    return &d->tokens[d->count - 1];
}

void gp_token_list_release(gp_token_list *d)
{
    free(d->tokens);
    gp_buf_release(&d->bytes);
    *d = (gp_token_list){0};
}

gp_tokenizer *gp_tokenizer_from_chars(gp_token_list *d, const char *where)
{
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    t->end_of_text = -1;
    if (gp_vocab_build(&t->vocab, d->tokens, d->count, &d->bytes, where) ||
        gp_chars_init(&t->chars, &t->vocab, where)) {
        gp_tokenizer_close(t);
        return NULL;
    }
    gp_tokenizer_find_added(t);
    t->kind = t->vocab.size == 256 ? GP_KIND_BYTES : GP_KIND_CHAR;
    for (int i = 0; i < 256 && t->kind == GP_KIND_BYTES; i++)
        if (t->vocab.at[i] != (uint32_t)i || (uint8_t)t->vocab.bytes[i] != i)
            t->kind = GP_KIND_CHAR;
    return t;
}

void gp_tokenizer_find_added(gp_tokenizer *t)
{
    static const char *const names[GP_TOKEN_ROLES][2] = {[GP_ROLE_MASK] = {"[MASK]", "<mask>"},
                                                         [GP_ROLE_PAD] = {"[PAD]", "<pad>"},
                                                         [GP_ROLE_UNKNOWN] = {"[UNK]", "<unk>"},
                                                         [GP_ROLE_SEPARATOR] = {"[SEP]", "</s>"}};
    const gp_vocab *v = &t->vocab;
    t->end_of_text = -1;
    for (int32_t id = 0; id < v->size; id++) {
        t->has_added |= (v->flags[id] & GP_TOKEN_ADDED) != 0;
        if (!(v->flags[id] & GP_TOKEN_SPECIAL))
            continue;
        if (gp_vocab_is(v, id, GP_END_OF_TEXT_NAME))
            t->end_of_text = id;
        for (int role = 0; role < GP_TOKEN_ROLES; role++)
            if (!t->roles[role] && (gp_vocab_is(v, id, names[role][0]) || gp_vocab_is(v, id, names[role][1])))
                t->roles[role] = id + 1;
    }
    if (t->kind == GP_KIND_WORDPIECE && t->end_of_text < 0)
        t->end_of_text = t->roles[GP_ROLE_SEPARATOR] - 1;
}

bool gp_tokenizer_can_split(const gp_tokenizer *t)
{
    return (t->kind == GP_KIND_BPE && !t->has_added && !t->prefix_space && !t->bpe.missing.any) ||
           (t->kind == GP_KIND_WORDPIECE && !t->has_added);
}

size_t gp_tokenizer_cut(const gp_tokenizer *t, const char *text, size_t n, size_t from)
{
    const uint8_t *p = (const uint8_t *)text;
    return t->kind == GP_KIND_WORDPIECE ? gp_wordpiece_cut(&t->wordpiece, p, n, from) : gp_pretokenize_cut(p, n, from);
}

static int add_merges(gp_tokenizer *t, const gp_pair *merges, int64_t count, const char *where)
{
    gp_buf bytes = {0};
    int rc = 0;
    for (int64_t i = 0; i < count && !rc; i++) {
        size_t n, m;
        const char *left = gp_vocab_bytes(&t->vocab, merges[i].left, &n);
        const char *right = gp_vocab_bytes(&t->vocab, merges[i].right, &m);
        bytes.len = 0;
        gp_buf_reserve(&bytes, n + m + GP_VOCAB_PAD);
        gp_buf_add(&bytes, left, n);
        gp_buf_add(&bytes, right, m);
        memset(bytes.data + bytes.len, 0, GP_VOCAB_PAD);
        rc = gp_bpe_add(&t->bpe, &t->vocab, &(gp_bpe_parts){bytes.data, n, n + m}, 1, where);
    }
    gp_buf_release(&bytes);
    return rc;
}

gp_tokenizer *gp_tokenizer_from_merges(gp_token_list *d, const gp_pair *merges, int64_t count, int32_t end_of_text,
                                       const char *where)
{
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    t->kind = GP_KIND_BPE;
    t->end_of_text = end_of_text;
    if (gp_vocab_build(&t->vocab, d->tokens, d->count, &d->bytes, where) ||
        gp_bpe_init(&t->bpe, &t->vocab, count, where))
        goto failed;
    for (int i = 0; i < 256; i++) {
        if (t->bpe.byte_id[i] >= 0)
            continue;
        fail("%s: byte 0x%02x is not in the vocabulary; a byte-level BPE has all 256", where, i);
        goto failed;
    }
    if (add_merges(t, merges, count, where))
        goto failed;
    if (end_of_text >= 0)
        t->vocab.flags[end_of_text] = GP_TOKEN_SPECIAL;
    return t;
failed:
    gp_tokenizer_close(t);
    return NULL;
}

gp_tokenizer *gp_tokenizer_new_bytes(void)
{
    gp_token_list d = {0};
    for (int i = 0; i < 256; i++)
        gp_token_list_add(&d, i, &(char){(char)i}, 1);
    gp_tokenizer *t = gp_tokenizer_from_chars(&d, "bytes");
    gp_token_list_release(&d);
    return t;
}

void gp_tokenizer_close(gp_tokenizer *t)
{
    if (!t)
        return;
    gp_vocab_release(&t->vocab);
    gp_chars_release(&t->chars);
    gp_bpe_release(&t->bpe);
    gp_wordpiece_release(&t->wordpiece);
    gp_template_release(&t->template);
    free(t->warning);
    free(t);
}

/* ---- properties ------------------------------------------------------------------------------------------ */

int64_t gp_tokenizer_vocab_size(const gp_tokenizer *t)
{
    return t->vocab.size;
}

const char *gp_tokenizer_kind(const gp_tokenizer *t)
{
    static const char *const names[] = {"char", "bytes", "bpe", "wordpiece"};
    return names[t->kind];
}

const char *gp_tokenizer_warning(const gp_tokenizer *t)
{
    return t->warning;
}

const int32_t *gp_tokenizer_prefix(const gp_tokenizer *t, int64_t *count)
{
    *count = t->template.before_count;
    return t->template.before;
}

const int32_t *gp_tokenizer_suffix(const gp_tokenizer *t, int64_t *count)
{
    *count = t->template.after_count;
    return t->template.after;
}

/* Appends the settings that change ids and differ from GPT-2's, each with a zero byte after it; usually none. */
static void add_settings(gp_buf *b, const gp_tokenizer *t)
{
    const gp_missing *l = &t->bpe.missing;
    const gp_vocab *v = &t->vocab;
    if (t->prefix_space)
        gp_buf_add(b, "add_prefix_space", 17);
    if (t->bpe.ignore_merges)
        gp_buf_add(b, "ignore_merges", 14);
    if (t->kind == GP_KIND_WORDPIECE) {
        const gp_wordpiece *w = &t->wordpiece;
        gp_buf_printf(b, "%d %d %d %d %d %d %s", w->switches.clean_text, w->switches.handle_chinese_chars,
                      gp_bert_strips(&w->switches), w->switches.lowercase, w->unknown, w->max_chars, w->prefix);
        gp_buf_add(b, "", 1);
    }
    if (l->any && l->byte_fallback)
        gp_buf_add(b, "byte_fallback", 14);
    if (l->any && l->unknown >= 0) {
        gp_buf_add(b, l->fuse ? "fuse_unk" : "unk_token", l->fuse ? 9 : 10);
        gp_buf_add(b, &l->unknown, sizeof l->unknown);
    }
    for (int32_t id = 0; id < v->size && t->has_added; id++) {
        uint8_t flags = v->flags[id] & (uint8_t) ~(GP_TOKEN_UNINDEXED | GP_TOKEN_NOT_IN_MODEL);
        if (!flags)
            continue;
        gp_buf_add(b, &id, sizeof id);
        gp_buf_add(b, &flags, 1);
    }
}

void gp_tokenizer_fingerprint(const gp_tokenizer *t, uint8_t fingerprint[16])
{
    static const char *const splits[] = {"char", "bytes", "gpt2", "bert"};
    uint8_t digest[32];
    gp_sha256 h;
    gp_buf settings = {0};
    if (t->fingerprint) {
        memcpy(fingerprint, t->fingerprint, 16);
        return;
    }
    /* In one buffer, since a call of libcrypto takes longer than hashing a few bytes. */
    char *all = gp_malloc(4 * (size_t)t->vocab.size + t->vocab.at[t->vocab.size]), *to = all;
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        uint32_t length = (uint32_t)n;
        memcpy(to, &length, sizeof length);
        memcpy(to + sizeof length, bytes, n);
        to += sizeof length + n;
    }
    gp_sha256_begin(&h);
    gp_sha256_add(&h, splits[t->kind], strlen(splits[t->kind]) + 1);
    gp_sha256_add(&h, all, (size_t)(to - all));
    for (int32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.flags[id] & GP_TOKEN_SPECIAL)
            gp_sha256_add(&h, &id, sizeof id);
    add_settings(&settings, t);
    if (settings.len)
        gp_sha256_add(&h, settings.data, settings.len);
    gp_buf_release(&settings);
    gp_sha256_end(&h, digest);
    free(all);
    memcpy(fingerprint, digest, 16);
}

const char *gp_tokenizer_bytes(const gp_tokenizer *t, int32_t id, size_t *length)
{
    if (id < 0 || id >= t->vocab.size)
        return NULL;
    return gp_vocab_bytes(&t->vocab, id, length);
}

/* The same for a WordPiece, whose tokens are joined by spaces. */
static int64_t decode_words(const gp_tokenizer *t, bool first, const int32_t *ids, int64_t count, char *text,
                            size_t capacity, size_t *length)
{
    int64_t i = 0;
    *length = 0;
    for (; i < count && ids[i] >= 0 && ids[i] < t->vocab.size; i++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, ids[i], &n);
        if (n + 1 > capacity - *length)
            break;
        *length += gp_wordpiece_decode(&t->wordpiece, bytes, n, first && !i, text + *length);
    }
    return i;
}

int64_t gp_tokenizer_decode_part(const gp_tokenizer *t, bool first, const int32_t *ids, int64_t count, char *text,
                                 size_t capacity, size_t *length)
{
    char *to = text, *end = text + capacity;
    int64_t i = 0;
    if (t->kind == GP_KIND_WORDPIECE)
        return decode_words(t, first, ids, count, text, capacity, length);
    for (; i < count && ids[i] >= 0 && ids[i] < t->vocab.size; i++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, ids[i], &n);
        if (n > (size_t)(end - to))
            break;
        if (n <= GP_VOCAB_PAD && end - to >= GP_VOCAB_PAD)
            memcpy(to, bytes, GP_VOCAB_PAD); /* faster than n bytes, whatever n is */
        else
            memcpy(to, bytes, n);
        to += n;
    }
    *length = (size_t)(to - text);
    return i;
}

int64_t gp_tokenizer_decode(const gp_tokenizer *t, const int32_t *ids, int64_t count, char *text, size_t capacity,
                            size_t *length)
{
    int64_t done = gp_tokenizer_decode_part(t, true, ids, count, text, capacity, length);
    if (t->wordpiece.cleans_text)
        *length = gp_wordpiece_clean_text(text, *length);
    return done;
}

size_t gp_tokenizer_find_special(const gp_tokenizer *t, const char *text, size_t length)
{
    gp_token_finder names;
    size_t n, at = length;
    int32_t id;
    gp_token_finder_init(&names, &t->vocab, GP_TOKEN_SPECIAL, GP_TOKEN_SPECIAL, NULL);
    if (names.count)
        at = gp_token_finder_find(&names, (const uint8_t *)text, length, false, &id, &n);
    gp_token_finder_release(&names);
    return at;
}

bool gp_tokenizer_is_added(const gp_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.size && t->vocab.flags[id] & GP_TOKEN_NAMED;
}

int gp_tokenizer_no_row(const gp_tokenizer *t, int32_t id, int64_t V)
{
    size_t length;
    const char *name = gp_tokenizer_bytes(t, id, &length);
    return fail("the model has no row for %s, which was added to its vocabulary of %lld as id %d",
                gp_printable_bytes(name, (int64_t)length), (long long)V, id);
}

bool gp_tokenizer_is_appended(const gp_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.size && t->vocab.flags[id] & GP_TOKEN_NOT_IN_MODEL;
}

int32_t gp_tokenizer_end_of_text(const gp_tokenizer *t)
{
    return t->end_of_text;
}

bool gp_tokenizer_is_special(const gp_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.size && t->vocab.flags[id] & GP_TOKEN_SPECIAL;
}

bool gp_tokenizer_continues_word(const gp_tokenizer *t, int32_t id)
{
    size_t n = 0;
    const char *bytes = gp_tokenizer_bytes(t, id, &n);
    if (!bytes || !n || gp_tokenizer_is_special(t, id))
        return false;
    if (t->kind == GP_KIND_WORDPIECE)
        return n > strlen(t->wordpiece.prefix) && !strncmp(bytes, t->wordpiece.prefix, strlen(t->wordpiece.prefix));
    return t->kind == GP_KIND_BPE && *bytes != ' ';
}

int32_t gp_tokenizer_mask(const gp_tokenizer *t)
{
    return t->roles[GP_ROLE_MASK] - 1;
}

int32_t gp_tokenizer_pad(const gp_tokenizer *t)
{
    return t->roles[GP_ROLE_PAD] - 1;
}

int32_t gp_tokenizer_unknown(const gp_tokenizer *t)
{
    if (t->kind == GP_KIND_BPE && t->bpe.missing.name)
        return t->bpe.missing.unknown;
    if (t->kind == GP_KIND_WORDPIECE)
        return t->wordpiece.unknown;
    return t->roles[GP_ROLE_UNKNOWN] - 1;
}
