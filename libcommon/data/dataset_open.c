/* dataset_open.c: opens a data set by name or path: finds its files and its splits. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset.h"

/* Names of split folders, in the order of their items. */
static const char *const split_names[] = {"train", "valid", "val", "test"};

static bool is_archive(const char *path)
{
    static const char *const ends[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".zip"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (gp_ends_with(path, ends[i]))
            return true;
    return false;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return gp_stat(path, &st) > 0 && S_ISDIR(st.st_mode);
}

/* ---- the description of its items ------------------------------------------------------------------------ */

static void set_string(json_t *object, const char *name, const char *value)
{
    if (value)
        json_object_set_new(object, name, json_string(value));
}

/* From the catalog, or guessed from the path; options override both. */
static int read_description(gp_dataset *d, const gp_catalog_entry *e, const gp_dataset_options *o)
{
    const char *kind = is_folder(d->name) || is_archive(d->name) ? "labelled"
                       : gp_ends_with(d->name, ".jsonl")         ? "jsonl"
                                                                 : "text";
    d->description = e ? gp_items_to_json(e->items) : json_pack("{s:s}", "kind", kind);
    set_string(d->description, "kind", o->kind);
    set_string(d->description, "separator", o->separator);
    set_string(d->description, "text", o->text);
    set_string(d->description, "label", o->label);
    if (o->labels) {
        json_t *labels = json_array();
        for (int i = 0; i < o->label_count; i++)
            json_array_append_new(labels, json_string(o->labels[i]));
        json_object_set_new(d->description, "labels", labels);
    }
    d->items = gp_items_read(d->description, d->name);
    if (!d->items)
        return -1;
    d->kind = gp_dataset_kinds[d->items->format];
    return 0;
}

/* ---- splits ---------------------------------------------------------------------------------------------- */

static void add_split(gp_dataset *d, const char *name, const char *path)
{
    d->splits = gp_realloc(d->splits, (size_t)d->split_count + 1, sizeof *d->splits);
    d->splits[d->split_count++] = (gp_dataset_split){.name = name, .path = path};
}

/* The splits of a path are the folders below it. */
static int find_splits(gp_dataset *d)
{
    for (size_t i = 0; d->kind == &gp_dataset_labelled && i < ARRAY_LEN(split_names); i++) {
        int there = gp_tree_has(&d->tree, split_names[i]);
        if (there < 0)
            return -1;
        if (there)
            add_split(d, split_names[i], split_names[i]);
    }
    if (!d->split_count)
        add_split(d, NULL, "");
    return 0;
}

static int select_split(gp_dataset *d, const char *split)
{
    gp_buf names = {0};
    int selected = 0;
    if (!split)
        return 0;
    d->split = gp_strdup(split);
    for (int i = 0; i < d->split_count; i++) {
        const gp_dataset_split s = d->splits[i];
        gp_buf_printf(&names, "%s%s", i ? ", " : "", s.name ? s.name : "none");
        bool by_line = !s.name && d->kind == &gp_dataset_jsonl; /* dataset_jsonl.c selects lines by "split" */
        if (by_line || (s.name && !strcmp(s.name, split)))
            d->splits[selected++] = s;
    }
    if (!selected)
        fail("%s: has no split %s (it has: %s)", d->name, split, names.data);
    d->split_count = selected;
    gp_buf_release(&names);
    return selected ? 0 : -1;
}

static int open_splits(gp_dataset *d)
{
    if (d->kind->begin && d->kind->begin(d))
        return -1;
    for (int i = 0; i < d->split_count; i++) {
        gp_dataset_split *s = d->splits + i;
        s->first = i ? s[-1].first + s[-1].count : 0;
        if (d->kind->open(d, s))
            return -1;
    }
    return 0;
}

/* ---- by name --------------------------------------------------------------------------------------------- */

static const char *folder_of(const gp_dataset_options *o)
{
    return o->folder ? o->folder : "data";
}

static int fetch(gp_dataset *d, const gp_catalog_entry *e, const gp_dataset_options *o)
{
    for (int i = 0; i < d->split_count; i++) {
        int there = gp_tree_has(&d->tree, d->splits[i].path);
        if (there < 0)
            return -1;
        if (there)
            continue;
        if (!o->fetch || !e->file_count)
            return fail("%s/%s: is missing; download it with: %sfetch-data %s -o %s/", folder_of(o), d->splits[i].path,
                        gp_tool_prefix(), d->name, folder_of(o));
        return gp_fetch(e, folder_of(o), o->fetch);
    }
    return 0;
}

/* Downloads the archive to an unlinked temporary file and reads it there. */
static int open_temporary(gp_dataset *d, const gp_catalog_entry *e, const gp_dataset_options *o)
{
    static const gp_fetch_options plain = {0};
    const gp_catalog_file *f = e->files;
    if (e->file_count != 1 || !f->unpack || strcmp(f->unpack, "folder"))
        return fail("%s: is not a single archive", d->name);
    int fd = gp_fetch_open(f, o->fetch ? o->fetch : &plain);
    if (fd < 0)
        return -1;
    int rc = gp_tree_open_archive(&d->tree, fd, strrchr(f->urls[0], '/') + 1, f->unpacked, f->path);
    close(fd);
    return rc;
}

static int open_name(gp_dataset *d, const gp_catalog_entry *e, const gp_dataset_options *o)
{
    if (!e->items)
        return fail("%s: the catalog has no description of its items", d->name);
    if (read_description(d, e, o))
        return -1;
    for (int i = 0; i < d->items->split_count; i++)
        add_split(d, d->items->splits[i], d->items->split_paths[i]);
    if (!d->split_count && e->file_count) {
        d->path = gp_strdup(e->files[0].path); /* the catalog may be closed before the data set */
        add_split(d, NULL, d->path);
    }
    if (!d->split_count)
        return fail("%s: the catalog does not name the file of its items", d->name);
    if (select_split(d, o->split))
        return -1;
    if (o->temporary)
        return open_temporary(d, e, o) || open_splits(d) ? -1 : 0;
    gp_tree_open_folder(&d->tree, folder_of(o));
    return fetch(d, e, o) || open_splits(d) ? -1 : 0;
}

/* ---- by path --------------------------------------------------------------------------------------------- */

static int open_path(gp_dataset *d, const gp_dataset_options *o)
{
    if (read_description(d, NULL, o))
        return -1;
    if (is_archive(d->name)) {
        int fd = gp_open_regular(d->name);
        if (fd < 0)
            return -1;
        int rc = gp_tree_open_archive(&d->tree, fd, d->name, -1, "");
        close(fd);
        if (rc)
            return -1;
    } else {
        gp_tree_open_folder(&d->tree, d->name);
    }
    return find_splits(d) || select_split(d, o->split) || open_splits(d) ? -1 : 0;
}

gp_dataset *gp_dataset_open(const char *name, const gp_dataset_options *options)
{
    static const gp_dataset_options none = {0};
    const gp_dataset_options *o = options ? options : &none;
    gp_dataset *d = gp_calloc(1, sizeof *d);
    bool is_path = strchr(name, '/') != NULL;
    gp_catalog *built_in = o->catalog || is_path ? NULL : gp_catalog_open(NULL);
    const gp_catalog *c = o->catalog ? o->catalog : built_in;
    const gp_catalog_entry *e = c && !is_path ? gp_catalog_find(c, name) : NULL;
    int rc = -1;
    d->name = gp_strdup(name);
    if (e)
        rc = open_name(d, e, o);
    else if (is_path || (c && gp_exists(name) > 0))
        rc = open_path(d, o);
    gp_catalog_close(built_in);
    if (!rc)
        return d;
    gp_dataset_close(d);
    return NULL;
}
