/* writer.c: see writer.h. */
#include "checkpoint/writer.h"

#include <float.h>

static const struct {
    gp_dtype dtype;
    float largest;
} stores[] = {
    [GP_STORE_F32] = {GP_F32, FLT_MAX},
    [GP_STORE_BF16] = {GP_BF16, 0x1.fefffep127f},
    [GP_STORE_F16] = {GP_F16, 0x1.ffdffep15f},
    [GP_STORE_Q8_0] = {GP_F16, 0x1.ffdffep15f}, /* the type of its scales, and of tensors that have no blocks of 32 */
};

gp_dtype gp_store_dtype(gp_store store)
{
    BUG_ON(store == GP_STORE_Q8_0);
    return stores[store].dtype;
}

float gp_store_largest(gp_store store)
{
    return stores[store].largest;
}

int gp_put_numbers(gp_dtype dtype, const float *x, int64_t count, gp_put_fn *put, void *self)
{
    enum { CHUNK = 1 << 14 };
    uint16_t part[CHUNK];
    int rc = 0;
    if (dtype == GP_F32)
        return put(self, x, (size_t)count * sizeof *x);
    for (int64_t at = 0, n; !rc && at < count; at += n) {
        n = gp_min(CHUNK, count - at);
        gp_from_f32(part, dtype, x + at, n);
        rc = put(self, part, (size_t)n * sizeof *part);
    }
    return rc;
}
