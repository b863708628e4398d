/* measure.h: what a machine can do: measured here, and as its vendor states it. */
#ifndef GPTPIPE_MEASURE_H
#define GPTPIPE_MEASURE_H

#include <stdbool.h>

#include "gptpipe/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Best FLOP/s of an (n,n) x (n,n) product on this backend. n doubles from 128 while one takes less than `longest`
 * seconds, so that it keeps a GPU busy and does not hold up one core; each size is repeated for `seconds`. */
GP_API double gp_measure_peak(gp_backend *be, double seconds, double longest);

/* Best bytes a second at which the backend reads memory that does not fit the caches (the sum of squares of 256
 * MiB of normal numbers, on a GPU of 4 GiB, or of less where there is little memory left, by all its threads). */
GP_API double gp_measure_bandwidth(gp_backend *be, double seconds);

/* The same of a copy from memory to memory: bytes read and bytes written, together. */
GP_API double gp_measure_copy(gp_backend *be, double seconds);

/* Seconds that an op of one number takes among others like it, recorded and issued again by one call: what each kernel
 * of a decoded token costs beside its work. */
GP_API double gp_measure_start(gp_backend *be, double seconds);

/* What a vendor states of a device. 0: it states nothing, or the device has no such unit. */
typedef struct gp_vendor {
    const char *name;  /* "EPYC 9654" */
    double fp32, bf16; /* FLOP/s, dense, of as many cores as there are threads */
    double bandwidth;  /* bytes a second */
} gp_vendor;

/* For a device as gp_backend_device names it. False where nothing is known: nothing is guessed. */
GP_API bool gp_vendor_find(const char *device, int threads, gp_vendor *v);

#ifdef __cplusplus
}
#endif
#endif
