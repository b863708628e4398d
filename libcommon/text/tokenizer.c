/* tokenizer.c: the noun. Where tokenizers are found, and what can be asked of one. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "text/text.h"

enum { FILE_MOST = 1 << 28 }; /* bytes of a tokenizer's file */

/* ---- making ---------------------------------------------------------------------------------- */

void gp_draft_add(gp_draft *d, int32_t id, const char *bytes, size_t length)
{
    if (d->count == d->capacity) {
        d->capacity = d->capacity ? 2 * d->capacity : 256;
        d->tokens = gp_realloc(d->tokens, (size_t)d->capacity, sizeof *d->tokens);
    }
    d->tokens[d->count++] = (gp_token){.id = id, .length = (uint32_t)length, .at = d->bytes.len};
    gp_buf_add(&d->bytes, bytes, length);
}

void gp_draft_release(gp_draft *d)
{
    free(d->tokens);
    gp_buf_release(&d->bytes);
    *d = (gp_draft){0};
}

gp_tokenizer *gp_tokenizer_from_chars(gp_draft *d, const char *where)
{
    gp_tokenizer *t = gp_calloc(1, sizeof *t);
    t->end_of_text = -1;
    if (gp_vocab_build(&t->vocab, d->tokens, d->count, &d->bytes, where) ||
        gp_chars_init(&t->chars, &t->vocab, where)) {
        gp_tokenizer_close(t);
        return NULL;
    }
    t->kind = t->vocab.size == 256 ? GP_KIND_BYTES : GP_KIND_CHAR;
    for (int i = 0; i < 256 && t->kind == GP_KIND_BYTES; i++)
        if (t->vocab.at[i] != (uint32_t)i || (uint8_t)t->vocab.bytes[i] != i)
            t->kind = GP_KIND_CHAR;
    return t;
}

static gp_tokenizer *make_bytes(void)
{
    gp_draft d = {0};
    for (int i = 0; i < 256; i++)
        gp_draft_add(&d, i, &(char){(char)i}, 1);
    gp_tokenizer *t = gp_tokenizer_from_chars(&d, "bytes");
    gp_draft_release(&d);
    return t;
}

