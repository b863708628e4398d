/* catalog.c: the table of data sets, JSON by jansson; see gptpipe/fetch.h. */
#include "gptpipe/fetch.h"

#include "base/base.h"
#include "base/file.h"
#include "base/json.h"
#include "fetch/embedded.h"
#include "fetch/catalog_items.h"
#include "fetch/series.h"

#include <stdlib.h>
#include <string.h>

/* The strings of the entries belong to the JSON documents, which live as long as the catalog. */
struct gp_catalog {
    json_t *documents[2];
    gp_catalog_entry *sets;
    int count;
};

/* The data sets without files: fetch-data generates them. */
static const char *const generated[] = {"stories", "reviews"};

enum { MAX_BYTES = 1 << 24, MAX_FILES = 1 << 15 };

/* Names and notes are printed as one line of a list. */
static bool is_line(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

/* A mirror folder has the file at host/path, which must stay below the folder too. */
static bool is_url(const char *s)
{
    bool http = !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
    return http && is_line(s) && !strchr(s, ' ') && gp_path_is_contained(strstr(s, "://") + 3);
}

/* The path must be of a file, and below the output folder. */
static int check_path(const char *path, const char *where)
{
    size_t n = strlen(path);
    if (!gp_path_is_contained(path))
        return fail("%s: path \"%s\" leads out of its folder", where, path);
    if (!is_line(path) || path[n - 1] == '/' || (path[n - 1] == '.' && (n == 1 || path[n - 2] == '/')))
        return fail("%s: path \"%s\" is not a file name", where, path);
    return 0;
}

static int read_file(gp_catalog_file *f, json_t *from, const char *where)
{
    json_t *urls = NULL;
    json_int_t size = -1, unpacked = -1;
    json_error_t e;
    *f = (gp_catalog_file){.size = -1, .unpacked = -1};
    if (json_unpack_ex(from, &e, JSON_STRICT, "{s:s, s:o, s?s, s?I, s?s, s?I}", "path", &f->path, "urls", &urls,
                       "sha256", &f->sha256, "size", &size, "unpack", &f->unpack, "unpacked", &unpacked))
        return fail("%s: a file is not {path, urls, sha256, size, unpack, unpacked}: %s", where, e.text);
    if (check_path(f->path, where))
        return -1;
    if (f->sha256 && !gp_is_sha256(f->sha256))
        return fail("%s: %s: sha256 is \"%.70s\", expected 64 digits of 0-9a-f", where, f->path, f->sha256);
    if (size < -1 || unpacked < -1)
        return fail("%s: %s: %s is %lld", where, f->path, size < -1 ? "size" : "unpacked",
                    (long long)(size < -1 ? size : unpacked));
    if (f->unpack && strcmp(f->unpack, "folder") && strcmp(f->unpack, "file"))
        return fail("%s: %s: unpack is \"%s\", expected folder or file", where, f->path, f->unpack);
    if (!json_is_array(urls) || !json_array_size(urls) || json_array_size(urls) > 100)
        return fail("%s: %s: urls is not a list of 1 to 100", where, f->path);
    f->size = size;
    f->unpacked = unpacked;
    f->url_count = (int)json_array_size(urls);
    const char **list = gp_calloc((size_t)f->url_count, sizeof *list);
    f->urls = list;
    for (int i = 0; i < f->url_count; i++) {
        list[i] = json_string_value(json_array_get(urls, (size_t)i));
        if (!list[i] || !is_url(list[i]))
            return fail("%s: %s: url %d is not https://host/path", where, f->path, i + 1);
    }
    return 0;
}

static void release_set(gp_catalog_entry *d)
{
    for (int i = 0; i < d->file_count; i++)
        free((void *)(uintptr_t)d->files[i].urls);
    free((void *)(uintptr_t)d->files);
    gp_items_free(d->items);
}

/* File i of a series: the path and the URLs with the number in place of the braces. The caller releases it; NULL on
 * failure. */
static json_t *numbered(const gp_series *s, json_t *from, int i, const char *where)
{
    json_t *file = json_copy(from), *urls = json_array(), *url;
    char *path = gp_series_name(s, json_string_value(json_object_get(from, "path")), i), *name = path;
    size_t u;
    json_object_set_new(file, "path", json_string(path));
    free(path);
    json_array_foreach (json_object_get(from, "urls"), u, url) {
        name = json_is_string(url) ? gp_series_name(s, json_string_value(url), i) : NULL;
        if (!name)
            break;
        json_array_append_new(urls, json_string(name));
        free(name);
    }
    json_object_set_new(file, "urls", urls);
    if (name && (s->count == 1 || !json_object_get(from, "sha256")))
        return file;
    if (!name)
        fail("%s: url %zu of a series lacks its %s", where, u + 1, s->braces);
    else
        fail("%s: a sha256 cannot be that of all files of the series %s", where, s->braces);
    json_decref(file);
    return NULL;
}

/* Adds the files of one object of a catalog: one, or those of a series. `all` receives the objects that own their
 * strings. */
static int add_files(gp_catalog_entry *d, json_t *from, const gp_series *s, json_t *all, const char *where)
{
    gp_catalog_file *list = (gp_catalog_file *)(uintptr_t)d->files;
    if (d->file_count + s->count >= MAX_FILES)
        return fail("%s: has more than %d files", where, MAX_FILES);
    d->files = list = gp_realloc(list, (size_t)(d->file_count + s->count + 1), sizeof *list);
    for (int i = 0; i < (s->count ? s->count : 1); i++) {
        json_t *one = s->count ? numbered(s, from, i, where) : json_incref(from);
        if (!one)
            return -1;
        json_array_append_new(all, one);
        if (read_file(list + d->file_count++, one, where))
            return -1;
    }
    return 0;
}

static int read_files(gp_catalog_entry *d, json_t *from, json_t *all, const char *where)
{
    gp_series before = {0};
    const char *before_path = "";
    int first = 0; /* of the series */
    json_t *file;
    size_t f;
    json_array_foreach (from, f, file) {
        const char *path = json_string_value(json_object_get(file, "path"));
        gp_series s = {0};
        if (path && gp_series_read(&s, path))
            return gp_fail_in("%s", where);
        if (!path || !gp_series_continues(&s, path, &before, before_path))
            first = d->file_count;
        if (add_files(d, file, &s, all, where))
            return -1;
        gp_catalog_file *list = (gp_catalog_file *)(uintptr_t)d->files;
        for (int i = first; s.count && i < d->file_count; i++) {
            list[i].shard = i - first + 1;
            list[i].shards = d->file_count - first;
        }
        before = s;
        before_path = path;
    }
    return 0;
}

/* Of two files with one path, the later one would replace the other. */
static int check_paths(const gp_catalog_entry *d, const char *where)
{
    json_t *seen = json_object();
    int rc = 0;
    for (int i = 0; !rc && i < d->file_count; i++)
        if (json_object_get(seen, d->files[i].path))
            rc = fail("%s: two files have the path %s", where, d->files[i].path);
        else
            json_object_set_new(seen, d->files[i].path, json_true());
    json_decref(seen);
    return rc;
}

static int check_texts(const gp_catalog_entry *d, const char *where)
{
    if (!*d->name || !is_line(d->name) || strchr(d->name, '/'))
        return fail("%s: \"%s\" is not a data set name: it is empty, or contains a slash or a line break", where,
                    d->name);
    if (!is_line(d->note) || !is_line(d->licence) || (d->home && !is_line(d->home)))
        return fail("%s: note, licence and home are a line each", where);
    return 0;
}

static int read_set(gp_catalog_entry *d, const char *name, json_t *from, const char *path)
{
    json_t *files = NULL, *items = NULL;
    json_error_t e;
    char where[256];
    snprintf(where, sizeof where, "%s: %s", path, name);
    *d = (gp_catalog_entry){.name = name};
    if (json_unpack_ex(from, &e, JSON_STRICT, "{s:s, s:s, s?s, s:o, s?o}", "note", &d->note, "licence", &d->licence,
                       "home", &d->home, "files", &files, "items", &items))
        return fail("%s: is not {note, licence, home, files, items}: %s", where, e.text);
    if (check_texts(d, where) || (items && !(d->items = gp_items_read(items, where))))
        return -1;
    if (!json_is_array(files))
        return fail("%s: files is not a list", where);
    if (!json_array_size(files) && gp_find_name(generated, ARRAY_LEN(generated), name) < 0)
        return fail("%s: files is empty", where);
    json_t *all = json_array();
    int rc = read_files(d, files, all, where);
    json_object_set_new(from, "files", all);
    return rc ? rc : check_paths(d, where);
}

/* Among the first `count` sets. */
static gp_catalog_entry *find(const gp_catalog *c, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(c->sets[i].name, name))
            return c->sets + i;
    return NULL;
}

/* Adds a document's entries, which replace earlier ones of the same name. */
static int add(gp_catalog *c, int document, const char *text, size_t length, const char *path)
{
    json_error_t e;
    json_t *root = gp_json_load(text, length, JSON_REJECT_DUPLICATES, &e), *value;
    const char *name;
    int before = c->count;
    if (!root)
        return fail("%s:%d: %s", path, e.line, e.text);
    c->documents[document] = root;
    if (!json_is_object(root))
        return fail("%s: is not a JSON object of data sets by name", path);
    c->sets = gp_realloc(c->sets, (size_t)c->count + json_object_size(root), sizeof *c->sets);
    json_object_foreach (root, name, value) {
        gp_catalog_entry d, *old = find(c, before, name); /* names are unique within a document */
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
        (path && (gp_file_read(&text, path, MAX_BYTES) || add(c, 1, text.data, text.len, path)))) {
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

const gp_catalog_entry *gp_catalog_get(const gp_catalog *c, int i)
{
    return i >= 0 && i < c->count ? c->sets + i : NULL;
}

const gp_catalog_entry *gp_catalog_find(const gp_catalog *c, const char *name)
{
    const gp_catalog_entry *d = find(c, c->count, name);
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
