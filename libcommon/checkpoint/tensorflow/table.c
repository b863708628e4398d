/* table.c: see table.h. */
#include "checkpoint/tensorflow/table.h"
#include "base/file.h"
#include "checkpoint/tensorflow/protobuf.h"

#include <string.h>

/* Keys repeat their beginnings by reference: what they may become, for each byte of the table. */
enum { TRAILER = 5, KEYS_PER_BYTE = 64 };

static const uint64_t magic = 0xdb4775248b80fb57u;

typedef struct block {
    const char *data;
    size_t size, entries; /* in bytes; without the restarts */
} block;

typedef struct table {
    const char *data, *path;
    size_t size;      /* without the footer */
    const char *next; /* the end of the last data block: they stand in order, so no byte is read twice */
    size_t key_bytes;
    gp_buf last; /* the last key of a data block */
    bool any;
    gp_table_fn *entry;
    void *self;
} table;

static uint32_t fixed32(const char *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

bool gp_table_recognise(const char *last, size_t size)
{
    uint64_t x;
    if (size < sizeof x)
        return false;
    memcpy(&x, last + size - sizeof x, sizeof x);
    return x == magic;
}

static int fail_block(const table *t, const block *b, const char *what)
{
    return fail("%s: is damaged: the block at byte %lld %s", t->path, (long long)(b->data - t->data), what);
}

/* The block that p gives the place of. */
static int find_block(const table *t, gp_proto *p, block *b)
{
    uint64_t offset, size;
    if (!gp_proto_varint(p, &offset) || !gp_proto_varint(p, &size))
        return fail("%s: is damaged: the place of a block is cut off", t->path);
    if (offset > t->size || t->size - offset < TRAILER || size > t->size - offset - TRAILER)
        return fail("%s: is damaged: a block of %llu bytes at byte %llu does not lie in the file", t->path,
                    (unsigned long long)size, (unsigned long long)offset);
    *b = (block){.data = t->data + offset, .size = size};
    uint32_t found = gp_crc32c_mask(gp_crc32c(0, b->data, size + 1)), expected = fixed32(b->data + size + 1);
    if (found != expected)
        return fail("%s: is damaged: the masked CRC-32C of the block at byte %llu is %08x, expected %08x", t->path,
                    (unsigned long long)offset, found, expected);
    if (b->data[size])
        return fail("%s: is compressed (by %s), which is not read", t->path,
                    b->data[size] == 1 ? "snappy" : "an unknown method");
    if (size < sizeof(uint32_t))
        return fail_block(t, b, "has no number of restarts");
    uint32_t restarts = fixed32(b->data + size - sizeof restarts);
    if (restarts > size / sizeof restarts - 1)
        return fail_block(t, b, "has more restarts than fit into it");
    b->entries = size - sizeof restarts * (1 + (size_t)restarts);
    return 0;
}

/* The next key of a block: key has the one before it, p begins after that one's value. */
static int next_entry(table *t, const block *b, gp_proto *p, gp_buf *key, gp_proto *value)
{
    uint64_t shared, rest, size;
    if (!gp_proto_varint(p, &shared) || !gp_proto_varint(p, &rest) || !gp_proto_varint(p, &size) || shared > key->len ||
        rest > (uint64_t)(p->end - p->at) || size > (uint64_t)(p->end - p->at) - rest)
        return fail_block(t, b, "has an entry that does not lie in it");
    t->key_bytes += shared + rest;
    if (t->key_bytes / KEYS_PER_BYTE > t->size)
        return fail("%s: its names take more than %d times its bytes", t->path, KEYS_PER_BYTE);
    key->len = shared;
    gp_buf_add(key, p->at, rest);
    p->at += rest;
    *value = gp_proto_of(p->at, size);
    p->at += size;
    return 0;
}

static int read_data_block(table *t, gp_proto place)
{
    block b;
    gp_buf key = {0};
    gp_proto value;
    if (find_block(t, &place, &b))
        return -1;
    if (b.data < t->next)
        return fail_block(t, &b, "begins before the end of the last one");
    t->next = b.data + b.size + TRAILER;
    int rc = 0;
    for (gp_proto p = gp_proto_of(b.data, b.entries); !rc && p.at < p.end;) {
        rc = next_entry(t, &b, &p, &key, &value);
        if (!rc && t->any && gp_compare_bytes(t->last.data, t->last.len, key.data, key.len) >= 0)
            rc = fail_block(t, &b, "has keys that do not ascend");
        if (!rc)
            rc = t->entry(t->self, key.data, key.len, (const char *)value.at, (size_t)(value.end - value.at));
        t->any = true;
        t->last.len = 0;
        gp_buf_add(&t->last, key.data, key.len);
    }
    gp_buf_release(&key);
    return rc;
}

int gp_table_read(const char *data, size_t size, const char *path, gp_table_fn *entry, void *self)
{
    if (size < GP_TABLE_FOOTER || !gp_table_recognise(data, size))
        return fail("%s: is truncated, or not the index of a TensorFlow checkpoint: its last 8 bytes are not a table's",
                    path);
    table t = {.data = data, .path = path, .size = size - GP_TABLE_FOOTER, .next = data, .entry = entry, .self = self};
    gp_proto footer = gp_proto_of(data + t.size, GP_TABLE_FOOTER - sizeof magic), value;
    block metaindex, index;
    gp_buf key = {0};
    if (find_block(&t, &footer, &metaindex) || find_block(&t, &footer, &index))
        return -1;
    int rc = 0;
    for (gp_proto p = gp_proto_of(index.data, index.entries); !rc && p.at < p.end;) {
        rc = next_entry(&t, &index, &p, &key, &value);
        if (!rc)
            rc = read_data_block(&t, value);
    }
    gp_buf_release(&key);
    gp_buf_release(&t.last);
    return rc;
}
