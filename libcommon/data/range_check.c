/* range_check.c: see range_check.h. */
#include "data/range_check.h"
#include "base/file.h"

#include <string.h>

enum { BLOCK = GP_CRC32C_BLOCK };

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

bool gp_range_has_floats(gp_dtype dtype)
{
    return dtype == GP_F32 || dtype == GP_F16 || dtype == GP_BF16;
}

gp_range_check gp_range_check_bytes(const void *data, int64_t bytes, gp_dtype dtype, bool crc, bool finite)
{
    gp_range_check r = {.finite = true};
    finite &= gp_range_has_floats(dtype);
    for (int64_t at = 0; at < bytes && (crc || finite); at += BLOCK) {
        int64_t n = gp_min(BLOCK, bytes - at);
        if (crc)
            r.crc = gp_crc32c(r.crc, (const char *)data + at, (size_t)n);
        if (finite)
            r.finite &= are_finite((const char *)data + at, n, dtype);
    }
    return r;
}

uint32_t gp_range_join(const gp_range_check *ranges, int64_t count, int64_t each, int64_t bytes)
{
    uint32_t crc = count ? ranges[0].crc : 0;
    for (int64_t k = 1; k < count; k++)
        crc = gp_crc32c_join(crc, ranges[k].crc, (uint64_t)gp_min(each, bytes - k * each));
    return crc;
}
