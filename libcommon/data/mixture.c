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

/* "a.tok=0.7": file "a.tok", weight 0.7; "web=a.tok": name "web". Without them weight is 0, name NULL. */
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
        return 0; /* a name with a '=' in it, or none */
    if (!(weight > 0 && weight <= MAX))
        return fail("%s: a weight is a number above 0, up to %d", text, MAX);
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
    return *it->file ? 0 : fail("%s: a file's name is missing", text);
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

/* glob takes a folder that fails while it is read for one that ends there: these note the failure. */
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
        rc = rc == GLOB_NOMATCH ? fail("%s: no file has such a name", file)
                                : fail("%s: its folder cannot be read", file);
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
        return gp_strdup(text); /* whoever opens it says what is wrong with it */
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

/* What is not there is left to whoever opens it. */
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

/* Names are for logs, where two alike could not be told from each other. */
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
    bool apart = how->names || it.weight > 0 || !m->count;
    gp_stream_set *set = apart ? add_set(m, it.weight) : &m->sets[0];
    rc = add_files(m, set, it.file, how);
    /* The sets of a mixture may come from files of one name in many folders; their names are not logged. */
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
            return fail("-: stdin is one stream, and cannot be one of several");
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
    while (m->stream_count) /* the later ones may share what the first ones say of themselves */
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
    uint8_t digest[32];
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
    gp_sha256_end(&h, digest);
    gp_hex(hex, digest, 4);
    snprintf(text + n, size - (size_t)n, " in %d files (%s)", m->stream_count, hex);
}

void gp_mixture_fingerprint(const gp_mixture *m, char hex[33])
{
    enum { PIECES = 64 }; /* of all raw streams together, but of each its start and its end */
    uint8_t digest[32];
    gp_sha256 h;
    gp_sha256_begin(&h);
    for (int i = 0; i < m->stream_count; i++)
        gp_tokens_add_sum(m->streams[i], m->stream_count > PIECES / 2 ? 2 : PIECES / m->stream_count, &h);
    gp_sha256_end(&h, digest);
    gp_hex(hex, digest, 16);
}

/* ---- a part held out ------------------------------------------------------------------------------------- */

/* How many tokens of one stream out of many stay, where `at` is wanted: what cannot be divided goes whole to the side
 * of its larger part. */
static int64_t cut_span(const gp_span *span, int64_t at)
{
    int64_t count = span->last - span->first;
    if (at <= 0 || at >= count)
        return gp_max(0, gp_min(at, count));
    int64_t cut = gp_tokens_split(span->tokens, 1 - (double)at / (double)count);
    return cut >= 0 ? cut : at < count - at ? 0 : count;
}

static int hold_out(gp_stream_set *set, double fraction, gp_stream_set *held)
{
    int64_t at = (int64_t)llround((1 - fraction) * (double)gp_stream_set_tokens(set));
    int count = set->count;
    held->spans = gp_calloc((size_t)count, sizeof *held->spans);
    for (int i = 0; i < count; i++) {
        gp_span *span = &set->spans[i];
        int64_t all = span->last - span->first;
        int64_t cut = count == 1 ? gp_tokens_split(span->tokens, fraction) : cut_span(span, at);
        if (cut < 0)
            return -1;
        if (cut < all)
            held->spans[held->count++] = (gp_span){span->tokens, span->first + cut, span->last};
        span->last = span->first + cut;
        if (!cut)
            set->count = (int)gp_min(set->count, i);
        at -= all;
    }
    if (!set->count || !held->count)
        return fail("%s: it cannot be split into %g for training and %g for validation", set->name, 1 - fraction,
                    fraction);
    return 0;
}

int gp_mixture_hold_out(gp_mixture *m, double fraction, gp_mixture *held)
{
    *held = (gp_mixture){0};
    for (int i = 0; i < m->count; i++) {
        gp_stream_set *set = add_set(held, 0);
        set->name = gp_strdup(m->sets[i].name);
        if (hold_out(&m->sets[i], fraction, set))
            return -1;
    }
    return 0;
}
