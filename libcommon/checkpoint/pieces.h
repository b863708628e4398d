/* pieces.h: rows of the table of parameters in safetensors files, under their external names and in their external
 * pieces (names.h). */
#ifndef GP_CHECKPOINT_PIECES_H
#define GP_CHECKPOINT_PIECES_H

#include "gptpipe/safetensors.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/names.h"

/* Whether t has the piece's shape and a dtype that is read (F32, F16, BF16); says under `name` what was
 * expected. */
int gp_piece_check(const char *path, const char *name, const gp_tensor *t, const gp_param *row, const gp_piece *piece);

/* What of the piece lies in lines [first, first + lines) of the row, out of t, which passed gp_piece_check, into these
 * lines at data. */
void gp_piece_read(const gp_tensor *t, const gp_param *row, const gp_piece *piece, int64_t first, int64_t lines,
                   float *data);

/* Copies a piece out of the row into its external form. */
void gp_piece_store(const gp_param *row, const gp_piece *piece, const float *data, float *external);

/* A row is read and written in slices of about this many numbers, so that no copy of it is made. */
enum { GP_SLICE = 1 << 18 };
int64_t gp_slice_lines(const gp_param *row);

/* Declares every piece of every row; then writes them in the same order, from what `read` gives. */
int gp_pieces_declare(gp_safetensors_writer *w, const gp_params *p, const gp_naming *n, gp_dtype dtype);
int gp_pieces_write(gp_safetensors_writer *w, const gp_params *p, const gp_naming *n, const char *where,
                    gp_row_fn *read, void *self, gp_dtype dtype);

#endif
