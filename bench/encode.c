/* encode.c: how fast text becomes ids, and ids text, on one thread.
 *
 *     bench-encode TOKENIZER FILE...
 *
 * A first pass has everything to learn: a fresh encoder meets each piece of the text for the first time. The warm
 * figure is the best of ten more passes through the same encoder. Both are best of three; a shared machine has slow
 * moments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/file.h"
#include "gptpipe/tokenizer.h"

static int count_ids(void *self, const int32_t *ids, int64_t count)
{
    (void)ids;
    *(int64_t *)self += count;
    return 0;
}

static double pass(gp_encoder *e, const gp_map *text)
{
    double begin = gp_now();
    if (gp_encoder_feed(e, text->data, text->size) || gp_encoder_end(e))
        die("%s", gp_error());
    return gp_now() - begin;
}

/* Seconds that the ids of text take to become text again, 64 KB at a time. */
static double decode(const gp_tokenizer *t, const gp_map *text)
{
    static char out[1 << 16];
    int32_t *ids;
    int64_t count, done = 0;
    size_t length, bytes = 0;
    if (gp_tokenizer_encode(t, text->data, text->size, false, &ids, &count))
        die("%s", gp_error());
    double begin = gp_now();
    for (; done < count; bytes += length)
        done += gp_tokenizer_decode(t, ids + done, count - done, out, sizeof out, &length);
    double seconds = gp_now() - begin;
    free(ids);
    BUG_ON(bytes != text->size && strcmp(gp_tokenizer_kind(t), "wordpiece") != 0);
    return seconds;
}

static void measure(const gp_tokenizer *t, const char *path)
{
    gp_map text;
    double first = 1e9, warm = 1e9, back = 1e9;
    int64_t ids = 0;
    if (gp_map_open(&text, path))
        die("%s", gp_error());
    for (int round = 0; round < 3; round++) {
        gp_encoder *e = gp_encoder_open(t, count_ids, &ids);
        double s = pass(e, &text);
        first = s < first ? s : first;
        for (int i = 0; i < 10; i++) {
            ids = 0;
            s = pass(e, &text);
            warm = s < warm ? s : warm;
        }
        gp_encoder_close(e);
        s = decode(t, &text);
        back = s < back ? s : back;
    }
    printf("%-32s %10zu bytes %9lld ids   first %7.1f MB/s   warm %7.1f MB/s   decode %7.1f MB/s\n", path, text.size,
           (long long)ids, (double)text.size / first / 1e6, (double)text.size / warm / 1e6,
           (double)text.size / back / 1e6);
    gp_map_close(&text);
}

int main(int argc, char **argv)
{
    double begin = gp_now();
    gp_tokenizer *t = argc > 2 ? gp_tokenizer_open(argv[1]) : NULL;
    if (!t) {
        fprintf(stderr, "%s\n", argc > 2 ? gp_error() : "usage: bench-encode TOKENIZER FILE...");
        return argc > 2 ? 1 : 2;
    }
    printf("%s: opened in %.1f ms\n", argv[1], 1e3 * (gp_now() - begin));
    for (int i = 2; i < argc; i++)
        measure(t, argv[i]);
    gp_tokenizer_close(t);
    return 0;
}
