/* container.c: see container.h. */
#include "checkpoint/container.h"
#include "base/utf8.h"
#include "data/range_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

gp_container *gp_container_new(const char *path, const gp_container_ops *ops, void *self)
{
    gp_container *k = gp_calloc(1, sizeof *k);
    *k = (gp_container){.path = gp_strdup(path), .ops = ops, .self = self};
    return k;
}

static bool is_clean(const char *name, size_t n)
{
    uint32_t c;
    for (size_t at = 0; at < n;) {
        at += gp_utf8_last((const uint8_t *)name + at, n - at, &c);
        if (c >= GP_BAD_BYTE || gp_utf8_is_control(c))
            return false;
    }
    return n > 0;
}

int gp_container_add(gp_container *k, const char *name, size_t n, const gp_stored *t)
{
    if (!is_clean(name, n))
        return fail("%s: the name of tensor %lld is not text", k->path, (long long)k->count);
    if (t->ndim < 0 || t->ndim > GP_MAX_DIMS)
        return fail("%s: tensor %.*s has %d dimensions, expected at most %d", k->path, (int)n, name, t->ndim,
                    GP_MAX_DIMS);
    int64_t elements = 1;
    for (int i = 0; i < t->ndim; i++)
        if (t->dim[i] < 0 || !gp_mul(elements, t->dim[i], &elements) || elements > INT64_MAX / 16)
            return fail("%s: tensor %.*s: its shape overflows", k->path, (int)n, name);
    k->tensors = gp_grow(k->tensors, k->count, sizeof *k->tensors);
    k->tensors[k->count] = *t;
    k->tensors[k->count].name = gp_strndup(name, n);
    k->tensors[k->count++].elements = elements;
    return 0;
}

/* qsort_r is not in every libc: what is sorted are the names with their indices. */
typedef struct indexed_name {
    const char *name;
    int64_t index;
} indexed_name;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const indexed_name *)a)->name, ((const indexed_name *)b)->name);
}

int gp_container_index(gp_container *k)
{
    indexed_name *list = gp_calloc((size_t)k->count, sizeof *list);
    int rc = 0;
    for (int64_t i = 0; i < k->count; i++)
        list[i] = (indexed_name){k->tensors[i].name, i};
    qsort(list, (size_t)k->count, sizeof *list, by_name);
    k->by_name = gp_realloc(k->by_name, (size_t)k->count, sizeof *k->by_name);
    for (int64_t i = 0; i < k->count; i++) {
        k->by_name[i] = list[i].index;
        if (i && !strcmp(list[i - 1].name, list[i].name))
            rc = fail("%s: has two tensors named %s", k->path, list[i].name);
    }
    free(list);
    return rc;
}

int64_t gp_container_find(const gp_container *k, const char *name)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, k->count, i, strcmp(k->tensors[k->by_name[i]].name, name) < 0);
    return low < k->count && !strcmp(k->tensors[k->by_name[low]].name, name) ? k->by_name[low] : -1;
}

int gp_container_read(const gp_container *k, int64_t i, int64_t first, int64_t count, float *data)
{
    BUG_ON(i < 0 || i >= k->count || !k->tensors[i].is_float);
    BUG_ON(first < 0 || count < 0 || first > k->tensors[i].elements - count);
    return k->ops->read(k->self, i, first, count, data);
}

const void *gp_container_data(const gp_container *k, int64_t i, gp_dtype *dtype)
{
    return k->ops->data && k->tensors[i].is_float ? k->ops->data(k->self, i, dtype) : NULL;
}

static int check_finite(const gp_container *k, int64_t i)
{
    enum { CHUNK = 1 << 13 };
    float x[CHUNK];
    gp_dtype dtype;
    const void *data = gp_container_data(k, i, &dtype);
    if (data && gp_range_check_bytes(data, k->tensors[i].elements * gp_dtype_size(dtype), dtype, false, true).finite)
        return 0;
    for (int64_t at = 0, n; at < k->tensors[i].elements; at += n) {
        n = gp_min(CHUNK, k->tensors[i].elements - at);
        if (gp_container_read(k, i, at, n, x))
            return -1;
        for (int64_t j = 0; j < n; j++)
            if (!isfinite(x[j]))
                return fail("%s: tensor %s has %g at element %lld, expected finite numbers", k->path,
                            k->tensors[i].name, (double)x[j], (long long)(at + j));
    }
    return 0;
}

int gp_container_check(const gp_container *k, int64_t i, bool *summed)
{
    int sum = k->ops->verify ? k->ops->verify(k->self, i) : 0;
    if (summed)
        *summed = sum > 0;
    bool finite = !k->tensors[i].is_float || (k->ops->verify && k->ops->verifies_finite);
    return sum < 0 || (!finite && check_finite(k, i)) ? -1 : 0;
}

void gp_container_forget(const gp_container *k, int64_t i)
{
    if (k->ops->forget)
        k->ops->forget(k->self, i);
}

void gp_container_close(gp_container *k)
{
    if (!k)
        return;
    k->ops->close(k->self);
    for (int64_t i = 0; i < k->count; i++)
        free(k->tensors[i].name);
    free(k->tensors);
    free(k->by_name);
    free(k->path);
    free(k);
}

const char *gp_stored_format(const gp_stored *t, char *text, int size)
{
    int at = snprintf(text, (size_t)size, "%s [", t->type);
    for (int i = 0; i < t->ndim && at < size; i++)
        at += snprintf(text + at, (size_t)(size - at), "%s%lld", i ? "," : "", (long long)t->dim[i]);
    if (at < size)
        snprintf(text + at, (size_t)(size - at), "]");
    return text;
}
