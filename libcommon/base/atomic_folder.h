/* atomic_folder.h: a folder that is there whole or not at all, as gp_out is for a file. */
#ifndef GP_BASE_ATOMIC_FOLDER_H
#define GP_BASE_ATOMIC_FOLDER_H

#include "base/file.h"

typedef struct gp_folder {
    char *path, *temporary; /* files are written into the temporary one */
    int fd;                 /* of that, locked */
} gp_folder;

int gp_folder_open(gp_folder *f, const char *path);

/* Flushes the folder (its files were, as gp_out_commit does), gives it its name, and releases f, also on
 * failure. An older folder of that name is replaced and removed. */
int gp_folder_commit(gp_folder *f);
void gp_folder_abandon(gp_folder *f); /* releases f, removes the temporary folder */

#endif
