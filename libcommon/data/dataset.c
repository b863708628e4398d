/* dataset.c: items of any kind of data set, read and written; see gptpipe/dataset.h. */
#include "data/dataset.h"
#include "base/json_write.h"

#include <stdlib.h>

const gp_dataset_ops *const gp_dataset_kinds[GP_ITEMS_FORMATS] = {
    [GP_ITEMS_TEXT] = &gp_dataset_text,
    [GP_ITEMS_LABELLED] = &gp_dataset_labelled,
    [GP_ITEMS_JSONL] = &gp_dataset_jsonl,
};

int gp_dataset_find_label(const gp_dataset *d, const char *name)
{
    return gp_find_name(d->items->labels, (size_t)d->items->label_count, name);
}

void gp_dataset_close(gp_dataset *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->split_count; i++)
        d->kind->close(d->splits + i);
    for (char **label = d->found; label && *label; label++)
        free(*label);
    gp_items_free(d->items);
    json_decref(d->description);
    gp_tree_close(&d->tree);
    free(d->splits);
    free(d->path);
    free(d->split);
    free(d->name);
    free(d);
}

int64_t gp_dataset_length(const gp_dataset *d)
{
    const gp_dataset_split *last = d->splits + d->split_count - 1;
    return last->first + last->count;
}

int gp_dataset_label_count(const gp_dataset *d)
{
    return d->items->label_count;
}

const char *gp_dataset_label_name(const gp_dataset *d, int label)
{
    return label >= 0 && label < d->items->label_count ? d->items->labels[label] : NULL;
}

/* ---- items ----------------------------------------------------------------------------------------------- */

void gp_data_item_release(gp_data_item *item)
{
    free(item->memory);
    *item = (gp_data_item){.label = -1};
}

int gp_dataset_get(const gp_dataset *d, int64_t i, gp_data_item *item)
{
    BUG_ON(i < 0 || i >= gp_dataset_length(d));
    const gp_dataset_split *s = d->splits;
    while (i >= s->first + s->count)
        s++;
    gp_data_item_release(item);
    if (d->kind->get(d, s, i - s->first, item)) {
        gp_data_item_release(item);
        return -1;
    }
    item->split = s->name;
    return 0;
}

static int check_text(const gp_dataset *d, int64_t i, const gp_data_item *item)
{
    char shape[96];
    if (!item->values.data)
        return 0;
    return fail("%s: item %lld is %s, expected a text", d->name, (long long)i,
                gp_tensor_format(&item->values, shape, (int)sizeof shape));
}

int gp_dataset_write_lines(const gp_dataset *d, const gp_dataset_split *s, gp_out *out)
{
    gp_data_item item = {0};
    gp_buf line = {0};
    int rc = 0;
    for (int64_t i = 0; !rc && i < s->count; i++) {
        if (gp_dataset_get(d, s->first + i, &item) || check_text(d, s->first + i, &item)) {
            rc = -1;
            break;
        }
        line.len = 0;
        gp_json_open(&line, NULL, '{');
        gp_json_bytes(&line, "text", item.text, item.length);
        if (item.label >= 0)
            gp_json_put(&line, MEMBER("label", item.label));
        if (item.split)
            gp_json_put(&line, MEMBER("split", item.split));
        gp_json_close(&line, '}');
        gp_buf_puts(&line, "\n");
        rc = gp_out_write(out, line.data, line.len);
    }
    gp_data_item_release(&item);
    gp_buf_release(&line);
    return rc;
}

int gp_dataset_write(const gp_dataset *d, const char *path)
{
    gp_out out;
    int rc = gp_out_open(&out, path);
    if (rc)
        return -1;
    for (int i = 0; !rc && i < d->split_count; i++)
        rc = d->kind->write(d, d->splits + i, &out);
    return gp_out_end(&out, rc);
}
