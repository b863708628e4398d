/* torch_format.c: opens models that torch.save wrote: Hugging Face's pytorch_model.bin in its folder, sharded or not,
 * nanoGPT's ckpt.pt, a state_dict by itself. */
#include "checkpoint/folder.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/weights.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char whole[] = "pytorch_model.bin", sharded[] = "pytorch_model.bin.index.json", nanogpt[] = "ckpt.pt";

/* Of a file: a zip, or the layout before it. */
static int recognise(const gp_checkpoint_input *in)
{
    static const char *const names[] = {whole, sharded, nanogpt};
    if (in->fd >= 0)
        return (in->head_size > 4 && !memcmp(in->head, "PK\x03\x04", 4)) || gp_torch_is_legacy(in->head, in->head_size);
    int there = 0;
    for (size_t i = 0; !there && i < ARRAY_LEN(names); i++)
        there = gp_exists_in(in->path, names[i]);
    return there;
}

static gp_container *open_file(const char *path)
{
    gp_map map;
    int fd = gp_open_regular(path);
    if (fd < 0)
        return NULL;
    int rc = gp_map_fd(&map, fd, path);
    close(fd);
    return rc ? NULL : gp_torch_read(&map, path);
}

static int open_folder(gp_checkpoint *c, const char *folder)
{
    int one = gp_exists_in(folder, whole), many = one ? 0 : gp_exists_in(folder, sharded);
    if (one < 0 || many < 0)
        return -1;
    char *file = gp_path_join(folder, one ? whole : many ? sharded : nanogpt);
    int rc = many ? gp_checkpoint_add_shards(c, file, open_file) : gp_checkpoint_add_file(c, open_file(file));
    free(file);
    return rc;
}

static int find_config(gp_checkpoint *c, const gp_checkpoint_input *in, const char *folder, bool *out_in)
{
    const gp_torch_extras *e = gp_torch_extras_of(c->files[0]);
    if (e->ignored)
        gp_checkpoint_warning_add(c, gp_format("%s: not read, since they are no weights: %s", c->path, e->ignored));
    int rc = e->has_args ? 1 : gp_folder_config(c, NULL, 0, folder, gp_folder_is_loadable(in, whole));
    if (rc > 0)
        return gp_torch_config(c, out_in);
    *out_in = !rc && c->config.family == GP_GPT2 && gp_torch_is_out_in(c);
    return rc;
}

static int open_input(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    char *folder = gp_folder_of_input(in);
    gp_map map;
    bool out_in = false;
    int rc = in->fd < 0 ? open_folder(c, folder) : gp_checkpoint_input_map(in, c->path, &map);
    if (!rc && in->fd >= 0)
        rc = gp_checkpoint_add_file(c, gp_torch_read(&map, c->path));
    if (!rc)
        rc = find_config(c, in, folder, &out_in);
    if (!rc && out_in)
        c->format = gp_nanogpt_format.name;
    if (!rc)
        rc = gp_folder_tokenizer(c, NULL, 0, folder, gp_folder_is_loadable(in, whole));
    if (!rc && gp_torch_extras_of(c->files[0])->has_args)
        gp_checkpoint_end_by_tokenizer(c);
    if (!rc)
        rc = gp_weights_attach(c, out_in ? gp_nanogpt_naming() : NULL);
    free(folder);
    return rc;
}

/* Its files are torch.save's as well: the other format opens them. */
static int recognise_none(const gp_checkpoint_input *in)
{
    (void)in;
    return 0;
}

const gp_file_format gp_torch_format = {
    .name = "torch",
    .what = "a file of torch.save, or a folder with pytorch_model.bin or pytorch_model.bin.index.json",
    .recognise = recognise,
    .open = open_input,
    .write = gp_torch_save,
    .carries = true,
    .tokenizer = GP_KEEPS_IT_IN_FOLDERS,
};

const gp_file_format gp_nanogpt_format = {
    .name = "nanogpt",
    .what = "ckpt.pt, or a folder with it",
    .recognise = recognise_none,
    .open = open_input,
    .write = gp_nanogpt_save,
    .tokenizer = GP_DROPS_TOKENIZER,
};
