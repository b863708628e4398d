/* tensor_bundle.h: TensorFlow's tensor bundles, as checkpoint/tensorflow/tensorflow.h and table.h describe them, with
 * whatever is wrong in them that a test wants. All have the prefix `prefix`. */
#ifndef GPTPIPE_TENSOR_BUNDLE_H
#define GPTPIPE_TENSOR_BUNDLE_H

#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "checkpoint/tensorflow/table.h"

static char *prefix;

static void put(const char *suffix, const void *data, size_t n)
{
    char *path = gp_format("%s%s", prefix, suffix);
    assert_int_equal(gp_file_write(path, data, n), 0);
    free(path);
}

static void put_varint(gp_buf *b, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        gp_buf_add(b, &(uint8_t){(uint8_t)(x | 0x80)}, 1);
    gp_buf_add(b, &(uint8_t){(uint8_t)x}, 1);
}

static void put_number(gp_buf *b, unsigned field, uint64_t x)
{
    put_varint(b, field << 3);
    put_varint(b, x);
}

static void put_bytes(gp_buf *b, unsigned field, const gp_buf *nested)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, nested->len);
    gp_buf_add(b, nested->data, nested->len);
}

/* A table's block, its CRC included; gives its place. */
static void put_block(gp_buf *table, const gp_buf *entries, char compression, gp_buf *place)
{
    const uint32_t restarts[] = {0, 1};
    size_t at = table->len;
    gp_buf_add(table, entries->data, entries->len);
    gp_buf_add(table, restarts, sizeof restarts);
    put_varint(place, at);
    put_varint(place, table->len - at);
    gp_buf_add(table, &compression, 1);
    uint32_t crc = gp_crc32c_mask(gp_crc32c(0, table->data + at, table->len - at));
    gp_buf_add(table, &crc, sizeof crc);
}

static void put_entry(gp_buf *entries, size_t shared, const char *rest, const gp_buf *value)
{
    put_varint(entries, shared);
    put_varint(entries, strlen(rest));
    put_varint(entries, value->len);
    gp_buf_puts(entries, rest);
    gp_buf_add(entries, value->data, value->len);
}

/* The index of one data block; each `copies` times the block's place is in it. */
static void put_index(const gp_buf *entries, char compression, int copies)
{
    gp_buf table = {0}, place = {0}, meta = {0}, index = {0}, places = {0};
    put_block(&table, entries, compression, &place);
    for (int i = 0; i < copies; i++)
        put_entry(&index, 0, "z", &place);
    put_block(&table, &meta, 0, &places);
    put_block(&table, &index, 0, &places);
    assert_true(places.len <= 40);
    gp_buf_add(&table, places.data, places.len);
    for (size_t i = places.len; i < 40; i++)
        gp_buf_add(&table, "", 1);
    gp_buf_add(&table, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    put(".index", table.data, table.len);
    gp_buf_release(&table);
    gp_buf_release(&place);
    gp_buf_release(&meta);
    gp_buf_release(&index);
    gp_buf_release(&places);
}

typedef struct made {
    int shards, endianness, consumer; /* of the header; shards 0: none */
    const char *name;                 /* of the one tensor */
    int type, ndim;
    int64_t dim[7];
    uint64_t shard, offset, size;
    bool unknown_rank, sliced;
} made;

static gp_buf header_of(const made *m)
{
    gp_buf header = {0}, version = {0};
    put_number(&header, 1, (uint64_t)m->shards);
    put_number(&header, 2, (uint64_t)m->endianness);
    put_number(&version, 2, (uint64_t)m->consumer);
    put_bytes(&header, 3, &version);
    gp_buf_release(&version);
    return header;
}

static gp_buf entry_of(const made *m, const void *data)
{
    gp_buf entry = {0}, shape = {0}, dim = {0};
    for (int i = 0; i < m->ndim; i++) {
        dim.len = 0;
        put_number(&dim, 1, (uint64_t)m->dim[i]);
        put_bytes(&shape, 2, &dim);
    }
    if (m->unknown_rank)
        put_number(&shape, 3, 1);
    put_number(&entry, 1, (uint64_t)m->type);
    put_bytes(&entry, 2, &shape);
    put_number(&entry, 3, m->shard);
    put_number(&entry, 4, m->offset);
    put_number(&entry, 5, m->size);
    put_varint(&entry, 6 << 3 | 5);
    uint32_t crc = gp_crc32c_mask(data ? gp_crc32c(0, (const char *)data + m->offset, m->size) : 0);
    gp_buf_add(&entry, &crc, sizeof crc);
    if (m->sliced)
        put_bytes(&entry, 7, &shape);
    gp_buf_release(&shape);
    gp_buf_release(&dim);
    return entry;
}

static void put_made(const made *m, const void *data)
{
    gp_buf entries = {0}, header = header_of(m), entry = entry_of(m, data);
    if (m->shards)
        put_entry(&entries, 0, "", &header);
    if (m->name)
        put_entry(&entries, 0, m->name, &entry);
    put_index(&entries, 0, 1);
    gp_buf_release(&entries);
    gp_buf_release(&header);
    gp_buf_release(&entry);
}

#endif
