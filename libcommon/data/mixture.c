/* mixture.c: see mixture.h. */
#include "data/mixture.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/tokens_format.h"

/* ---- items of the list ----------------------------------------------------------------------------------- */

/* "a.tok=0.7": file "a.tok", weight 0.7; "web=a.tok": name "web". The weight is 0 and the name NULL if not given. */
typedef struct mixture_item {
    char *file, *name;
    double weight;
} mixture_item;

static void release_item(mixture_item *it)
{
    free(it->file);
    free(it->name);
    *it = (mixture_item){0};
}

static int read_weight(mixture_item *it, const char *text)
{
    enum { MAX = 1000000000 };
    char *equals = strrchr(it->file, '='), *end;
    double weight = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || !equals[1] || *end)
        return 0; /* no weight; the name may contain '=' */
    if (!(weight > 0 && weight <= MAX))
        return fail("%s: a weight must be above 0 and at most %d", text, MAX);
    it->weight = weight;
    *equals = 0;
    return 0;
}

static void read_name(mixture_item *it)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = strspn(it->file, letters);
    if (!n || it->file[n] != '=')
        return;
    it->name = gp_strndup(it->file, n);
    memmove(it->file, it->file + n + 1, strlen(it->file + n));
}

static int read_item(mixture_item *it, const char *text, const gp_mixture_how *how)
{
    *it = (mixture_item){.file = gp_strdup(text)};
    int there = gp_exists(text);
    if (there)
        return there > 0 ? 0 : -1;
    if (how->weights && read_weight(it, text))
        return -1;
    if (how->names)
        read_name(it);
    return *it->file ? 0 : fail("%s: the file name is missing", text);
}

/* ---- streams --------------------------------------------------------------------------------------------- */

static int check_agreement(const gp_tokens *s, const gp_tokens *with)
{
    const gp_tokens_info *a = gp_tokens_get_info(s), *b = gp_tokens_get_info(with);
    static const uint8_t unknown[16];
    if (a->vocab_size != b->vocab_size)
        return fail("%s: its vocabulary has %lld ids, that of %s %lld: tokenize both with one tokenizer", a->name,
                    (long long)a->vocab_size, b->name, (long long)b->vocab_size);
    if (memcmp(a->fingerprint, b->fingerprint, 16) && memcmp(a->fingerprint, unknown, 16) &&
        memcmp(b->fingerprint, unknown, 16))
        return fail("%s: its tokenizer is not that of %s: tokenize it with --tokenizer %s", a->name, b->name, b->name);
    return 0;
}

static int add_stream(gp_mixture *m, gp_stream_set *set, const char *path, const gp_mixture_how *how)
{
    gp_tokens *s = gp_tokens_open_as(path, how->format, how->vocab_size, strcmp(path, "-") ? NULL : how->spool);
    if (!s)
        return -1;
    const gp_tokens *like = m->stream_count ? gp_mixture_stream(m) : how->like;
    m->streams = gp_realloc(m->streams, (size_t)m->stream_count + 1, sizeof *m->streams);
    m->streams[m->stream_count++] = s;
    if (gp_tokens_expect(s, how->vocab_size) || (how->like && check_agreement(s, how->like)) ||
        (like && check_agreement(s, like)))
        return -1;
    gp_tokens_share(s, like);
    set->spans = gp_realloc(set->spans, (size_t)set->count + 1, sizeof *set->spans);
    set->spans[set->count++] = (gp_span){s, 0, gp_tokens_get_info(s)->count};
    return 0;
}

/* glob silently ends a listing that fails midway: these callbacks record the failure. */
static _Thread_local bool glob_failed;

static void *open_dir(const char *path)
{
    DIR *d = opendir(path);
    if (!d && errno != ENOENT && errno != ENOTDIR) {
        glob_failed = true;
        fail_errno("%s: cannot be listed", path);
    }
    return d;
}

static struct dirent *read_dir(void *d)
{
    errno = 0;
    struct dirent *e = readdir(d);
    if (!e && errno) {
        glob_failed = true;
        fail_errno("a folder cannot be listed");
    }
    return e;
}

static void close_dir(void *d)
{
    closedir(d);
}

static int add_files(gp_mixture *m, gp_stream_set *set, const char *file, const gp_mixture_how *how)
{
    glob_t found = {
        .gl_opendir = open_dir, .gl_readdir = read_dir, .gl_closedir = close_dir, .gl_stat = stat, .gl_lstat = lstat};
    if (!strcmp(file, "-") || !strpbrk(file, "*?["))
        return add_stream(m, set, file, how);
    int there = gp_exists(file);
    if (there)
        return there > 0 ? add_stream(m, set, file, how) : -1;
    glob_failed = false;
    int rc = glob(file, GLOB_ALTDIRFUNC, NULL, &found);
    if (glob_failed)
        rc = gp_fail_in("%s", file);
    else if (rc)
        rc = rc == GLOB_NOMATCH ? fail("%s: no file matches", file) : fail("%s: its folder cannot be read", file);
    for (size_t i = 0; !rc && i < found.gl_pathc; i++)
        rc = add_stream(m, set, found.gl_pathv[i], how);
    globfree(&found);
    return rc;
}

