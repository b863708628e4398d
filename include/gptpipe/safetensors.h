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

/* Opens and checks all of it but the numbers: header, names, dtypes, shapes, offsets without holes or
 * overlaps, metadata by their CRCs where the file has some, and that the file ends where the last tensor does. A file
 * is mapped; a pipe is copied to an unlinked temporary file, which is mapped. NULL on failure. Knows F32, F16, BF16,
 * F64, I32, I64, U8, and reads BOOL as U8. */
GP_API gp_safetensors *gp_safetensors_open(const char *path);
GP_API void gp_safetensors_close(gp_safetensors *s);

GP_API int64_t gp_safetensors_count(const gp_safetensors *s);

/* Name of tensor i (0 <= i < count), *t the view of it. The bytes are the file's: read-only, not always
 * aligned, valid until close. Names are UTF-8 without control characters; t may be NULL. */
GP_API const char *gp_safetensors_get(const gp_safetensors *s, int64_t i, gp_tensor *t);

/* The place of the tensor of that name, as gp_safetensors_get takes it; -1: there is none. */
GP_API int64_t gp_safetensors_index(const gp_safetensors *s, const char *name);

/* Whether there is a tensor of that name; then *t (if t is not NULL) is the view of it. */
GP_API bool gp_safetensors_find(const gp_safetensors *s, const char *name, gp_tensor *t);

/* The CRC-32C of tensor i's bytes, where the file has one: under gptpipe.crc32c in its metadata, as files that are
 * written here have (docs/formats.md). */
GP_API bool gp_safetensors_crc(const gp_safetensors *s, int64_t i, uint32_t *crc);

/* Reads tensor i once, on all processors: 0, or -1 where the file has another CRC for it, or, with `finite`, where it
 * is of F32, F16 or BF16 and has a NaN or an infinity in it. */
GP_API int gp_safetensors_check(const gp_safetensors *s, int64_t i, bool finite);

/* The bytes of tensor i are not needed for now: they count no more as this process's memory until they are read
 * again. */
GP_API void gp_safetensors_forget(const gp_safetensors *s, int64_t i);

/* The string under `key` of __metadata__, its bytes in *length unless NULL; NULL where there is none. */
GP_API const char *gp_safetensors_metadata(const gp_safetensors *s, const char *key, size_t *length);

/* The i-th string of __metadata__, its key and its bytes; NULL past the last one. */
GP_API const char *gp_safetensors_metadata_at(const gp_safetensors *s, int64_t i, const char **key, size_t *length);

/* What messages call it: the path, or "stdin". */
GP_API const char *gp_safetensors_path(const gp_safetensors *s);

typedef struct gp_safetensors_writer gp_safetensors_writer;

/* Then: notes and declarations in any order, the data in the order of the declarations, finish. A call that
 * fails says so in gp_error(); after it the others do nothing, and finish gives -1. The file appears under
 * its name when finish succeeds, never before; a file, but no stream, carries the CRCs of what is in it. NULL when it
 * cannot be created. */
GP_API gp_safetensors_writer *gp_safetensors_create(const char *path);

/* A string of __metadata__, of `length` bytes of UTF-8. */
GP_API int gp_safetensors_add_metadata(gp_safetensors_writer *w, const char *key, const char *value, size_t length);

/* A tensor of t's dtype and shape; t->data is not looked at. Wider dtypes go before narrower ones where both
 * are in one file, so that every tensor is aligned. */
GP_API int gp_safetensors_declare(gp_safetensors_writer *w, const char *name, const gp_tensor *t);

/* The next bytes of the data, in as many calls as it takes. Nothing can be declared afterwards. */
GP_API int gp_safetensors_write(gp_safetensors_writer *w, const void *data, int64_t bytes);

GP_API int gp_safetensors_finish(gp_safetensors_writer *w); /* frees w, also on failure */
GP_API void gp_safetensors_abort(gp_safetensors_writer *w); /* frees w, leaves no file */

#ifdef __cplusplus
}
#endif
#endif
