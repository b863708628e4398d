/* llmc_format.c: llm.c's model file as a checkpoint. Its header is the whole configuration. It has no tokenizer: where
 * the vocabulary has GPT-2's size, GPT-2's own is taken from the file's folder, if it is there. */
#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/llmc/llmc.h"
#include "checkpoint/pieces.h"
#include "checkpoint/weights.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

enum { GPT2_VOCAB = 50257 };

static int recognise(const gp_checkpoint_input *in)
{
    int32_t magic;
    if (in->fd < 0 || in->head_size < sizeof magic)
        return 0;
    memcpy(&magic, in->head, sizeof magic);
    return magic == GP_LLMC_MODEL_MAGIC;
}

static int set_config(gp_checkpoint *c, const gp_llmc_header *h)
{
    c->config = gp_config_defaults(GP_GPT2);
    c->config.vocab_size = h->vocab_size;
    c->config.positions = h->positions;
    c->config.layers = h->layers;
    c->config.heads = h->heads;
    c->config.channels = h->channels;
    c->config.inner = 4 * h->channels;
    c->stored_vocab = h->padded_vocab_size;
    return gp_config_check(&c->config, c->path);
}

/* A tokenizer of another size in the folder is another model's. */
static int find_tokenizer(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    char *folder = c->config.vocab_size == GPT2_VOCAB ? gp_folder_of_input(in) : NULL;
    int rc = folder ? gp_folder_tokenizer(c, NULL, 0, folder, false) : 0;
    free(folder);
    if (rc || c->tokenizer_ids == GPT2_VOCAB)
        return rc;
    gp_checkpoint_drop_tokenizer(c);
    gp_checkpoint_add_tokenizer_warning(
        c, gp_format("llm.c's model files have no tokenizer%s",
                     c->config.vocab_size == GPT2_VOCAB ? ", and GPT-2's is not in the same folder" : ""));
    return 0;
}

static int open_file(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    gp_map map;
    if (gp_checkpoint_input_map(in, c->path, &map) || gp_checkpoint_add_file(c, gp_llmc_read(&map, c->path)))
        return -1;
    if (set_config(c, gp_llmc_header_of(c->files[0])) || find_tokenizer(c, in))
        return -1;
    gp_checkpoint_end_by_tokenizer(c);
    return gp_weights_attach(c, gp_llmc_naming());
}

static int write_file(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    size_t n = strlen(path);
    if (o->shard_bytes || (n && path[n - 1] == '/'))
        return fail("%s: an llm.c model is one file, neither a folder nor shards", path);
    gp_llmc_writer *w = gp_llmc_create(path, &c->config, o->store);
    if (!w)
        return -1;
    gp_tensor_writer to = gp_llmc_tensors(w);
    gp_biased b = gp_biased_of(c);
    int rc = gp_pieces_declare(&to, &b.params, gp_llmc_naming());
    if (!rc)
        rc = gp_pieces_write(&to, &b.params, gp_llmc_naming(), c->path, gp_biased_read, &b);
    gp_biased_release(&b);
    if (!rc)
        return gp_llmc_finish(w);
    gp_llmc_abort(w);
    return -1;
}

const gp_file_format gp_llmc_format = {
    .name = "llmc",
    .what = "llm.c's model file",
    .recognise = recognise,
    .open = open_file,
    .write = write_file,
    .tokenizer = GP_DROPS_TOKENIZER,
};
