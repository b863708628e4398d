/* A .tiktoken file; where the input begins with a line of base64, otherwise lines that follow the 256 bytes. */
#include "fuzz.h"

#include "gptpipe/tokenizer.h"

static void add_bytes(gp_buf *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int byte = 0; byte < 256; byte++)
        gp_buf_printf(b, "%c%c== %d\n", digits[byte >> 2], digits[(byte & 3) << 4], byte);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_buf b = {0};
    if (size && data[0] == '#') { /* most of a real file is the 256 bytes: they need not be mutated */
        add_bytes(&b);
        data++;
        size--;
    }
    gp_buf_add(&b, data, size);
    fuzz_begin();
    gp_tokenizer *t = gp_tokenizer_open(fuzz_file("a.tiktoken", (const uint8_t *)b.data, b.len));
    if (t)
        fuzz_use_tokenizer(t);
    else
        fuzz_refused();
    gp_tokenizer_close(t);
    gp_buf_release(&b);
    return 0;
}
