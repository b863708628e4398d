/* safetensors_check.c: reads a tensor once, on all processors, to verify its CRC and that its numbers are finite. */
#include "base/file.h"
#include "base/threads.h"
#include "gptpipe/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes: BLOCK fits a processor's cache, RANGE is one thread's work item, and tensors above LARGE are released from
 * memory as they are read. */
enum { BLOCK = GP_CRC32C_BLOCK, RANGE = 12 * BLOCK, LARGE = 16 * RANGE };

typedef struct range {
    uint32_t crc;
    bool finite;
} range;

typedef struct check {
    const char *data;
    int64_t bytes;
    gp_dtype dtype;
    bool sums, finite; /* what to check */
    range *ranges;
} check;

/* Whether all `count` numbers are finite: the exponent bits of NaN and infinity are all ones. */
#define FINITE(name, word)                                                                                             \
    static bool name(const char *p, int64_t count, word exponent)                                                      \
    {                                                                                                                  \
        enum { AT_ONCE = 64 };                                                                                         \
        word x[AT_ONCE], bad = 0;                                                                                      \
        for (; count >= AT_ONCE; count -= AT_ONCE, p += sizeof x) {                                                    \
            memcpy(x, p, sizeof x);                                                                                    \
            for (int i = 0; i < AT_ONCE; i++)                                                                          \
                bad |= (x[i] & exponent) == exponent;                                                                  \
        }                                                                                                              \
        memcpy(x, p, (size_t)count * sizeof *x);                                                                       \
        for (int64_t i = 0; i < count; i++)                                                                            \
            bad |= (x[i] & exponent) == exponent;                                                                      \
        return !bad;                                                                                                   \
    }
FINITE(finite4, uint32_t)
FINITE(finite2, uint16_t)

static bool are_finite(const char *p, int64_t bytes, gp_dtype dtype)
{
    return dtype == GP_F32 ? finite4(p, bytes / 4, 0x7f800000)
                           : finite2(p, bytes / 2, dtype == GP_BF16 ? 0x7f80 : 0x7c00);
}

static void check_range(void *self, int64_t i)
{
    const check *c = self;
    range *r = &c->ranges[i];
    const int64_t end = gp_min((i + 1) * RANGE, c->bytes);
    *r = (range){.finite = true};
    for (int64_t at = i * RANGE; at < end; at += BLOCK) {
        int64_t n = gp_min(BLOCK, end - at);
        if (c->sums)
            r->crc = gp_crc32c(r->crc, c->data + at, (size_t)n);
        if (c->finite)
            r->finite &= are_finite(c->data + at, n, c->dtype);
    }
    if (c->bytes > LARGE)
        gp_map_drop_pages(c->data + i * RANGE, (size_t)(end - i * RANGE));
}

static int fail_infinite(const char *path, const char *name, const gp_tensor *t)
{
    float x = 0;
    int64_t i = 0, count = gp_tensor_count(t);
    for (; i < count; i++) {
        gp_to_f32(&x, (const char *)t->data + i * gp_dtype_size(t->dtype), t->dtype, 1);
        if (!isfinite(x))
            break;
    }
    return fail("%s: tensor %s has %g at element %lld, expected finite numbers", path, name, (double)x, (long long)i);
}

int gp_safetensors_check(const gp_safetensors *s, int64_t i, bool finite_numbers)
{
    gp_tensor t;
    uint32_t expected = 0, crc = 0;
    const char *name = gp_safetensors_get(s, i, &t);
    bool floats = t.dtype == GP_F32 || t.dtype == GP_F16 || t.dtype == GP_BF16, all_finite = true;
    check c = {.data = t.data,
               .bytes = gp_tensor_bytes(&t),
               .dtype = t.dtype,
               .sums = gp_safetensors_crc(s, i, &expected),
               .finite = finite_numbers && floats};
    int64_t ranges = (c.bytes + RANGE - 1) / RANGE;
    if (!c.sums && !c.finite)
        return 0;
    c.ranges = gp_calloc((size_t)ranges, sizeof *c.ranges);
    gp_parallel((int)gp_min(gp_processors(), ranges / 2), ranges, check_range, &c);
    for (int64_t k = 0; k < ranges; k++) {
        uint64_t bytes = (uint64_t)gp_min(RANGE, c.bytes - k * RANGE);
        crc = k ? gp_crc32c_join(crc, c.ranges[k].crc, bytes) : c.ranges[k].crc;
        all_finite &= c.ranges[k].finite;
    }
    free(c.ranges);
    if (c.sums && crc != expected)
        return fail("%s: tensor %s is damaged: its CRC-32C is %08x, the metadata's gptpipe.crc32c has %08x",
                    gp_safetensors_path(s), name, crc, expected);
    return all_finite ? 0 : fail_infinite(gp_safetensors_path(s), name, &t);
}
