/* base.h: what every module of the library uses: failures, allocation, checked sizes, growing buffers. */
#ifndef GP_BASE_H
#define GP_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/error.h"

/* Bad input: records the message and returns -1. In a function that returns a pointer: `return fail("..."), NULL`. */
#define fail(...) gp_fail(__VA_ARGS__)

#ifdef __cplusplus /* the CUDA backend sees this file too */
#define GP_NORETURN [[noreturn]]
extern "C" {
#else
#define GP_NORETURN _Noreturn
#endif

/* A failed system call: like fail, with ": " and strerror(errno) appended. */
int gp_fail_errno(const char *fmt, ...) GP_PRINTF(1, 2);
#define fail_errno(...) gp_fail_errno(__VA_ARGS__)

/* Whether the last failure was a system call that could not read a file (EIO, EMFILE, ENOMEM, EACCES, ...), so that its
 * content is unknown. False if the file is missing, or was read and is invalid. */
bool gp_error_is_io(void);

/* Out of memory or a lost device: prints the message and exits with status 1. */
GP_NORETURN void gp_die(const char *fmt, ...) GP_PRINTF(1, 2);
#define die(...) gp_die(__VA_ARGS__)

/* Registers a function whose text (at most `size` bytes, NUL included) gp_die appends to its message, such as which
 * step was running. There is one per process; NULL removes it. */
typedef void gp_die_context_fn(void *self, char *text, size_t size);
void gp_die_set_context(gp_die_context_fn *describe, void *self);

/* The name of the running tool: "train". */
const char *gp_tool_name(void);

/* A bug in this library: prints file and line and aborts. BUG_ON stays on in release builds. */
GP_NORETURN void gp_bug(const char *file, int line, const char *what);
#define BUG_ON(cond)                                                                                                   \
    do {                                                                                                               \
        if (__builtin_expect(!!(cond), 0))                                                                             \
            gp_bug(__FILE__, __LINE__, #cond);                                                                         \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Allocation that never returns NULL (it dies instead); the caller frees with free(). gp_calloc and gp_realloc check
 * n * size for overflow. */
void *gp_malloc(size_t bytes);
void *gp_calloc(size_t n, size_t size);
void *gp_realloc(void *p, size_t n, size_t size);
char *gp_strdup(const char *s);
char *gp_strndup(const char *s, size_t n);
char *gp_format(const char *fmt, ...) GP_PRINTF(1, 2); /* like asprintf */

/* An array of `count` items of `size` bytes with room for one more: it has room for as many as the next power of two.
 * array: NULL, or what the last call for it returned, as the array grew item by item. */
void *gp_grow(void *array, int64_t count, size_t size);

/* *out = a * b; false on overflow. For sizes read from files. */
static inline bool gp_mul(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline int64_t gp_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t gp_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Binary search: advances `low` to the first i in [low, high) for which `before`, an expression in i, is false, or to
 * high. `before` must be true below that i and false from it on. */
#define GP_LOWER_BOUND(low, high, i, before)                                                                           \
    for (int64_t i, above_ = (high); (low) < above_;) {                                                                \
        i = (low) + (above_ - (low)) / 2;                                                                              \
        if (before)                                                                                                    \
            (low) = i + 1;                                                                                             \
        else                                                                                                           \
            above_ = i;                                                                                                \
    }

static inline size_t gp_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* A growing buffer of bytes. Zero-initialize it; free it with gp_buf_release. Once anything has been added, data ends
 * with a NUL (not counted in len), so text can be used as a string. */
typedef struct gp_buf {
    char *data;
    size_t len, cap;
} gp_buf;

void gp_buf_reserve(gp_buf *b, size_t extra);
void gp_buf_add(gp_buf *b, const void *data, size_t n);
void gp_buf_puts(gp_buf *b, const char *s);
void gp_buf_printf(gp_buf *b, const char *fmt, ...) GP_PRINTF(2, 3);
void gp_buf_number(gp_buf *b, uint64_t v, int bytes); /* little-endian, 1 to 8 bytes */
void gp_buf_release(gp_buf *b);

/* Escapes text as gp_printable does (gptpipe/error.h): appends it to b, or writes as much as fits into `size` bytes,
 * NUL included, without allocating, and returns its length. */
void gp_buf_printable(gp_buf *b, const char *s, size_t n);
size_t gp_printable_to(char *to, size_t size, const char *s);

/* gp_printable for n bytes, for messages. */
const char *gp_printable_bytes(const char *s, int64_t n);

/* Appends text to *warnings, separated by "; " (*warnings NULL: there are none yet), and frees text. */
void gp_warning_add(char **warnings, char *text);

/* Orders byte strings as memcmp, one before those that begin with it. */
int gp_compare_bytes(const void *a, size_t n, const void *b, size_t m);

/* Whether s ends with `end`, and is longer. */
bool gp_ends_with(const char *s, const char *end);

/* The index of a name in the list, or -1. */
int gp_find_name(const char *const *names, size_t count, const char *name);

/* The name with the smallest edit distance to `word`, or NULL if none is close: for "did you mean ...?". */
const char *gp_nearest(const char *word, const char *const *names, size_t count);

/* A random seed for hash tables, constant within a process, so that no file can be crafted to cause collisions. The
 * order of a table's slots depends on it; no result may depend on that order. */
uint64_t gp_hash_seed(void);

/* Mixes two words into a hash: the halves of their 128-bit product, xored. Each bit depends on all bits of a and b. If
 * either was xored with a seed, which inputs collide depends on the seed. */
static inline uint64_t gp_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Seconds on a monotonic clock. */
double gp_now(void);

#ifdef __cplusplus
}
#endif
#endif
