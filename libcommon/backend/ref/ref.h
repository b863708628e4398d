/* ref.h: the ops of ref, so that other backends can use them.
 *
 * backend.h describes them. They compute on host memory in fp32 with be->threads threads, and use scratch from
 * be->workspace: a backend that uses one of them must plan at least gp_ref_plan bytes.
 *
 * With dtype bf16, ref stores fp32 but rounds values that a GPU stores in bf16 (loops.h, and the comments of the ops);
 * bf16 backends are compared with it. */
#ifndef GP_REF_H
#define GP_REF_H

#include "backend/backend.h"

extern const gp_backend_ops gp_ref_ops;

/* host memory */
void *gp_ref_alloc(gp_backend *be, size_t bytes);
void gp_ref_free(gp_backend *be, void *p, size_t bytes);
void gp_ref_zero(gp_backend *be, void *p, size_t bytes);
void gp_ref_copy(gp_backend *be, void *dst, const void *src, size_t bytes);
void gp_ref_sync(gp_backend *be);
void gp_ref_available_memory(gp_backend *be, size_t *free, size_t *total);

/* Marks and recordings of a backend with synchronous ops: they do nothing, and nothing is recorded. */
void gp_ref_mark(gp_backend *be, gp_mark **mark);
bool gp_ref_record(gp_backend *be, gp_recording **r);
void gp_ref_record_free(gp_backend *be, gp_recording **r);
size_t gp_ref_plan(gp_backend *be, const gp_shape *shape);

/* The entries of a table whose memory is the host's and whose ops are synchronous. */
#define GP_HOST_ENTRIES(zero_function)                                                                                 \
    .alloc = gp_ref_alloc, .free = gp_ref_free, .zero = zero_function, .upload = gp_ref_copy, .download = gp_ref_copy, \
    .copy = gp_ref_copy, .sync = gp_ref_sync, .available_memory = gp_ref_available_memory, .alloc_host = gp_ref_alloc, \
    .free_host = gp_ref_free, .download_later = gp_ref_copy, .mark_set = gp_ref_mark, .mark_wait = gp_ref_mark,        \
    .mark_free = gp_ref_mark, .record_begin = gp_ref_record, .record_end = gp_ref_record,                              \
    .record_free = gp_ref_record_free

/* Weights are read in place, without a slot; in bf16 from a rounded slot; or in a weight format. */
void gp_ref_weight_open(gp_backend *be, gp_weight *w, int64_t rows);
size_t gp_ref_weight_bytes(gp_backend *be, const gp_weight *w);
void gp_ref_weights_changed(gp_backend *be, gp_weight *const *w, int count);
void gp_ref_weight_close(gp_backend *be, gp_weight *w);
void gp_ref_weight_fill(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, const float *host);
void gp_ref_weight_fill_by(gp_weight_encoder *encode, const gp_weight *w, int64_t first, int64_t lines,
                           const float *host);
void gp_ref_weight_lines(gp_backend *be, const gp_weight *w, int64_t first, int64_t lines, float *host);

/* x as products of decoding read it, once the norm has made it (NULL: there is none): x itself, or rounded where w's
 * format rounds it (gp_weight_round_input), which `done` frees. */
gp_tensor gp_ref_decode_input(gp_backend *be, const gp_norm_op *norm, const gp_weight *w, const gp_tensor *x);
void gp_ref_decode_done(const gp_tensor *x, gp_tensor *input);

/* linear_decode and head_decode are the ops of training, in which an element's sum does not depend on other rows. */
#define GP_PROTOTYPE(name, parameters) void gp_ref_##name parameters;
GP_OPS(GP_PROTOTYPE)
#undef GP_PROTOTYPE

/* The system's name of the processor, "AMD EPYC 9654 96-Core Processor", or "unknown processor". */
void gp_ref_processor(char *text, size_t size);

/* The number of threads to use if `requested` are (0: OpenMP's default); -1 if it is out of range. */
int gp_ref_threads(int requested);

#endif
