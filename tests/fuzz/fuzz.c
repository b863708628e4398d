/* fuzz.c: see fuzz.h. */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/container.h"
#include "gptpipe/tokenizer.h"

/* ---- files ----------------------------------------------------------------------------------------------- */

static char folder[200];

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    if (flag == FTW_DP)
        return walk->level ? rmdir(path) : 0;
    return unlink(path);
}

static void clear(void)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void)
{
    clear();
    rmdir(folder);
}

static void make_folder(void)
{
    const char *dir = getenv("TMPDIR");
    if (*folder)
        return;
    snprintf(folder, sizeof folder, "%s/gptpipe-fuzz.XXXXXX", dir && *dir ? dir : "/tmp");
    BUG_ON(!mkdtemp(folder));
    atexit(remove_folder);
}

static const char *path_of(const char *name)
{
    static char paths[8][400];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_all(int fd, const void *data, size_t size)
{
    BUG_ON(size && write(fd, data, size) != (ssize_t)size);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t size)
{
    make_folder();
    const char *path = path_of(name);
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    BUG_ON(fd < 0);
    if (ends_with(name, ".safetensors") && size && data[0] == '{') {
        const uint8_t *end = memchr(data, 0, size);
        uint64_t header = end ? (uint64_t)(end - data) : size;
        write_all(fd, &header, sizeof header);
        write_all(fd, data, (size_t)header);
        data += header + (end != NULL);
        size -= (size_t)header + (end != NULL);
    }
    write_all(fd, data, size);
    close(fd);
    return path;
}

/* Whether a bundle may have a file of this name: letters, digits, "._-", and one folder before it. */
static bool is_name(const char *name)
{
    int slashes = 0;
    for (const char *c = name; *c; c++) {
        if (*c == '/' && (c == name || !c[1] || slashes++))
            return false;
        if (!strchr("/._-", *c) && !(*c >= '0' && *c <= '9') && !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
            return false;
    }
    return *name && strcmp(name, ".") && !strstr(name, "..") && !strstr(name, "./") && !ends_with(name, "/.");
}

static void add_entry(char *name, const uint8_t *data, size_t size)
{
    char *arrow = strstr(name, " -> ");
    struct stat st;
    if (arrow)
        *arrow = 0;
    if (!is_name(name) || (arrow && !is_name(arrow + 4)) || !lstat(path_of(name), &st))
        return;
    char *slash = strchr(name, '/');
    if (slash) {
        *slash = 0;
        if (mkdir(path_of(name), 0700) && (lstat(path_of(name), &st) || !S_ISDIR(st.st_mode)))
            return;
        *slash = '/';
    }
    if (arrow)
        BUG_ON(symlink(arrow + 4, path_of(name)));
    else
        fuzz_file(name, data, size);
}

const char *fuzz_bundle(const uint8_t *data, size_t size)
{
    make_folder();
    clear();
    for (size_t at = 0; at < size;) {
        char name[120];
        const uint8_t *line_end = memchr(data + at, '\n', size - at);
        size_t length = line_end ? (size_t)(line_end - data) - at : size - at, begin = at + length + 1;
        if (data[at] != '@' || !line_end || length >= sizeof name)
            return folder;
        memcpy(name, data + at + 1, length - 1);
        name[length - 1] = 0;
        const uint8_t *next = begin < size && data[begin] == '@'
                                  ? data + begin - 1
                                  : (begin < size ? memmem(data + begin, size - begin, "\n@", 2) : NULL);
        size_t end = next ? (size_t)(next - data) : size;
        add_entry(name, data + begin, end > begin ? end - begin : 0);
        at = next ? end + 1 : size;
    }
    return folder;
}

size_t fuzz_cut(const uint8_t *data, size_t size, const char *mark, size_t *second)
{
    size_t n = strlen(mark);
    for (size_t at = 0; at + n + 1 <= size; at++) {
        if ((!at || data[at - 1] == '\n') && !memcmp(data + at, mark, n) && data[at + n] == '\n') {
            *second = at + n + 1;
            return at;
        }
    }
    *second = size;
    return size;
}

FILE *fuzz_nowhere(void)
{
    static FILE *f;
    if (!f)
        f = fopen("/dev/null", "we");
    BUG_ON(!f);
    return f;
}

/* ---- what must hold -------------------------------------------------------------------------------------- */

void fuzz_begin(void)
{
    gp_fail("%s", "");
}

void fuzz_refused(void)
{
    for (const char *c = gp_error(); *c; c++)
        BUG_ON((unsigned char)*c < 0x20 || *c == 0x7f);
    BUG_ON(!*gp_error());
}

void fuzz_use_tokenizer(const gp_tokenizer *t)
{
    static const char text[] = "The lazy dogs, it's 12 o'clock.\n\n\xff\xe4\xb8\xad ababababababababababababababababab"
                               "abababababababababababababababab<|endoftext|>   ";
    char back[4 * sizeof text];
    int32_t *ids;
    int64_t count;
    size_t length;
    uint8_t fingerprint[16];
    gp_tokenizer_fingerprint(t, fingerprint);
    for (int special = 0; special < 2; special++) {
        fuzz_begin();
        if (gp_tokenizer_encode(t, text, sizeof text, special, &ids, &count)) {
            fuzz_refused();
            continue;
        }
        for (int64_t i = 0; i < count; i++)
            BUG_ON(ids[i] < 0 || ids[i] >= gp_tokenizer_vocab_size(t));
        int64_t done = gp_tokenizer_decode(t, ids, count, back, sizeof back, &length);
        bool words = !strcmp(gp_tokenizer_kind(t), "wordpiece"); /* which loses spaces, and may repeat long names */
        BUG_ON(!words && (done != count || length != sizeof text || memcmp(back, text, length)));
        free(ids);
    }
    char *json = gp_tokenizer_to_json(t);
    free(json);
}

void fuzz_use_container(gp_container *k)
{
    enum { CHUNK = 1000 };
    float x[CHUNK], sum = 0;
    char text[128];
    for (int64_t i = 0; i < k->count; i++) {
        const gp_stored *t = &k->tensors[i];
        BUG_ON(gp_container_find(k, t->name) != i || t->ndim > GP_MAX_DIMS || t->elements < 0);
        fuzz_begin();
        if (gp_container_check(k, i, NULL))
            fuzz_refused();
        for (int64_t at = 0, n; t->is_float && at < t->elements; at += n) {
            n = gp_min(CHUNK, t->elements - at);
            if (gp_container_read(k, i, at, n, x))
                break;
            for (int64_t j = 0; j < n; j++)
                sum += x[j];
        }
        fprintf(fuzz_nowhere(), "%s %g\n", gp_stored_format(t, text, sizeof text), (double)sum);
        gp_container_forget(k, i);
    }
    gp_container_close(k);
}
