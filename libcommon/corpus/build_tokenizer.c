/* build_tokenizer.c: tokenizers for a corpus: built from its text, opened, or downloaded. */
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "gptpipe/fetch.h"
#include "corpus/corpus.h"
#include "data/tokens_format.h"

gp_tokenizer *gp_corpus_build_char(gp_text *text, const gp_corpus_options *o)
{
    const gp_text_info *info = gp_text_get_info(text);
    gp_separator separator = gp_separator_choose(info, o);
    gp_charset *c = gp_charset_new();
    gp_text_part part;
    int rc;
    if (info->bytes) /* an empty text must not become a vocabulary */
        gp_charset_add(c, separator.text, separator.length);
    while ((rc = gp_text_next(text, NULL, 0, &part)) > 0) { /* whole characters: a whole file, or a line's text */
        gp_charset_add(c, part.data, part.length);
        if (part.pair)
            gp_charset_add(c, part.pair, part.pair_length);
    }
    gp_text_rewind(text);
    gp_tokenizer *t = gp_charset_build(c);
    if (rc < 0) {
        gp_tokenizer_close(t);
        return NULL;
    }
    if (!t)
        gp_fail_in("%s", info->name);
    return t;
}

/* Gives the text's documents to b, which may be NULL, and builds and frees it. */
static gp_tokenizer *train(gp_text *text, gp_bpe_trainer *b, const gp_corpus_options *o)
{
    const gp_text_info *info = gp_text_get_info(text);
    gp_separator separator = gp_separator_choose(info, o);
    gp_text_part part;
    gp_progress progress;
    int rc = b ? 0 : -1;
    gp_progress_begin(&progress, info->name, GP_PROGRESS_BYTES, 0, info->bytes, o->quiet);
    while (!rc && (rc = gp_text_next(text, separator.text, separator.length, &part)) > 0) {
        gp_bpe_trainer_add(b, part.data, part.length);
        if (part.separated || part.file_ends)
            gp_bpe_trainer_end(b);
        if (part.pair) {
            gp_bpe_trainer_add(b, part.pair, part.pair_length);
            gp_bpe_trainer_end(b);
        }
        gp_progress_set(&progress, part.end, "counting");
        rc = 0;
    }
    gp_progress_end(&progress);
    if (rc) {
        gp_bpe_trainer_free(b);
        return NULL;
    }
    gp_text_rewind(text);
    gp_tokenizer *t = gp_bpe_trainer_build(b);
    if (!t)
        gp_fail_in("%s", info->name);
    return t;
}

gp_tokenizer *gp_corpus_train_bpe(gp_text *text, int64_t vocab_size, const gp_corpus_options *o)
{
    return train(text, gp_bpe_trainer_new(vocab_size), o);
}

gp_tokenizer *gp_corpus_train_wordpiece(gp_text *text, int64_t vocab_size, bool cased, const gp_corpus_options *o)
{
    return train(text, gp_bpe_trainer_new_wordpiece(vocab_size, cased), o);
}

/* Downloads GPT-2's two files to the folder where gp_tokenizer_open looks for them. */
static int fetch_gpt2(void)
{
    const char *folder = getenv("GPTPIPE_DATA"), *mirror = getenv("FETCH_DATA_MIRROR");
    gp_fetch_options o = {.mirror = mirror && *mirror ? mirror : NULL, .quiet = true, .retries = 1};
    gp_catalog *c = gp_catalog_open(NULL);
    const gp_catalog_entry *e = c ? gp_catalog_find(c, "gpt2-tokenizer") : NULL;
    int rc = e ? gp_fetch(e, folder && *folder ? folder : "data", &o) : -1;
    gp_catalog_close(c);
    return rc;
}

gp_tokenizer *gp_corpus_tokenizer_open(const char *name)
{
    char begin[8] = {0};
    FILE *f = strcmp(name, "gpt2") ? fopen(name, "rb") : NULL;
    bool stream = f && fread(begin, 1, sizeof begin, f) == sizeof begin && !memcmp(begin, GP_TOK_MAGIC, sizeof begin);
    if (f)
        fclose(f);
    if (stream) {
        gp_tokens *s = gp_tokens_open(name, NULL);
        gp_tokenizer *t = s ? gp_corpus_tokenizer(s, name) : NULL;
        gp_tokens_close(s);
        return t;
    }
    gp_tokenizer *t = gp_tokenizer_open(name);
    if (!t && !strcmp(name, "gpt2"))
        t = fetch_gpt2() ? gp_fail_in("GPT-2's vocab.bpe and encoder.json are missing and cannot be downloaded"),
        NULL             : gp_tokenizer_open(name);
    return t;
}
