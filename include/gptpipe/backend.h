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

#include "gptpipe/choice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_backend gp_backend;

/* Start a program that embeds this library with OMP_WAIT_POLICY=passive in its environment. Otherwise OpenMP's threads
 * spin while they wait for each other, which makes small models 10 to 1000 times slower on a machine that does anything
 * else as well. OpenMP reads the variable when the process starts, and the library never starts a process again; the
 * tools do so themselves (gp_tool_start). */

#define GP_BACKENDS(X)                                                                                                 \
    X(GP_BACKEND_AUTO, "auto")                                                                                         \
    X(GP_BACKEND_REF, "ref")                                                                                           \
    X(GP_BACKEND_CPU, "cpu")                                                                                           \
    X(GP_BACKEND_CUDA, "cuda")
typedef enum gp_backend_kind { GP_BACKENDS(GP_CHOICE_VALUE) } gp_backend_kind;

#define GP_COMPUTE_DTYPES(X)                                                                                           \
    X(GP_COMPUTE_AUTO, "auto")                                                                                         \
    X(GP_COMPUTE_FP32, "fp32")                                                                                         \
    X(GP_COMPUTE_TF32, "tf32")                                                                                         \
    X(GP_COMPUTE_BF16, "bf16")
typedef enum gp_compute_dtype { GP_COMPUTE_DTYPES(GP_CHOICE_VALUE) } gp_compute_dtype;

/* Which library computes attention, where a backend has more than its own kernels: bits, so that forward and backward
 * may differ. To measure which is faster is for the caller. */
#define GP_ATTENTIONS(X)                                                                                               \
    X(GP_ATTENTION_OWN, "own")                                                                                         \
    X(GP_ATTENTION_CUDNN_FORWARD, "cudnn-forward")                                                                     \
    X(GP_ATTENTION_CUDNN_BACKWARD, "cudnn-backward")                                                                   \
    X(GP_ATTENTION_CUDNN, "cudnn")
#define GP_ATTENTIONS_OR_MEASURE(X) GP_ATTENTIONS(X) X(GP_ATTENTION_MEASURE, "measure")
typedef enum gp_attention_by { GP_ATTENTIONS_OR_MEASURE(GP_CHOICE_VALUE) } gp_attention_by;

/* Matrix products by what a library's heuristic names first, or by the fastest of its ways. */
#define GP_PRODUCTS(X) X(GP_PRODUCTS_HEURISTIC, "heuristic") X(GP_PRODUCTS_MEASURE, "measure")
typedef enum gp_products_by { GP_PRODUCTS(GP_CHOICE_VALUE) } gp_products_by;

/* name: auto, ref, cpu, cuda. dtype: auto, fp32, tf32 (matrix products that read fp32 with ten bits of mantissa, on
 * cuda alone), bf16 (matrix products in bf16 with fp32 sums, where the processor has the instructions and the build
 * oneDNN; on cuda activations too). NULL on failure. The caller closes it after everything that was made with it.
 * While cpu computes, oneDNN may have the stack pointer in its own memory. Its threads therefore block all signals, and
 * this one, which is to be the one that computes, gets a stack for them if it has none: a handler must be installed
 * with SA_ONSTACK, or it writes over the heap. */
GP_API gp_backend *gp_backend_open(const char *name, const char *dtype, int threads);
GP_API gp_backend *gp_backend_open_kind(gp_backend_kind kind, gp_compute_dtype dtype, int threads);
GP_API void gp_backend_close(gp_backend *be);

/* Models that are made from here on keep their matrices in bf16 alone. 0, or -1 where this backend cannot. */
GP_API int gp_backend_drop_masters(gp_backend *be);

GP_API const char *gp_backend_name(const gp_backend *be);
GP_API const char *gp_backend_dtype(const gp_backend *be); /* "fp32", "tf32" or "bf16" */
GP_API int gp_backend_threads(const gp_backend *be);

/* What it runs on, for people: "AMD EPYC 9654, avx2". */
GP_API const char *gp_backend_device(const gp_backend *be);

/* Why `auto` took none that is faster: "backend cuda: there is no NVIDIA driver here"; NULL when it took the first. */
GP_API const char *gp_backend_warning(const gp_backend *be);

#ifdef __cplusplus
}
#endif
#endif
