/* folder.c: see folder.h. */
#include "checkpoint/folder.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

char *gp_folder_of_input(const gp_checkpoint_input *in)
{
    if (in->fd < 0)
        return gp_strdup(in->path);
    return strcmp(in->path, "-") ? gp_folder_of(in->path) : NULL;
}

bool gp_folder_is_loadable(const gp_checkpoint_input *in, const char *name)
{
    const char *slash = strrchr(in->path, '/');
    return in->fd < 0 || !strcmp(slash ? slash + 1 : in->path, name);
}

int gp_folder_read(gp_buf *b, const char *folder, const char *name, size_t max)
{
    int there = gp_exists_in(folder, name);
    if (there <= 0)
        return there ? -1 : 1;
    char *path = gp_path_join(folder, name);
    int rc = gp_file_read_regular(b, path, max);
    free(path);
    return rc;
}
