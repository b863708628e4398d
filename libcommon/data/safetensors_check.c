/* safetensors_check.c: reads a tensor once, on all processors, to verify its CRC and that its numbers are finite. */
#include "base/file.h"
#include "base/threads.h"
#include "data/range_check.h"
#include "gptpipe/safetensors.h"

#include <math.h>
#include <stdlib.h>

/* Bytes: RANGE is one thread's work item, and tensors above LARGE are released from memory as they are read. */
enum { RANGE = 12 * GP_CRC32C_BLOCK, LARGE = 16 * RANGE };

typedef struct check {
    const char *data;
    int64_t bytes;
    gp_dtype dtype;
    bool sums, finite; /* what to check */
    gp_range_check *ranges;
} check;

static void check_range(void *self, int64_t i)
{
    const check *c = self;
    const int64_t first = i * RANGE, bytes = gp_min(RANGE, c->bytes - first);
    c->ranges[i] = gp_range_check_bytes(c->data + first, bytes, c->dtype, c->sums, c->finite);
    if (c->bytes > LARGE)
        gp_map_drop_pages(c->data + first, (size_t)bytes);
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
    uint32_t expected = 0;
    const char *name = gp_safetensors_get(s, i, &t);
    bool all_finite = true;
    check c = {.data = t.data,
               .bytes = gp_tensor_bytes(&t),
               .dtype = t.dtype,
               .sums = gp_safetensors_crc(s, i, &expected),
               .finite = finite_numbers && gp_range_has_floats(t.dtype)};
    int64_t ranges = (c.bytes + RANGE - 1) / RANGE;
    if (!c.sums && !c.finite)
        return 0;
    c.ranges = gp_calloc((size_t)ranges, sizeof *c.ranges);
    gp_parallel((int)gp_min(gp_processors(), ranges / 2), ranges, check_range, &c);
    uint32_t crc = gp_range_join(c.ranges, ranges, RANGE, c.bytes);
    for (int64_t k = 0; k < ranges; k++)
        all_finite &= c.ranges[k].finite;
    free(c.ranges);
    if (c.sums && crc != expected)
        return fail("%s: tensor %s is damaged: its CRC-32C is %08x, the metadata's gptpipe.crc32c has %08x",
                    gp_safetensors_path(s), name, crc, expected);
    return all_finite ? 0 : fail_infinite(gp_safetensors_path(s), name, &t);
}
