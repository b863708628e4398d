/* torch_file.h: what the reader's files share: torch_read.c, torch_state.c (which tensors of the object are listed),
 * torch_legacy.c (the layout before the zip). */
#ifndef GP_CHECKPOINT_TORCH_FILE_H
#define GP_CHECKPOINT_TORCH_FILE_H

#include "checkpoint/torch/pickle.h"
#include "checkpoint/torch/torch.h"
#include "checkpoint/torch/zip.h"

/* Where the numbers of a tensor are. */
typedef struct gp_torch_place {
    const gp_zip_file *storage;
    gp_pickle_tensor t; /* its storage is gone with the pickle */
} gp_torch_place;

typedef struct gp_torch_file {
    char *path;
    gp_map map;
    gp_zip zip;             /* its files; of the layout before the zip: its storages, by their keys */
    char *prefix;           /* of a storage's name before its key: "archive/data/", or "" */
    unsigned char *checked; /* (zip.count) whether a file has its CRC: gp_zip_check's answer + 1, 0: not asked yet */
    gp_torch_place *places; /* as the container's tensors */
    int64_t place_count;
    const gp_zip_file *unpacked; /* the deflated storage whose bytes are in `bytes` */
    char *bytes;
    gp_torch_extras extras;
} gp_torch_file;

/* The tensors of `top`, the object of p, into k, and what else it has into f->extras. */
int gp_torch_list(gp_torch_file *f, gp_container *k, const gp_value *top, const gp_pickle *p);

void gp_torch_extras_release(gp_torch_extras *e);

/* Whether a file begins as the layout before the zip; reads it into f->zip and k. */
bool gp_torch_is_legacy(const char *head, size_t size);
int gp_torch_read_legacy(gp_torch_file *f, gp_container *k);

#endif
