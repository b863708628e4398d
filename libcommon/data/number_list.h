/* number_list.h: a list of u64 numbers of any length, written out in the end; all but the last 65536 lie in an unlinked
 * temporary file.
 *
 *     gp_number_list l = {0};
 *     gp_number_list_add(&l, 7);
 *     gp_number_list_write(&l, &out, &crc);      // 8 bytes each, little-endian
 *     gp_number_list_release(&l);
 */
#ifndef GP_DATA_NUMBER_LIST_H
#define GP_DATA_NUMBER_LIST_H

#include "base/file.h"

typedef struct gp_number_list {
    int64_t count;
    /* private */
    uint64_t *last; /* (capacity) the numbers from `spilled` on */
    int64_t spilled, capacity;
    int file; /* of the first `spilled` */
} gp_number_list;

int gp_number_list_add(gp_number_list *l, uint64_t number);

/* Writes all numbers. crc: the CRC-32 of the bytes so far, which is continued; NULL: not wanted. */
int gp_number_list_write(const gp_number_list *l, gp_out *out, uint32_t *crc);
void gp_number_list_release(gp_number_list *l);

#endif