/* ---- items in another folder ----------------------------------------------------------------------------- */

char *gp_mixture_below(const char *text, const char *folder, const gp_mixture_how *how)
{
    mixture_item it;
    if (read_item(&it, text, how))
        return gp_strdup(text); /* opening it will report what is wrong */
    int name = it.name ? (int)strlen(it.name) + 1 : 0;
    bool relative = *it.file != '/' && strcmp(it.file, "-");
    char *path = relative ? gp_path_join(folder, text + name) : gp_strdup(text + name);
    char *below = gp_format("%.*s%s", name, text, path);
    free(path);
    release_item(&it);
    return below;
}

bool gp_mixture_is_there(const char *text, const char *folder, const gp_mixture_how *how)
{
    mixture_item it;
    glob_t found = {0};
    char *below = folder ? gp_mixture_below(text, folder, how) : gp_strdup(text);
    bool there = false;
    if (!read_item(&it, below, how)) {
        there =
            !strcmp(it.file, "-") || gp_exists(it.file) || (strpbrk(it.file, "*?[") && !glob(it.file, 0, NULL, &found));
        release_item(&it);
    }
    globfree(&found);
    free(below);
    return there;
}

/* A missing file passes: opening it will report that. */
static int check_regular(const char *file)
{
    struct stat st;
    int there = gp_stat(file, &st);
    return there <= 0 || S_ISREG(st.st_mode) ? there < 0 ? -1 : 0 : fail("%s: is not a regular file", file);
}

int gp_mixture_check_regular(const char *text, const gp_mixture_how *how)
{
    mixture_item it;
    glob_t found = {0};
    int rc = read_item(&it, text, how);
    if (!rc)
        rc = check_regular(it.file);
    if (!rc && strpbrk(it.file, "*?["))
        (void)!glob(it.file, 0, NULL, &found);
    for (size_t i = 0; !rc && i < found.gl_pathc; i++)
        rc = check_regular(found.gl_pathv[i]);
    globfree(&found);
    release_item(&it);
    return rc;
}

/* ---- sets ------------------------------------------------------------------------------------------------ */

