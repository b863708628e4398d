/* dataset_jsonl.c: JSON Lines; each line is an item. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "data/jsonl.h"
#include "data/labels.h"

typedef struct jsonl_line {
    int64_t offset, number; /* of its first byte; of the line in the file, from 1 */
} jsonl_line;

typedef struct lines {
    gp_tree_bytes bytes;
    char *name; /* for messages */
    jsonl_line *lines;
} lines;

static size_t line_length(const lines *l, int64_t offset)
{
    const char *from = l->bytes.data + offset;
    size_t rest = l->bytes.size - (size_t)offset;
    const char *end = memchr(from, '\n', rest);
    return end ? (size_t)(end - from) : rest;
}

/* Whether the line's member "split" is the requested split: 1 or 0; -1 if it is missing. */
static int in_split(const gp_dataset *d, const lines *l, const jsonl_line *at, size_t n)
{
    size_t length;
    json_t *o = gp_jsonl_line(l->bytes.data + at->offset, n, l->name, at->number);
    const char *split = o ? gp_jsonl_string(o, "split", &length, l->name, at->number) : NULL;
    int in = split ? length == strlen(d->split) && !memcmp(split, d->split, length) : -1;
    json_decref(o);
    return in;
}

static int jsonl_open(gp_dataset *d, gp_dataset_split *s)
{
    lines *l = s->state = gp_calloc(1, sizeof *l);
    l->name = gp_tree_name(&d->tree, s->path);
    if (gp_tree_map(&d->tree, s->path, &l->bytes))
        return -1;
    jsonl_line at = {.number = 1};
    for (size_t n; (size_t)at.offset < l->bytes.size; at.offset += (int64_t)n + 1, at.number++) {
        n = line_length(l, at.offset);
        if (gp_jsonl_is_blank(l->bytes.data + at.offset, n))
            continue;
        int in = d->split && !s->name ? in_split(d, l, &at, n) : 1;
        if (in < 0)
            return -1;
        if (!in)
            continue;
        l->lines = gp_grow(l->lines, s->count, sizeof *l->lines);
        l->lines[s->count++] = at;
    }
    if (d->split && !s->name)
        s->name = d->split;
    return 0;
}

static void jsonl_close(gp_dataset_split *s)
{
    lines *l = s->state;
    if (!l)
        return;
    gp_tree_bytes_release(&l->bytes);
    free(l->name);
    free(l->lines);
    free(l);
}

static int jsonl_get(const gp_dataset *d, const gp_dataset_split *s, int64_t i, gp_data_item *item)
{
    const lines *l = s->state;
    const jsonl_line *at = l->lines + i;
    const char *text = NULL;
    json_t *o = gp_jsonl_line(l->bytes.data + at->offset, line_length(l, at->offset), l->name, at->number);
    int rc = -1;
    if (o)
        text = gp_jsonl_string(o, d->items->text ? d->items->text : "text", &item->length, l->name, at->number);
    if (text)
        rc = !d->items->label
                 ? 0
                 : gp_label_read(d->items->labels, d->items->label_count, json_object_get(o, d->items->label),
                                 d->items->label, l->name, at->number, &item->label);
    if (!rc)
        item->text = item->memory = gp_strndup(text, item->length);
    json_decref(o);
    return rc;
}

const gp_dataset_ops gp_dataset_jsonl = {
    .open = jsonl_open, .close = jsonl_close, .get = jsonl_get, .write = gp_dataset_write_lines};
