/* catalog_items.c: see catalog_items.h. */
#include "fetch/catalog_items.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "gptpipe/output.h"

enum { MAX_NAMES = 1000 };

static const char *const format_names[GP_ITEMS_FORMATS] = {"text", "labelled", "jsonl"};

static int read_format(gp_catalog_items *items, const char *name, const char *where)
{
    for (int i = 0; i < GP_ITEMS_FORMATS; i++)
        if (!strcmp(format_names[i], name))
            return items->format = (gp_items_format)i, 0;
    return fail("%s: there is no kind of data set \"%s\" (text, labelled, jsonl)", where, name);
}

void gp_items_free(const gp_catalog_items *items)
{
    if (!items)
        return;
    free((void *)(uintptr_t)items->splits);
    free((void *)(uintptr_t)items->split_paths);
    free((void *)(uintptr_t)items->labels);
    free((void *)(uintptr_t)items);
}

static int read_splits(gp_catalog_items *items, json_t *splits, const char *where)
{
    size_t count = json_object_size(splits), i = 0;
    const char *name;
    json_t *path;
    if (splits && (!json_is_object(splits) || count < 1 || count > MAX_NAMES))
        return fail("%s: splits is not an object of paths by name", where);
    const char **names = gp_calloc(count, sizeof *names), **paths = gp_calloc(count, sizeof *paths);
    items->splits = names;
    items->split_paths = paths;
    items->split_count = (int)count;
    json_object_foreach (splits, name, path) {
        if (!json_is_string(path))
            return fail("%s: split %s is not a path", where, name);
        if (!gp_path_is_contained(json_string_value(path)))
            return fail("%s: split %s: path \"%s\" leads out of its folder", where, name, json_string_value(path));
        names[i] = name;
        paths[i++] = json_string_value(path);
    }
    return 0;
}

static int read_labels(gp_catalog_items *items, json_t *labels, const char *where)
{
    size_t count = json_array_size(labels), i;
    json_t *label;
    if (!labels)
        return 0;
    if (!json_is_array(labels) || count < 1 || count > MAX_NAMES)
        return fail("%s: labels is not a list of names", where);
    const char **names = gp_calloc(count, sizeof *names);
    items->labels = names;
    items->label_count = (int)count;
    json_array_foreach (labels, i, label) {
        if (!(names[i] = json_string_value(label)))
            return fail("%s: label %zu is not a name", where, i);
    }
    return 0;
}

gp_catalog_items *gp_items_read(json_t *from, const char *where)
{
    gp_catalog_items *items = gp_calloc(1, sizeof *items);
    json_t *splits = NULL, *labels = NULL;
    const char *format;
    json_error_t e;
    int rc = -1;
    if (json_unpack_ex(from, &e, JSON_STRICT, "{s:s, s?o, s?o, s?s, s?s, s?s}", "kind", &format, "splits", &splits,
                       "labels", &labels, "separator", &items->separator, "text", &items->text, "label", &items->label))
        fail("%s: items is not {kind, splits, labels, separator, text, label}: %s", where, e.text);
    else if (!read_format(items, format, where))
        rc = read_splits(items, splits, where) || read_labels(items, labels, where) ? -1 : 0;
    if (!rc)
        return items;
    gp_items_free(items);
    return NULL;
}

void gp_items_print(const gp_catalog_items *items, FILE *out)
{
    fprintf(out, "items: %s", format_names[items->format]);
    for (int i = 0; i < items->label_count; i++)
        fprintf(out, "%s %d %s", i ? "," : "; labels", i, gp_printable(items->labels[i]));
    fputc('\n', out);
    for (int i = 0; i < items->split_count; i++)
        fprintf(out, "  split: %s, %s\n", gp_printable(items->splits[i]), gp_printable(items->split_paths[i]));
}

static void set_string(json_t *object, const char *name, const char *value)
{
    if (value)
        json_object_set_new(object, name, json_string(value));
}

json_t *gp_items_to_json(const gp_catalog_items *items)
{
    json_t *o = json_object(), *splits = json_object(), *labels = json_array();
    set_string(o, "kind", format_names[items->format]);
    for (int i = 0; i < items->split_count; i++)
        set_string(splits, items->splits[i], items->split_paths[i]);
    for (int i = 0; i < items->label_count; i++)
        json_array_append_new(labels, json_string(items->labels[i]));
    if (items->split_count)
        json_object_set(o, "splits", splits);
    if (items->label_count)
        json_object_set(o, "labels", labels);
    json_decref(splits);
    json_decref(labels);
    set_string(o, "separator", items->separator);
    set_string(o, "text", items->text);
    set_string(o, "label", items->label);
    return o;
}
