/* tokenizer_open.c: finds a tokenizer's files, and detects their format. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "text/text.h"

/* Names of a vocabulary and its merges. */
static const char *const pairs[][2] = {{"encoder.json", "vocab.bpe"}, {"vocab.json", "merges.txt"}};
#define VOCAB_TXT "vocab.txt"

/* ---- a file ---------------------------------------------------------------------------------------------- */

/* A vocab.txt with the settings beside it. */
static gp_tokenizer *read_vocab_txt(const gp_buf *text, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? gp_strndup(path, (size_t)(slash + 1 - path)) : gp_strdup(".");
    gp_tokenizer *t = gp_tokenizer_from_vocab_txt(text->data, text->len, path, dir);
    free(dir);
    return t;
}

static bool is_vocab_txt(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !strcmp(slash ? slash + 1 : path, VOCAB_TXT);
}

/* Reads a tokenizer.json, a vocab.txt or a .tiktoken, told apart by their content, or the name vocab.txt. named: by the
 * user, so that it may be a pipe. dir: the folder whose other files apply too, or NULL. */
static gp_tokenizer *read_file(const char *path, bool named, const char *dir)
{
    gp_buf text = {0};
    gp_tokenizer *t = NULL;
    bool changes;
    if (named ? gp_file_read(&text, path, GP_TOKENIZER_FILE_MAX)
              : gp_file_read_regular(&text, path, GP_TOKENIZER_FILE_MAX))
        goto out;
    if (gp_refuse_lfs_pointer(text.data, text.len, path))
        goto out;
    size_t at = gp_json_blanks_end(text.data, text.len, 0);
    if (at == text.len)
        fail("%s: is empty, not a tokenizer", path);
    else if (is_vocab_txt(path) || gp_is_vocab_txt(text.data, text.len))
        t = read_vocab_txt(&text, path);
    else if (text.data[at] == '{' || text.data[at] == '[')
        t = dir ? gp_tokenizer_from_json_in(dir, text.data, text.len, path, &changes)
                : gp_tokenizer_from_json(text.data, text.len, path);
    else if (gp_is_tiktoken(text.data, text.len))
        t = gp_tokenizer_from_tiktoken(text.data, text.len, path);
    else
        fail("%s: is not a tokenizer: neither a tokenizer.json, a vocab.txt with [UNK], nor a .tiktoken (base64 and a "
             "rank in each line)",
             path);
out:
    gp_buf_release(&text);
    return t;
}

/* Opens a vocabulary or its merges, and the other one in the same folder. false: path has none of these names.
 * whole_folder: other files in it apply too. */
static bool open_pair(const char *path, bool whole_folder, gp_tokenizer **t)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *dir = slash ? gp_strndup(path, (size_t)(slash + 1 - path)) : gp_strdup(".");
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(pairs) && !known; i++) {
        char *files[2] = {gp_path_join(dir, pairs[i][0]), gp_path_join(dir, pairs[i][1])};
        int is = !strcmp(name, pairs[i][0]) ? 0 : !strcmp(name, pairs[i][1]) ? 1 : -1;
        known = is >= 0;
        *t = NULL;
        int exists = known ? gp_exists(files[!is]) : 0;
        if (known && !exists)
            fail("%s: also needs %s in the same folder, which is missing", path, pairs[i][!is]);
        else if (exists > 0)
            *t = gp_tokenizer_from_files(files[0], files[1], whole_folder ? dir : NULL);
        free(files[0]);
        free(files[1]);
    }
    free(dir);
    return known;
}

/* ---- a folder -------------------------------------------------------------------------------------------- */

/* The number of files in dir that end in .tiktoken, or -1; the caller frees *name, the first of them or NULL. */
static int find_tiktoken(const char *dir, char **name)
{
    int count = 0;
    char **names;
    int64_t all;
    *name = NULL;
    if (gp_folder_list(dir, &names, &all))
        return -1;
    for (int64_t i = 0; i < all; i++) {
        if (gp_ends_with(names[i], ".tiktoken") && !count++)
            *name = gp_strdup(names[i]);
    }
    gp_folder_list_free(names, all);
    return count;
}

