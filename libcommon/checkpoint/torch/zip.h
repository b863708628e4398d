/* zip.h: the files in a zip archive that lies in memory, as APPNOTE.TXT 6.3 and torch.save have it: stored or deflated,
 * with or without zip64. Everything that the central directory says is checked before it is used: counts and sizes
 * against the archive, each local header against its entry, ratios against what deflate can reach (1032), overlaps.
 * Split and encrypted archives, and ones with something before the first or after the last record, are refused.
 *
 *     gp_zip z;
 *     if (!gp_zip_open(&z, &map, "ckpt.pt")) {
 *         const gp_zip_file *f = gp_zip_find(&z, "archive/data.pkl", 16);
 *         char *text = f ? gp_zip_unpack(f, "ckpt.pt") : NULL;       // f->size bytes; free()
 *     }
 *     gp_zip_close(&z);
 */
#ifndef GP_CHECKPOINT_TORCH_ZIP_H
#define GP_CHECKPOINT_TORCH_ZIP_H

#include "base/base.h"
#include "base/file.h"

typedef struct gp_zip_file {
    const char *name; /* in the archive, not NUL-terminated */
    size_t name_size;
    const char *header, *data; /* its local header; what is stored */
    size_t packed, size;       /* bytes at data; unpacked */
    uint32_t crc;              /* CRC-32 of the unpacked bytes; 0: none, as torch writes it where told to */
    bool deflated;             /* otherwise packed is size, and data is the file itself */
} gp_zip_file;

typedef struct gp_zip {
    gp_zip_file *files; /* sorted by name */
    int64_t count;
} gp_zip;

/* path is for messages. -1 on failure; gp_zip_close is then allowed. The map must outlive z. */
int gp_zip_open(gp_zip *z, const gp_map *map, const char *path);
const gp_zip_file *gp_zip_find(const gp_zip *z, const char *name, size_t n);

/* After files were added by hand: sorts them; -1 where two have the same name. */
int gp_zip_sort(gp_zip *z, const char *path);

/* All of a deflated file, its size and CRC checked: fresh, or NULL. */
char *gp_zip_unpack(const gp_zip_file *f, const char *path);

/* 1: the bytes have the CRC that the archive says; 0: it has none; -1: they have not. */
int gp_zip_check(const gp_zip_file *f, const char *bytes, const char *path);

void gp_zip_close(gp_zip *z);

#endif
