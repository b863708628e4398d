/* dataset.h: data sets as numbered items: documents of a text, labelled documents, lines of JSON.
 *
 *     gp_fetch_options fetch = {.quiet = true};
 *     gp_dataset *d = gp_dataset_open("imdb", &(gp_dataset_options){.split = "train", .fetch = &fetch});
 *     printf("%d labels\n", gp_dataset_label_count(d));
 *     gp_data_item item = {0};
 *     for (int64_t i = 0; i < gp_dataset_length(d); i++)
 *         if (!gp_dataset_get(d, i, &item))
 *             printf("%s: %.*s\n", gp_dataset_label_name(d, item.label), (int)item.length, item.text);
 *     gp_data_item_release(&item);
 *     gp_dataset_close(d);
 *
 * text      a file; items are the texts between separators, without empty ones. Without a separator the file is one
 *           item.
 * labelled  .txt files in the folders SPLIT/LABEL ("train/neg"), or an archive of them, laid out like IMDB; the folder
 *           unsup, whose reviews have no label, is left out. Items are sorted by split, label, the number at the
 *           beginning of the file name, and name.
 * jsonl     a file with one JSON object a line; one member is the text, and another, optionally, the label: a number or
 *           a label's name (where all names are whole numbers, a number is a name). Blank lines are skipped.
 *
 * Opening only builds an index: texts are mapped, or read on demand. An open data set is immutable, so threads may
 * share it.
 */
#ifndef GPTPIPE_DATASET_H
#define GPTPIPE_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "gptpipe/error.h"
#include "gptpipe/fetch.h"
#include "gptpipe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_dataset gp_dataset;

typedef struct gp_dataset_options {
    const char *split;             /* "train", ...; NULL: all splits, in order */
    const gp_catalog *catalog;     /* to look names up in; NULL: the built-in one */
    const char *folder;            /* of the files of a catalog entry; NULL: data */
    const gp_fetch_options *fetch; /* how to download missing files; NULL: a missing file is an error */
    bool temporary;                /* download the archive of a catalog entry to an unlinked temporary file instead */
    /* These override the catalog and what the path implies: */
    const char *kind;          /* "text", "labelled", "jsonl" */
    const char *separator;     /* of text; NULL: that of its sidecar */
    const char *text;          /* of jsonl: the member that is the text; NULL: "text" */
    const char *label;         /* of jsonl: the member that is the label; NULL: no labels */
    const char *const *labels; /* the names of label 0, 1, ...; NULL: for labelled its folders, for jsonl none */
    int label_count;
} gp_dataset_options;

/* name: an entry of the catalog ("imdb"), or a path, which contains a slash or is not in the catalog: a folder or an
 * archive is labelled, FILE.jsonl is jsonl, any other file is text. options may be NULL. NULL on failure. */
GP_API gp_dataset *gp_dataset_open(const char *name, const gp_dataset_options *options);
GP_API void gp_dataset_close(gp_dataset *d);

GP_API int64_t gp_dataset_length(const gp_dataset *d);

typedef struct gp_data_item {
    const char *text;  /* verbatim, without the separator; not NUL-terminated */
    size_t length;     /* bytes */
    gp_tensor values;  /* of an item that is not text: an image is U8 [H,W,3]. data is NULL for text */
    int label;         /* -1: none */
    const char *split; /* or NULL; valid as long as the data set */
    void *memory;      /* private */
} gp_data_item;

/* Reads item i, 0 <= i < length, into `item`, which is zero at first. Its text and values are valid until the next get
 * into it, or its release. -1 if the file or line is invalid; the message names it. */
GP_API int gp_dataset_get(const gp_dataset *d, int64_t i, gp_data_item *item);
GP_API void gp_data_item_release(gp_data_item *item);

GP_API int gp_dataset_label_count(const gp_dataset *d);                   /* 0: labels have no names */
GP_API const char *gp_dataset_label_name(const gp_dataset *d, int label); /* NULL: no name */

/* Writes all items to a file or "-": text verbatim, other kinds as one JSON object a line,
 * {"text": "...", "label": 1, "split": "train"}, without the members that an item lacks; bytes that are not UTF-8
 * become U+FFFD. 0 or -1; on failure no file is left. */
GP_API int gp_dataset_write(const gp_dataset *d, const char *path);

#ifdef __cplusplus
}
#endif
#endif
