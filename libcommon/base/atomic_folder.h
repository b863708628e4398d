/* atomic_folder.h: a folder that appears complete or not at all, as gp_out does for a file. */
#ifndef GP_BASE_ATOMIC_FOLDER_H
#define GP_BASE_ATOMIC_FOLDER_H

#include "base/file.h"

typedef struct gp_folder {
    char *path, *temporary; /* files are written into the temporary folder */
    int fd;                 /* of the temporary folder, locked */
} gp_folder;

int gp_folder_open(gp_folder *f, const char *path);

/* Flushes the folder (its files have been flushed by gp_out_commit), renames it into place, and releases f, also on
 * failure. An older folder of that name is replaced and removed. */
int gp_folder_commit(gp_folder *f);
void gp_folder_abandon(gp_folder *f); /* releases f, removes the temporary folder */

#endif
