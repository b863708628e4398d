/* generated_file.c: see generated_file.h. */
#include "fetch/generated_file.h"

#include <stdlib.h>
#include <string.h>

int gp_generated_open(gp_generated_file *f, const char *path)
{
    bool std = !strcmp(path, "-");
    *f = (gp_generated_file){0};
    if ((!std && gp_make_parent(path)) || gp_out_open(&f->out, path))
        return -1;
    f->sidecar = std ? NULL : gp_format("%s.json", path);
    gp_sha256_begin(&f->hash);
    return 0;
}

int gp_generated_write(gp_generated_file *f, const void *data, size_t n)
{
    gp_sha256_add(&f->hash, data, n);
    return gp_out_write(&f->out, data, n);
}

int gp_generated_end(gp_generated_file *f, int rc, const char *name, uint64_t seed, int64_t count,
                     const gp_buf *members)
{
    char sha256[65];
    gp_buf json = {0};
    gp_sha256_end_hex(&f->hash, sha256, 32);
    if (f->sidecar && !rc) {
        gp_buf_printf(&json,
                      "{\"source\": {\"name\": \"%s\", \"seed\": %llu, \"%s\": %lld, \"bytes\": %lld, "
                      "\"sha256\": \"%s\"},\n",
                      name, (unsigned long long)seed, name, (long long)count, (long long)f->out.written, sha256);
        gp_buf_add(&json, members->data, members->len);
        gp_buf_puts(&json, "}\n");
        rc = gp_file_write(f->sidecar, json.data, json.len);
    }
    gp_buf_release(&json);
    free(f->sidecar);
    return gp_out_end(&f->out, rc);
}
