/* table.h: a sorted table of keys and values in LevelDB's format (its doc/table_format.md), as TensorFlow writes it:
 *
 *     block ... block, then 48 bytes: the metaindex block's and the index block's place, zeros up to 40, the magic
 *     a place      varint offset, varint size (without the trailer)
 *     a block      entries, fixed32 offsets of some of them (restarts), fixed32 their number; then its trailer of 5
 *                  bytes: compression (0: none, 1: snappy), fixed32 masked CRC-32C of the block and that byte
 *     an entry     varint bytes of the key shared with the last key, varint bytes that follow, varint bytes of the
 *                  value; the key's rest, the value
 *
 * The index block has one entry for each data block, whose value is the block's place. */
#ifndef GP_CHECKPOINT_TENSORFLOW_TABLE_H
#define GP_CHECKPOINT_TENSORFLOW_TABLE_H

#include "base/base.h"

enum { GP_TABLE_FOOTER = 48 };

/* One entry; value lies in the table. 0, or -1, which ends the reading. */
typedef int gp_table_fn(void *self, const char *key, size_t key_size, const char *value, size_t value_size);

/* All entries in their order, keys ascending, each block checked by its CRC first. 0 or -1. */
int gp_table_read(const char *data, size_t size, const char *path, gp_table_fn *entry, void *self);

/* Whether the last bytes of a file are a table's. */
bool gp_table_recognise(const char *last, size_t size);

/* CRCs are stored so, since the CRC of bytes that hold their own CRC tells little. */
static inline uint32_t gp_crc32c_mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

#endif
