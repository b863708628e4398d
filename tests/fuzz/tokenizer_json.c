/* A tokenizer.json: vocabulary and merges are the same without jansson as with it, ids of any text decode to it, and it
 * is written as a file that reads back as the same tokenizer. */
#include "fuzz.h"

#include "gptpipe/tokenizer.h"
#include "text/files/model_json.h"

static void compare_words(const gp_words *a, const gp_words *b)
{
    BUG_ON(a->names.size != b->names.size);
    for (int64_t i = 0; i < a->names.size; i++) {
        size_t n, m;
        const char *x = gp_vocab_bytes(&a->names, (int32_t)i, &n), *y = gp_vocab_bytes(&b->names, (int32_t)i, &m);
        BUG_ON(n != m || memcmp(x, y, n) || a->ids[i] != b->ids[i]);
    }
}

static void compare_merges(const gp_merge_texts *a, const gp_merge_texts *b)
{
    BUG_ON(a->count != b->count);
    for (int64_t i = 0; i < a->count; i++) {
        gp_merge_text x = a->list[i], y = b->list[i];
        BUG_ON(x.line != y.line || x.left != y.left || x.length != y.length);
    }
    BUG_ON(a->text.len != b->text.len || (a->text.len && memcmp(a->text.data, b->text.data, a->text.len)));
}

static json_t *without_model(gp_model_json *m)
{
    json_t *model = json_object_get(m->root, "model");
    json_object_del(model, "vocab");
    json_object_del(model, "merges");
    return m->root;
}

static void compare_ways(const char *text, size_t size)
{
    gp_model_json fast, slow;
    gp_words words, same;
    if (gp_model_json_cut(&fast, text, size)) {
        BUG_ON(gp_model_json_load(&slow, text, size, "by jansson"));
        compare_words(&fast.vocab, &slow.vocab);
        compare_merges(&fast.merges, &slow.merges);
        BUG_ON(!json_equal(without_model(&fast), without_model(&slow)));
        gp_model_json_release(&fast);
        gp_model_json_release(&slow);
    }
    if (gp_words_cut(&words, text, size)) {
        BUG_ON(gp_words_load(&same, text, size, "by jansson"));
        compare_words(&words, &same);
        gp_words_release(&words);
        gp_words_release(&same);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t before[16], after[16];
    compare_ways((const char *)data, size);
    fuzz_begin();
    gp_tokenizer *t = gp_tokenizer_from_json((const char *)data, size, "tokenizer.json");
    if (!t) {
        fuzz_refused();
        return 0;
    }
    fuzz_use_tokenizer(t);
    char *json = gp_tokenizer_to_json(t);
    gp_tokenizer *again = gp_tokenizer_from_json(json, strlen(json), "what was written");
    BUG_ON(!again);
    gp_tokenizer_fingerprint(t, before);
    gp_tokenizer_fingerprint(again, after);
    BUG_ON(memcmp(before, after, sizeof before));
    gp_tokenizer_close(again);
    gp_tokenizer_close(t);
    free(json);
    return 0;
}
