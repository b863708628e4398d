/* run_format.c: a run directory is read as its last good checkpoint, in the format of that. */
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "data/safetensors.h"
#include "run/run.h"

#include <stdlib.h>

bool gp_run_weights_open(const char *folder)
{
    char *path = gp_path_join(folder, "model.safetensors");
    gp_safetensors *s = gp_safetensors_open_regular(path);
    bool opens = s != NULL;
    gp_safetensors_close(s);
    free(path);
    return opens;
}

static int recognise(const gp_checkpoint_input *in)
{
    return in->fd < 0 ? gp_run_recognise(in->path) : 0;
}

/* A checkpoint that was there a moment ago may be gone, where the run is being written: then there is a newer one. */
static gp_checkpoint *open_last(const char *path, const gp_checkpoint_options *options, char **warning)
{
    gp_checkpoint *last = NULL;
    bool gone = true;
    for (int tries = 0; gone && tries < 3; tries++) {
        free(*warning);
        *warning = NULL;
        char *folder = gp_run_last(path, gp_run_weights_open, warning);
        last = folder ? gp_checkpoint_open_with(folder, options) : NULL;
        gone = folder && !last && !gp_exists(folder);
        free(folder);
    }
    return last;
}

/* c becomes that checkpoint; its path stays that of the run. */
static int open_run(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    char *warning = NULL, *path = c->path;
    gp_checkpoint *last = open_last(in->path, &c->options, &warning);
    if (last) {
        free(last->path);
        *c = *last;
        free(last);
        c->path = path;
        c->is_run = true;
        char *own = c->warning;
        c->warning = warning;
        if (own)
            gp_checkpoint_warning_add(c, own);
        return 0;
    }
    free(warning);
    return -1;
}

const gp_file_format gp_run_format = {
    .name = "run",
    .what = "a run directory",
    .recognise = recognise,
    .open = open_run,
};
