/* checkpoint.h: a model's configuration, tokenizer and weights, in any supported format.
 *
 *     gp_checkpoint *ckpt = gp_checkpoint_open("run");        // a file, a folder, or "-": stdin
 *     gp_model *m = ckpt ? gp_checkpoint_model(ckpt, be, false) : NULL;
 *     if (!m) ...gp_error()...
 *     gp_checkpoint_close(ckpt);                              // files that m reads stay mapped until it is freed
 *
 *     ckpt = gp_checkpoint_of_model(m, tokenizer, length);
 *     gp_checkpoint_write(ckpt, "out.safetensors", NULL);
 *     gp_checkpoint_close(ckpt);
 *
 * A conversion opens a checkpoint and writes it: weights are copied tensor by tensor, never all at once in memory.
 */
#ifndef GPTPIPE_CHECKPOINT_H
#define GPTPIPE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/backend.h"
#include "gptpipe/choice.h"
#include "gptpipe/config.h"
#include "gptpipe/model.h"
#include "gptpipe/tensor.h"
#include "gptpipe/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_checkpoint gp_checkpoint;

/* A head in the place of the file's, to fine-tune what is below it. */
typedef struct gp_new_head {
    gp_head head;
    int64_t labels;                 /* of GP_HEAD_CLASSIFY */
    const char *const *label_names; /* (labels); NULL: the file's, if it has as many, else LABEL_0, LABEL_1, ... */
    uint64_t seed;                  /* its parameters are those of gp_model_init */
    bool keep_classifier;           /* where the file's head is a classifier, and one is wanted, it stays as it is */
} gp_new_head;

/* What a file does not say of itself, and tensors that may be missing or left over; all zero: nothing. Patterns are
 * those of a shell ("*.attn.bias"). Strings are not copied, and used only while the checkpoint is opened. */
typedef struct gp_checkpoint_options {
    int64_t heads;                    /* of a file without configuration, whose shapes cannot tell */
    gp_act activation;                /* likewise */
    const char *const *allow_missing; /* tensors that may be missing: a norm's gain is 1 then, all else 0 */
    int allow_missing_count;
    const char *const *ignore; /* tensors that may be left over */
    int ignore_count;
    bool cut_padding; /* rows of the vocabulary that the tokenizer has no ids for are left out */
    /* The head that is wanted, or NULL. The parameters of it that the file has are used (a BertModel's pooler is the
     * dense layer of its classifier), those that it lacks are initialized, and tensors of another head are left out;
     * the warning names both. A classifier of other labels is a new one. */
    const gp_new_head *head;
    bool listing; /* a file whose model is not supported is opened all the same, for gp_checkpoint_print alone */
} gp_checkpoint_options;

/* path: a safetensors file; a Hugging Face folder (config.json with model.safetensors, or with shards and
 * their index.json); a run directory (its last checkpoint); "-". The format is recognised from the content.
 * Configuration and tokenizer come from the file's own metadata or from the files in its directory. Every
 * name, dtype and shape is checked on opening; the values are checked when they are read, and NaN or infinity is an
 * error. NULL on failure. */
GP_API gp_checkpoint *gp_checkpoint_open(const char *path);
GP_API gp_checkpoint *gp_checkpoint_open_with(const char *path, const gp_checkpoint_options *options);
GP_API void gp_checkpoint_close(gp_checkpoint *c); /* after the last model that reads its files, if that is later */

GP_API const gp_config *gp_checkpoint_config(const gp_checkpoint *c);

/* Text of a tokenizer.json, or NULL where there is no tokenizer. Valid until close. */
GP_API const char *gp_checkpoint_tokenizer(const gp_checkpoint *c, size_t *length);

/* Why its tokenizer cannot be used: its kind is unknown, it cannot be read, or it has words that the model has no rows
 * for. NULL: it can be used, or there is none. Ids alone need no tokenizer; its text is copied when written. */
GP_API const char *gp_checkpoint_tokenizer_problem(const gp_checkpoint *c);

/* A warning to show about its tokenizer, such as that files of the folder disagree; NULL: none. */
GP_API const char *gp_checkpoint_tokenizer_warning(const gp_checkpoint *c);

/* The tokenizer, ready for use; NULL in *t where there is none. -1 where it cannot be used. The caller closes it. */
GP_API int gp_checkpoint_open_tokenizer(const gp_checkpoint *c, gp_tokenizer **t);

/* The tokenizer's fingerprint (tokenizer.h); false where there is none or its kind is unknown. */
GP_API bool gp_checkpoint_fingerprint(const gp_checkpoint *c, uint8_t fingerprint[16]);

/* Why its model is not supported, where it was opened with `listing`; NULL: it is. */
GP_API const char *gp_checkpoint_problem(const gp_checkpoint *c);

/* A warning to show, such as that a run's last checkpoint is damaged and an older one is
 * used; NULL: none. */
GP_API const char *gp_checkpoint_warning(const gp_checkpoint *c);

