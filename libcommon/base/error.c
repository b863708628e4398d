/* error.c: the last failure, dying, allocation that dies, growing buffers. */
#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static _Thread_local char message[1024];
static _Thread_local int system_errno; /* of the system call that the message is about, or 0 */

const char *gp_error(void)
{
    return message;
}

int gp_fail(const char *fmt, ...)
{
    char fresh[sizeof message]; /* the arguments may point into the old message */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fresh, sizeof fresh, fmt, ap);
    va_end(ap);
    gp_printable_to(message, sizeof message, fresh); /* what a message quotes came out of a file */
    system_errno = 0;
    return -1;
}

int gp_fail_in(const char *what)
{
    int number = system_errno;
    gp_fail("%s: %s", what, message);
    system_errno = number;
    return -1;
}

int gp_fail_errno(const char *fmt, ...)
{
    int number = errno;
    char what[sizeof message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    gp_fail("%s: %s", what, strerror(number));
    system_errno = number;
    return -1;
}

bool gp_error_is_io(void)
{
    return system_errno && system_errno != ENOENT && system_errno != ENOTDIR;
}

const char *gp_version(void)
{
    return GPTPIPE_VERSION;
}

static const char driver[] = "gptpipe "; /* gptpipe.c calls the tool it starts "gptpipe train" */

static bool is_driven(void)
{
    return !strncmp(program_invocation_short_name, driver, strlen(driver));
}

const char *gp_tool_name(void)
{
    return program_invocation_short_name + (is_driven() ? strlen(driver) : 0);
}

const char *gp_tool_prefix(void)
{
    return is_driven() ? driver : "";
}

static struct {
    gp_under_way *tell;
    void *self;
} under_way;

void gp_die_with(gp_under_way *tell, void *self)
{
    under_way.tell = tell;
    under_way.self = self;
}

void gp_die(const char *fmt, ...)
{
    char more[512] = "", line[1024], shown[2 * sizeof line];
    va_list ap;
    va_start(ap, fmt);
    gp_under_way *tell = under_way.tell;
    under_way.tell = NULL; /* it may fail itself */
    if (tell)
        tell(under_way.self, more, sizeof more);
    vsnprintf(line, sizeof line, fmt, ap);
    gp_printable_to(shown, sizeof shown, line);
    fprintf(stderr, "%s: %s%s\n", gp_tool_name(), shown, more);
    va_end(ap);
    exit(1);
}

void gp_bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "gptpipe: bug at %s:%d: %s\n", file, line, what);
    abort();
}

void *gp_malloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (!p)
        die("out of memory (%zu bytes)", bytes);
    return p;
}

void *gp_calloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        die("out of memory (%zu x %zu bytes)", n, size);
    return p;
}

void *gp_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        die("out of memory (%zu x %zu bytes)", n, size);
    p = realloc(p, bytes ? bytes : 1);
    if (!p)
        die("out of memory (%zu bytes)", bytes);
    return p;
}

char *gp_strndup(const char *s, size_t n)
{
    char *copy = gp_malloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *gp_strdup(const char *s)
{
    return gp_strndup(s, strlen(s));
}

char *gp_format(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    char *s = gp_malloc((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void gp_warning_add(char **warnings, char *text)
{
    char *all = *warnings ? gp_format("%s; %s", *warnings, text) : gp_strdup(text);
    free(*warnings);
    free(text);
    *warnings = all;
}

void gp_buf_reserve(gp_buf *b, size_t extra)
{
    size_t need = b->len + extra + 1;
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap += cap / 2;
    b->data = gp_realloc(b->data, cap, 1);
    b->cap = cap;
}

void gp_buf_add(gp_buf *b, const void *data, size_t n)
{
    gp_buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
}

void gp_buf_puts(gp_buf *b, const char *s)
{
    gp_buf_add(b, s, strlen(s));
}

void gp_buf_printf(gp_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    gp_buf_reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void gp_buf_release(gp_buf *b)
{
    free(b->data);
    *b = (gp_buf){0};
}

/* Levenshtein distance, one row at a time; names are short, so anything over 63 bytes is "far". */
static int distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    int row[64];
    if (la > 63 || lb > 63)
        return 1000;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int skip = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < skip ? change : skip;
        }
    }
    return row[lb];
}

int gp_find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

const char *gp_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    int best_distance = (int)strlen(word) / 3 + 2; /* farther than this is another word */
    for (size_t i = 0; i < count; i++) {
        int d = distance(word, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}

static uint64_t seed;

static void draw_seed(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return;
    struct timespec t; /* a kernel without it, or just booted */
    clock_gettime(CLOCK_REALTIME, &t);
    seed = ((uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid()) * 0x9E3779B97F4A7C15u ^
           (uint64_t)(uintptr_t)&t;
}

uint64_t gp_hash_seed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_seed);
    return seed;
}

double gp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
