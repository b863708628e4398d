/* safetensors.c: reading. The header is JSON,
 *     {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]},
 * ...} with offsets from the first byte after it. Nothing in it is trusted before it is checked. */
#include "data/safetensors.h"
#include "base/file.h"
#include "base/json_cut.h"
#include "data/safetensors_sums.h"
#include "data/spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREFIX = 8, MAX_HEADER = 100000000 }; /* the reference implementation's limit */

static const char metadata_key[] = "__metadata__", tokenizer_key[] = "gptpipe.tokenizer";

typedef struct entry {
    const char *name; /* in the header's JSON */
    gp_tensor t;      /* data is set once the bytes are mapped */
    int64_t begin, end;
} entry;

struct gp_safetensors {
    char *path;
    json_t *header, *metadata; /* metadata is in header, or NULL */
    json_t *sums;              /* CRCs of tensors by name, or NULL */
    entry *entries;            /* by offset */
    entry **by_name;
    int64_t count, data_size;
    gp_map map;
    const char *head; /* the (head_size) bytes of a stream that the caller has read and this reader has not consumed */
    size_t head_size;
};

/* A JSON value, shortened for a message. */
static const char *shown(const json_t *v, char text[64])
{
    char *s = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    snprintf(text, 64, "%s", !v ? "nothing" : s ? s : "something else");
    free(s);
    return text;
}

static int parse_dtype(const gp_safetensors *s, entry *e, const json_t *v)
{
    char text[64];
    const char *name = json_string_value(v);
    for (int d = 0; name && d < GP_DTYPES; d++)
        if (!strcmp(name, gp_dtype_name((gp_dtype)d))) {
            e->t.dtype = (gp_dtype)d;
            return 0;
        }
    if (name && !strcmp(name, "BOOL")) {
        e->t.dtype = GP_U8;
        return 0;
    }
    return fail("%s: tensor %s: dtype is %s, expected F32, F16, BF16, F64, I32, I64, U8 or BOOL", s->path, e->name,
                shown(v, text));
}

/* Reads the shape; *bytes is the size of the tensor. */
static int parse_shape(const gp_safetensors *s, entry *e, const json_t *v, int64_t *bytes)
{
    char text[64];
    if (!json_is_array(v) || json_array_size(v) > GP_MAX_DIMS)
        return fail("%s: tensor %s: shape is %s, expected a list of at most %d sizes", s->path, e->name, shown(v, text),
                    GP_MAX_DIMS);
    e->t.ndim = (int)json_array_size(v);
    *bytes = gp_dtype_size(e->t.dtype);
    for (int i = 0; i < e->t.ndim; i++) {
        const json_t *size = json_array_get(v, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return fail("%s: tensor %s: shape is %s, expected whole numbers from 0 on", s->path, e->name,
                        shown(v, text));
        e->t.dim[i] = json_integer_value(size);
        if (!gp_mul(*bytes, e->t.dim[i], bytes))
            return fail("%s: tensor %s: shape %s overflows", s->path, e->name, shown(v, text));
    }
    return 0;
}

static int parse_offsets(const gp_safetensors *s, entry *e, const json_t *v, int64_t bytes)
{
    char text[64], shape[96];
    const json_t *begin = json_array_get(v, 0), *end = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return fail("%s: tensor %s: data_offsets are %s, expected [begin,end]", s->path, e->name, shown(v, text));
    e->begin = json_integer_value(begin);
    e->end = json_integer_value(end);
    if (e->begin < 0 || e->end < e->begin)
        return fail("%s: tensor %s: data_offsets are %s, expected 0 <= begin <= end", s->path, e->name, shown(v, text));
    if (e->end - e->begin != bytes)
        return fail("%s: tensor %s: %s takes %lld bytes, its data_offsets %s hold %lld", s->path, e->name,
                    gp_tensor_format(&e->t, shape, sizeof shape), (long long)bytes, shown(v, text),
                    (long long)(e->end - e->begin));
    return 0;
}

static int parse_entry(const gp_safetensors *s, entry *e, const char *name, const json_t *v)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) /* it would garble every message that quotes it */
            return fail("%s: the name of a tensor has a control character in it", s->path);
    e->name = name;
    int64_t bytes = 0;
    if (!json_is_object(v))
        return fail("%s: tensor %s: its description is not a JSON object", s->path, name);
    if (parse_dtype(s, e, json_object_get(v, "dtype")) || parse_shape(s, e, json_object_get(v, "shape"), &bytes) ||
        parse_offsets(s, e, json_object_get(v, "data_offsets"), bytes))
        return -1;
    return 0;
}

