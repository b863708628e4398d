/* text.h: text on its way into a token stream: files one behind the other, or stdin.
 *
 *     gp_text *t = gp_text_open(&(gp_list){.items = paths, .count = 2}, false);      // none, or "-": stdin
 *     gp_text_part p;
 *     while ((rc = gp_text_next(t, "\n\n", 2, &p)) > 0)
 *         ...p.data, p.length; a document ends where p.separated or p.file_ends...
 *     gp_text_close(t);
 *
 * Files are mapped. A pipe is read in parts, so memory stays bounded; opened to be read twice, it goes into an
 * unlinked temporary file first.
 *
 * A file may have a sidecar, FILE.json beside it, with what is known about it (fetch-data stories writes one):
 *     {"source": {"sha256": "..."}, "separator": "\n\n", "entropy": {"nats": [...], "chars": [...]}}
 */
#ifndef GPTPIPE_TEXT_H
#define GPTPIPE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gptpipe/error.h"
#include "gptpipe/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_text gp_text;

typedef struct gp_text_info {
    int files;
    const char *name;      /* "a.txt", "a.txt, b.txt", "stdin" */
    const char *sha256;    /* of all the text, 64 hexadecimal digits; NULL while a pipe is not read */
    int64_t bytes;         /* -1 while a pipe is not read */
    const char *separator; /* that all sidecars name, or NULL */
    size_t separator_length;
    const char *entropy;       /* {"nats": [...], "chars": [...]} of the documents; NULL: a file lacks it */
    int64_t entropy_documents; /* how many it has */
} gp_text_info;

/* NULL when a file cannot be read, or its sidecar belongs to another text. */
GP_API gp_text *gp_text_open(const gp_list *paths, bool twice);
GP_API void gp_text_close(gp_text *t);
GP_API const gp_text_info *gp_text_get_info(const gp_text *t);

typedef struct gp_text_part {
    const char *data; /* good until the next call */
    size_t length;    /* may be 0 */
    bool separated;   /* the separator stands behind it (and is not in data) */
    bool file_ends;   /* nothing more of this file comes */
    int64_t offset;   /* in its file, of data */
    const char *file; /* its name, for messages */
} gp_text_part;

/* The next part, cut at each separator (length 0: at none). 1, 0 at the end of the text, -1 on failure. A part need
 * not be a whole document: it ends where separated or file_ends says so. */
GP_API int gp_text_next(gp_text *t, const char *separator, size_t length, gp_text_part *part);

/* Back to the beginning; only of a text opened to be read twice, or of files. */
GP_API void gp_text_rewind(gp_text *t);

#ifdef __cplusplus
}
#endif
#endif
