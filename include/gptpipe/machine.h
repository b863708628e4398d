/* machine.h: option table rows that tools which run a model share: backend, dtype and threads. `at` is the offset of
 * the field, `excluded` the option's .excludes, or NULL.
 *
 *     {"Machine", .type = GP_OPT_GROUP},
 *     GP_OPTION_BACKEND(offsetof(args, backend), NULL),        // gp_backend_kind
 *     GP_OPTION_DTYPE(offsetof(args, dtype), NULL),            // gp_compute_dtype; training: GP_OPTION_TRAINING_DTYPE
 *     GP_OPTION_CACHE_DTYPE(offsetof(args, cache), NULL),      // gp_cache_dtype
 *     GP_OPTION_THREADS('t', offsetof(args, threads), NULL),   // int64_t
 */
#ifndef GPTPIPE_MACHINE_H
#define GPTPIPE_MACHINE_H

#include "gptpipe/backend.h"
#include "gptpipe/options.h"

/* clang-format off */
#define GP_OPTION_BACKEND(at, excluded) \
    {"backend", 0, GP_OPT_CHOICE, at, "WHICH", "compute backend", .choices = GP_CHOICES(GP_BACKENDS), \
     .excludes = excluded}
#define GP_OPTION_DTYPE(at, excluded) \
    {"dtype", 0, GP_OPT_CHOICE, at, "WHICH", \
     "dtype of matrix products, which accumulate in fp32; on a CPU of the weights, too: fp16, int8 and int4 take less " \
     "memory and decode faster, and auto is the checkpoint's own 16 bits, if it has them, or fp32", \
     .choices = GP_CHOICES(GP_COMPUTE_DTYPES), .excludes = excluded}
#define GP_OPTION_CACHE_DTYPE(at, excluded) \
    {"cache-dtype", 0, GP_OPT_CHOICE, at, "WHICH", \
     "dtype of cached keys and values: bf16 is half of fp32, in memory and in what each token of a long text reads; auto " \
     "is what the backend computes in, fp32 on a CPU", \
     .choices = GP_CHOICES(GP_CACHE_DTYPES), .excludes = excluded}
#define GP_OPTION_TRAINING_DTYPE(at) \
    {"dtype", 0, GP_OPT_CHOICE, at, "WHICH", "dtype of matrix products; they accumulate in fp32", \
     .choices = GP_CHOICES(GP_TRAINING_DTYPES)}
#define GP_OPTION_THREADS(letter, at, excluded) \
    {"threads", letter, GP_OPT_INT, at, "N", "number of threads", .min = 0, .max = 1024, \
     .default_text = "the machine's cores", .excludes = excluded}
/* clang-format on */

#endif
