/* llmc.h: llm.c's model file, versions 3 (fp32) and 5 (bf16), as its train_gpt2.py writes and its C programs read and
 * write it. Little-endian:
 *
 *     int32 header[256]    magic 20240326, version, max_seq_len T, vocab_size V, num_layers L, num_heads, channels C,
 *                          padded_vocab_size Vp, then zeros, which llm.c does not read
 *     wte (Vp,C)           rows from V on are zero: the vocabulary padded to a multiple of 128
 *     wpe (T,C)
 *     ln1w (L,C), ln1b (L,C), qkvw (L,3C,C), qkvb (L,3C), attprojw (L,C,C), attprojb (L,C), ln2w (L,C), ln2b (L,C),
 *     fcw (L,4C,C), fcb (L,4C), fcprojw (L,C,4C), fcprojb (L,C)
 *     lnfw (C), lnfb (C)
 *
 * Linears are (out,in). The model is always GPT-2 with GELU's tanh form, biases, norms of eps 1e-5 and a tied head.
 * There is no tokenizer. Older versions (1 and 2, vocabulary not padded) are refused, as llm.c refuses them.
 *
 * The container has each layer's slice as a tensor of its own, "h.3.qkvw" (3C,C), and wte with its padding (Vp,C). */
#ifndef GP_CHECKPOINT_LLMC_LLMC_H
#define GP_CHECKPOINT_LLMC_LLMC_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/container.h"
#include "checkpoint/writer.h"

enum { GP_LLMC_MODEL_MAGIC = 20240326, GP_LLMC_MODEL_HEADER = 256, GP_LLMC_TENSORS = 16, GP_LLMC_PAD = 128 };

/* The header, each size at least 1. */
typedef struct gp_llmc_header {
    gp_dtype dtype;
    int64_t positions, vocab_size, layers, heads, channels, padded_vocab_size;
} gp_llmc_header;

/* One of llm.c's tensors: its slice of one layer where it has layers. */
typedef struct gp_llmc_tensor {
    const char *name; /* "qkvw" */
    bool in_layer;
    int ndim;
    int64_t dim[2];
} gp_llmc_tensor;

/* llmc.c: tensor i of GP_LLMC_TENSORS in the file's order. */
gp_llmc_tensor gp_llmc_tensor_of(const gp_llmc_header *h, int i);

/* "h.3.qkvw", "wte". */
enum { GP_LLMC_NAME = 32 };
const char *gp_llmc_name(const gp_llmc_tensor *t, int64_t layer, char text[GP_LLMC_NAME]);

/* llmc_read.c: the container, which takes over the mapping, also on failure; and what its file's header says. */
gp_container *gp_llmc_read(gp_map *map, const char *path);
const gp_llmc_header *gp_llmc_header_of(const gp_container *k);

/* llmc_write.c: a file in fp32 or bf16, "-" being stdout. Its tensors are declared and written in the file's order,
 * wte as (V,C): the padding is added here. Refuses a configuration that llm.c computes otherwise. Biases that the model
 * lacks are for the caller to write as zeros. */
typedef struct gp_llmc_writer gp_llmc_writer;
gp_llmc_writer *gp_llmc_create(const char *path, const gp_config *c, gp_store store);
gp_tensor_writer gp_llmc_tensors(gp_llmc_writer *w);
int gp_llmc_finish(gp_llmc_writer *w); /* both release w */
void gp_llmc_abort(gp_llmc_writer *w);

#endif
