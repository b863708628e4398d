/* A folder with a vocab.txt and a tokenizer_config.json; and the tokenizer.json that is written of it. */
#include "fuzz.h"

#include "gptpipe/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t before[16], after[16];
    fuzz_begin();
    gp_tokenizer *t = gp_tokenizer_open(fuzz_bundle(data, size));
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
