/* torch_legacy.c: files of torch.save before PyTorch 1.6, and of _use_new_zipfile_serialization=False. */
#include "checkpoint/torch/torch_file.h"

#include <stdlib.h>
#include <string.h>

/* torch.serialization's MAGIC_NUMBER 0x1950a86a20f9469cfc6c, as LONG1 writes it. */
static const char magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/* It follows the protocol, and with protocol 4 a frame of 9 bytes. A head of 16 bytes is enough. */
bool gp_torch_is_legacy(const char *head, size_t size)
{
    size_t n = sizeof magic - 1, at = size > 2 && head[2] == '\x95' ? 11 : 2;
    if (size < 16 || head[0] != '\x80')
        return false;
    return !memcmp(head + at, magic, n < size - at ? n : size - at);
}

/* One pickle after the other. */
typedef struct stream {
    gp_torch_file *f;
    size_t at;
} stream;

static const gp_value *next_pickle(stream *s, gp_pickle *p)
{
    const gp_value *v = gp_pickle_run(p, s->f->path, s->f->map.data + s->at, s->f->map.size - s->at);
    s->at += p->at;
    return v;
}

/* The magic number, the protocol of this layout, and what the writing machine was like. */
static int read_head(stream *s)
{
    enum { PROTOCOL = 1001 };
    gp_pickle p[3] = {{0}, {0}, {0}};
    int rc = -1;
    const gp_value *v = next_pickle(s, &p[0]), *little;
    if (v)
        v = next_pickle(s, &p[1]);
    if (v && (v->type != GP_VALUE_INT || v->as.whole != PROTOCOL))
        v = (fail("%s: is of a protocol other than %d of PyTorch's old files", s->f->path, PROTOCOL), NULL);
    if (v && (v = next_pickle(s, &p[2]))) {
        little = gp_value_get(v, "little_endian");
        rc = little && little->type == GP_VALUE_BOOL && little->as.whole
                 ? 0
                 : fail("%s: its byte order is big, expected little", s->f->path);
    }
    for (int i = 0; i < 3; i++)
        gp_pickle_release(&p[i]);
    return rc;
}

static int by_key(const void *a, const void *b)
{
    const gp_pickle_storage *const *x = a, *const *y = b;
    return gp_compare_bytes((*x)->key, (*x)->key_size, (*y)->key, (*y)->key_size);
}

/* Storages of the object by key, fresh; -1 where two of one key differ. */
static int sort_storages(const gp_torch_file *f, const gp_pickle *p, const gp_pickle_storage ***list, int64_t *count)
{
    *list = gp_calloc((size_t)p->value_count, sizeof **list);
    *count = 0;
    for (int64_t i = 0; i < p->value_count; i++)
        if (p->values[i]->type == GP_VALUE_STORAGE)
            (*list)[(*count)++] = p->values[i]->as.storage;
    qsort(*list, (size_t)*count, sizeof **list, by_key);
    for (int64_t i = 1; i < *count; i++) {
        const gp_pickle_storage *a = (*list)[i - 1], *b = (*list)[i];
        if (!by_key(&a, &b) && (a->bytes != b->bytes || a->count != b->count))
            return fail("%s: storage %.*s has two sizes", f->path, (int)gp_min((int64_t)a->key_size, 80), a->key);
    }
    return 0;
}

/* The bytes of one storage, after their number of elements. */
static int read_storage(stream *s, const gp_value *key, const gp_pickle_storage **list, int64_t count)
{
    gp_torch_file *f = s->f;
    int64_t low = 0, elements;
    if (key->type != GP_VALUE_TEXT)
        return fail("%s: the key of a storage is a %s, expected text", f->path, gp_value_type_name(key));
    const char *name = key->as.text.data;
    int n = (int)gp_min((int64_t)key->as.text.size, 80);
    GP_LOWER_BOUND(low, count, i, gp_compare_bytes(list[i]->key, list[i]->key_size, name, key->as.text.size) < 0);
    if (low == count || gp_compare_bytes(list[low]->key, list[low]->key_size, name, key->as.text.size) != 0)
        return fail("%s: storage %.*s is used by no tensor", f->path, n, name);
    size_t left = f->map.size - s->at;
    if (left < sizeof elements)
        return fail("%s: ends before storage %.*s (truncated?)", f->path, n, name);
    memcpy(&elements, f->map.data + s->at, sizeof elements);
    s->at += sizeof elements;
    left -= sizeof elements;
    if (elements != list[low]->count || (size_t)list[low]->bytes > left)
        return fail("%s: storage %.*s has %lld elements in %zu bytes, expected %lld in %lld (truncated?)", f->path, n,
                    name, (long long)elements, left, (long long)list[low]->count, (long long)list[low]->bytes);
    f->zip.files[f->zip.count++] = (gp_zip_file){.name = list[low]->key,
                                                 .name_size = list[low]->key_size,
                                                 .data = f->map.data + s->at,
                                                 .packed = (size_t)list[low]->bytes,
                                                 .size = (size_t)list[low]->bytes};
    s->at += (size_t)list[low]->bytes;
    return 0;
}

static int read_storages(stream *s, const gp_pickle *object)
{
    gp_torch_file *f = s->f;
    gp_pickle p = {0};
    int64_t count = 0;
    const gp_pickle_storage **list = NULL;
    const gp_value *keys = next_pickle(s, &p);
    int rc = keys ? sort_storages(f, object, &list, &count) : -1;
    if (!rc && keys->type != GP_VALUE_LIST)
        rc = fail("%s: the keys of its storages are a %s, expected a list", f->path, gp_value_type_name(keys));
    if (!rc)
        f->zip.files = gp_calloc((size_t)keys->as.list.count, sizeof *f->zip.files);
    for (int64_t i = 0; !rc && i < keys->as.list.count; i++)
        rc = read_storage(s, keys->as.list.items[i], list, count);
    if (!rc && s->at != f->map.size)
        rc = fail("%s: has %zu bytes after its last storage", f->path, f->map.size - s->at);
    free(list);
    gp_pickle_release(&p);
    return rc ? rc : gp_zip_sort(&f->zip, f->path);
}

int gp_torch_read_legacy(gp_torch_file *f, gp_container *k)
{
    stream s = {f, 0};
    gp_pickle object = {0};
    f->prefix = gp_strdup("");
    int rc = read_head(&s);
    const gp_value *top = rc ? NULL : next_pickle(&s, &object);
    rc = top ? read_storages(&s, &object) : -1;
    if (!rc)
        rc = gp_torch_list(f, k, top, &object);
    gp_pickle_release(&object);
    return rc;
}
