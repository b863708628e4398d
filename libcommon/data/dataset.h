/* dataset.h: what the kinds of data sets share, see gptpipe/dataset.h. */
#ifndef GP_DATA_DATASET_H
#define GP_DATA_DATASET_H

#include "base/file.h"
#include "fetch/catalog_items.h"
#include "fetch/tree.h"
#include "gptpipe/dataset.h"

/* One split, or all there is where there are none. */
typedef struct gp_dataset_split {
    const char *name;     /* or NULL */
    const char *path;     /* in the tree */
    int64_t first, count; /* its items */
    void *state;          /* the kind's own */
} gp_dataset_split;

typedef struct gp_dataset_kind_of {
    int (*begin)(gp_dataset *d);                     /* before the first split, or NULL */
    int (*open)(gp_dataset *d, gp_dataset_split *s); /* finds its items: sets count and state */
    void (*close)(gp_dataset_split *s);              /* frees the state, which may be NULL */
    /* Item i of this split into a clean item. */
    int (*get)(const gp_dataset *d, const gp_dataset_split *s, int64_t i, gp_data_item *item);
    int (*write)(const gp_dataset *d, const gp_dataset_split *s, gp_out *out);
} gp_dataset_kind_of;

struct gp_dataset {
    char *name;
    const gp_dataset_kind_of *kind;
    json_t *form; /* its items as the catalog would say it; owns the strings of: */
    gp_catalog_items *items;
    char **found; /* labels that were found and not told; they are items->labels too */
    char *path;   /* of a name without splits: the one that there is; or NULL */
    char *wanted; /* the split that was asked for, or NULL */
    gp_tree tree;
    gp_dataset_split *splits;
    int split_count;
};

extern const gp_dataset_kind_of gp_dataset_text, gp_dataset_labelled, gp_dataset_jsonl;
extern const gp_dataset_kind_of *const gp_dataset_kinds[GP_ITEMS_FORMATS];

/* -1 where the item is no text: what reads texts alone asks first. */
int gp_dataset_check_text(const gp_dataset *d, int64_t i, const gp_data_item *item);

/* The label of that name; -1: there is none. */
int gp_dataset_find_label(const gp_dataset *d, const char *name);

/* Items as lines of JSON: the `write` of the kinds that have labels. */
int gp_dataset_write_lines(const gp_dataset *d, const gp_dataset_split *s, gp_out *out);

#endif
