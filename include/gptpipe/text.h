/* text.h: reads text that is to be tokenized, from a list of files or stdin.
 *
 *     gp_text *t = gp_text_open(&(gp_list){.items = paths, .count = 2}, &(gp_text_options){0}); // none, or "-": stdin
 *     gp_text_part p;
 *     while ((rc = gp_text_next(t, "\n\n", 2, &p)) > 0)
 *         ...p.data, p.length; the document ends if p.separated or p.file_ends...
 *     gp_text_close(t);
 *
 * Files are mapped. A pipe is read in parts, so that memory stays bounded; if it is to be read twice, it is first
 * copied to an unlinked temporary file.
 *
 * In JSON Lines (one object per line), one string member is the text, and each line is a document. Other members may be
 * the second text of a pair, and a label: a name, or a number, which is a name too where all names are whole numbers,
 * else the label itself, counted from 0.
 *
 * A file may have a sidecar, FILE.json in the same folder, with metadata (fetch-data stories writes one):
 *     {"source": {"sha256": "..."}, "separator": "\n\n", "entropy": {"nats": [...], "chars": [...]}}
 * That of JSON Lines may have the limit of classifying their texts (fetch-data reviews):
 *     {"source": {"sha256": "..."}, "bayes": {"accuracy": 0.94, "loss": 0.16}}
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
    bool jsonl;            /* each part is a complete document */
    const char *name;      /* "a.txt", "a.txt, b.txt", "stdin" */
    const char *sha256;    /* of the whole text, 64 hexadecimal digits; NULL for a pipe that has not been read */
    int64_t bytes;         /* of all files; -1 for a pipe that has not been read */
    const char *separator; /* from the sidecars, if all name the same one, else NULL */
    size_t separator_length;
    const char *entropy;       /* {"nats": [...], "chars": [...]} per document; NULL if any file lacks it */
    int64_t entropy_documents; /* number of documents in it */
    /* as in the options; label NULL: items have no labels */
    const char *text, *pair, *label;
    const char *const *labels; /* (label_count) the names of label 0, 1, ... */
    int label_count;
    const char *bayes; /* {"accuracy": A, "loss": L}, which no classifier surpasses; NULL if files differ or lack it */
} gp_text_info;

typedef struct gp_text_options {
    bool twice;         /* gp_text_rewind will be called */
    const char *jsonl;  /* the files are JSON Lines, with their text in this member; NULL: plain text */
    const char *label;  /* of JSON Lines: the member that is the label; NULL: no labels */
    const char *pair;   /* of JSON Lines: the member that is the second text of a pair; NULL: single texts */
    const char *labels; /* the names of label 0, 1, ..., separated by commas; NULL: those that occur, sorted, for which
                         * the text is read twice */
} gp_text_options;

/* NULL if a file cannot be read, its sidecar belongs to another text, or a label is invalid. */
GP_API gp_text *gp_text_open(const gp_list *paths, const gp_text_options *o);
GP_API void gp_text_close(gp_text *t);
GP_API const gp_text_info *gp_text_get_info(const gp_text *t);

typedef struct gp_text_part {
    const char *data; /* valid until the next call */
    size_t length;    /* may be 0 */
    bool separated;   /* the document ends here, at a separator (not in data) or at the end of a line */
    bool file_ends;   /* this is the last part of its file */
    int64_t offset;   /* of data in `file`, for messages */
    const char *file; /* name of the file, or "NAME: line 3" */
    const char *pair; /* the second text of a pair, as long as data is valid, or NULL */
    size_t pair_length;
    int32_t label;      /* -1: none */
    int64_t begin, end; /* byte offsets in the concatenated files, the separator or the whole line included */
} gp_text_part;

/* The next part: text up to a separator (length 0: there is none), or for JSON Lines, which ignore the separator, the
 * text of a line. 1; 0 at the end of the text; -1 on failure. A part may be an incomplete document: the document ends
 * if separated or file_ends is set. */
GP_API int gp_text_next(gp_text *t, const char *separator, size_t length, gp_text_part *part);

/* {"nats": [...], "chars": [...]} of `count` of the documents in info.entropy, from `first` on. The caller frees; NULL
 * if info.entropy is NULL. */
GP_API char *gp_text_entropy(const gp_text *t, int64_t first, int64_t count);

/* Restarts at the beginning; only for files, or a text opened with .twice. */
GP_API void gp_text_rewind(gp_text *t);

#ifdef __cplusplus
}
#endif
#endif
