/* hf_files.c: the tensors of one safetensors file, or of the shards that an index.json lists:
 *     {"metadata": {...}, "weight_map": {"name": "model-00001-of-00002.safetensors", ...}} */
#include "base/file.h"
#include "base/json_python.h"
#include "checkpoint/hf/hf.h"
#include "data/safetensors.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const gp_hf_tensor *)a)->name, ((const gp_hf_tensor *)b)->name);
}

/* Takes over s, which may be NULL. */
static int add_file(gp_hf_files *f, gp_safetensors *s)
{
    if (!s)
        return -1;
    f->files = gp_realloc(f->files, (size_t)f->count + 1, sizeof *f->files);
    f->files[f->count++] = s;
    return 0;
}

/* One list out of all files. */
static int gather(gp_hf_files *f)
{
    for (int i = 0; i < f->count; i++)
        f->tensor_count += gp_safetensors_count(f->files[i]);
    f->tensors = gp_calloc((size_t)f->tensor_count, sizeof *f->tensors);
    gp_hf_tensor *next = f->tensors;
    for (int i = 0; i < f->count; i++)
        for (int64_t k = 0; k < gp_safetensors_count(f->files[i]); k++, next++) {
            next->name = gp_safetensors_get(f->files[i], k, &next->t);
            next->path = gp_safetensors_path(f->files[i]);
            next->file = f->files[i];
            next->index = k;
        }
    qsort(f->tensors, (size_t)f->tensor_count, sizeof *f->tensors, by_name);
    for (int64_t i = 1; i < f->tensor_count; i++)
        if (!strcmp(f->tensors[i - 1].name, f->tensors[i].name))
            return fail("%s: tensor %s is in %s too", f->tensors[i].path, f->tensors[i].name, f->tensors[i - 1].path);
    return 0;
}

int gp_hf_files_open(gp_hf_files *f, gp_safetensors *file)
{
    *f = (gp_hf_files){0};
    if (!add_file(f, file) && !gather(f))
        return 0;
    gp_hf_files_close(f);
    return -1;
}

/* Opens each file of the map once. */
static int open_shards(gp_hf_files *f, const char *index, const json_t *map)
{
    const char *slash = strrchr(index, '/'), *tensor;
    json_t *v, *seen = json_object();
    int rc = 0;
    json_object_foreach ((json_t *)(uintptr_t)map, tensor, v) {
        const char *file = json_string_value(v);
        if (!file || !*file || strchr(file, '/'))
            rc = fail("%s: tensor %s: expected the name of a file in the directory of the index", index, tensor);
        else if (!json_object_get(seen, file)) {
            char *path = gp_format("%.*s%s", slash ? (int)(slash - index + 1) : 0, index, file);
            rc = add_file(f, gp_safetensors_open_regular(path));
            json_object_set_new(seen, file, json_true());
            free(path);
        }
        if (rc)
            break;
    }
    json_decref(seen);
    return rc ? rc : gather(f);
}

/* The index and the files tell the same. */
static int check_map(const gp_hf_files *f, const char *index, const json_t *map)
{
    const char *name;
    json_t *v;
    json_object_foreach ((json_t *)(uintptr_t)map, name, v) {
        const gp_hf_tensor *t = gp_hf_files_find(f, name);
        const char *slash = t ? strrchr(t->path, '/') : NULL;
        if (!t || strcmp(slash ? slash + 1 : t->path, json_string_value(v)))
            return fail("%s: tensor %s should be in %s, it is %s%s", index, name, json_string_value(v),
                        t ? "in " : "not there", t ? t->path : "");
    }
    for (int64_t i = 0; i < f->tensor_count; i++)
        if (!json_object_get(map, f->tensors[i].name))
            return fail("%s: tensor %s of %s is not listed", index, f->tensors[i].name, f->tensors[i].path);
    return 0;
}

int gp_hf_files_open_index(gp_hf_files *f, const char *path)
{
    enum { MAX_INDEX = 1 << 26 };
    *f = (gp_hf_files){0};
    gp_buf text = {0};
    json_error_t error;
    json_t *root = NULL;
    int rc = gp_file_read_regular(&text, path, MAX_INDEX);
    if (rc)
        goto out;
    rc = -1;
    root = gp_json_load_python(text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    json_t *map = json_object_get(root, "weight_map");
    if (!root)
        fail("%s: is not JSON: line %d: %s", path, error.line, error.text);
    else if (!json_object_size(map))
        fail("%s: \"weight_map\" is missing or empty", path);
    else if (!open_shards(f, path, map) && !check_map(f, path, map))
        rc = 0;
out:
    if (rc)
        gp_hf_files_close(f);
    json_decref(root);
    gp_buf_release(&text);
    return rc;
}

void gp_hf_files_close(gp_hf_files *f)
{
    for (int i = 0; i < f->count; i++)
        gp_safetensors_close(f->files[i]);
    free(f->files);
    free(f->tensors);
    *f = (gp_hf_files){0};
}

gp_hf_tensor *gp_hf_files_find(const gp_hf_files *f, const char *name)
{
    gp_hf_tensor key = {.name = name};
    return f->tensor_count ? bsearch(&key, f->tensors, (size_t)f->tensor_count, sizeof key, by_name) : NULL;
}

size_t gp_hf_files_prefix(const gp_hf_files *f)
{
    if (!f->tensor_count)
        return 0;
    const char *first = f->tensors[0].name, *last = f->tensors[f->tensor_count - 1].name; /* by name */
    size_t n = 0, prefix = 0;
    for (; first[n] && first[n] == last[n]; n++)
        if (first[n] == '.')
            prefix = n + 1;
    return prefix;
}

bool gp_hf_files_strip(gp_hf_files *f)
{
    static const char *const wrappers[] = {"module.", "_orig_mod.", "model.", "transformer."};
    size_t prefix = gp_hf_files_prefix(f);
    for (size_t i = 0; i < ARRAY_LEN(wrappers); i++) {
        size_t n = strlen(wrappers[i]);
        if (n > prefix || strncmp(f->tensors[0].name, wrappers[i], n))
            continue;
        for (int64_t k = 0; k < f->tensor_count; k++)
            f->tensors[k].name += n;
        f->stripped += n;
        return true;
    }
    return false;
}
