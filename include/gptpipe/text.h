/* text.h: text on its way into a token stream: files one after the other, or stdin.
 *
 *     gp_text *t = gp_text_open(&(gp_list){.items = paths, .count = 2}, &(gp_text_options){0}); // none, or "-": stdin
 *     gp_text_part p;
 *     while ((rc = gp_text_next(t, "\n\n", 2, &p)) > 0)
 *         ...p.data, p.length; a document ends where p.separated or p.file_ends...
 *     gp_text_close(t);
 *
 * Files are mapped. A pipe is read in parts, so memory stays bounded; opened to be read twice, it goes into an
 * unlinked temporary file first.
 *
 * Of JSON Lines (one object a line) one string member is the text, and each line is a document.
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
    bool jsonl;            /* each part is a whole document */
    const char *name;      /* "a.txt", "a.txt, b.txt", "stdin" */
    const char *sha256;    /* of all the text, 64 hexadecimal digits; NULL while a pipe is not read */
    int64_t bytes;         /* of all files; -1 while a pipe is not read */
    const char *separator; /* that all sidecars name, or NULL */
    size_t separator_length;
    const char *entropy;       /* {"nats": [...], "chars": [...]} of the documents; NULL: a file lacks it */
    int64_t entropy_documents; /* how many it has */
} gp_text_info;

typedef struct gp_text_options {
    bool twice;        /* gp_text_rewind will be called */
    const char *jsonl; /* the member that is the text of a line of JSON Lines; NULL: the files are text */
} gp_text_options;

/* NULL when a file cannot be read, or its sidecar belongs to another text. */
GP_API gp_text *gp_text_open(const gp_list *paths, const gp_text_options *o);
GP_API void gp_text_close(gp_text *t);
GP_API const gp_text_info *gp_text_get_info(const gp_text *t);

typedef struct gp_text_part {
    const char *data; /* good until the next call */
    size_t length;    /* may be 0 */
    bool separated; /* the document ends here: the separator stands behind it (and is not in data), or the line ends */
    bool file_ends; /* nothing more of this file comes */
    int64_t offset; /* of data in what `file` names, for messages */
    const char *file;   /* the file's name, or "NAME: line 3" */
    int64_t begin, end; /* in bytes of all files one after the other, the separator or the whole line included */
} gp_text_part;

/* The next part, cut at each separator (length 0: at none), or line by line of JSON Lines, whose separator does not
 * matter. 1, 0 at the end of the text, -1 on failure. A part need
 * not be a whole document: it ends where separated or file_ends says so. */
GP_API int gp_text_next(gp_text *t, const char *separator, size_t length, gp_text_part *part);

/* {"nats": [...], "chars": [...]} of `count` documents from `first` on, of those that info.entropy tells of. The
 * caller frees; NULL when info.entropy is. */
GP_API char *gp_text_entropy(const gp_text *t, int64_t first, int64_t count);

/* Back to the beginning; only of a text opened to be read twice, or of files. */
GP_API void gp_text_rewind(gp_text *t);

#ifdef __cplusplus
}
#endif
#endif
