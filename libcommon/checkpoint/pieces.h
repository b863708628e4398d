/* pieces.h: rows of the table of parameters in the tensors of a file, under their external names and in their external
 * pieces (names.h). */
#ifndef GP_CHECKPOINT_PIECES_H
#define GP_CHECKPOINT_PIECES_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/names.h"

/* Whether tensor i of k has the piece's shape (or, with leading_one, a 1 before it) and numbers that can be read; what
 * was found and expected otherwise. stored_vocab: lines of tables of the vocabulary in the file; 0: as many as in the
 * row. */
int gp_piece_check(const gp_container *k, int64_t i, const gp_param *row, const gp_piece *piece, bool leading_one,
                   int64_t stored_vocab);

/* Whether the piece lies in the row as it does outside, in one run from piece->first on. */
bool gp_piece_is_run(const gp_param *row, const gp_piece *piece);

/* What of the piece lies in lines [first, first + lines) of the row, out of tensor i of k, which passed gp_piece_check,
 * into these lines at data. 0 or -1. */
int gp_piece_read(const gp_container *k, int64_t i, const gp_param *row, const gp_piece *piece, int64_t first,
                  int64_t lines, float *data);

/* The same of a piece that no file has: its initial value, as gp_piece_filling calls it: "ones" for a norm's gain,
 * "zeros" for everything else. */
void gp_piece_fill(const gp_param *row, const gp_piece *piece, int64_t first, int64_t lines, float *data);
const char *gp_piece_filling(const gp_param *row);

/* Copies a piece out of the row into its external form. */
void gp_piece_store(const gp_param *row, const gp_piece *piece, const float *data, float *external);

/* A row is read and written in slices of about this many numbers, so that no copy of it is made. */
enum { GP_SLICE = 1 << 18 };
int64_t gp_slice_lines(const gp_param *row);

/* Whether all of x, the numbers from `first` on of a tensor, is finite and stays so in the output: 0 or -1. */
int gp_check_finite(const char *path, const char *name, const float *x, int64_t first, int64_t count, float largest);

/* Declares every piece of every row; then writes them in the same order, from what `read` gives. where: names the
 * input in messages. */
int gp_pieces_declare(gp_tensor_writer *w, const gp_params *p, const gp_naming *n);
int gp_pieces_write(gp_tensor_writer *w, const gp_params *p, const gp_naming *n, const char *where, gp_row_fn *read,
                    void *self);

/* A checkpoint's rows for formats whose readers build all biases (transformers' GPT2, llm.c, llama.cpp): of a model
 * without any they are zeros, which add nothing. gp_biased_read is a gp_row_fn, self a gp_biased. */
typedef struct gp_biased {
    const gp_checkpoint *c;
    gp_params params;
} gp_biased;

gp_biased gp_biased_of(const gp_checkpoint *c);
int gp_biased_read(void *self, const gp_param *row, int64_t first, int64_t lines, float *data);
void gp_biased_release(gp_biased *b);

#endif
