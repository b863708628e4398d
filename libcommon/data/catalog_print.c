/* catalog_print.c: the catalog for people and for machines. */
#include "base/progress.h"
#include "gptpipe/fetch.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int64_t total_size(const gp_dataset *d)
{
    int64_t sum = 0;
    for (int i = 0; i < d->file_count; i++) {
        if (d->files[i].size < 0)
            return -1;
        sum = d->files[i].size < INT64_MAX - sum ? sum + d->files[i].size : INT64_MAX;
    }
    return sum;
}

static json_t *string_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *set_to_json(const gp_dataset *d)
{
    json_t *files = json_array();
    for (int i = 0; i < d->file_count; i++) {
        const gp_dataset_file *f = d->files + i;
        json_t *urls = json_array();
        for (int u = 0; u < f->url_count; u++)
            json_array_append_new(urls, json_string(f->urls[u]));
        json_array_append_new(files, json_pack("{s:s, s:o, s:o, s:o}", "path", f->path, "urls", urls,
                                               "sha256", string_or_null(f->sha256), "size",
                                               f->size < 0 ? json_null() : json_integer(f->size)));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", d->name, "note", d->note, "licence", d->licence,
                     "home", string_or_null(d->home), "files", files);
}

static void print_row(const gp_dataset *d, FILE *out)
{
    char size[16] = "made here";
    if (d->file_count && total_size(d) < 0)
        snprintf(size, sizeof size, "?");
    else if (d->file_count)
        gp_format_bytes(size, total_size(d));
    fprintf(out, "%-16s %10s  %s\n", d->name, size, d->note);
}

static void print_set(const gp_dataset *d, FILE *out)
{
    fprintf(out, "%s: %s\nlicence: %s\n", d->name, d->note, d->licence);
    if (d->home)
        fprintf(out, "home: %s\n", d->home);
    for (int i = 0; i < d->file_count; i++) {
        const gp_dataset_file *f = d->files + i;
        fprintf(out, "file: %s\n", f->path);
        if (f->size >= 0)
            fprintf(out, "  size: %lld\n", (long long)f->size);
        fprintf(out, "  sha256: %s\n", f->sha256 ? f->sha256 : "not known");
        for (int u = 0; u < f->url_count; u++)
            fprintf(out, "  url: %s\n", f->urls[u]);
    }
}

int gp_catalog_print(const gp_catalog *c, const char *name, bool json, FILE *out)
{
    const gp_dataset *one = name ? gp_catalog_find(c, name) : NULL;
    json_t *list = json_array();
    if (name && !one) {
        json_decref(list);
        return -1;
    }
    for (int i = 0; !name && i < gp_catalog_count(c); i++) {
        const gp_dataset *d = gp_catalog_get(c, i);
        if (json)
            json_array_append_new(list, set_to_json(d));
        else
            print_row(d, out);
    }
    if (one && !json)
        print_set(one, out);
    if (json) {
        json_t *value = one ? set_to_json(one) : json_incref(list);
        json_dumpf(value, out, JSON_INDENT(2));
        fputc('\n', out);
        json_decref(value);
    }
    json_decref(list);
    return 0;
}
