/* catalog_print.c: prints the catalog, for people or as JSON. */
#include "cli/progress.h"
#include "fetch/catalog_items.h"
#include "gptpipe/fetch.h"
#include "gptpipe/output.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

/* Of all files together; -1: not known. The last file of a series, if its size is not known, is at most as large as the
 * others. */
static int64_t total_size(const gp_catalog_entry *d)
{
    int64_t sum = 0;
    for (int i = 0; i < d->file_count; i++) {
        const gp_catalog_file *f = d->files + i;
        int64_t size = f->size < 0 && f->shard > 1 && f->shard == f->shards ? f[-1].size : f->size;
        if (size < 0)
            return -1;
        sum = size < INT64_MAX - sum ? sum + size : INT64_MAX;
    }
    return sum;
}

static json_t *string_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *number_or_null(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *set_to_json(const gp_catalog_entry *d)
{
    json_t *files = json_array();
    for (int i = 0; i < d->file_count; i++) {
        const gp_catalog_file *f = d->files + i;
        json_t *urls = json_array();
        for (int u = 0; u < f->url_count; u++)
            json_array_append_new(urls, json_string(f->urls[u]));
        json_array_append_new(files,
                              json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "path", f->path, "urls", urls, "sha256",
                                        string_or_null(f->sha256), "size", number_or_null(f->size), "unpack",
                                        string_or_null(f->unpack), "unpacked", number_or_null(f->unpacked)));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name", d->name, "note", d->note, "licence", d->licence, "home",
                     string_or_null(d->home), "files", files, "items",
                     d->items ? gp_items_to_json(d->items) : json_null());
}

static void print_row(const gp_catalog_entry *d, FILE *out)
{
    char size[16] = "made here";
    if (d->file_count && total_size(d) < 0)
        snprintf(size, sizeof size, "not known");
    else if (d->file_count)
        gp_format_bytes(size, total_size(d));
    fprintf(out, "%-16s %10s  %s\n", gp_printable(d->name), size, gp_printable(d->note));
}

static void print_set(const gp_catalog_entry *d, FILE *out)
{
    fprintf(out, "%s: %s\nlicence: %s\n", gp_printable(d->name), gp_printable(d->note), gp_printable(d->licence));
    if (d->home)
        fprintf(out, "home: %s\n", gp_printable(d->home));
    for (int i = 0; i < d->file_count; i++) {
        const gp_catalog_file *f = d->files + i;
        if (f->shard > 1) /* a series is shown by its first file */
            continue;
        fprintf(out, "file: %s\n", gp_printable(f->path));
        if (f->shards)
            fprintf(out, "  to: %s, %d files like it\n", gp_printable(f[f->shards - 1].path), f->shards);
        if (f->size >= 0)
            fprintf(out, "  size: %lld\n", (long long)f->size);
        fprintf(out, "  sha256: %s\n", f->sha256 ? f->sha256 : "not known");
        if (f->unpack)
            fprintf(out, "  unpacked into this %s, and not kept\n", f->unpack);
        for (int u = 0; u < f->url_count; u++)
            fprintf(out, "  url: %s\n", gp_printable(f->urls[u]));
    }
    if (d->items)
        gp_items_print(d->items, out);
    if (d->items && d->file_count == 1 && d->files->unpack && !strcmp(d->files->unpack, "folder"))
        fprintf(out, "-o DIR/ unpacks it; -o - and -o FILE give %s\n",
                d->items->format != GP_ITEMS_TEXT ? "a JSON object a line: text, label, split"
                                                  : "the text of one --split");
}

int gp_catalog_print(const gp_catalog *c, const char *name, bool json, FILE *out)
{
    const gp_catalog_entry *one = name ? gp_catalog_find(c, name) : NULL;
    json_t *list = json_array();
    if (name && !one) {
        json_decref(list);
        return -1;
    }
    for (int i = 0; !name && i < gp_catalog_count(c); i++) {
        const gp_catalog_entry *d = gp_catalog_get(c, i);
        if (json)
            json_array_append_new(list, set_to_json(d));
        else
            print_row(d, out);
    }
    if (one && !json)
        print_set(one, out);
    if (json) {
        json_t *value = one ? set_to_json(one) : json_incref(list);
        char *text = gp_json_print(value, JSON_INDENT(2));
        fprintf(out, "%s\n", text);
        free(text);
        json_decref(value);
    }
    json_decref(list);
    return 0;
}
