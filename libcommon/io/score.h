/* score.h: what the files that score share. */
#ifndef GP_IO_SCORE_H
#define GP_IO_SCORE_H

#include "base/base.h"
#include "gptpipe/score.h"

/* , "name": x; null where x is not finite */
void gp_put_number(FILE *out, const char *name, double x);

#endif
