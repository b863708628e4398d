/* measure.h: shared by measurements of a backend; see gptpipe/measure.h. */
#ifndef GP_BACKEND_MEASURE_H
#define GP_BACKEND_MEASURE_H

#include "backend/backend.h"
#include "gptpipe/measure.h"

/* The max of several short trials of gp_measure_peak, separated by pauses, since other processes may be using the
 * machine at times. On a device without other users one trial is enough. lowest: the result of the worst trial, or
 * NULL. */
double gp_peak_best(gp_backend *be, double seconds, double longest, double *lowest);

/* Fills t with normally distributed numbers, a few thousand of them repeated: the speed of GPU matrix products depends
 * on how many bits change (an H200 did 894 TFLOP/s on zeros, 850 on a ramp of 17 numbers, 796 on these).
 * Synchronous. */
void gp_fill_normal(gp_backend *be, const gp_tensor *t);

#endif
