/* measure.h: what measurements of a backend share; see gptpipe/measure.h. */
#ifndef GP_BACKEND_MEASURE_H
#define GP_BACKEND_MEASURE_H

#include "backend/backend.h"
#include "gptpipe/measure.h"

/* The best of several short trials of gp_measure_peak, apart in time: in one instant others may have the machine. A
 * device that is ours alone has one. lowest: what the worst came to, or NULL. */
double gp_peak_best(gp_backend *be, double seconds, double longest, double *lowest);

/* Normal numbers, some thousand of them over and over: how fast a GPU multiplies depends on how many bits change (an
 * H200 did 894 TFLOP/s on zeros, 850 on a ramp of 17 numbers, 796 on these). Has been done when it returns. */
void gp_fill_normal(gp_backend *be, const gp_tensor *t);

#endif
