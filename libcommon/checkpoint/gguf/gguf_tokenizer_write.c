/* gguf_tokenizer_write.c: see gguf_tokenizer.h. */
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "text/text.h"

#include <stdlib.h>
#include <string.h>

/* Whether llama.cpp's gpt2 gives the same ids: byte-level BPE, or the 256 bytes, which are one without merges. */
static bool has_lists(const gp_tokenizer *t)
{
    const gp_template *a = &t->template;
    return t->kind != GP_KIND_CHAR && t->kind != GP_KIND_WORDPIECE && !t->prefix_space && !t->bpe.ignore_merges &&
           !t->bpe.missing.any && !a->after_count && a->before_count < 2;
}

/* Whether the lists are all of it: the other settings of an added token are not in them. Of a single one it does not
 * matter which is looked for first. *settings: some token has lstrip, rstrip or single_word. */
static bool lists_suffice(const gp_tokenizer *t, int64_t rows, bool *settings)
{
    int64_t names = 0;
    bool later = false;
    *settings = false;
    for (int32_t id = 0; id < t->vocab.size; id++) {
        uint8_t flags = t->vocab.flags[id];
        names += (flags & GP_TOKEN_NAMED) != 0;
        *settings |= (flags & (GP_TOKEN_LSTRIP | GP_TOKEN_RSTRIP | GP_TOKEN_SINGLE_WORD)) != 0;
        later |= (flags & GP_TOKEN_NORMALIZED) != 0;
    }
    return t->kind == GP_KIND_BPE && !*settings && !(later && names > 1) && t->vocab.size <= rows;
}

/* A token that has flags is what it is called; the others are written in the alphabet. */
static void token_text(gp_buf *b, const gp_tokenizer *t, const gp_alphabet *alphabet, int64_t id)
{
    size_t n = 0;
    const char *bytes = t && id < t->vocab.size ? gp_vocab_bytes(&t->vocab, (int32_t)id, &n) : "";
    b->len = 0;
    if (!n)
        gp_buf_printf(b, "[PAD%lld]", (long long)id);
    else if (t->vocab.flags[id])
        gp_buf_add(b, bytes, n);
    else
        gp_alphabet_encode(alphabet, b, bytes, n);
}

static int32_t token_type(const gp_tokenizer *t, int64_t id)
{
    size_t n = 0;
    if (id < t->vocab.size)
        gp_vocab_bytes(&t->vocab, (int32_t)id, &n);
    uint8_t flags = n ? t->vocab.flags[id] : 0;
    return !n                         ? GP_GGUF_UNUSED
           : flags & GP_TOKEN_SPECIAL ? GP_GGUF_CONTROL
           : flags & GP_TOKEN_ADDED   ? GP_GGUF_USER_DEFINED
                                      : GP_GGUF_NORMAL;
}

/* t may be NULL: transformers goes by their number, whatever they are. */
static void put_tokens(gp_gguf_writer *w, const gp_tokenizer *t, const gp_alphabet *alphabet, int64_t rows)
{
    gp_buf text = {0};
    gp_gguf_put_array(w, "tokenizer.ggml.tokens", GP_GGUF_STRING, rows);
    for (int64_t id = 0; id < rows; id++) {
        token_text(&text, t, alphabet, id);
        gp_gguf_add_string(w, text.data, text.len);
    }
    gp_buf_release(&text);
}

static void put_lists(gp_gguf_writer *w, const gp_tokenizer *t, const gp_alphabet *alphabet, int64_t rows)
{
    gp_buf text = {0}, right = {0};
    gp_gguf_put_array(w, "tokenizer.ggml.token_type", GP_GGUF_INT32, rows);
    for (int64_t id = 0; id < rows; id++)
        gp_gguf_add_int32(w, token_type(t, id));
    gp_gguf_put_array(w, "tokenizer.ggml.merges", GP_GGUF_STRING, t->bpe.count);
    for (int64_t i = 0; i < t->bpe.count; i++) {
        token_text(&text, t, alphabet, t->bpe.list[i].left);
        token_text(&right, t, alphabet, t->bpe.list[i].right);
        gp_buf_puts(&text, " ");
        gp_buf_add(&text, right.data, right.len);
        gp_gguf_add_string(w, text.data, text.len);
    }
    gp_buf_release(&text);
    gp_buf_release(&right);
}

static void put_text(gp_gguf_writer *w, const char *key, const char *text)
{
    gp_gguf_put_text(w, key, text, strlen(text));
}

static void put_id(gp_gguf_writer *w, const char *key, int64_t id, int64_t rows)
{
    if (id >= 0 && id < rows)
        gp_gguf_put_uint32(w, key, (uint32_t)id);
}

/* What begins and ends a text: by the configuration, else the end-of-text token. */
static void put_ids(gp_gguf_writer *w, const gp_config *c, const gp_tokenizer *t)
{
    int64_t end = t ? t->end_of_text : -1, bos = c->bos_id >= 0 ? c->bos_id : end;
    bool adds = t && t->template.before_count;
    if (adds)
        bos = t->template.before[0];
    put_id(w, "tokenizer.ggml.bos_token_id", bos, c->vocab_size);
    put_id(w, "tokenizer.ggml.eos_token_id", c->end_count ? c->ends[0] : end, c->vocab_size);
    if (c->end_count > 1)
        put_id(w, "tokenizer.ggml.eot_token_id", c->ends[1], c->vocab_size);
    if (t)
        gp_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", adds);
}

void gp_gguf_put_tokenizer(gp_gguf_writer *w, const gp_config *c, const char *text, size_t length)
{
    gp_tokenizer *t = text ? gp_tokenizer_from_json(text, length, "its tokenizer") : NULL;
    bool lists = t && has_lists(t);
    gp_alphabet alphabet;
    gp_alphabet_init(&alphabet);
    put_text(w, "tokenizer.ggml.model", lists ? "gpt2" : "none");
    put_tokens(w, lists ? t : NULL, &alphabet, c->vocab_size);
    if (lists) {
        put_text(w, "tokenizer.ggml.pre", "gpt-2");
        put_lists(w, t, &alphabet, c->vocab_size);
    }
    put_ids(w, c, lists ? t : NULL);
    if (lists && t->end_of_text < 0 && !c->end_count)
        gp_gguf_writer_warn(w, gp_strdup("llama.cpp ends a text at token 11, as there is no end-of-text token"));
    if (text && !lists)
        gp_gguf_writer_warn(w, gp_strdup("llama.cpp has no tokenizer of this type: it can be given ids, but no text"));
    bool settings = false, suffices = lists && lists_suffice(t, c->vocab_size, &settings);
    if (settings)
        gp_gguf_writer_warn(w, gp_strdup("llama.cpp ignores lstrip, rstrip and single_word of added tokens: texts with "
                                         "these tokens may get other ids there"));
    if (text && !suffices)
        gp_gguf_put_text(w, "tokenizer.huggingface.json", text, length);
    gp_tokenizer_close(t);
}
