/* hf_read.c: opens Hugging Face's safetensors: one file, a folder, a sharded model, a pipe. */
#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/hf/hf.h"
#include "checkpoint/weights.h"
#include "data/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* Of a file: a header length below 2^32, then '{'. */
static int recognise(const gp_checkpoint_input *in)
{
    const char *h = in->head;
    if (in->fd >= 0)
        return in->head_size > 8 && !h[4] && !h[5] && !h[6] && !h[7] && h[8] == '{';
    int is = gp_exists_in(in->path, "model.safetensors");
    return is ? is : gp_exists_in(in->path, "model.safetensors.index.json");
}

gp_container *gp_hf_open_file(const char *path)
{
    return gp_hf_container(gp_safetensors_open_regular(path));
}

static int open_folder(gp_checkpoint *c, const char *folder)
{
    int whole = gp_exists_in(folder, "model.safetensors");
    if (whole < 0)
        return -1;
    char *file = gp_path_join(folder, whole ? "model.safetensors" : "model.safetensors.index.json");
    int rc =
        whole ? gp_checkpoint_add_file(c, gp_hf_open_file(file)) : gp_checkpoint_add_shards(c, file, gp_hf_open_file);
    free(file);
    return rc;
}

int gp_hf_open(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    char *folder = gp_folder_of_input(in);
    size_t length = 0;
    int rc = in->fd < 0 ? open_folder(c, folder)
                        : gp_checkpoint_add_file(c, gp_hf_container(gp_safetensors_open_fd(
                                                        in->fd, c->path, in->head, in->consumed ? in->head_size : 0)));
    const gp_safetensors *first = rc ? NULL : gp_hf_safetensors(c->files[0]);
    const char *config = rc ? NULL : gp_safetensors_metadata(first, "gptpipe.config", &length);
    if (!rc)
        rc = gp_folder_config(c, config, length, folder, gp_folder_is_loadable(in, "model.safetensors"));
    if (rc > 0)
        rc = fail(
            "%s: has no gptpipe.config in its metadata and no config.json beside it: the model's sizes are unknown",
            c->path);
    const char *tokenizer = rc ? NULL : gp_safetensors_metadata(first, "gptpipe.tokenizer", &length);
    if (!rc)
        rc = gp_folder_tokenizer(c, tokenizer, length, folder, gp_folder_is_loadable(in, "model.safetensors"));
    if (!rc)
        rc = gp_weights_attach(c, NULL);
    free(folder);
    return rc;
}

const gp_file_format gp_hf_format = {
    .name = "safetensors",
    .what = "a file, or a folder with model.safetensors or model.safetensors.index.json",
    .recognise = recognise,
    .open = gp_hf_open,
    .write = gp_hf_write,
    .carries = true,
};
