/* labels.h: the labels of items: names, numbered from 0.
 *
 *     gp_labels l = {0};
 *     gp_labels_parse(&l, "neg,pos");
 *     int label;
 *     if (gp_label_read((const char *const *)l.names, l.count, value, "label", "a.jsonl", 3, &label))
 *         ...gp_error()...
 *     gp_labels_release(&l);
 *
 * In data a label is a name or a number. Where all names are whole numbers ("1", "2", "5"), a number is a name (1 is
 * "1", not "01"); otherwise it is the label itself, counted from 0. Without names (count 0) it is the label, and a name
 * is an error.
 */
#ifndef GP_DATA_LABELS_H
#define GP_DATA_LABELS_H

#include <jansson.h>

#include "base/base.h"

enum { GP_LABELS_MAX = 1000 };

typedef struct gp_labels {
    char **names; /* (count) */
    int count;
    /* private, while names are collected */
    char *number, *name; /* "a.jsonl: line 3", the first that had a number, or a name that is no number */
} gp_labels;

/* The label that `value`, the member `field` in a line of a file, stands for. 0 or -1. */
int gp_label_read(const char *const *names, int count, const json_t *value, const char *field, const char *file,
                  int64_t line, int *label);

/* Names separated by commas, numbered in that order. 0 or -1. */
int gp_labels_parse(gp_labels *l, const char *list);

/* Collects the names that occur; a number has its decimal digits as its name. 0 or -1. */
int gp_labels_add(gp_labels *l, const json_t *value, const char *field, const char *file, int64_t line);

/* Sorts the collected names: numbers by their value, names by their bytes. -1 if there are both, or none. `what` names
 * the text in messages. */
int gp_labels_sort(gp_labels *l, const char *what);
void gp_labels_release(gp_labels *l);

#endif
