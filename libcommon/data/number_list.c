/* number_list.c: see number_list.h. */
#include "data/number_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN_MEMORY = 1 << 16 };

static int spill(gp_number_list *l)
{
    if (!l->spilled && (l->file = gp_temporary_fd()) < 0)
        return -1;
    l->spilled = l->count; /* the file is open: release closes it */
    return gp_write_all(l->file, l->last, IN_MEMORY * sizeof *l->last, "temporary file (TMPDIR names its folder)");
}

int gp_number_list_add(gp_number_list *l, uint64_t number)
{
    if (l->count - l->spilled == IN_MEMORY && spill(l))
        return -1;
    int64_t i = l->count - l->spilled;
    if (i == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 1024;
        l->last = gp_realloc(l->last, (size_t)l->capacity, sizeof *l->last);
    }
    l->last[i] = number;
    l->count++;
    return 0;
}

static int put(gp_out *out, const void *data, size_t n, uint32_t *crc)
{
    if (crc)
        *crc = gp_crc32(*crc, data, n);
    return gp_out_write(out, data, n);
}

int gp_number_list_write(const gp_number_list *l, gp_out *out, uint32_t *crc)
{
    enum { STEP = 1 << 16 };
    int64_t bytes = l->spilled * (int64_t)sizeof *l->last;
    char *back = bytes ? gp_malloc(STEP) : NULL;
    int64_t left = l->count - l->spilled;
    int rc = 0;
    for (int64_t at = 0; at < bytes && !rc;) {
        ssize_t n = gp_read(l->file, back, (size_t)gp_min(STEP, bytes - at), at);
        if (n <= 0)
            rc = fail("%s: its index cannot be read back from a temporary file: %s", out->path,
                      n ? strerror(errno) : "it ends early");
        else
            rc = put(out, back, (size_t)n, crc);
        at += n;
    }
    free(back);
    return rc || !left ? rc : put(out, l->last, (size_t)left * sizeof *l->last, crc);
}

void gp_number_list_release(gp_number_list *l)
{
    free(l->last);
    if (l->spilled)
        close(l->file);
    *l = (gp_number_list){0};
}
