/* checkpoint.h: what a format brings: configuration, tokenizer, and a way to read one row of the table of
 * parameters at a time. A new format is one file and one line of the table in formats.c. */
#ifndef GP_CHECKPOINT_CHECKPOINT_H
#define GP_CHECKPOINT_CHECKPOINT_H

#include "base/base.h"
#include "gptpipe/checkpoint.h"
#include "checkpoint/container.h"
#include "checkpoint/writer.h"
#include "model/params.h"

/* Lines [first, first + lines) of a row's numbers (dim[0] lines of dim[1]), in our layout, into data. Who reads a row
 * begins with its line 0: then all of it is checked. 0 or -1. */
typedef int gp_row_fn(void *self, const gp_param *row, int64_t first, int64_t lines, float *data);

/* Where a row is. */
typedef struct gp_row_place {
    const gp_container *file; /* whose tensor `index` begins with the row's numbers, in its order, */
    int64_t index;            /* and has gp_container_data; NULL: it consists of pieces, is transposed, or is new */
    bool concurrent;          /* several threads may read rows like this one */
} gp_row_place;

/* A tensor that is no parameter, and is written again in formats with the same names: of a head that is not computed
 * here. */
typedef struct gp_carried {
    char *name;
    const gp_container *file;
    int64_t index;
} gp_carried;

struct gp_checkpoint {
    char *path; /* what messages call it */
    const char *format;
    gp_config config;
    gp_params params;
    char *tokenizer;         /* tokenizer.json or NULL */
    char *tokenizer_problem; /* why it cannot be used, or NULL */
    char *tokenizer_warning;
    size_t tokenizer_length;
    gp_tokenizer *built;   /* of that text, until gp_checkpoint_open_tokenizer gives it away; or NULL */
    int64_t tokenizer_ids; /* of one that can be used; 0: none */
    bool has_fingerprint;
    uint8_t fingerprint[16];
    char *warning;
    char *problem; /* why its model is not supported (gp_checkpoint_options: listing) */

    bool is_run;

    gp_container **files; /* (file_count) that it is read from; none: a model in memory */
    int file_count;
    gp_carried *carried;
    int carried_count;
    gp_checkpoint_options options; /* while it is opened */
    int64_t stored_vocab;          /* lines that tables of the vocabulary have in the files; 0: vocab_size */

    void *self; /* the format's own */
    gp_row_fn *read;
    gp_row_place (*locate)(void *self, const gp_param *row); /* NULL: a model in memory */
    void (*close)(void *self);
    int models; /* that read rows in its files: closed with the last of them */
};

/* What is to be opened. A file's first bytes are read once, since those of a pipe do not come again. */
typedef struct gp_checkpoint_input {
    const char *path;
    int fd; /* of a file; -1: a folder */
    char head[16];
    size_t head_size;
    bool consumed; /* fd stands behind the head, for good */
} gp_checkpoint_input;

/* Where a format writes the tokenizer. */
typedef enum gp_tokenizer_place { GP_KEEPS_TOKENIZER, GP_KEEPS_IT_IN_FOLDERS, GP_DROPS_TOKENIZER } gp_tokenizer_place;

typedef struct gp_file_format {
    const char *name, *what;                         /* "safetensors", "a file, or ..." */
    int (*recognise)(const gp_checkpoint_input *in); /* a look at the head, or at what is in the folder: 1, 0 or -1 */
    int (*open)(gp_checkpoint *c, const gp_checkpoint_input *in);
    int (*write)(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o); /* NULL: is only read */
    bool carries;                                                                          /* writes c->carried too */
    gp_tokenizer_place tokenizer;
} gp_file_format;

extern const gp_file_format gp_run_format, gp_hf_format, gp_gguf_format, gp_llmc_format, gp_tensorflow_format,
    gp_torch_format, gp_nanogpt_format;

/* Where neither the file nor a config.json says what begins and ends a text, the tokenizer's end-of-text token does
 * both, as GPT-2's. */
void gp_checkpoint_end_by_tokenizer(gp_checkpoint *c);

/* formats.c: the whole input as a mapping: a regular file as it is, a pipe copied to an unlinked temporary file. */
int gp_checkpoint_input_map(const gp_checkpoint_input *in, const char *name, gp_map *map);

/* run_format.c: whether the weights of a run's checkpoint can be opened, for gp_run_last. */
bool gp_run_weights_open(const char *folder);

/* Takes over the text of a tokenizer (malloc), and finds out its fingerprint, or why it cannot be used. folder: where
 * it lies, or NULL; what else is said of it there becomes a remark. */
void gp_checkpoint_add_tokenizer_warning(gp_checkpoint *c, char *text); /* malloc, taken over */
void gp_checkpoint_warning_tokenizer(gp_checkpoint *c, const gp_tokenizer *t);
void gp_checkpoint_set_tokenizer(gp_checkpoint *c, char *text, size_t length, const char *folder);

/* Takes it out again, with what was said of it. */
void gp_checkpoint_drop_tokenizer(gp_checkpoint *c);

/* Adds to what a person should be told; takes over text (malloc). */
void gp_checkpoint_warning_add(gp_checkpoint *c, char *text);

/* hf_write.c: what from_pretrained wants beside the weights, into a folder that is there: config.json, and
 * where there is a tokenizer, tokenizer.json and tokenizer_config.json. */
int gp_hf_write_beside(const gp_checkpoint *c, const char *folder, gp_store store);

#endif
