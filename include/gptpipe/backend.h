/* backend.h: what computes. The same model code drives every backend.
 *
 *     gp_backend *be = gp_backend_open("auto", "auto", 0);   // name, dtype, threads (0: all cores)
 *     if (!be) ...gp_error()...
 *     printf("%s, %s, %d threads\n", gp_backend_name(be), gp_backend_dtype(be), gp_backend_threads(be));
 *     gp_backend_close(be);
 *
 * ref   plain loops that accumulate in double: the specification
 * cpu   oneDNN and vectorised loops, chosen for the processor at run time (where built with oneDNN)
 * auto  the fastest that is here
 */
#ifndef GPTPIPE_BACKEND_H
#define GPTPIPE_BACKEND_H

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_backend gp_backend;

/* For a program's first line: OpenMP's threads spin while they wait for each other, which on a machine that does
 * anything else as well makes small models 10 to 1000 times slower. They can be told not to only through the
 * environment, before the process starts; so this starts the program once more with OMP_WAIT_POLICY=passive. It
 * does nothing where that variable or GOMP_SPINCOUNT is set already, or without OpenMP. */
GP_API void gp_backend_prepare(char **argv);

/* name: auto, ref, cpu. dtype: auto, fp32, bf16 (matrix products in bf16 with fp32 sums, where the processor
 * has the instructions). NULL on failure. The caller closes it after everything that was made with it. */
GP_API gp_backend *gp_backend_open(const char *name, const char *dtype, int threads);
GP_API void gp_backend_close(gp_backend *be);

GP_API const char *gp_backend_name(const gp_backend *be);
GP_API const char *gp_backend_dtype(const gp_backend *be); /* "fp32" or "bf16" */
GP_API int gp_backend_threads(const gp_backend *be);

/* What it runs on, for people: "AMD EPYC 9654, avx2". */
GP_API const char *gp_backend_device(const gp_backend *be);

#ifdef __cplusplus
}
#endif
#endif
