/* zip_write.c: see zip_write.h. */
#include "checkpoint/torch/zip_write.h"

#include <string.h>

enum { ALIGNMENT = 64, SIZES_FOLLOW = 8, DATE = 1 << 5 | 1, PADDING = 'F' | 'B' << 8, ZIP64 = 1 };

static uint32_t narrow(int64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static bool is_wide(int64_t v)
{
    return v >= UINT32_MAX;
}

/* Fields that a local header and the central directory share. Sizes and CRC follow a local header's data. */
static void add_common(gp_buf *b, bool wide, uint32_t crc, uint32_t size, size_t name, size_t extra)
{
    gp_buf_number(b, wide ? 45 : 20, 2); /* version needed: zip64 */
    gp_buf_number(b, SIZES_FOLLOW, 2);
    gp_buf_number(b, 0, 2); /* stored */
    gp_buf_number(b, 0, 2); /* midnight, 1 January 1980 */
    gp_buf_number(b, DATE, 2);
    gp_buf_number(b, crc, 4);
    gp_buf_number(b, size, 4);
    gp_buf_number(b, size, 4);
    gp_buf_number(b, name, 2);
    gp_buf_number(b, extra, 2);
}

void gp_zip_begin(gp_zip_writer *w, const char *name, int64_t size)
{
    gp_buf b = {0};
    int n = snprintf(w->name, sizeof w->name, "archive/%s", name);
    bool wide = is_wide(size);
    size_t extra = (wide ? 20u : 0u) + 4;
    w->crc = 0;
    w->begin = w->out->written;
    w->size = size;
    size_t data = (size_t)w->out->written + 30 + (size_t)n + extra;
    size_t padding = gp_round_up(data, ALIGNMENT) - data;
    gp_buf_puts(&b, "PK\x03\x04");
    add_common(&b, wide, 0, wide ? UINT32_MAX : 0, (size_t)n, extra + padding);
    gp_buf_puts(&b, w->name);
    if (wide) {
        gp_buf_number(&b, ZIP64, 2);
        gp_buf_number(&b, 16, 2);
        gp_buf_number(&b, (uint64_t)size, 8);
        gp_buf_number(&b, (uint64_t)size, 8);
    }
    gp_buf_number(&b, PADDING, 2);
    gp_buf_number(&b, padding, 2);
    for (size_t i = 0; i < padding; i++)
        gp_buf_add(&b, "Z", 1);
    gp_out_write(w->out, b.data, b.len);
    gp_buf_release(&b);
}

int gp_zip_write(gp_zip_writer *w, const void *data, size_t n)
{
    w->crc = gp_crc32(w->crc, data, n);
    return gp_out_write(w->out, data, n);
}

int gp_zip_end(gp_zip_writer *w)
{
    gp_buf b = {0}, *d = &w->directory;
    bool wide = is_wide(w->size), far = is_wide(w->begin);
    size_t sizes = (wide ? 16u : 0u) + (far ? 8u : 0u), extra = sizes ? 4 + sizes : 0;
    gp_buf_puts(&b, "PK\x07\x08");
    gp_buf_number(&b, w->crc, 4);
    gp_buf_number(&b, (uint64_t)w->size, wide ? 8 : 4);
    gp_buf_number(&b, (uint64_t)w->size, wide ? 8 : 4);
    int rc = gp_out_write(w->out, b.data, b.len);
    gp_buf_release(&b);
    gp_buf_puts(d, "PK\x01\x02");
    gp_buf_number(d, 45, 2); /* made by */
    add_common(d, wide || far, w->crc, narrow(w->size), strlen(w->name), extra);
    gp_buf_number(d, 0, 8); /* comment, disk, attributes: 2, 2, 2, 4 bytes */
    gp_buf_number(d, 0, 2);
    gp_buf_number(d, narrow(w->begin), 4);
    gp_buf_puts(d, w->name);
    if (extra) {
        gp_buf_number(d, ZIP64, 2);
        gp_buf_number(d, sizes, 2);
        for (int i = 0; wide && i < 2; i++)
            gp_buf_number(d, (uint64_t)w->size, 8);
        if (far)
            gp_buf_number(d, (uint64_t)w->begin, 8);
    }
    w->count++;
    return rc;
}

int gp_zip_add(gp_zip_writer *w, const char *name, const void *data, size_t n)
{
    gp_zip_begin(w, name, (int64_t)n);
    gp_zip_write(w, data, n);
    return gp_zip_end(w);
}

int gp_zip_finish(gp_zip_writer *w)
{
    int64_t begin = w->out->written, size = (int64_t)w->directory.len, count = w->count;
    gp_buf b = {0};
    if (is_wide(begin) || is_wide(size) || count >= UINT16_MAX) {
        gp_buf_puts(&b, "PK\x06\x06");
        gp_buf_number(&b, 44, 8); /* bytes that follow of this record */
        gp_buf_number(&b, 45, 2);
        gp_buf_number(&b, 45, 2);
        gp_buf_number(&b, 0, 8); /* disks */
        gp_buf_number(&b, (uint64_t)count, 8);
        gp_buf_number(&b, (uint64_t)count, 8);
        gp_buf_number(&b, (uint64_t)size, 8);
        gp_buf_number(&b, (uint64_t)begin, 8);
        gp_buf_puts(&b, "PK\x06\x07");
        gp_buf_number(&b, 0, 4);
        gp_buf_number(&b, (uint64_t)(begin + size), 8);
        gp_buf_number(&b, 1, 4);
    }
    gp_buf_puts(&b, "PK\x05\x06");
    gp_buf_number(&b, 0, 4);
    for (int i = 0; i < 2; i++)
        gp_buf_number(&b, (uint64_t)gp_min(count, UINT16_MAX), 2);
    gp_buf_number(&b, narrow(size), 4);
    gp_buf_number(&b, narrow(begin), 4);
    gp_buf_number(&b, 0, 2);
    gp_out_write(w->out, w->directory.data, w->directory.len);
    int rc = gp_out_write(w->out, b.data, b.len);
    gp_buf_release(&b);
    return rc;
}

void gp_zip_abandon(gp_zip_writer *w)
{
    gp_buf_release(&w->directory);
}