static int parse_metadata(gp_safetensors *s, json_t *v)
{
    const char *key;
    json_t *text;
    if (json_is_null(v)) /* safetensors' own reader accepts null */
        return 0;
    if (!json_is_object(v))
        return fail("%s: __metadata__ is not a JSON object", s->path);
    json_object_foreach (v, key, text)
        if (!json_is_string(text))
            return fail("%s: __metadata__ may contain only strings, \"%.100s\" is not one", s->path, key);
    s->metadata = v;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) /* an empty tensor before another at the same offset */
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(entry *const *)a)->name, (*(entry *const *)b)->name);
}

/* Every byte of the data belongs to one tensor. */
static int check_layout(gp_safetensors *s)
{
    const char *previous = "the header";
    qsort(s->entries, (size_t)s->count, sizeof *s->entries, by_offset);
    for (int64_t i = 0; i < s->count; i++) {
        const entry *e = &s->entries[i];
        if (e->begin != s->data_size)
            return fail("%s: tensor %s begins at byte %lld of the data, %s ends at %lld: tensors %s", s->path, e->name,
                        (long long)e->begin, previous, (long long)s->data_size,
                        e->begin < s->data_size ? "overlap" : "leave a hole");
        s->data_size = e->end;
        previous = e->name;
    }
    return 0;
}

/* Takes the tokenizer, a string of a megabyte or more. */
static bool take_tokenizer(void *self, gp_json_cursor *c, const char *name, size_t n)
{
    gp_buf *tokenizer = self;
    if (*c->at != '"' || n != strlen(tokenizer_key) || memcmp(name, tokenizer_key, n) || tokenizer->data)
        return true;
    gp_buf_reserve(tokenizer, (size_t)(c->end - c->at));
    return gp_json_read_quoted(c, tokenizer);
}

static json_t *load_header(const char *text, size_t length, json_error_t *error)
{
    enum { FLAGS = JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES };
    gp_buf tokenizer = {0};
    json_t *header = gp_json_load_cut(text, length, FLAGS, metadata_key, take_tokenizer, &tokenizer);
    if (header && tokenizer.data)
        json_object_set_new(json_object_get(header, metadata_key), tokenizer_key,
                            json_stringn_nocheck(tokenizer.data, tokenizer.len));
    gp_buf_release(&tokenizer);
    return header ? header : gp_json_load(text, length, FLAGS, error);
}

static int parse_header(gp_safetensors *s, const char *text, size_t length)
{
    json_error_t error;
    size_t blanks = gp_json_blanks_end(text, length, 0); /* the format's text forbids them, its own reader does not */
    if (blanks == length || text[blanks] != '{')
        return fail("%s: is not a safetensors file: its header does not begin with '{'", s->path);
    s->header = load_header(text, length, &error);
    if (!s->header)
        return fail("%s: the header is not valid JSON: %s (byte %d of %zu)", s->path, error.text, error.position,
                    length);
    s->entries = gp_calloc(json_object_size(s->header), sizeof *s->entries);
    const char *name;
    json_t *v;
    json_object_foreach (s->header, name, v) {
        if (!strcmp(name, metadata_key) ? parse_metadata(s, v) : parse_entry(s, &s->entries[s->count++], name, v))
            return -1;
    }
    if (check_layout(s) || gp_sums_read(s->path, s->header, &s->sums))
        return -1;
    s->by_name = gp_calloc((size_t)s->count, sizeof(entry *));
    for (int64_t i = 0; i < s->count; i++)
        s->by_name[i] = &s->entries[i];
    qsort(s->by_name, (size_t)s->count, sizeof(entry *), by_name);
    return 0;
}

