/* torch_read.c: see torch.h. */
#include "checkpoint/torch/torch_file.h"
#include "data/range_check.h"

#include <stdlib.h>
#include <string.h>

/* ---- numbers --------------------------------------------------------------------------------------------- */

/* The bytes of a storage, or NULL. */
static const char *bytes_of(gp_torch_file *f, const gp_zip_file *storage)
{
    if (!storage->deflated)
        return storage->data;
    if (f->unpacked != storage) {
        free(f->bytes);
        f->bytes = gp_zip_unpack(storage, f->path);
        f->unpacked = f->bytes ? storage : NULL;
    }
    return f->bytes;
}

/* The last dim's elements that follow each other in strides, from element `first` on, `count` of them, into packed. */
static void gather(const gp_pickle_tensor *t, const char *bytes, int64_t first, int64_t count, char *packed)
{
    int64_t at[GP_MAX_DIMS], place = 0, size = t->type->size;
    for (int d = t->ndim - 1; d >= 0; d--) {
        at[d] = first % t->dim[d];
        first /= t->dim[d];
        place += at[d] * t->stride[d];
    }
    for (int64_t i = 0; i < count; i++) {
        memcpy(packed + i * size, bytes + place * size, (size_t)size);
        for (int d = t->ndim - 1; d >= 0; d--) {
            place += t->stride[d];
            if (++at[d] < t->dim[d])
                break;
            place -= at[d] * t->stride[d];
            at[d] = 0;
        }
    }
}

static int read_numbers(void *self, int64_t i, int64_t first, int64_t count, float *data)
{
    enum { CHUNK = 1 << 10 };
    gp_torch_file *f = self;
    const gp_pickle_tensor *t = &f->places[i].t;
    const char *bytes = bytes_of(f, f->places[i].storage);
    if (!bytes)
        return -1;
    bytes += t->offset * t->type->size;
    if (t->contiguous) {
        gp_to_f32(data, bytes + first * t->type->size, t->type->as, count);
        return 0;
    }
    for (int64_t done = 0, n; done < count; done += n) {
        char packed[CHUNK * sizeof(double)];
        n = gp_min(CHUNK, count - done);
        gather(t, bytes, first + done, n, packed);
        gp_to_f32(data + done, packed, t->type->as, n);
    }
    return 0;
}

/* Deflated ones are unpacked one at a time; F64 is rounded. */
static const void *data(void *self, int64_t i, gp_dtype *dtype)
{
    const gp_torch_file *f = self;
    const gp_pickle_tensor *t = &f->places[i].t;
    *dtype = t->type->as;
    if (f->places[i].storage->deflated || !t->contiguous || !gp_range_has_floats(*dtype))
        return NULL;
    return f->places[i].storage->data + t->offset * t->type->size;
}

static int verify(void *self, int64_t i)
{
    gp_torch_file *f = self;
    const gp_zip_file *storage = f->places[i].storage;
    unsigned char *checked = &f->checked[storage - f->zip.files];
    if (storage->deflated) /* gp_zip_unpack checks it */
        return bytes_of(f, storage) ? storage->crc != 0 : -1;
    int known = __atomic_load_n(checked, __ATOMIC_RELAXED); /* threads may both check what tensors share */
    if (!known) {
        known = gp_zip_check(storage, storage->data, f->path) + 1;
        __atomic_store_n(checked, (unsigned char)known, __ATOMIC_RELAXED);
    }
    return known - 1;
}

static void forget(void *self, int64_t i)
{
    gp_torch_file *f = self;
    const gp_zip_file *storage = f->places[i].storage;
    gp_map_drop_pages(storage->data, storage->packed);
}

/* nanoGPT's model_args, and what is not read. */
static bool metadata(void *self, int64_t i, const char **key, gp_buf *value)
{
    static const char *const constants[] = {"False", "True"};
    const gp_torch_extras *e = &((const gp_torch_file *)self)->extras;
    if (i >= e->arg_count) {
        *key = "not read";
        if (i > e->arg_count || !e->ignored)
            return false;
        gp_buf_puts(value, e->ignored);
        return true;
    }
    const gp_torch_entry *a = &e->args[i];
    *key = a->name;
    if (a->type == GP_TORCH_BOOL)
        gp_buf_puts(value, constants[a->whole != 0]);
    else if (a->type == GP_TORCH_INT)
        gp_buf_printf(value, "%lld", (long long)a->whole);
    else if (a->type == GP_TORCH_REAL)
        gp_buf_printf(value, "%.9g", a->real);
    else
        gp_buf_puts(value, a->type == GP_TORCH_TEXT ? a->text : a->type == GP_TORCH_NONE ? "None" : "...");
    return true;
}

static void close_file(void *self)
{
    gp_torch_file *f = self;
    gp_torch_extras_release(&f->extras);
    gp_zip_close(&f->zip);
    gp_map_close(&f->map);
    free(f->places);
    free(f->checked);
    free(f->prefix);
    free(f->bytes);
    free(f->path);
    free(f);
}