/* "web" of "data/web.tok". */
static char *stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return gp_strndup(name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

static gp_stream_set *add_set(gp_mixture *m, double weight)
{
    m->sets = gp_realloc(m->sets, (size_t)m->count + 1, sizeof *m->sets);
    m->sets[m->count] = (gp_stream_set){.weight = weight};
    return &m->sets[m->count++];
}

/* Names appear in logs, so they must differ. */
static int name_set(gp_mixture *m, gp_stream_set *set, const char *name)
{
    set->name = name ? gp_strdup(name) : stem(gp_tokens_get_info(set->spans[0].tokens)->name);
    for (int i = 0; i < m->count; i++)
        if (&m->sets[i] != set && m->sets[i].name && !strcmp(m->sets[i].name, set->name))
            return fail("two sets are called %s (%s and %s): name them, as in NAME=%s", set->name,
                        gp_tokens_get_info(m->sets[i].spans[0].tokens)->name,
                        gp_tokens_get_info(set->spans[0].tokens)->name, gp_tokens_get_info(set->spans[0].tokens)->name);
    return 0;
}

static int fail_weights(const mixture_item *it, double first_weight, const char *first)
{
    const char *with = first_weight > 0 ? first : it->file, *without = first_weight > 0 ? it->file : first;
    return fail("%s has a weight and %s has none: give every one a weight (%s=0.5) or none", with, without, without);
}

static int add_item(gp_mixture *m, const char *text, const gp_mixture_how *how, const char *first)
{
    mixture_item it;
    int rc = -1;
    if (read_item(&it, text, how))
        goto out;
    if (how->weights && m->count && (it.weight > 0) != (m->sets[0].weight > 0)) {
        fail_weights(&it, m->sets[0].weight, first);
        goto out;
    }
    bool own_set = how->names || it.weight > 0 || !m->count;
    gp_stream_set *set = own_set ? add_set(m, it.weight) : &m->sets[0];
    rc = add_files(m, set, it.file, how);
    /* Without names, sets may come from files of the same name in several folders; the sets' names are not logged. */
    if (!rc && how->names)
        rc = name_set(m, set, it.name);
    else if (!rc && !set->name)
        set->name = gp_strdup(it.file);
out:
    release_item(&it);
    return rc;
}

int gp_mixture_open(gp_mixture *m, const gp_list *items, const gp_mixture_how *how)
{
    *m = (gp_mixture){0};
    if (!items->count)
        return add_item(m, "-", how, NULL);
    for (int i = 0; i < items->count; i++) {
        if (items->count > 1 && !strcmp(items->items[i], "-"))
            return fail("-: stdin cannot be one of several streams");
        if (add_item(m, items->items[i], how, items->items[0]))
            return -1;
    }
    return 0;
}

void gp_mixture_close(gp_mixture *m)
{
    for (int i = 0; i < m->count; i++) {
        free(m->sets[i].spans);
        free((char *)(uintptr_t)m->sets[i].name);
    }
    while (m->stream_count) /* last first: later streams may share the metadata of earlier ones */
        gp_tokens_close(m->streams[--m->stream_count]);
    free(m->sets);
    free(m->streams);
    *m = (gp_mixture){0};
}

gp_tokens *gp_mixture_stream(const gp_mixture *m)
{
    static const uint8_t unknown[16];
    for (int i = 0; i < m->stream_count; i++)
        if (memcmp(gp_tokens_get_info(m->streams[i])->fingerprint, unknown, 16))
            return m->streams[i];
    return m->streams[0];
}

int64_t gp_mixture_tokens(const gp_mixture *m)
{
    int64_t sum = 0;
    for (int i = 0; i < m->stream_count; i++)
        sum += gp_tokens_get_info(m->streams[i])->count;
    return sum;
}

int64_t gp_stream_set_tokens(const gp_stream_set *set)
{
    int64_t sum = 0;
    for (int i = 0; i < set->count; i++)
        sum += set->spans[i].last - set->spans[i].first;
    return sum;
}

void gp_mixture_describe(const gp_mixture *m, char *text, size_t size)
{
    char hex[9];
    gp_sha256 h;
    int n = snprintf(text, size, "%lld tokens", (long long)gp_mixture_tokens(m));
    if (m->stream_count == 1 || n < 0 || (size_t)n >= size)
        return;
    gp_sha256_begin(&h);
    for (int i = 0; i < m->stream_count; i++) {
        char line[32];
        int length = snprintf(line, sizeof line, "%lld\n", (long long)gp_tokens_get_info(m->streams[i])->count);
        gp_sha256_add(&h, line, (size_t)length);
    }
    gp_sha256_end_hex(&h, hex, 4);
    snprintf(text + n, size - (size_t)n, " in %d files (%s)", m->stream_count, hex);
}

void gp_mixture_fingerprint(const gp_mixture *m, char hex[33])
{
    enum { PIECES = 64 }; /* over all raw streams, but at least the start and the end of each */
    gp_sha256 h;
    gp_sha256_begin(&h);
    for (int i = 0; i < m->stream_count; i++)
        gp_tokens_add_sum(m->streams[i], m->stream_count > PIECES / 2 ? 2 : PIECES / m->stream_count, &h);
    gp_sha256_end_hex(&h, hex, 16);
}

/* ---- mixing by weight ------------------------------------------------------------------------------------ */

uint64_t *gp_mixture_shares(const gp_stream_set *sets, int count)
{
    uint64_t *shares = gp_calloc((size_t)count, sizeof *shares);
    for (int i = 0; i < count && count > 1; i++) {
        double rest = 0;
        if (!(sets[i].weight > 0 && isfinite(sets[i].weight))) {
            free(shares);
            return fail("%s: a weight of %g is not above 0", sets[i].name, sets[i].weight), NULL;
        }
        for (int j = i; j < count; j++)
            rest += sets[j].weight;
        shares[i] = (uint64_t)ldexp(fmin(sets[i].weight / rest, 1 - 0x1p-53), 64);
    }
    return shares;
}

/* floor(rows * share / 2^64) */
static int64_t share_of(int64_t rows, uint64_t share)
{
    __extension__ typedef unsigned __int128 wide;
    return (int64_t)((wide)(uint64_t)rows * share >> 64);
}

/* The first set takes a row whenever its share of all rows so far grows by one; the rows that it leaves are dealt to
 * the others in the same way. All in integers, so a row belongs to exactly one set. */
int gp_mixture_deal(const uint64_t *shares, int count, int64_t *row)
{
    int set = 0;
    for (; set < count - 1; set++) {
        int64_t before = share_of(*row, shares[set]);
        if (share_of(*row + 1, shares[set]) > before) {
            *row = before;
            break;
        }
        *row -= before;
    }
    return set;
}
