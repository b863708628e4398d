/* hf_container.c: a safetensors file as a container. */
#include "checkpoint/hf/hf.h"

#include <string.h>

static int read_tensor(void *self, int64_t i, int64_t first, int64_t count, float *data)
{
    gp_tensor t;
    gp_safetensors_get(self, i, &t);
    gp_to_f32(data, (const char *)t.data + first * gp_dtype_size(t.dtype), t.dtype, count);
    return 0;
}

static const void *data(void *self, int64_t i, gp_dtype *dtype)
{
    gp_tensor t;
    gp_safetensors_get(self, i, &t);
    *dtype = t.dtype;
    return t.data;
}

static bool crc32c(void *self, int64_t i, uint32_t *crc)
{
    return gp_safetensors_crc(self, i, crc);
}

static int verify(void *self, int64_t i)
{
    uint32_t crc;
    return gp_safetensors_check(self, i, true) ? -1 : gp_safetensors_crc(self, i, &crc);
}

static const char *alias(void *self, const char *name)
{
    return gp_safetensors_metadata(self, name, NULL);
}

/* Without our own, which are shown as what they say. */
static bool metadata(void *self, int64_t i, const char **key, gp_buf *value)
{
    size_t length;
    const char *text;
    for (int64_t k = 0; (text = gp_safetensors_metadata_at(self, k, key, &length)); k++)
        if (strncmp(*key, "gptpipe.", 8) && !i--) {
            gp_buf_add(value, text, length);
            return true;
        }
    return false;
}

static void forget(void *self, int64_t i)
{
    gp_safetensors_forget(self, i);
}

static void close_file(void *self)
{
    gp_safetensors_close(self);
}

static const gp_container_ops ops = {
    .format = "safetensors",
    .float_types = "F32, F16 or BF16",
    .read = read_tensor,
    .data = data,
    .crc32c = crc32c,
    .verify = verify,
    .verifies_finite = true,
    .alias = alias,
    .metadata = metadata,
    .forget = forget,
    .concurrent = true,
    .close = close_file,
};

gp_container *gp_hf_container(gp_safetensors *s)
{
    if (!s)
        return NULL;
    gp_container *k = gp_container_new(gp_safetensors_path(s), &ops, s);
    int rc = 0;
    for (int64_t i = 0; !rc && i < gp_safetensors_count(s); i++) {
        gp_tensor t;
        const char *name = gp_safetensors_get(s, i, &t);
        gp_stored stored = {.type = gp_dtype_name(t.dtype), .dtype = t.dtype, .ndim = t.ndim};
        stored.is_float = t.dtype == GP_F32 || t.dtype == GP_F16 || t.dtype == GP_BF16;
        memcpy(stored.dim, t.dim, sizeof stored.dim);
        rc = gp_container_add(k, name, strlen(name), &stored);
    }
    if (!rc && !gp_container_index(k))
        return k;
    gp_container_close(k);
    return NULL;
}

const gp_safetensors *gp_hf_safetensors(const gp_container *k)
{
    BUG_ON(k->ops != &ops);
    return k->self;
}
