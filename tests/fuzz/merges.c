/* vocab.json and merges.txt, with a line "%%" between them. */
#include "fuzz.h"

#include "gptpipe/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t second, first = fuzz_cut(data, size, "%%", &second);
    fuzz_file("merges.txt", data + second, size - second);
    const char *vocab = fuzz_file("vocab.json", data, first);
    fuzz_begin();
    gp_tokenizer *t = gp_tokenizer_open(vocab);
    if (t)
        fuzz_use_tokenizer(t);
    else
        fuzz_refused();
    gp_tokenizer_close(t);
    return 0;
}
