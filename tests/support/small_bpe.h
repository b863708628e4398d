/* small_bpe.h: byte-level BPE tokenizers small enough to write down. */
#ifndef GPTPIPE_SMALL_BPE_H
#define GPTPIPE_SMALL_BPE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tokenizer.json with this vocabulary beyond the 256 bytes, these merges, and these other members. */
static inline char *make_json(const char *vocab, const char *merges, const char *more)
{
    size_t size = 20000 + strlen(vocab) + strlen(merges) + strlen(more), n = 0;
    char *json = malloc(size);
    n += (size_t)snprintf(json + n, size - n,
                          "{%s\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                          "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"vocab\":{",
                          more);
    int other = 256;
    for (int i = 0; i < 256; i++) {
        int prints = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        n += (size_t)snprintf(json + n, size - n, "%s\"\\u%04x\":%d", i ? "," : "", prints ? i : other++, i);
    }
    snprintf(json + n, size - n, "%s},\"merges\":%s}}", vocab, merges);
    return json;
}

#endif
