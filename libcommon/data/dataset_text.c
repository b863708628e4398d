/* dataset_text.c: text files; items are the documents between separators. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "data/sidecar.h"

typedef struct text_range {
    int64_t offset, length;
} text_range;

typedef struct text {
    gp_tree_bytes bytes;
    text_range *documents;
} text;

/* Splits the text at each separator; empty documents are skipped. Returns the number of documents. */
static int64_t split_documents(text *t, const char *separator)
{
    size_t n = separator ? strlen(separator) : 0;
    int64_t count = 0;
    for (size_t at = 0; at < t->bytes.size;) {
        const char *from = t->bytes.data + at, *found = NULL;
        size_t rest = t->bytes.size - at;
        if (n)
            found = memmem(from, rest, separator, n);
        size_t length = found ? (size_t)(found - from) : rest;
        if (length) {
            t->documents = gp_grow(t->documents, count, sizeof *t->documents);
            t->documents[count++] = (text_range){(int64_t)at, (int64_t)length};
        }
        at += length + (found ? n : 0);
    }
    return count;
}

static int text_open(gp_dataset *d, gp_dataset_split *s)
{
    text *t = s->state = gp_calloc(1, sizeof *t);
    gp_sidecar sidecar = {0};
    int rc = gp_tree_map(&d->tree, s->path, &t->bytes);
    if (!rc && !d->items->separator && !d->tree.archive) {
        char *path = gp_tree_name(&d->tree, s->path);
        rc = gp_sidecar_read(&sidecar, path, &t->bytes.map);
        free(path);
    }
    if (!rc)
        s->count = split_documents(t, d->items->separator ? d->items->separator : sidecar.separator);
    gp_sidecar_release(&sidecar);
    return rc;
}

static void text_close(gp_dataset_split *s)
{
    text *t = s->state;
    if (!t)
        return;
    gp_tree_bytes_release(&t->bytes);
    free(t->documents);
    free(t);
}

static int text_get(const gp_dataset *d, const gp_dataset_split *s, int64_t i, gp_data_item *item)
{
    const text *t = s->state;
    (void)d;
    item->text = t->bytes.data + t->documents[i].offset;
    item->length = (size_t)t->documents[i].length;
    return 0;
}

static int text_write(const gp_dataset *d, const gp_dataset_split *s, gp_out *out)
{
    const text *t = s->state;
    if (d->split_count > 1)
        return fail("%s: has %d splits (%s, ...); choose one, since plain text cannot mark where a split ends", d->name,
                    d->split_count, d->splits[0].name);
    return gp_out_write(out, t->bytes.data, t->bytes.size);
}

const gp_dataset_ops gp_dataset_text = {.open = text_open, .close = text_close, .get = text_get, .write = text_write};
