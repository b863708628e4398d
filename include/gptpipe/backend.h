/* backend.h: compute backends. The same model code runs on each.
 *
 *     gp_backend *be = gp_backend_open("auto", "auto", 0);   // name, dtype, threads (0: all cores)
 *     if (!be) ...gp_error()...
 *     printf("%s, %s, %d threads\n", gp_backend_name(be), gp_backend_dtype(be), gp_backend_threads(be));
 *     gp_backend_close(be);
 *
 * ref   plain loops that accumulate in double: the specification
 * cuda  an NVIDIA GPU, if built with nvcc; CUDA_VISIBLE_DEVICES selects it, and hides all GPUs if it is empty
 * cpu   SIMD loops, selected for the processor at run time; matrix products by oneDNN if built with it
 * auto  the fastest of those available
 */
#ifndef GPTPIPE_BACKEND_H
#define GPTPIPE_BACKEND_H

#include "gptpipe/choice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_backend gp_backend;

/* Run programs that embed this library with OMP_WAIT_POLICY=passive in the environment. Otherwise OpenMP's threads spin
 * while they wait, which makes small models 10 to 1000 times slower on a machine with any other load. OpenMP reads the
 * variable when the process starts, so the library cannot set it; the tools set it and re-execute themselves
 * (gp_tool_start), with GOMP_SPINCOUNT=4000: threads that spin for some 40 us first make tokens faster. */

#define GP_BACKENDS(X)                                                                                                 \
    X(GP_BACKEND_AUTO, "auto")                                                                                         \
    X(GP_BACKEND_REF, "ref")                                                                                           \
    X(GP_BACKEND_CPU, "cpu")                                                                                           \
    X(GP_BACKEND_CUDA, "cuda")
typedef enum gp_backend_kind { GP_BACKENDS(GP_CHOICE_VALUE) } gp_backend_kind;

#define GP_TRAINING_DTYPES(X)                                                                                          \
    X(GP_COMPUTE_AUTO, "auto")                                                                                         \
    X(GP_COMPUTE_FP32, "fp32")                                                                                         \
    X(GP_COMPUTE_TF32, "tf32")                                                                                         \
    X(GP_COMPUTE_BF16, "bf16")
/* Training has the first of them alone. */
#define GP_COMPUTE_DTYPES(X)                                                                                           \
    GP_TRAINING_DTYPES(X)                                                                                              \
    X(GP_COMPUTE_FP16, "fp16")                                                                                         \
    X(GP_COMPUTE_INT8, "int8")                                                                                         \
    X(GP_COMPUTE_INT4, "int4")
typedef enum gp_compute_dtype { GP_COMPUTE_DTYPES(GP_CHOICE_VALUE) } gp_compute_dtype;

/* Which library computes attention, for backends that have more than their own kernels: bits, so that forward and
 * backward may differ. It is up to the caller to measure which is faster. */
#define GP_ATTENTIONS(X)                                                                                               \
    X(GP_ATTENTION_OWN, "own")                                                                                         \
    X(GP_ATTENTION_CUDNN_FORWARD, "cudnn-forward")                                                                     \
    X(GP_ATTENTION_CUDNN_BACKWARD, "cudnn-backward")                                                                   \
    X(GP_ATTENTION_CUDNN, "cudnn")
#define GP_ATTENTIONS_OR_MEASURE(X) GP_ATTENTIONS(X) X(GP_ATTENTION_MEASURE, "measure")
typedef enum gp_attention_by { GP_ATTENTIONS_OR_MEASURE(GP_CHOICE_VALUE) } gp_attention_by;

/* Matrix products by the first algorithm of the library's heuristic, or by the fastest as measured. */
#define GP_PRODUCTS(X) X(GP_PRODUCTS_HEURISTIC, "heuristic") X(GP_PRODUCTS_MEASURE, "measure")
typedef enum gp_products_by { GP_PRODUCTS(GP_CHOICE_VALUE) } gp_products_by;

/* How keys and values are cached while text is generated; auto: as the activations are. */
#define GP_CACHE_DTYPES(X) X(GP_CACHE_AUTO, "auto") X(GP_CACHE_FP32, "fp32") X(GP_CACHE_BF16, "bf16")
typedef enum gp_cache_dtype { GP_CACHE_DTYPES(GP_CHOICE_VALUE) } gp_cache_dtype;

/* name: auto, ref, cpu, cuda. dtype:
 *
 *   fp32
 *   tf32   matrix products read fp32 with ten bits of mantissa; cuda only
 *   bf16   matrix products in bf16 with fp32 accumulation; on cuda activations too. On a CPU, training requires AVX-512
 *          BF16 or AMX, and a build with oneDNN; models that do not train have their matrices in bf16 everywhere
 *   fp16, int8, int4   on a CPU, for models that do not train: their matrices, rounded when they are loaded, in 16, 8.5
 *          and 5 bits a number; products of a few rows read them so, with fp32 activations. Products of many rows in
 *          int8 and int4 are those of bf16 where the processor has them
 *   auto   bf16 on a GPU or CPU that is several times as fast in it, else fp32; for a checkpoint's model on a CPU that
 *          does not train, the checkpoint's own 16 bits, where all its matrices have them, else fp32: nothing is lost
 *
 * NULL on failure. The caller closes it after everything that was created with it.
 * While cpu computes, oneDNN may have the stack pointer in its own memory. Its threads therefore block all signals, and
 * the calling thread, which should be the one that computes, gets an alternate signal stack if it has none: signal
 * handlers must be installed with SA_ONSTACK, or they overwrite the heap. */
GP_API gp_backend *gp_backend_open(const char *name, const char *dtype, int threads);
GP_API gp_backend *gp_backend_open_kind(gp_backend_kind kind, gp_compute_dtype dtype, int threads);
GP_API void gp_backend_close(gp_backend *be);

/* Models that are created from now on have their matrices in bf16, without fp32 masters. 0, or -1 if this backend does
 * not support it. */
GP_API int gp_backend_drop_masters(gp_backend *be);

/* Of caches that are planned from now on. In bf16, to which fp32 activations are rounded when they are stored, a cache
 * takes half the memory, and a long one half the time to read. 0, or -1: a GPU's cache has the dtype of activations. */
GP_API int gp_backend_set_cache(gp_backend *be, gp_cache_dtype dtype);
GP_API const char *gp_backend_cache(const gp_backend *be); /* "fp32" or "bf16" */

GP_API const char *gp_backend_name(const gp_backend *be);
GP_API const char *gp_backend_dtype(const gp_backend *be); /* "fp32", "tf32", "bf16", "fp16", "int8" or "int4" */

/* Whether models can train with this dtype: 0, or -1. */
GP_API int gp_backend_check_training(const gp_backend *be);
GP_API int gp_backend_threads(const gp_backend *be);

/* The device, for display: "AMD EPYC 9654, avx2". */
GP_API const char *gp_backend_device(const gp_backend *be);

/* Why `auto` did not use a faster backend: "backend cuda: no NVIDIA driver found"; NULL if it used the fastest. */
GP_API const char *gp_backend_warning(const gp_backend *be);

/* What has turned out while it computed and makes it slower: that the driver records no CUDA graphs, that a library
 * refused to run a product. Each once, in a line that is valid until the next call; NULL: nothing new. */
GP_API const char *gp_backend_remark(gp_backend *be);

#ifdef __cplusplus
}
#endif
#endif
