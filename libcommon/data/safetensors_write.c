/* safetensors_write.c: writing. The header is written before the first byte of data; in a file, the digits of its CRCs
 * are patched in at the end, and a stream has no CRCs. */
#include "gptpipe/safetensors.h"
#include "base/file.h"
#include "base/json.h"
#include "data/safetensors_sums.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 }; /* the data begins at a multiple of it */

struct gp_safetensors_writer {
    gp_out out;
    char *path;
    json_t *header, *metadata; /* metadata is in header */
    int64_t declared, written; /* bytes of data */
    int64_t count, current;    /* tensors, and the first that is not completely written */
    int64_t *end;              /* (count) of each tensor's data */
    uint32_t *crc;             /* (count) of each tensor's data written so far */
    int64_t sums_at;           /* offset of the record of CRCs in the file; 0: none */
    bool begun;                /* the header is written */
};

/* Marks the writer as failed: gp_out ignores further writes, and its commit fails. */
static int broken(gp_safetensors_writer *w)
{
    w->out.failed = true;
    return -1;
}

gp_safetensors_writer *gp_safetensors_create(const char *path)
{
    gp_safetensors_writer *w = gp_calloc(1, sizeof *w);
    if (gp_out_open(&w->out, path)) {
        free(w);
        return NULL;
    }
    w->path = gp_strdup(w->out.path);
    w->header = json_object();
    w->metadata = json_object();
    json_object_set_new(w->header, "__metadata__", w->metadata);
    return w;
}

int gp_safetensors_add_metadata(gp_safetensors_writer *w, const char *key, const char *value, size_t length)
{
    BUG_ON(w->begun);
    if (w->out.failed)
        return -1;
    if (json_object_set_new(w->metadata, key, json_stringn(value, length))) {
        fail("%s: metadata %.100s is not valid UTF-8", w->path, key);
        return broken(w);
    }
    return 0;
}

static json_t *describe(const gp_tensor *t, int64_t begin, int64_t end)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++)
        json_array_append_new(shape, json_integer(t->dim[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", gp_dtype_name(t->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

int gp_safetensors_declare(gp_safetensors_writer *w, const char *name, const gp_tensor *t)
{
    BUG_ON(w->begun);
    if (w->out.failed)
        return -1;
    if (json_object_get(w->header, name)) {
        fail("%s: tensor %s is declared twice", w->path, name);
        return broken(w);
    }
    if (w->declared % gp_dtype_size(t->dtype)) {
        fail("%s: tensor %s of %s would begin at byte %lld: wider dtypes go first", w->path, name,
             gp_dtype_name(t->dtype), (long long)w->declared);
        return broken(w);
    }
    int64_t end = w->declared + gp_tensor_bytes(t);
    if (json_object_set_new(w->header, name, describe(t, w->declared, end))) {
        fail("%s: the name of a tensor is not valid UTF-8", w->path);
        return broken(w);
    }
    w->declared = end;
    w->end = gp_realloc(w->end, (size_t)w->count + 1, sizeof *w->end);
    w->crc = gp_realloc(w->crc, (size_t)w->count + 1, sizeof *w->crc);
    w->end[w->count] = end;
    w->crc[w->count++] = 0;
    return 0;
}

/* The record of CRCs as the header contains it: JSON text within a JSON string. */
static char *sums_text(gp_safetensors_writer *w)
{
    char *record = gp_sums_print(w->header, w->crc);
    json_t *string = json_string(record);
    char *text = gp_json_dump(string, JSON_ENCODE_ANY);
    json_decref(string);
    free(record);
    return text;
}

/* The header, with a placeholder for the record. An unescaped quote begins a key or a value, so the key found here can
 * only be the record's. */
static char *header_text(gp_safetensors_writer *w)
{
    static const char key[] = "\"" GP_SUMS_KEY "\":\"";
    json_object_del(w->metadata, GP_SUMS_KEY); /* from a file whose metadata was copied */
    bool patched = w->out.temporary && (w->count || json_object_size(w->metadata));
    if (patched) {
        char *record = gp_sums_print(w->header, w->crc);
        json_object_set_new(w->metadata, GP_SUMS_KEY, json_string(record));
        free(record);
    } else if (!json_object_size(w->metadata)) {
        json_object_del(w->header, "__metadata__");
    }
    char *text = gp_json_dump(w->header, JSON_COMPACT);
    const char *record = patched ? strstr(text, key) : NULL;
    BUG_ON(patched && !record);
    if (record)
        w->sums_at = 8 + (record - text) + (int64_t)strlen(key) - 1; /* from its quote on */
    return text;
}

static int begin(gp_safetensors_writer *w)
{
    w->begun = true;
    char *text = header_text(w);
    size_t length = strlen(text), padded = gp_round_up(8 + length, ALIGN) - 8;
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    char spaces[ALIGN];
    memset(spaces, ' ', sizeof spaces);
    int rc = gp_out_write(&w->out, prefix, sizeof prefix);
    if (!rc)
        rc = gp_out_write(&w->out, text, length);
    if (!rc)
        rc = gp_out_write(&w->out, spaces, padded - length);
    free(text);
    return rc;
}

/* Adds the next bytes to the CRCs of the tensors that they belong to. */
static void add_to_sums(gp_safetensors_writer *w, const char *data, int64_t bytes)
{
    for (int64_t at = w->written; bytes;) {
        int64_t n = gp_min(bytes, w->end[w->current] - at);
        w->crc[w->current] = gp_crc32c(w->crc[w->current], data, (size_t)n);
        at += n;
        data += n;
        bytes -= n;
        if (bytes)
            w->current++;
    }
}

int gp_safetensors_write(gp_safetensors_writer *w, const void *data, int64_t bytes)
{
    if (w->out.failed || (!w->begun && begin(w)))
        return -1;
    BUG_ON(bytes < 0 || bytes > w->declared - w->written);
    if (w->sums_at)
        add_to_sums(w, data, bytes);
    w->written += bytes;
    return gp_out_write(&w->out, data, (size_t)bytes);
}

static void release(gp_safetensors_writer *w)
{
    json_decref(w->header);
    free(w->end);
    free(w->crc);
    free(w->path);
    free(w);
}

int gp_safetensors_finish(gp_safetensors_writer *w)
{
    int rc = w->out.failed || w->begun ? 0 : begin(w); /* a file without data is valid */
    BUG_ON(!rc && !w->out.failed && w->written != w->declared);
    char *sums = !w->out.failed && w->sums_at ? sums_text(w) : NULL;
    if (sums)
        gp_out_patch(&w->out, w->sums_at, sums, strlen(sums)); /* a failure makes the commit fail */
    free(sums);
    rc = gp_out_commit(&w->out);
    release(w);
    return rc;
}

void gp_safetensors_abort(gp_safetensors_writer *w)
{
    if (!w)
        return;
    gp_out_abandon(&w->out);
    release(w);
}
