/* A token stream in each of its formats; or, where the input begins with '{', a .tok around this metadata. */
#include "fuzz.h"

#include "data/tokens_format.h"
#include "gptpipe/corpus.h"

/* Whatever the header says, ids are read where they are, and documents rise. */
static void use(const gp_tokens *s, const gp_tokenizer *t)
{
    const gp_tokens_info *info = gp_tokens_get_info(s);
    int64_t before = -1;
    BUG_ON(info->count < 0 || info->documents < 0 || info->vocab_size < 1);
    for (int64_t i = 0; i < info->documents; i++) {
        int64_t start = gp_tokens_document(s, i);
        BUG_ON(start <= before || start >= info->count);
        before = start;
    }
    for (int64_t i = 0; info->items && i < info->documents; i++) {
        gp_token_item item = gp_tokens_item(s, i);
        BUG_ON(item.first < 0 || item.second < 0 || item.begin + item.first + item.second > info->count);
        BUG_ON(item.label >= 0 && !gp_tokens_label_name(s, item.label));
    }
    int32_t *ids = gp_malloc((size_t)info->count * sizeof *ids);
    fuzz_begin();
    bool whole = !gp_tokens_verify(s);
    if (!whole)
        fuzz_refused();
    bool read = !gp_tokens_read(s, 0, info->count, ids);
    BUG_ON(whole && !read);
    for (int64_t i = 0; read && i < info->count; i++)
        BUG_ON(ids[i] < 0 || ids[i] >= info->vocab_size);
    free(ids);
    int64_t split = gp_tokens_split(s, 0.1);
    BUG_ON(split == 0 || split > info->count);
    char *text;
    size_t length;
    int64_t count;
    fuzz_begin();
    if (gp_tokens_separator(s, &text, &length, &ids, &count)) {
        fuzz_refused();
    } else {
        BUG_ON(count < 1);
        free(text);
        free(ids);
    }
    fuzz_begin();
    if (gp_corpus_print_info(s, t, count & 1, fuzz_nowhere()))
        fuzz_refused();
    fuzz_begin();
    if (t && gp_corpus_decode(s, t, NULL) < 0)
        fuzz_refused();
}

static void open_as(const char *path, gp_stream_format format, int64_t vocab_size)
{
    gp_tokens *s;
    gp_tokenizer *t;
    fuzz_begin();
    if (gp_corpus_open(path, format, vocab_size, NULL, false, &s, &t))
        fuzz_refused();
    else
        use(s, t);
    gp_tokens_close(s);
    gp_tokenizer_close(t);
}

static const char *around(const uint8_t *data, size_t size)
{
    static const int32_t ids[] = {0, 1, 2, 0, 1, 2, 3};
    static char path[300];
    char *metadata = gp_strndup((const char *)data, size);
    snprintf(path, sizeof path, "%s", fuzz_file("made.tok", data, 0));
    bool items = strstr(metadata, "\"items\"");
    gp_tokens_writer *w =
        gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 300, .metadata = metadata, .items = items});
    free(metadata);
    if (!w)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        bool ends = !ids[i] || (items && i + 1 == ARRAY_LEN(ids));
        BUG_ON(gp_tokens_write(w, &ids[i], 1) ||
               (ends && (items ? gp_tokens_end_item(w, 0, ids[i]) : gp_tokens_end_document(w))));
    }
    return gp_tokens_finish(w) ? NULL : path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == '{') {
        const char *path = around(data, size);
        if (path)
            open_as(path, GP_STREAM_ANY, 0);
        return 0;
    }
    char path[400];
    snprintf(path, sizeof path, "%s", fuzz_file("a.tok", data, size));
    open_as(path, GP_STREAM_ANY, 0);
    if (size < 8 || memcmp(data, GP_TOK_MAGIC, 8)) {
        open_as(path, GP_STREAM_LLMC, 300);
        open_as(path, GP_STREAM_RAW16, 50257);
    }
    return 0;
}
