/* dataset.h: data sets as items with a length: documents of a text, labelled documents, lines of JSON.
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
 * text      a file; each text that the separator ends (and the last one) is an item, an empty one is none. Without a
 *           separator the file is one item.
 * labelled  a folder of a folder a split ("train", "test", ...) of a folder a label ("neg", "pos") of .txt files, or an
 *           archive of them; unsup, whose reviews have no label, is left out. Items are in the order of split, label,
 *           the number that their name begins with, name. IMDB comes so.
 * jsonl     a file with a JSON object a line, one of whose members is the text, and one, if wanted, the label: a number
 *           or one of the labels' names. Blank lines are none.
 *
 * Opening makes an index alone: texts are mapped, or read when they are asked for. A data set does not change once it
 * is open, so threads may share it.
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
    const char *split;             /* "train", ...; NULL: all of them, one after the other */
    const gp_catalog *catalog;     /* where names are looked up; NULL: in the built-in one */
    const char *folder;            /* where the files of a name are; NULL: data */
    const gp_fetch_options *fetch; /* brings them there when they are not; NULL: it is a failure */
    bool nowhere; /* of a name whose archive is not wanted on disk: it is brought (fetch), read, and nothing is left */
    /* What is otherwise known from the catalog or the path: */
    const char *kind;          /* "text", "labelled", "jsonl" */
    const char *separator;     /* of text; NULL: what its sidecar says */
    const char *text;          /* of jsonl: the member that is the text; NULL: "text" */
    const char *label;         /* of jsonl: the member that is the label; NULL: items have none */
    const char *const *labels; /* the names of label 0, 1, ...; NULL: of jsonl none, of labelled its folders' */
    int label_count;
} gp_dataset_options;

/* name: one of the catalog ("imdb"), or a path, which has a slash or is no name: a folder or an archive is labelled,
 * FILE.jsonl is jsonl, another file is text. options may be NULL. NULL on failure. */
GP_API gp_dataset *gp_dataset_open(const char *name, const gp_dataset_options *options);
GP_API void gp_dataset_close(gp_dataset *d);

GP_API int64_t gp_dataset_length(const gp_dataset *d);

typedef struct gp_data_item {
    const char *text;  /* as it is in the file, without the separator; not NUL-terminated */
    size_t length;     /* bytes */
    gp_tensor values;  /* of what is no text, its numbers, row-major: an image is U8 [H,W,3]; data NULL: it is a text */
    int label;         /* -1: it has none */
    const char *split; /* or NULL; as long as the data set */
    void *memory;      /* private */
} gp_data_item;

/* Item i of [0, length). Begin with an item of zeros; its text or values are good until the next get into the same
 * item, or its release. -1 where a file or line is not what it should be: it is named. */
GP_API int gp_dataset_get(const gp_dataset *d, int64_t i, gp_data_item *item);
GP_API void gp_data_item_release(gp_data_item *item);

GP_API int gp_dataset_label_count(const gp_dataset *d);                   /* 0: no names are known */
GP_API const char *gp_dataset_label_name(const gp_dataset *d, int label); /* NULL: it has none */

/* Writes all items to a file or "-": a text as it is, other kinds as one JSON object a line,
 * {"text": "...", "label": 1, "split": "train"} with what there is; bytes that are not UTF-8 become U+FFFD. 0 or -1,
 * and then there is no file. */
GP_API int gp_dataset_write(const gp_dataset *d, const char *path);

#ifdef __cplusplus
}
#endif
#endif