/* A model with these weights; NULL on failure. The caller frees it. In the host's memory, a model that does not train
 * reads what the files have in its own form (fp32, not transposed) where they are mapped, without a copy: then they
 * stay mapped until it is freed, also after gp_checkpoint_close. If such a file is truncated the process ends with a
 * message that names it (exit code 1); if it is written to, gp_checkpoint_check_unchanged fails. Renaming another file
 * over it does no harm. */
GP_API gp_model *gp_checkpoint_model(const gp_checkpoint *c, gp_backend *be, bool trains);

/* Loads the weights into a model that was created with the same sizes (its dropout, say, may differ; of more positions
 * than the model has, it takes the first ones). 0 or -1. */
GP_API int gp_checkpoint_load(const gp_checkpoint *c, gp_model *m);

/* After the work, before its results are trusted: -1 where a file that a model reads in place has been written to since
 * it was opened. */
GP_API int gp_checkpoint_check_unchanged(const gp_checkpoint *c);

/* What gp_checkpoint_verify has read. */
typedef struct gp_verified {
    int64_t files, damaged;
    int64_t tensors, sums; /* tensors, and how many of them have a CRC in their file */
} gp_verified;

/* What is wrong with a file, one line. */
typedef void gp_verify_fn(void *self, const char *why);

/* Reads all files of a checkpoint in full, also what loading does not need, or, where it is a run directory, of all its
 * checkpoints: checks that each string and tensor has the CRC recorded in its file, and that weights are finite.
 * `tell` is called for each damaged file. 0, or -1 if there is one. */
GP_API int gp_checkpoint_verify(const gp_checkpoint *c, gp_verified *seen, gp_verify_fn *tell, void *self);

/* Format, sizes, tokenizer, metadata and the files' tensors, for people or as a JSON object; verified may be NULL. */
GP_API void gp_checkpoint_print(const gp_checkpoint *c, const gp_verified *verified, bool json, FILE *out);

/* A checkpoint whose weights are m's, read when they are needed; m must outlive it. tokenizer: text of a
 * tokenizer.json, copied; NULL: none. */
GP_API gp_checkpoint *gp_checkpoint_of_model(gp_model *m, const char *tokenizer, size_t length);

/* How numbers are stored, rounded to nearest even. q8_0: ggml's blocks of 32 numbers with one scale; formats that have
 * no such type refuse it, and those whose readers expect norms and biases in fp32 keep these. */
#define GP_STORES(X)                                                                                                   \
    X(GP_STORE_F32, "fp32")                                                                                            \
    X(GP_STORE_BF16, "bf16")                                                                                           \
    X(GP_STORE_F16, "fp16")                                                                                            \
    X(GP_STORE_Q8_0, "q8_0")
typedef enum gp_store { GP_STORES(GP_CHOICE_VALUE) } gp_store;

typedef struct gp_checkpoint_output {
    const char *format; /* of gp_checkpoint_formats(true) */
    gp_store store;
    bool progress;       /* a line on stderr of how far it is */
    int64_t shard_bytes; /* a folder's weights are split into files of at most so many bytes; 0: one file */
    char **warning; /* NULL, or receives a warning to show, such as that tensors do not fit into store's blocks (the
                            caller frees it), or NULL */
} gp_checkpoint_output;

/* Writes c; output NULL: as safetensors in fp32. path: a file; "-"; or, where it ends in '/' or is an empty folder, a
 * folder that transformers' from_pretrained loads as it is. It gets its name only once it is complete. What the readers
 * of the format would compute otherwise than c's configuration says is refused by name. 0 or -1. */
GP_API int gp_checkpoint_write(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *output);

/* Reads back what gp_checkpoint_write has written of c to `path`, and compares: each number has to be c's as `store`
 * rounds it, the configuration has to give the same logits to the bit, and in fp32 so do the weights. text: what was
 * compared, and how far rounding moves the logits of a fixed prompt. Logits are computed on the CPU, if such a model
 * fits into memory. A stream cannot be read back, and text says so. 0 or -1. */
GP_API int gp_checkpoint_prove(const gp_checkpoint *c, const char *path, gp_store store, char text[256]);

/* How a and b, of any formats, differ: configuration, tokenizer, tensors by Hugging Face's names; for people or as a
 * JSON object. 0: not at all; 1: they differ; -1: a read failed. */
GP_API int gp_checkpoint_diff(const gp_checkpoint *a, const gp_checkpoint *b, bool json, FILE *out);

/* Whether `format` may be written under this name: a file whose suffix is another format's is refused. 0 or -1;
 * gp_checkpoint_write checks this too. */
GP_API int gp_checkpoint_check_name(const char *path, const char *format);

/* The format that a name without --to stands for: the one whose files have its suffix, else safetensors. NULL, with a
 * message, where two formats share the suffix. */
GP_API const char *gp_checkpoint_format_of_name(const char *path);

/* Names of the formats that can be read (or written), "a|b|c". */
GP_API const char *gp_checkpoint_formats(bool written);

#ifdef __cplusplus
}
#endif
#endif
