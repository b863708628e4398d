/* backend.h: what computes. The same model code drives every backend.
 *
 *     gp_backend *be = gp_backend_open("auto", "auto", 0);   // name, dtype, threads (0: all cores)
 *     if (!be) ...gp_error()...
 *     printf("%s, %s, %d threads\n", gp_backend_name(be), gp_backend_dtype(be), gp_backend_threads(be));
 *     gp_backend_close(be);
 *
 * ref   plain loops that accumulate in double: the specification
 * cuda  an NVIDIA GPU, where built with nvcc; CUDA_VISIBLE_DEVICES says which, and hides them all when it is empty
 * cpu   vectorised loops, chosen for the processor at run time; products of matrices by oneDNN where built with it
 * auto  the fastest that is here
 */
#ifndef GPTPIPE_BACKEND_H
#define GPTPIPE_BACKEND_H

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_backend gp_backend;

/* Start a program that embeds this library with OMP_WAIT_POLICY=passive in its environment. Otherwise OpenMP's threads
 * spin while they wait for each other, which makes small models 10 to 1000 times slower on a machine that does anything
 * else as well. OpenMP reads the variable when the process starts, and the library never starts a process again; the
 * tools do so themselves (gp_tool_start). */

/* name: auto, ref, cpu, cuda. dtype: auto, fp32, tf32 (matrix products that read fp32 with ten bits of mantissa, on
 * cuda alone), bf16 (matrix products in bf16 with fp32 sums, where the processor has the instructions and the build
 * oneDNN; on cuda activations too). NULL on failure. The caller closes it after everything that was made with it.
 * While cpu computes, oneDNN may have the stack pointer in its own memory. Its threads therefore block all signals, and
 * this one, which is to be the one that computes, gets a stack for them if it has none: a handler must be installed
 * with SA_ONSTACK, or it writes over the heap. */
GP_API gp_backend *gp_backend_open(const char *name, const char *dtype, int threads);
GP_API void gp_backend_close(gp_backend *be);

/* Models that are made from here on keep their matrices in bf16 alone. 0, or -1 where this backend cannot. */
GP_API int gp_backend_drop_masters(gp_backend *be);

GP_API const char *gp_backend_name(const gp_backend *be);
GP_API const char *gp_backend_dtype(const gp_backend *be); /* "fp32", "tf32" or "bf16" */
GP_API int gp_backend_threads(const gp_backend *be);

/* What it runs on, for people: "AMD EPYC 9654, avx2". */
GP_API const char *gp_backend_device(const gp_backend *be);

/* Why `auto` took none that is faster: "backend cuda: there is no NVIDIA driver here"; NULL when it took the first. */
GP_API const char *gp_backend_remark(const gp_backend *be);

#ifdef __cplusplus
}
#endif
#endif