void gp_tokenizer_close(gp_tokenizer *t)
{
    if (!t)
        return;
    gp_vocab_release(&t->vocab);
    gp_chars_release(&t->chars);
    gp_bpe_release(&t->bpe);
    free(t);
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool is_dir(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static gp_tokenizer *open_json(const char *path)
{
    gp_buf text = {0};
    gp_tokenizer *t = NULL;
    if (!gp_file_read(&text, path, FILE_MOST))
        t = gp_tokenizer_from_json(text.data, text.len, path);
    gp_buf_release(&text);
    return t;
}

/* The tokenizer in a folder. false: it holds none of the files; true: *t is the tokenizer, or NULL on
 * failure. */
static bool open_dir(const char *dir, gp_tokenizer **t)
{
    static const char *const pairs[][2] = {{"encoder.json", "vocab.bpe"}, {"vocab.json", "merges.txt"}};
    char *json = gp_path_join(dir, "tokenizer.json");
    bool found = gp_exists(json);
    if (found)
        *t = open_json(json);
    free(json);
    for (size_t i = 0; i < ARRAY_LEN(pairs) && !found; i++) {
        char *vocab = gp_path_join(dir, pairs[i][0]), *merges = gp_path_join(dir, pairs[i][1]);
        found = gp_exists(vocab) && gp_exists(merges);
        if (found)
            *t = gp_tokenizer_from_files(vocab, merges);
        free(vocab);
        free(merges);
    }
    return found;
}

static int check_sha256(const char *path, const char *expected)
{
    gp_map m;
    gp_sha256 h;
    uint8_t digest[32];
    char got[65];
    if (gp_map_open(&m, path))
        return -1;
    gp_sha256_begin(&h);
    gp_sha256_add(&h, m.data, m.size);
    gp_sha256_end(&h, digest);
    gp_map_close(&m);
    gp_hex(got, digest, sizeof digest);
    if (strcmp(got, expected))
        return fail("%s: is not GPT-2's: its SHA-256 is %s, expected %s; remove it and run: fetch-data "
                    "gpt2-tokenizer",
                    path, got, expected);
    return 0;
}

/* GPT-2's own two files in root/below. false: not there; true: *t is the tokenizer, or NULL on failure. */
static bool open_gpt2_in(const char *root, const char *below, gp_tokenizer **t)
{
    char *dir = gp_path_join(root, below);
    char *vocab = gp_path_join(dir, "encoder.json"), *merges = gp_path_join(dir, "vocab.bpe");
    bool found = gp_exists(vocab) && gp_exists(merges);
    *t = NULL;
    if (found && !check_sha256(merges, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5") &&
        !check_sha256(vocab, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"))
        *t = gp_tokenizer_from_files(vocab, merges);
    free(vocab);
    free(merges);
    free(dir);
    return found;
}

static gp_tokenizer *open_gpt2(void)
{
    static const char *const below[] = {"", "gpt2",
                                        "openaipublic.blob.core.windows.net/gpt-2/encodings/main"};
    const char *roots[] = {getenv("GPTPIPE_DATA"), "data", getenv("FETCH_DATA_MIRROR")};
    gp_tokenizer *t;
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        for (size_t j = 0; j < ARRAY_LEN(below); j++)
            if (roots[i] && *roots[i] && open_gpt2_in(roots[i], below[j], &t))
                return t;
    fail("GPT-2's encoder.json and vocab.bpe are not in $GPTPIPE_DATA, data/ or $FETCH_DATA_MIRROR; run: "
         "fetch-data gpt2-tokenizer");
    return NULL;
}

gp_tokenizer *gp_tokenizer_open(const char *name)
{
    gp_tokenizer *t;
    if (!strcmp(name, "bytes"))
        return make_bytes();
    if (!strcmp(name, "gpt2"))
        return open_gpt2();
    if (!strcmp(name, "char"))
        return fail("a char vocabulary is built from a text, it cannot be opened"), NULL;
    if (!gp_exists(name))
        return fail("%s: there is no such tokenizer: neither char, bytes, gpt2, nor a file or folder", name),
               NULL;
    if (!is_dir(name))
        return open_json(name);
    if (open_dir(name, &t))
        return t;
    fail("%s: holds no tokenizer: neither tokenizer.json, encoder.json with vocab.bpe, nor vocab.json with "
         "merges.txt",
         name);
    return NULL;
}

/* ---- asking ---------------------------------------------------------------------------------- */

int64_t gp_tokenizer_vocab_size(const gp_tokenizer *t)
{
    return t->vocab.size;
}

const char *gp_tokenizer_kind(const gp_tokenizer *t)
{
    static const char *const names[] = {"char", "bytes", "bpe"};
    return names[t->kind];
}

void gp_tokenizer_fingerprint(const gp_tokenizer *t, uint8_t fingerprint[16])
{
    static const char *const splits[] = {"char", "bytes", "gpt2"};
    uint8_t digest[32];
    gp_sha256 h;
    gp_sha256_begin(&h);
    gp_sha256_add(&h, splits[t->kind], strlen(splits[t->kind]) + 1);
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(&t->vocab, id, &n);
        uint32_t length = (uint32_t)n;
        gp_sha256_add(&h, &length, sizeof length);
        gp_sha256_add(&h, bytes, n);
    }
    for (int32_t id = 0; id < t->vocab.size; id++)
        if (t->vocab.special[id])
            gp_sha256_add(&h, &id, sizeof id);
    gp_sha256_end(&h, digest);
    memcpy(fingerprint, digest, 16);
}

const char *gp_tokenizer_bytes(const gp_tokenizer *t, int32_t id, size_t *length)
{
    if (id < 0 || id >= t->vocab.size)
        return NULL;
    return gp_vocab_bytes(&t->vocab, id, length);
}

int32_t gp_tokenizer_end_of_text(const gp_tokenizer *t)
{
    return t->end_of_text;
}
