/* TensorFlow's checkpoint: three runs of bytes with lines "--" between them, the entries of the data block, those of
 * the index block, and the one shard. The restarts, the CRCs and the footer that make a table of the blocks are added
 * here, so that mutations come past them. Where there is no such line the bytes are the index as it is. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/tensorflow/table.h"
#include "checkpoint/tensorflow/tensorflow.h"

static void put_varint(gp_buf *b, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        gp_buf_add(b, &(uint8_t){(uint8_t)(x | 0x80)}, 1);
    gp_buf_add(b, &(uint8_t){(uint8_t)x}, 1);
}

/* A block, and its place. */
static void put_block(gp_buf *table, const uint8_t *entries, size_t size, gp_buf *place)
{
    size_t at = table->len;
    gp_buf_add(table, entries, size);
    gp_buf_add(table, "\0\0\0\0\1\0\0\0", 8);
    put_varint(place, at);
    put_varint(place, table->len - at);
    gp_buf_add(table, "", 1);
    uint32_t crc = gp_crc32c_mask(gp_crc32c(0, table->data + at, table->len - at));
    gp_buf_add(table, &crc, sizeof crc);
}

static void put_table(gp_buf *table, const uint8_t *data, size_t data_size, const uint8_t *index, size_t index_size)
{
    gp_buf unused = {0}, places = {0};
    put_block(table, data, data_size, &unused);
    put_block(table, NULL, 0, &places);
    put_block(table, index, index_size, &places);
    BUG_ON(places.len > 40);
    gp_buf_add(table, places.data, places.len);
    for (size_t i = places.len; i < 40; i++)
        gp_buf_add(table, "", 1);
    gp_buf_add(table, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    gp_buf_release(&unused);
    gp_buf_release(&places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_buf table = {0};
    size_t second, third, first_size = fuzz_cut(data, size, "--", &second);
    const uint8_t *index = data + second;
    size_t index_size = fuzz_cut(index, size - second, "--", &third);
    fuzz_begin();
    if (first_size < size)
        put_table(&table, data, first_size, index, index_size);
    else
        gp_buf_add(&table, data, size);
    fuzz_file("m.data-00000-of-00001", index + third, size - second - third);
    gp_container *k = gp_tensorflow_read(fuzz_file("m.index", (const uint8_t *)table.data, table.len));
    gp_buf_release(&table);
    if (k)
        fuzz_use_container(k);
    else
        fuzz_refused();
    return 0;
}
