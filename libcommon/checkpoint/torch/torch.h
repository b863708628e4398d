/* torch.h: files of torch.save: tensors by name, and what is saved beside them. The zip of PyTorch 1.6 and later
 * (PREFIX/data.pkl, a file PREFIX/data/KEY for each storage), and the layout before it (_legacy_save of torch's
 * serialization.py): pickles of a magic number, a protocol, sizes of C types, the object, the keys of its storages, and
 * then the storages. The pickle is interpreted by pickle.h; no Python is ever run.
 *
 * The tensors are those of a state_dict: a dict of names and tensors, or the member of the top dict that is one under
 * `model` (nanoGPT), `state_dict` (Lightning), `model_state_dict` or `module`. Of any other object all tensors are
 * listed, in a dict of dicts as "optimizer.state.0.exp_avg".
 *
 * Two formats (torch_format.c, torch_save.c): torch, a state_dict under Hugging Face's names, and nanogpt, its ckpt.pt.
 *
 * Limits: little-endian files; tensors of up to 5 dimensions; strides that overlap (expanded tensors), TorchScript
 * archives, pickled modules and quantized tensors are refused. A deflated storage is unpacked whole when it is read.
 */
#ifndef GP_CHECKPOINT_TORCH_TORCH_H
#define GP_CHECKPOINT_TORCH_TORCH_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/container.h"
#include "checkpoint/writer.h"

gp_container *gp_torch_read(gp_map *map, const char *path);

typedef enum gp_torch_value {
    GP_TORCH_NONE,
    GP_TORCH_BOOL,
    GP_TORCH_INT,
    GP_TORCH_REAL,
    GP_TORCH_TEXT,
    GP_TORCH_OTHER
} gp_torch_value;

/* One entry of a dict of plain values. */
typedef struct gp_torch_entry {
    char *name;
    gp_torch_value type;
    int64_t whole; /* of a bool and an int */
    double real;   /* of an int too */
    char *text;
} gp_torch_entry;

/* What the file has beside the tensors that are listed. */
typedef struct gp_torch_extras {
    char *member;  /* of the top dict, whose tensors are listed; NULL: the top dict itself */
    char *ignored; /* other members that have some content: "optimizer, config"; NULL: none */
    bool has_args; /* there is a dict model_args (nanoGPT) */
    gp_torch_entry *args;
    int64_t arg_count;
} gp_torch_extras;

const gp_torch_extras *gp_torch_extras_of(const gp_container *k); /* of gp_torch_read */

/* torch_config.c: c's files are open, and have no configuration beside them. Fills in c->config from the model_args of
 * nanoGPT, or from the shapes of a GPT-2 and c's options. *out_in: its linears are stored (out, in). 0 or -1. */
int gp_torch_config(gp_checkpoint *c, bool *out_in);

/* Whether the files' linears are stored (out, in), as nanoGPT has them: c_attn.weight is (3C, C). */
bool gp_torch_is_out_in(const gp_checkpoint *c);

/* ---- writing --------------------------------------------------------------------------------------------- */

/* A file that torch.load(weights_only=True) reads, which torch.save would lay out likewise: stored files, data at
 * multiples of 64, CRCs after the data, so that it streams into a pipe; zip64 where a size or an offset needs it. */
typedef struct gp_torch_writer gp_torch_writer;

/* path "-": stdout. store: GP_STORE_F32, F16 or BF16. nanogpt: {'model': ..., 'optimizer': one without moments,
 * 'model_args': args, 'iter_num': 0, 'best_val_loss': 1e9, 'config': {}}, otherwise a bare state_dict. args are copied.
 * NULL on failure. */
gp_torch_writer *gp_torch_create(const char *path, gp_store store, bool nanogpt, const gp_torch_entry *args,
                                 int64_t arg_count);

/* To declare tensors by and to write their numbers with. */
gp_tensor_writer gp_torch_tensor_writer(gp_torch_writer *w);

/* Before any numbers: one more name for a tensor, as tied weights have; nothing where that is not declared. */
void gp_torch_alias(gp_torch_writer *w, const char *name, const char *of);

/* All declared numbers were written: ends the file and gives it its name. Always releases w, as abort does. */
int gp_torch_finish(gp_torch_writer *w);
void gp_torch_abort(gp_torch_writer *w);

/* torch_save.c */
int gp_torch_save(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o);
int gp_nanogpt_save(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o);

#endif
