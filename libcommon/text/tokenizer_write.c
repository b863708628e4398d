/* tokenizer_write.c: a tokenizer as Hugging Face's tokenizer.json. */
#include "text/escape.h"
#include "text/text.h"
#include "text/unicode.h"

/* char and bytes are BPE models without merges and pre-split: a character that is in the vocabulary is its
 * id, and any other falls back to its bytes, <0x00> to <0xFF>. U+0000 is written as such a byte too, because
 * many JSON parsers take no NUL in a key. */
static void put_char_name(gp_buf *b, const char *bytes, size_t n)
{
    uint32_t c;
    gp_utf8_last((const uint8_t *)bytes, n, &c);
    if (c && c < GP_BAD_BYTE)
        gp_json_string(b, bytes, n);
    else
        gp_buf_printf(b, "\"<0x%02X>\"", (uint8_t)bytes[0]);
}

static void put_chars(gp_buf *b, const gp_tokenizer *t)
{
    gp_buf_puts(b, "\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,"
                   "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},"
                   "{\"type\":\"Fuse\"}]},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                   "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                   "\"byte_fallback\":true,\"ignore_merges\":false,\"vocab\":{");
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        gp_buf_puts(b, id ? "," : "");
        put_char_name(b, bytes, n);
        gp_buf_printf(b, ":%d", id);
    }
    gp_buf_puts(b, "},\"merges\":[]}}");
}

/* Appends how an id is spelled in vocabulary files: in GPT-2's alphabet, or as it is when it is special. */
static void spell(gp_buf *b, const gp_alphabet *a, const gp_vocab *v, int32_t id)
{
    size_t n;
    const char *bytes = gp_vocab_bytes(v, id, &n);
    if (v->special[id])
        gp_buf_add(b, bytes, n);
    else
        gp_alphabet_encode(a, b, bytes, n);
}

static void put_string(gp_buf *b, gp_buf *spelled)
{
    gp_json_string(b, spelled->data, spelled->len);
    spelled->len = 0;
}

static void put_bpe(gp_buf *b, const gp_tokenizer *t)
{
    const gp_vocab *v = &t->vocab;
    const char *comma = "";
    gp_buf name = {0};
    gp_alphabet a;
    gp_alphabet_init(&a);
    gp_buf_puts(b, "\"added_tokens\":[");
    for (int32_t id = 0; id < v->size; id++) {
        if (!v->special[id])
            continue;
        gp_buf_printf(b, "%s{\"id\":%d,\"content\":", comma, id);
        spell(&name, &a, v, id);
        put_string(b, &name);
        gp_buf_puts(b, ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
                       "\"special\":true}");
        comma = ",";
    }
    gp_buf_puts(
        b, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
           "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,\"decoder\":{\"type\":"
           "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},\"model\":{"
           "\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
           "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,"
           "\"ignore_merges\":false,\"vocab\":{");
    for (int32_t id = 0; id < v->size; id++) {
        gp_buf_puts(b, id ? "," : "");
        spell(&name, &a, v, id);
        put_string(b, &name);
        gp_buf_printf(b, ":%d", id);
    }
    gp_buf_puts(b, "},\"merges\":[");
    for (int64_t i = 0; i < t->bpe.count; i++) {
        gp_buf_puts(b, i ? "," : "");
        spell(&name, &a, v, t->bpe.list[i].left);
        gp_buf_puts(&name, " ");
        spell(&name, &a, v, t->bpe.list[i].right);
        put_string(b, &name);
    }
    gp_buf_puts(b, "]}}");
    gp_buf_release(&name);
}

char *gp_tokenizer_to_json(const gp_tokenizer *t)
{
    gp_buf b = {0};
    gp_buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,");
    if (t->kind == GP_KIND_BPE)
        put_bpe(&b, t);
    else
        put_chars(&b, t);
    return b.data;
}
