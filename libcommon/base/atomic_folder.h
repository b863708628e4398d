/* atomic_folder.h: a folder that appears complete or not at all, as gp_out does for a file. */
#ifndef GP_BASE_ATOMIC_FOLDER_H
#define GP_BASE_ATOMIC_FOLDER_H

#include "base/file.h"

typedef struct gp_folder {
    char *path, *temporary; /* files are written into the temporary folder */
    int fd;                 /* of the temporary folder, locked */
} gp_folder;

int gp_folder_open(gp_folder *f, const char *path);

/* Flushes the folder (its files have been flushed by gp_out_commit) and renames it into place; an older folder of that
 * name is replaced and removed. Where rc, or this, is not 0: removes the temporary folder and returns -1. Releases
 * f. */
int gp_folder_end(gp_folder *f, int rc);

#endif
