/* measure.h: peak performance of a machine: measured, and stated by its vendor. */
#ifndef GPTPIPE_MEASURE_H
#define GPTPIPE_MEASURE_H

#include <stdbool.h>

#include "gptpipe/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Best FLOP/s of an (n,n) x (n,n) product on this backend. n doubles from 128 while a product takes less than `longest`
 * seconds, to keep a GPU busy without taking long on one core; each size is repeated for `seconds`. */
GP_API double gp_measure_peak(gp_backend *be, double seconds, double longest);

/* Best bandwidth, in bytes/s, of reading memory that does not fit the caches on all threads: the sum of squares of 256
 * MiB of normal numbers, of 4 GiB on a GPU, or of less if memory is scarce. */
GP_API double gp_measure_bandwidth(gp_backend *be, double seconds);

/* The same for a copy from memory to memory: bytes read plus bytes written. */
GP_API double gp_measure_copy(gp_backend *be, double seconds);

/* Seconds that an op on one number takes in a recording of many (a CUDA graph): the overhead of each kernel of a
 * decoded token. */
GP_API double gp_measure_start(gp_backend *be, double seconds);

/* A vendor's figures for a device. 0: not stated, or the device has no such unit. */
typedef struct gp_vendor {
    const char *name;  /* "EPYC 9654" */
    double fp32, bf16; /* FLOP/s, dense, of as many cores as there are threads */
    double bandwidth;  /* bytes/s */
} gp_vendor;

/* For a device as named by gp_backend_device. False if it is not known. */
GP_API bool gp_vendor_find(const char *device, int threads, gp_vendor *v);

#ifdef __cplusplus
}
#endif
#endif
