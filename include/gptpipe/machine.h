/* machine.h: rows of an option table that all tools have which compute: what computes, in which dtype, on how many
 * threads. `at` is the field's offset, `beside` what the option means nothing with (.excludes), or NULL.
 *
 *     {"Machine", .type = GP_OPT_GROUP},
 *     GP_OPTION_BACKEND(offsetof(args, backend), NULL),        // gp_backend_kind
 *     GP_OPTION_DTYPE(offsetof(args, dtype), NULL),            // gp_compute_dtype
 *     GP_OPTION_THREADS('t', offsetof(args, threads), NULL),   // int64_t
 */
#ifndef GPTPIPE_MACHINE_H
#define GPTPIPE_MACHINE_H

#include "gptpipe/backend.h"
#include "gptpipe/options.h"

/* clang-format off */
#define GP_OPTION_BACKEND(at, beside) \
    {"backend", 0, GP_OPT_CHOICE, at, "WHICH", "what computes", .choices = GP_CHOICES(GP_BACKENDS), .excludes = beside}
#define GP_OPTION_DTYPE(at, beside) \
    {"dtype", 0, GP_OPT_CHOICE, at, "WHICH", "of matrix products; sums are fp32", \
     .choices = GP_CHOICES(GP_COMPUTE_DTYPES), .excludes = beside}
#define GP_OPTION_THREADS(letter, at, beside) \
    {"threads", letter, GP_OPT_INT, at, "N", "threads", .min = 0, .max = 1024, \
     .default_text = "the machine's cores", .excludes = beside}
/* clang-format on */

#endif
