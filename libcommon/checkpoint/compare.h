/* compare.h: two checkpoints, number by number and by what they compute. */
#ifndef GP_CHECKPOINT_COMPARE_H
#define GP_CHECKPOINT_COMPARE_H

#include "checkpoint/checkpoint.h"

/* Numbers of a row or of a piece of one. */
typedef struct gp_number_difference {
    int64_t numbers, differing; /* compared; of them not equal */
    double largest;             /* absolute difference */
    double magnitude;           /* largest |number| of the first */
    int64_t unexplained;        /* of the differing, those that rounding as `store` does not explain */
} gp_number_difference;

/* Compares the rows that have the same role and layer in both; columns [first, first + columns) of the last dim. store:
 * as which b's numbers may have been rounded. 0 or -1 (a read failed). */
int gp_compare_columns(const gp_checkpoint *a, const gp_param *row, const gp_checkpoint *b, const gp_param *other,
                       int64_t first, int64_t columns, gp_store store, gp_number_difference *d);

/* The tensor that c carries under t's name and with as many elements; NULL: none. The two, compared likewise. */
const gp_carried *gp_find_carried(const gp_checkpoint *c, const gp_carried *t);
int gp_compare_carried(const gp_carried *a, const gp_carried *b, gp_store store, gp_number_difference *d);

/* What the model of `config` computes with c's weights (gp_model_outputs: logits, or hidden states without a head) for
 * a fixed prompt of T = gp_compare_prompt(config) tokens; fresh. NULL: the weights could not be read. */
int64_t gp_compare_prompt(const gp_config *config);
float *gp_compare_outputs(const gp_config *config, const gp_checkpoint *c, gp_backend *be);

/* Bytes that gp_compare_outputs takes at most, about; whether the machine has them. */
bool gp_compare_fits(const gp_config *config);

#endif