/* The header's length from the first 8 bytes; at most `available`. */
static int header_length(const gp_safetensors *s, const char *prefix, uint64_t available, size_t *length)
{
    uint64_t n = 0;
    for (int i = PREFIX - 1; i >= 0; i--)
        n = n << 8 | (unsigned char)prefix[i];
    if (gp_refuse_lfs_pointer(prefix, PREFIX, s->path))
        return -1;
    if (n < 2 || n > MAX_HEADER)
        return fail("%s: is not a safetensors file: its header length is %llu, expected 2 to %d", s->path,
                    (unsigned long long)n, MAX_HEADER);
    if (n > available)
        return fail("%s: is truncated: the header takes %llu bytes, %llu are left", s->path, (unsigned long long)n,
                    (unsigned long long)available);
    *length = (size_t)n;
    return 0;
}

static void set_data(gp_safetensors *s, const char *data)
{
    for (int64_t i = 0; data && i < s->count; i++)
        s->entries[i].t.data = (void *)(uintptr_t)(data + s->entries[i].begin);
}

static int open_file(gp_safetensors *s, int fd)
{
    size_t length;
    if (gp_map_fd(&s->map, fd, s->path))
        return -1;
    if (s->map.size < PREFIX)
        return fail("%s: is not a safetensors file: it has %zu bytes", s->path, s->map.size);
    if (header_length(s, s->map.data, s->map.size - PREFIX, &length) || parse_header(s, s->map.data + PREFIX, length))
        return -1;
    int64_t found = (int64_t)(s->map.size - PREFIX - length);
    if (found != s->data_size)
        return fail("%s: %s: the header describes %lld bytes of data, there are %lld", s->path,
                    found < s->data_size ? "is truncated" : "has something after its last tensor",
                    (long long)s->data_size, (long long)found);
    set_data(s, s->map.data + PREFIX + length);
    return 0;
}

/* Reads n bytes, fewer only at the end of the file. -1 on failure. */
static int64_t read_some(gp_safetensors *s, int fd, char *p, int64_t n)
{
    int64_t done = gp_min(n, (int64_t)s->head_size);
    memcpy(p, s->head, (size_t)done);
    s->head += done;
    s->head_size -= (size_t)done;
    while (done < n) {
        ssize_t got = gp_read(fd, p + done, (size_t)(n - done), -1);
        if (got < 0)
            return fail_errno("%s: cannot be read", s->path);
        if (!got)
            break;
        done += got;
    }
    return done;
}

/* Reads one byte more than the header describes, to detect trailing data. */
static int spool(gp_safetensors *s, int fd)
{
    gp_input in = {.fd = fd, .name = s->path};
    if (gp_input_spool(&in, s->data_size + 1, &s->map))
        return -1;
    if ((int64_t)s->map.size < s->data_size)
        return fail("%s: is truncated: the header describes %lld bytes of data, there are %zu", s->path,
                    (long long)s->data_size, s->map.size);
    if ((int64_t)s->map.size > s->data_size)
        return fail("%s: has something after its last tensor: the header describes %lld bytes of data", s->path,
                    (long long)s->data_size);
    return 0;
}

static int open_stream(gp_safetensors *s, int fd)
{
    char prefix[PREFIX];
    size_t length;
    int64_t got = read_some(s, fd, prefix, PREFIX);
    if (got < 0)
        return -1;
    if (got < PREFIX)
        return fail("%s: is not a safetensors file: it has %lld bytes", s->path, (long long)got);
    if (header_length(s, prefix, MAX_HEADER, &length))
        return -1;
    char *text = gp_malloc(length);
    int rc = -1;
    got = read_some(s, fd, text, (int64_t)length);
    if (got >= 0 && (size_t)got < length)
        fail("%s: is truncated: the header takes %zu bytes, %lld are left", s->path, length, (long long)got);
    else if (got >= 0)
        rc = parse_header(s, text, length);
    free(text);
    if (rc || spool(s, fd))
        return -1;
    set_data(s, s->map.data);
    return 0;
}

