/* A safetensors file: what is opened has tensors inside the file, in the order of their data, each found by its
 * name. */
#include "fuzz.h"

#include "gptpipe/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"format", "gptpipe.config", "gptpipe.tokenizer", ""};
    unsigned sum = 0;
    fuzz_begin();
    gp_safetensors *s = gp_safetensors_open(fuzz_file("a.safetensors", data, size));
    const char *before = NULL;
    if (!s) {
        fuzz_refused();
        return 0;
    }
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        gp_tensor t, found;
        const char *name = gp_safetensors_get(s, i, &t);
        BUG_ON(!gp_safetensors_find(s, name, &found) || found.data != t.data);
        int64_t bytes = gp_tensor_bytes(&t);
        BUG_ON(bytes < 0 || (size_t)bytes > size || (before && (const char *)t.data < before));
        for (int64_t k = 0; k < bytes; k++)
            sum += ((const unsigned char *)t.data)[k];
        before = (const char *)t.data + bytes;
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t length;
        const char *text = gp_safetensors_metadata(s, keys[i], &length);
        for (size_t k = 0; text && k <= length; k++)
            sum += (unsigned char)text[k];
    }
    fprintf(fuzz_nowhere(), "%u\n", sum); /* so that no read is left out by the compiler */
    gp_safetensors_close(s);
    return 0;
}
