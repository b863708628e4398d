/* dataset_labelled.c: labelled documents: a folder for each label, a file for each document. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"

/* The folder of IMDB's reviews without a label. */
static const char *const without_label = "unsup";
enum { MAX_LABELS = 1000 };

typedef struct labelled_file {
    int label;
    int64_t number; /* at the beginning of the file name: 12 of "12_7.txt" */
    size_t name;    /* offset of the file name in documents.names */
} labelled_file;

typedef struct documents {
    labelled_file *list;
    gp_buf names; /* of all files, each NUL-terminated */
} documents;

/* The length of the label in a path such as "neg/0_3.txt"; 0 for any other path. */
static size_t label_length(const char *path)
{
    const char *slash = strchr(path, '/');
    if (!slash || slash == path || strchr(slash + 1, '/') || !gp_ends_with(path, ".txt"))
        return 0;
    return (size_t)(slash - path);
}

/* ---- labels named by folders ----------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_label(void *self, const char *path)
{
    gp_dataset *d = self;
    size_t n = label_length(path);
    char *label = gp_strndup(path, n);
    bool known = !n || !strcmp(label, without_label) || gp_dataset_find_label(d, label) >= 0;
    if (!known && d->items->label_count == MAX_LABELS) {
        free(label);
        return fail("%s: has more than %d labels", d->name, MAX_LABELS);
    }
    if (known)
        free(label);
    else
        d->found[d->items->label_count++] = label;
    return 0;
}

static int labelled_begin(gp_dataset *d)
{
    if (d->items->label_count)
        return 0;
    free((void *)(uintptr_t)d->items->labels);
    d->found = gp_calloc(MAX_LABELS + 1, sizeof *d->found);
    d->items->labels = (const char *const *)d->found;
    for (int i = 0; i < d->split_count; i++)
        if (gp_tree_list(&d->tree, d->splits[i].path, find_label, d))
            return -1;
    qsort(d->found, (size_t)d->items->label_count, sizeof *d->found, by_name);
    return 0;
}

/* ---- documents ------------------------------------------------------------------------------------------- */

/* The argument of add_document. */
typedef struct collector {
    const gp_dataset *d;
    gp_dataset_split *s;
} collector;

static int add_document(void *self, const char *path)
{
    const collector *c = self;
    documents *all = c->s->state;
    size_t n = label_length(path);
    char *name = gp_strndup(path, n);
    int label = n ? gp_dataset_find_label(c->d, name) : -1;
    free(name);
    if (label < 0)
        return 0;
    int64_t count = c->s->count++;
    all->list = gp_grow(all->list, count, sizeof *all->list);
    all->list[count] =
        (labelled_file){.label = label, .number = strtoll(path + n + 1, NULL, 10), .name = all->names.len};
    gp_buf_add(&all->names, path + n + 1, strlen(path + n + 1) + 1);
    return 0;
}

static int by_label_and_number(const void *a, const void *b, void *names)
{
    const labelled_file *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp((const char *)names + x->name, (const char *)names + y->name);
}

static int labelled_open(gp_dataset *d, gp_dataset_split *s)
{
    documents *all = s->state = gp_calloc(1, sizeof *all);
    collector c = {d, s};
    if (gp_tree_list(&d->tree, s->path, add_document, &c))
        return -1;
    if (!s->count) {
        char *name = gp_tree_name(&d->tree, s->path);
        fail("%s: has no files LABEL/NAME.txt", name);
        free(name);
        return -1;
    }
    qsort_r(all->list, (size_t)s->count, sizeof *all->list, by_label_and_number, all->names.data);
    return 0;
}

static void labelled_close(gp_dataset_split *s)
{
    documents *all = s->state;
    if (!all)
        return;
    gp_buf_release(&all->names);
    free(all->list);
    free(all);
}

static int labelled_get(const gp_dataset *d, const gp_dataset_split *s, int64_t i, gp_data_item *item)
{
    const documents *all = s->state;
    const labelled_file *one = all->list + i;
    char *path =
        gp_format("%s%s%s/%s", s->path, *s->path ? "/" : "", d->items->labels[one->label], all->names.data + one->name);
    gp_tree_bytes b;
    int rc = gp_tree_get(&d->tree, path, &b);
    free(path);
    if (rc)
        return -1;
    *item = (gp_data_item){.text = b.data, .length = b.size, .label = one->label, .memory = b.memory};
    return 0;
}

const gp_dataset_ops gp_dataset_labelled = {.begin = labelled_begin,
                                            .open = labelled_open,
                                            .close = labelled_close,
                                            .get = labelled_get,
                                            .write = gp_dataset_write_lines};
