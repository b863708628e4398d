/* catalog.c: the table of data sets, JSON by jansson; see gptpipe/fetch.h. */
#include "gptpipe/fetch.h"

#include "base/base.h"
#include "base/file.h"
#include "data/embedded.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The strings of the entries belong to the JSON documents, which live as long as the catalog. */
struct gp_catalog {
    json_t *documents[2];
    gp_dataset *sets;
    int count;
};

enum { MOST_BYTES = 1 << 24 };

static bool is_sha256(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* A file must stay below its folder, whatever the catalog says. */
static bool is_inside(const char *path)
{
    if (!*path || *path == '/')
        return false;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
            return false;
    }
    return true;
}

static int read_file(gp_dataset_file *f, json_t *from, const char *where)
{
    json_t *urls = NULL;
    json_int_t size = -1;
    json_error_t e;
    *f = (gp_dataset_file){.size = -1};
    if (json_unpack_ex(from, &e, JSON_STRICT, "{s:s, s:o, s?s, s?I}", "path", &f->path, "urls", &urls,
                       "sha256", &f->sha256, "size", &size))
        return fail("%s: a file is not {path, urls, sha256, size}: %s", where, e.text);
    if (!is_inside(f->path))
        return fail("%s: path \"%s\" leads out of its folder", where, f->path);
    if (f->sha256 && !is_sha256(f->sha256))
        return fail("%s: %s: sha256 is \"%.70s\", expected 64 hex digits", where, f->path, f->sha256);
    if (size < -1)
        return fail("%s: %s: size is %lld", where, f->path, (long long)size);
    if (!json_is_array(urls) || !json_array_size(urls) || json_array_size(urls) > 100)
        return fail("%s: %s: urls is not a list of 1 to 100", where, f->path);
    f->size = size;
    f->url_count = (int)json_array_size(urls);
    const char **list = gp_calloc((size_t)f->url_count, sizeof *list);
    f->urls = list;
    for (int i = 0; i < f->url_count; i++) {
        list[i] = json_string_value(json_array_get(urls, (size_t)i));
        if (!list[i] || !strstr(list[i], "://") || strpbrk(list[i], " \t\r\n"))
            return fail("%s: %s: url %d is not https://...", where, f->path, i + 1);
    }
    return 0;
}

static void release_set(gp_dataset *d)
{
    for (int i = 0; i < d->file_count; i++)
        free((void *)(uintptr_t)d->files[i].urls);
    free((void *)(uintptr_t)d->files);
}

static int read_set(gp_dataset *d, const char *name, json_t *from, const char *path)
{
    json_t *files = NULL;
    json_error_t e;
    char where[256];
    snprintf(where, sizeof where, "%s: %s", path, name);
    *d = (gp_dataset){.name = name};
    if (json_unpack_ex(from, &e, JSON_STRICT, "{s:s, s:s, s?s, s:o}", "note", &d->note, "licence",
                       &d->licence, "home", &d->home, "files", &files))
        return fail("%s: is not {note, licence, home, files}: %s", where, e.text);
    if (!json_is_array(files) || json_array_size(files) > 10000)
        return fail("%s: files is not a list", where);
    gp_dataset_file *list = gp_calloc(json_array_size(files), sizeof *list);
    d->files = list;
    d->file_count = (int)json_array_size(files);
    for (int i = 0; i < d->file_count; i++)
        if (read_file(list + i, json_array_get(files, (size_t)i), where))
            return -1;
    return 0;
}

static gp_dataset *find(const gp_catalog *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (!strcmp(c->sets[i].name, name))
            return c->sets + i;
    return NULL;
}

/* Adds a document's entries; one that was there is replaced. */
static int add(gp_catalog *c, int document, const char *text, size_t length, const char *path)
{
    json_error_t e;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &e), *value;
    const char *name;
    if (!root)
        return fail("%s:%d: %s", path, e.line, e.text);
    c->documents[document] = root;
    if (!json_is_object(root))
        return fail("%s: is not a JSON object of data sets by name", path);
    c->sets = gp_realloc(c->sets, (size_t)c->count + json_object_size(root), sizeof *c->sets);
    json_object_foreach(root, name, value)
    {
        gp_dataset d, *old = find(c, name);
        if (read_set(&d, name, value, path)) {
            release_set(&d);
            return -1;
        }
        if (old)
            release_set(old);
        *(old ? old : &c->sets[c->count++]) = d;
    }
    return 0;
}

gp_catalog *gp_catalog_open(const char *path)
{
    gp_catalog *c = gp_calloc(1, sizeof *c);
    gp_buf text = {0};
    const char *built_in = (const char *)gp_catalog_json;
    if (add(c, 0, built_in, strlen(built_in), "catalog.json") ||
        (path && (gp_file_read(&text, path, MOST_BYTES) || add(c, 1, text.data, text.len, path)))) {
        gp_catalog_close(c);
        c = NULL;
    }
    gp_buf_release(&text);
    return c;
}

void gp_catalog_close(gp_catalog *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->count; i++)
        release_set(c->sets + i);
    free(c->sets);
    json_decref(c->documents[0]);
    json_decref(c->documents[1]);
    free(c);
}

int gp_catalog_count(const gp_catalog *c)
{
    return c->count;
}

const gp_dataset *gp_catalog_get(const gp_catalog *c, int i)
{
    return i >= 0 && i < c->count ? c->sets + i : NULL;
}

const gp_dataset *gp_catalog_find(const gp_catalog *c, const char *name)
{
    const gp_dataset *d = find(c, name);
    if (d)
        return d;
    const char **names = gp_calloc((size_t)c->count, sizeof *names);
    for (int i = 0; i < c->count; i++)
        names[i] = c->sets[i].name;
    const char *near = gp_nearest(name, names, (size_t)c->count);
    if (near)
        fail("%s: no such data set; did you mean %s? (--list shows all)", name, near);
    else
        fail("%s: no such data set (--list shows all)", name);
    free(names);
    return NULL;
}