int gp_vocabulary_exists(const char *dir)
{
    char *name = NULL;
    int found = 0;
    for (size_t i = 0; i < ARRAY_LEN(pairs) && !found; i++) {
        found = gp_exists_in(dir, pairs[i][0]);
        found = found > 0 ? gp_exists_in(dir, pairs[i][1]) : found;
    }
    if (!found)
        found = gp_exists_in(dir, VOCAB_TXT);
    if (!found)
        found = find_tiktoken(dir, &name);
    free(name);
    return found;
}

static gp_tokenizer *open_only_tiktoken(const char *dir)
{
    gp_tokenizer *t = NULL;
    char *name;
    int count = find_tiktoken(dir, &name);
    if (count == 1) {
        char *path = gp_path_join(dir, name);
        t = read_file(path, false, NULL);
        free(path);
    } else if (count > 1) {
        fail("%s: has %d .tiktoken files; name one of them", dir, count);
    } else if (!count) {
        fail("%s: has no tokenizer: neither tokenizer.json, encoder.json with vocab.bpe, vocab.json with "
             "merges.txt, vocab.txt, nor a .tiktoken file",
             dir);
    }
    free(name);
    return t;
}

static gp_tokenizer *open_dir(const char *dir)
{
    gp_tokenizer *t = NULL;
    char *json = gp_path_join(dir, "tokenizer.json");
    int found = gp_exists(json);
    if (found > 0)
        t = read_file(json, false, dir);
    free(json);
    for (size_t i = 0; i < ARRAY_LEN(pairs) && !found; i++) {
        char *vocab = gp_path_join(dir, pairs[i][0]), *merges = gp_path_join(dir, pairs[i][1]);
        int has_vocab = gp_exists(vocab), has_merges = has_vocab ? 0 : gp_exists(merges);
        found = has_vocab ? has_vocab : has_merges;
        if (found > 0)
            open_pair(has_vocab ? vocab : merges, true, &t);
        free(vocab);
        free(merges);
    }
    char *words = gp_path_join(dir, VOCAB_TXT);
    if (!found && (found = gp_exists(words)) > 0)
        t = read_file(words, false, NULL);
    free(words);
    return found ? t : open_only_tiktoken(dir);
}

/* ---- GPT-2's own ----------------------------------------------------------------------------------------- */

/* Opens GPT-2's own two files in root/below. false: they are not there; true: *t is the tokenizer, or NULL on
 * failure. */
static bool open_gpt2_in(const char *root, const char *below, gp_tokenizer **t)
{
    char *dir = gp_path_join(root, below);
    char *vocab = gp_path_join(dir, "encoder.json"), *merges = gp_path_join(dir, "vocab.bpe");
    int found = gp_exists(vocab);
    if (found > 0)
        found = gp_exists(merges);
    *t = found > 0 ? gp_tokenizer_gpt2(vocab, merges) : NULL;
    free(vocab);
    free(merges);
    free(dir);
    return found != 0;
}

static gp_tokenizer *open_gpt2(void)
{
    static const char *const below[] = {"", "gpt2", "openaipublic.blob.core.windows.net/gpt-2/encodings/main"};
    const char *roots[] = {getenv("GPTPIPE_DATA"), "data", getenv("FETCH_DATA_MIRROR")};
    gp_tokenizer *t;
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        for (size_t j = 0; j < ARRAY_LEN(below); j++)
            if (roots[i] && *roots[i] && open_gpt2_in(roots[i], below[j], &t))
                return t;
    fail("GPT-2's encoder.json and vocab.bpe are not in $GPTPIPE_DATA, data/ or $FETCH_DATA_MIRROR; run: "
         "%sfetch-data gpt2-tokenizer",
         gp_tool_prefix());
    return NULL;
}

/* ---- by name --------------------------------------------------------------------------------------------- */

gp_tokenizer *gp_tokenizer_open(const char *name)
{
    struct stat st;
    gp_tokenizer *t;
    if (!strcmp(name, "bytes"))
        return gp_tokenizer_new_bytes();
    if (!strcmp(name, "gpt2"))
        return open_gpt2();
    if (!strcmp(name, "char"))
        return fail("a char vocabulary is built from a text and cannot be opened by name"), NULL;
    int exists = gp_stat(name, &st);
    if (!exists)
        fail("%s: no such tokenizer: neither char, bytes, gpt2, nor a file or folder", name);
    if (exists <= 0)
        return NULL;
    if (S_ISDIR(st.st_mode))
        return open_dir(name);
    return open_pair(name, false, &t) ? t : read_file(name, true, NULL);
}
