/* base.h: what every room of the library may use: failing, allocating, counting. */
#ifndef GP_BASE_H
#define GP_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/error.h"

/* Bad input: keeps the message, gives -1. For pointers: `return fail("..."), NULL`. */
#define fail(...) gp_fail(__VA_ARGS__)

#ifdef __cplusplus /* the CUDA backend sees this file too */
#define GP_NORETURN [[noreturn]]
extern "C" {
#else
#define GP_NORETURN _Noreturn
#endif

/* A system call failed: like fail, followed by ": " and what errno says. */
int gp_fail_errno(const char *fmt, ...) GP_PRINTF(1, 2);
#define fail_errno(...) gp_fail_errno(__VA_ARGS__)

/* Whether the last failure was a system call's: the file could not be read just now (EIO, EMFILE, ENOMEM, EACCES, ...),
 * which says nothing about what is in it. False where the file is missing, or was read and is wrong. */
bool gp_error_is_io(void);

/* Out of memory or a lost device: says so and exits 1. */
GP_NORETURN void gp_die(const char *fmt, ...) GP_PRINTF(1, 2);
#define die(...) gp_die(__VA_ARGS__)

/* What gp_die adds to its line of the work that it ends: `tell` writes it. One at a time; NULL: nothing. */
typedef void gp_under_way(void *self, char *text, size_t size);
void gp_die_with(gp_under_way *tell, void *self);

/* The tool that this process is: "train". */
const char *gp_tool_name(void);

/* Our own mistake: aborts with the place. Checks that stay on in release builds. */
GP_NORETURN void gp_bug(const char *file, int line, const char *what);
#define BUG_ON(cond)                                                                                                   \
    do {                                                                                                               \
        if (__builtin_expect(!!(cond), 0))                                                                             \
            gp_bug(__FILE__, __LINE__, #cond);                                                                         \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Allocation that cannot fail (it dies); the caller frees with free(). calloc and realloc check n * size. */
void *gp_malloc(size_t bytes);
void *gp_calloc(size_t n, size_t size);
void *gp_realloc(void *p, size_t n, size_t size);
char *gp_strdup(const char *s);
char *gp_strndup(const char *s, size_t n);
char *gp_format(const char *fmt, ...) GP_PRINTF(1, 2); /* a fresh string, printf's way */

/* a * b in *out; false if it does not fit. For sizes that come out of files. */
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

/* Moves low up to the first i for which `before`, an expression of i, is false, or to high. It is true up to there, and
 * false from there on. */
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

/* A growing run of bytes. Zero-initialise; free with gp_buf_release. data is NUL-terminated once anything
 * was added, so text may be used as a string. */
typedef struct gp_buf {
    char *data;
    size_t len, cap;
} gp_buf;

void gp_buf_reserve(gp_buf *b, size_t extra);
void gp_buf_add(gp_buf *b, const void *data, size_t n);
void gp_buf_puts(gp_buf *b, const char *s);
void gp_buf_printf(gp_buf *b, const char *fmt, ...) GP_PRINTF(2, 3);
void gp_buf_release(gp_buf *b);

/* Text from a file, an archive or a server as gp_printable (gptpipe/error.h) has it: appended to b; or as much of it as
 * goes into size bytes, without allocating: its length. */
void gp_buf_printable(gp_buf *b, const char *s, size_t n);
size_t gp_printable_to(char *to, size_t size, const char *s);

/* Adds text, which it frees, to the remarks that there are (NULL: none yet), behind "; ". */
void gp_warning_add(char **warnings, char *text);

/* Where it is among the names, or -1. */
int gp_find_name(const char *const *names, size_t count, const char *name);

/* The name nearest to `word` among `names` (count of them) by edit distance, or NULL when none is near:
 * for "unknown X; did you mean Y?". */
const char *gp_nearest(const char *word, const char *const *names, size_t count);

/* 64 bits that no file can foresee, for hash tables: one value a process. The order of a table's slots depends on it,
 * so no result may depend on that order. */
uint64_t gp_hash_seed(void);

/* For hashes: both halves of a 128-bit product, one over the other. Each bit depends on all of a and b. Where either
 * was joined to a seed by xor, which pairs collide depends on the seed. */
static inline uint64_t gp_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Seconds on a clock that never goes back. */
double gp_now(void);

#ifdef __cplusplus
}
#endif
#endif