static const gp_container_ops ops = {
    .format = "PyTorch",
    .float_types = "F32, F16, BF16 or F64",
    .read = read_numbers,
    .data = data,
    .verify = verify,
    .metadata = metadata,
    .forget = forget,
    .close = close_file,
};

/* ---- the zip --------------------------------------------------------------------------------------------- */

/* A file beside data.pkl, or NULL. */
static const gp_zip_file *find_file(const gp_torch_file *f, const char *name)
{
    int folder = (int)(strlen(f->prefix) - strlen("data/"));
    char *full = gp_format("%.*s%s", folder, f->prefix, name);
    const gp_zip_file *found = gp_zip_find(&f->zip, full, strlen(full));
    free(full);
    return found;
}

/* A small stored file's text, "" if it is missing. */
static void read_text(const gp_torch_file *f, const char *name, char text[16])
{
    const gp_zip_file *file = find_file(f, name);
    size_t n = file && !file->deflated && file->size < 16 ? file->size : 0;
    if (n)
        memcpy(text, file->data, n);
    text[n] = 0;
}

/* PREFIX/data.pkl, in a folder at the top of the archive; nothing else says what the prefix is. */
static const gp_zip_file *find_pickle(gp_torch_file *f)
{
    static const char name[] = "data.pkl";
    const gp_zip_file *found = NULL;
    for (int64_t i = 0; i < f->zip.count; i++) {
        const gp_zip_file *file = &f->zip.files[i];
        const char *slash = memchr(file->name, '/', file->name_size);
        size_t before = slash ? (size_t)(slash - file->name) + 1 : 0;
        if (!before || file->name_size - before != sizeof name - 1 || memcmp(slash + 1, name, sizeof name - 1) != 0)
            continue;
        if (found)
            return fail("%s: has more than one data.pkl", f->path), NULL;
        found = file;
        f->prefix = gp_format("%.*sdata/", (int)before, file->name);
    }
    if (!found)
        fail("%s: is a zip archive without a data.pkl, expected a file of torch.save", f->path);
    return found;
}

static int check_kind(const gp_torch_file *f)
{
    enum { MAX_VERSION = 10 }; /* of PyTorch's kMaxSupportedFileFormatVersion */
    char text[16];
    if (find_file(f, "constants.pkl"))
        return fail("%s: is a TorchScript archive, expected a state_dict of torch.save", f->path);
    read_text(f, "byteorder", text);
    if (*text && strcmp(text, "little") != 0)
        return fail("%s: its byte order is %s, expected little", f->path, text);
    read_text(f, "version", text);
    if (!*text)
        read_text(f, ".data/version", text);
    long version = strtol(text, NULL, 10);
    if (version < 0 || version > MAX_VERSION)
        return fail("%s: is of version %ld of PyTorch's files, expected at most %d", f->path, version, MAX_VERSION);
    return 0;
}

static int run_pickle(gp_torch_file *f, gp_container *k, const gp_zip_file *file)
{
    enum { SMALL = 1 << 20, MAX_RATIO = 100 }; /* real ones deflate to a tenth; values take more memory than bytes */
    gp_pickle p = {0};
    char *unpacked = NULL;
    int rc = -1;
    if (file->size > SMALL && file->size / MAX_RATIO > file->packed)
        return fail("%s: its pickle of %zu bytes is deflated to %zu, which no object is", f->path, file->size,
                    file->packed);
    if (file->size > GP_PICKLE_MAX)
        return fail("%s: its pickle has %zu bytes, expected at most %d", f->path, file->size, GP_PICKLE_MAX);
    if (file->deflated && !(unpacked = gp_zip_unpack(file, f->path)))
        return -1;
    if (unpacked || gp_zip_check(file, file->data, f->path) >= 0) {
        const gp_value *top = gp_pickle_run(&p, f->path, unpacked ? unpacked : file->data, file->size);
        rc = top ? gp_torch_list(f, k, top, &p) : -1;
    }
    gp_pickle_release(&p);
    free(unpacked);
    return rc;
}

static int read_zip(gp_torch_file *f, gp_container *k)
{
    if (gp_zip_open(&f->zip, &f->map, f->path))
        return -1;
    const gp_zip_file *file = find_pickle(f);
    return !file || check_kind(f) ? -1 : run_pickle(f, k, file);
}

gp_container *gp_torch_read(gp_map *map, const char *path)
{
    gp_torch_file *f = gp_calloc(1, sizeof *f);
    gp_container *k = gp_container_new(path, &ops, f);
    f->path = gp_strdup(path);
    f->map = *map;
    *map = (gp_map){0};
    int rc = gp_torch_is_legacy(f->map.data, f->map.size) ? gp_torch_read_legacy(f, k) : read_zip(f, k);
    f->checked = gp_calloc((size_t)f->zip.count, 1);
    if (!rc && !gp_container_index(k))
        return k;
    gp_container_close(k);
    return NULL;
}

const gp_torch_extras *gp_torch_extras_of(const gp_container *k)
{
    BUG_ON(k->ops != &ops);
    return &((const gp_torch_file *)k->self)->extras;
}
