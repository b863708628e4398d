/* predict_targets.c: token ids by the names that a vocabulary file has for them. */
#include <stdlib.h>
#include <string.h>

#include "infer/predict.h"
#include "text/text.h"

/* The id of a token by its name, or -1. Byte-level BPE writes bytes in GPT-2's alphabet, but special tokens as text. */
static int32_t find(const gp_tokenizer *t, const char *name)
{
    gp_alphabet alphabet;
    gp_buf bytes = {0};
    bool bpe = !strcmp(gp_tokenizer_kind(t), "bpe"), decoded;
    int32_t found = -1;
    gp_alphabet_init(&alphabet);
    decoded = bpe && gp_alphabet_decode(&alphabet, &bytes, name, strlen(name));
    for (int32_t id = 0; id < gp_tokenizer_vocab_size(t) && found < 0; id++) {
        size_t n;
        const char *own = gp_tokenizer_bytes(t, id, &n);
        bool as_text = !bpe || gp_tokenizer_is_special(t, id) || gp_tokenizer_is_added(t, id);
        if (!own || (!as_text && !decoded))
            continue;
        const char *wanted = as_text ? name : bytes.data ? bytes.data : "";
        size_t length = as_text ? strlen(name) : bytes.len;
        if (n == length && n && !memcmp(own, wanted, n))
            found = id;
    }
    gp_buf_release(&bytes);
    return found;
}

/* The first token of the encoding of a name that is not a token. */
static int32_t first_of(const gp_tokenizer *t, const char *name, char **warning)
{
    int32_t *ids, id = -1;
    int64_t count;
    size_t n;
    if (gp_tokenizer_encode(t, name, strlen(name), true, &ids, &count))
        return -1;
    if (count) {
        id = ids[0];
        const char *bytes = gp_tokenizer_bytes(t, id, &n);
        char *first = gp_strdup(gp_printable_bytes(bytes, (int64_t)n));
        gp_warning_add(warning, gp_format("'%s' is not a token of the vocabulary: its first token '%s' is taken",
                                          gp_printable(name), first));
        free(first);
    } else {
        fail("'%s' has no token", gp_printable(name));
    }
    free(ids);
    return id;
}

int gp_predict_targets(const gp_tokenizer *t, const gp_list *names, int32_t **ids, int64_t *count, char **warning)
{
    *count = 0;
    *warning = NULL;
    *ids = gp_calloc((size_t)names->count + 1, sizeof **ids);
    for (int i = 0; i < names->count; i++) {
        int32_t id = find(t, names->items[i]);
        if (id < 0)
            id = first_of(t, names->items[i], warning);
        if (id < 0) {
            free(*ids);
            *ids = NULL;
            return -1;
        }
        bool known = false;
        for (int64_t k = 0; k < *count; k++)
            known |= (*ids)[k] == id;
        if (!known)
            (*ids)[(*count)++] = id;
    }
    return 0;
}
