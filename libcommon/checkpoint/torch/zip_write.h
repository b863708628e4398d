/* zip_write.h: a zip archive of stored files as torch.save lays it out, in one pass, so that it goes into a pipe too:
 * each file's data at a multiple of 64 bytes, its sizes and CRC after it, zip64 where a size or an offset needs it.
 *
 *     gp_zip_writer w = {.out = &out};
 *     gp_zip_begin(&w, "data/0", 4096);          // archive/data/0
 *     gp_zip_write(&w, numbers, 4096);           // in as many calls as it takes
 *     gp_zip_end(&w);
 *     rc = gp_zip_finish(&w);                    // a failure of any call is one of the last too: see gp_out
 *     gp_zip_abandon(&w);
 */
#ifndef GP_CHECKPOINT_TORCH_ZIP_WRITE_H
#define GP_CHECKPOINT_TORCH_ZIP_WRITE_H

#include "base/base.h"
#include "base/file.h"

typedef struct gp_zip_writer {
    gp_out *out;
    gp_buf directory; /* the central one, so far */
    int64_t count;    /* its entries */
    char name[64];    /* of the file that is open, with its CRC so far, offset and size */
    uint32_t crc;
    int64_t begin, size;
} gp_zip_writer;

void gp_zip_begin(gp_zip_writer *w, const char *name, int64_t size);
int gp_zip_write(gp_zip_writer *w, const void *data, size_t n);
int gp_zip_end(gp_zip_writer *w);

/* The three of them. */
int gp_zip_add(gp_zip_writer *w, const char *name, const void *data, size_t n);

/* Writes the central directory and the end records. */
int gp_zip_finish(gp_zip_writer *w);
void gp_zip_abandon(gp_zip_writer *w); /* releases what w has; always */

#endif
