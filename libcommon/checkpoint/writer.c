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
};

gp_dtype gp_store_dtype(gp_store store)
{
    BUG_ON((size_t)store >= ARRAY_LEN(stores));
    return stores[store].dtype;
}

float gp_store_largest(gp_store store)
{
    BUG_ON((size_t)store >= ARRAY_LEN(stores));
    return stores[store].largest;
}
