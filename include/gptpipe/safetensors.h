/* safetensors.h: named tensors in one file: u64 header length, a JSON header, the data. The header comes
 * first, so it streams through a pipe both ways. (https://github.com/huggingface/safetensors, format.)
 *
 *     gp_safetensors *s = gp_safetensors_open("model.safetensors");     // "-" is stdin
 *     if (!s) ...gp_error()...
 *     gp_tensor t;
 *     if (gp_safetensors_find(s, "transformer.wte.weight", &t)) ...t.data, t.dim[0]...
 *     for (int64_t i = 0; i < gp_safetensors_count(s); i++)             // in the order of their data
 *         puts(gp_safetensors_get(s, i, &t));
 *     gp_safetensors_close(s);
 *
 *     gp_safetensors_writer *w = gp_safetensors_create("out.safetensors");      // "-" is stdout
 *     gp_safetensors_add_metadata(w, "format", "pt", 2);
 *     gp_safetensors_declare(w, "a", &a);
 *     gp_safetensors_declare(w, "b", &b);
 *     gp_safetensors_write(w, a.data, gp_tensor_bytes(&a));
 *     gp_safetensors_write(w, b.data, gp_tensor_bytes(&b));
 *     if (gp_safetensors_finish(w)) ...gp_error()...                    // now it has its name
 */
#ifndef GPTPIPE_SAFETENSORS_H
#define GPTPIPE_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gptpipe/error.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_safetensors gp_safetensors;

/* Opens a file and checks everything but the numbers: header, names, dtypes, shapes, offsets without holes or overlaps,
 * the CRCs of the metadata, if any, and that the file ends with the last tensor. A file is mapped; a pipe is copied to
 * an unlinked temporary file, which is mapped. NULL on failure. Supports F32, F16, BF16, F64, I32, I64, U8, and reads
 * BOOL as U8. */
GP_API gp_safetensors *gp_safetensors_open(const char *path);
GP_API void gp_safetensors_close(gp_safetensors *s);

GP_API int64_t gp_safetensors_count(const gp_safetensors *s);

/* The name of tensor i (0 <= i < count); *t is a view of it, unless t is NULL. The data is the mapped file: read-only,
 * possibly unaligned, valid until close. Names are UTF-8 without control characters. */
GP_API const char *gp_safetensors_get(const gp_safetensors *s, int64_t i, gp_tensor *t);

/* The index i of the tensor of that name, or -1. */
GP_API int64_t gp_safetensors_index(const gp_safetensors *s, const char *name);

/* Whether there is a tensor of that name; *t, unless t is NULL, is then a view of it. */
GP_API bool gp_safetensors_find(const gp_safetensors *s, const char *name, gp_tensor *t);

/* The CRC-32C of tensor i that the file records under gptpipe.crc32c in its metadata, as files written by this library
 * do (docs/formats.md); false if there is none. */
GP_API bool gp_safetensors_crc(const gp_safetensors *s, int64_t i, uint32_t *crc);

/* Reads tensor i once, on all processors, and compares its CRC with the recorded one, if any; with `finite` also fails
 * if an F32, F16 or BF16 tensor contains a NaN or an infinity. 0 or -1. */
GP_API int gp_safetensors_check(const gp_safetensors *s, int64_t i, bool finite);

/* Releases the memory of tensor i's mapped bytes until they are read again. */
GP_API void gp_safetensors_forget(const gp_safetensors *s, int64_t i);

/* The string under `key` of __metadata__, its length in *length unless that is NULL; NULL if there is none. */
GP_API const char *gp_safetensors_metadata(const gp_safetensors *s, const char *key, size_t *length);

/* The i-th string of __metadata__, its key and its bytes; NULL past the last one. */
GP_API const char *gp_safetensors_metadata_at(const gp_safetensors *s, int64_t i, const char **key, size_t *length);

/* What messages call it: the path, or "stdin". */
GP_API const char *gp_safetensors_path(const gp_safetensors *s);

typedef struct gp_safetensors_writer gp_safetensors_writer;

/* Call add_metadata and declare in any order, then write the data in the order of the declarations, then finish. After
 * a call has failed the others do nothing, and finish returns -1. A file appears under its name only when finish
 * succeeds, and records the CRCs of its content; a stream has none. NULL if it cannot be created. */
GP_API gp_safetensors_writer *gp_safetensors_create(const char *path);

/* A string of __metadata__, of `length` bytes of UTF-8. */
GP_API int gp_safetensors_add_metadata(gp_safetensors_writer *w, const char *key, const char *value, size_t length);

/* Declares a tensor of t's dtype and shape; t->data is not read. Wider dtypes must come before narrower ones, so that
 * every tensor is aligned. */
GP_API int gp_safetensors_declare(gp_safetensors_writer *w, const char *name, const gp_tensor *t);

/* Writes the next bytes of the data, in any number of calls. Nothing can be declared afterwards. */
GP_API int gp_safetensors_write(gp_safetensors_writer *w, const void *data, int64_t bytes);

GP_API int gp_safetensors_finish(gp_safetensors_writer *w); /* frees w, also on failure */
GP_API void gp_safetensors_abort(gp_safetensors_writer *w); /* frees w, leaves no file */

#ifdef __cplusplus
}
#endif
#endif