gp_safetensors *gp_safetensors_open_fd(int fd, const char *name, const void *head, size_t n)
{
    gp_safetensors *s = gp_calloc(1, sizeof *s);
    s->path = gp_strdup(name);
    s->head = head ? head : "";
    s->head_size = n;
    struct stat st;
    /* stdin may be a file that was partly read before: it is treated as a stream */
    bool folder = fd != STDIN_FILENO && !fstat(fd, &st) && S_ISDIR(st.st_mode),
         stream = !folder && !fstat(fd, &st) && (!S_ISREG(st.st_mode) || lseek(fd, 0, SEEK_CUR));
    if (!(stream ? open_stream(s, fd) : open_file(s, fd)))
        return s;
    gp_safetensors_close(s);
    return NULL;
}

/* Closes fd unless it is stdin. */
static gp_safetensors *open_and_close(int fd, const char *name)
{
    gp_safetensors *s = gp_safetensors_open_fd(fd, name, NULL, 0);
    if (fd != STDIN_FILENO)
        close(fd);
    return s;
}

gp_safetensors *gp_safetensors_open(const char *path)
{
    bool std = !strcmp(path, "-");
    int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno("%s", path), NULL;
    return open_and_close(fd, std ? "stdin" : path);
}

gp_safetensors *gp_safetensors_open_regular(const char *path)
{
    int fd = gp_open_regular(path);
    return fd < 0 ? NULL : open_and_close(fd, path);
}

void gp_safetensors_close(gp_safetensors *s)
{
    if (!s)
        return;
    gp_map_close(&s->map);
    json_decref(s->sums);
    json_decref(s->header);
    free(s->entries);
    free(s->by_name);
    free(s->path);
    free(s);
}

int64_t gp_safetensors_count(const gp_safetensors *s)
{
    return s->count;
}

const char *gp_safetensors_get(const gp_safetensors *s, int64_t i, gp_tensor *t)
{
    BUG_ON(i < 0 || i >= s->count);
    if (t)
        *t = s->entries[i].t;
    return s->entries[i].name;
}

int64_t gp_safetensors_index(const gp_safetensors *s, const char *name)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, s->count, i, strcmp(s->by_name[i]->name, name) < 0);
    return low < s->count && !strcmp(s->by_name[low]->name, name) ? s->by_name[low] - s->entries : -1;
}

bool gp_safetensors_find(const gp_safetensors *s, const char *name, gp_tensor *t)
{
    int64_t i = gp_safetensors_index(s, name);
    if (i >= 0)
        gp_safetensors_get(s, i, t);
    return i >= 0;
}

void gp_safetensors_forget(const gp_safetensors *s, int64_t i)
{
    const entry *e = &s->entries[i];
    gp_map_drop_pages(e->t.data, (size_t)(e->end - e->begin));
}

bool gp_safetensors_crc(const gp_safetensors *s, int64_t i, uint32_t *crc)
{
    return gp_sums_find(s->sums, gp_safetensors_get(s, i, NULL), crc);
}

const char *gp_safetensors_metadata(const gp_safetensors *s, const char *key, size_t *length)
{
    const json_t *text = json_object_get(s->metadata, key);
    if (text && length)
        *length = json_string_length(text);
    return json_string_value(text);
}

const char *gp_safetensors_metadata_at(const gp_safetensors *s, int64_t i, const char **key, size_t *length)
{
    json_t *text;
    json_object_foreach (s->metadata, *key, text)
        if (!i--) {
            *length = json_string_length(text);
            return json_string_value(text);
        }
    return NULL;
}

const char *gp_safetensors_path(const gp_safetensors *s)
{
    return s->path;
}
