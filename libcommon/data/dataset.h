/* dataset.h: an open data set, and the interface of the kinds of data sets; see gptpipe/dataset.h. */
#ifndef GP_DATA_DATASET_H
#define GP_DATA_DATASET_H

#include "base/file.h"
#include "fetch/catalog_items.h"
#include "fetch/tree.h"
#include "gptpipe/dataset.h"

/* A data set without splits has a single one, without a name. */
typedef struct gp_dataset_split {
    const char *name;     /* or NULL */
    const char *path;     /* in the tree */
    int64_t first, count; /* its items are [first, first + count) of the data set */
    void *state;          /* private to the kind */
} gp_dataset_split;

typedef struct gp_dataset_ops {
    int (*begin)(gp_dataset *d);                     /* called before the first open, or NULL */
    int (*open)(gp_dataset *d, gp_dataset_split *s); /* finds the items: sets count and state */
    void (*close)(gp_dataset_split *s);              /* frees the state, which may be NULL */
    /* Fills in item i of this split; `item` is zero but for label = -1. */
    int (*get)(const gp_dataset *d, const gp_dataset_split *s, int64_t i, gp_data_item *item);
    int (*write)(const gp_dataset *d, const gp_dataset_split *s, gp_out *out);
} gp_dataset_ops;

struct gp_dataset {
    char *name;
    const gp_dataset_ops *kind;
    json_t *description; /* of the items, as in the catalog; owns the strings of `items` */
    gp_catalog_items *items;
    char **found; /* label names found in the files, NULL-terminated; then items->labels points here; or NULL */
    char *path;   /* of the single file of a catalog entry without splits, or NULL */
    char *split;  /* the requested split; NULL: all */
    gp_tree tree;
    gp_dataset_split *splits;
    int split_count;
};

extern const gp_dataset_ops gp_dataset_text, gp_dataset_labelled, gp_dataset_jsonl;
extern const gp_dataset_ops *const gp_dataset_kinds[GP_ITEMS_FORMATS];

/* The number of the label, or -1. */
int gp_dataset_find_label(const gp_dataset *d, const char *name);

/* Writes items as lines of JSON: the `write` of the kinds that have labels. */
int gp_dataset_write_lines(const gp_dataset *d, const gp_dataset_split *s, gp_out *out);

#endif
