/* zip.c: see zip.h. */
#include "checkpoint/torch/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    END_SIZE = 22,        /* end of central directory record */
    END64_SIZE = 56,      /* the same of zip64 */
    LOCATOR_SIZE = 20,    /* where that one is */
    DIRECTORY_SIZE = 46,  /* an entry of the central directory, before its name */
    LOCAL_SIZE = 30,      /* a local header, before its name */
    MAX_COMMENT = 0xFFFF, /* after the end record */
    MAX_RATIO = 1032,     /* deflate's best: 258 bytes in 2 bits */
    SMALL = 1 << 26,      /* beyond it, a file's ratio is at most SAFE_RATIO, as of an archive (fetch/archive.h) */
    SAFE_RATIO = 200,
    SIZES_FOLLOW = 8,   /* flag: sizes and CRC of a local header follow the data */
    ENCRYPTED = 0x2041, /* flags */
};

static uint64_t number(const char *at, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | (uint8_t)at[i];
    return v;
}

static bool is_record(const char *at, char a, char b)
{
    return at[0] == 'P' && at[1] == 'K' && at[2] == a && at[3] == b;
}

typedef struct directory {
    const char *path, *data; /* the archive */
    size_t begin, end;       /* the central directory: offsets in the archive */
    uint64_t count;
} directory;

/* The end record: nothing but its own comment follows it. Its offset, or -1. */
static int64_t find_end(const char *data, size_t size)
{
    for (size_t back = END_SIZE; back <= size && back <= END_SIZE + MAX_COMMENT; back++)
        if (is_record(data + size - back, 5, 6) && number(data + size - back + 20, 2) == back - END_SIZE)
            return (int64_t)(size - back);
    return -1;
}

static int read_end(directory *d, const gp_map *map)
{
    int64_t at = find_end(map->data, map->size);
    if (at < 0)
        return fail("%s: has no end of a zip's central directory (truncated?)", d->path);
    const char *end = map->data + at;
    uint64_t disks = number(end + 4, 2) | number(end + 6, 2);
    uint64_t size = number(end + 12, 4), begin = number(end + 16, 4), here = number(end + 8, 2);
    d->count = number(end + 10, 2);
    if (at >= LOCATOR_SIZE && is_record(end - LOCATOR_SIZE, 6, 7)) {
        uint64_t where = number(end - LOCATOR_SIZE + 8, 8);
        at -= LOCATOR_SIZE + END64_SIZE;
        if (at < 0 || where != (uint64_t)at || !is_record(map->data + at, 6, 6))
            return fail("%s: has no zip64 record where its locator points (offset %llu)", d->path,
                        (unsigned long long)where);
        const char *wide = map->data + at;
        disks = number(wide + 16, 4) | number(wide + 20, 4);
        here = number(wide + 24, 8);
        d->count = number(wide + 32, 8);
        size = number(wide + 40, 8);
        begin = number(wide + 48, 8);
    }
    if (disks || here != d->count)
        return fail("%s: is one volume of a split zip archive", d->path);
    if (begin > (uint64_t)at || size != (uint64_t)at - begin)
        return fail("%s: its central directory lies at bytes %llu to %llu, expected to end at %lld", d->path,
                    (unsigned long long)begin, (unsigned long long)(begin + size), (long long)at);
    if (d->count > size / DIRECTORY_SIZE)
        return fail("%s: its central directory of %llu bytes has %llu entries", d->path, (unsigned long long)size,
                    (unsigned long long)d->count);
    d->begin = (size_t)begin;
    d->end = (size_t)at;
    return 0;
}

/* Sizes and offset of an entry of 32 bits that are all ones stand in its zip64 field. */
static int widen(const directory *d, const char *extra, size_t n, uint64_t *size, uint64_t *packed, uint64_t *offset)
{
    uint64_t *wide[] = {size, packed, offset};
    size_t at = 0, stop = 0;
    while (n - at >= 4 && !stop) {
        size_t length = (size_t)number(extra + at + 2, 2);
        if (length > n - at - 4)
            return fail("%s: an extra field in its central directory is cut", d->path);
        at += 4;
        if (number(extra + at - 4, 2) == 1)
            stop = at + length;
        else
            at += length;
    }
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        if (*wide[i] != UINT32_MAX)
            continue;
        if (stop < at + 8)
            return fail("%s: an entry of its central directory lacks its zip64 sizes", d->path);
        *wide[i] = number(extra + at, 8);
        at += 8;
    }
    return 0;
}

/* f has its name, and its sizes: checks them against the local header at `offset`, and finds the data. */
static int read_local(const directory *d, gp_zip_file *f, const char *entry, uint64_t offset)
{
    const char *name = f->name;
    int length = (int)f->name_size;
    if (offset > d->begin || d->begin - offset < LOCAL_SIZE || !is_record(d->data + offset, 3, 4))
        return fail("%s: %.*s has no local header at offset %llu", d->path, length, name, (unsigned long long)offset);
    const char *local = d->data + offset;
    size_t room = d->begin - (size_t)offset - LOCAL_SIZE;
    size_t before = (size_t)(number(local + 26, 2) + number(local + 28, 2));
    if (number(local + 26, 2) != f->name_size || before > room ||
        memcmp(local + LOCAL_SIZE, f->name, f->name_size) != 0 || number(local + 8, 2) != number(entry + 10, 2))
        return fail("%s: the local header of %.*s disagrees with the central directory", d->path, length, name);
    uint64_t packed = number(local + 18, 4), size = number(local + 22, 4);
    if (!(number(local + 6, 2) & SIZES_FOLLOW) &&
        ((packed != UINT32_MAX && packed != f->packed) || (size != UINT32_MAX && size != f->size) ||
         number(local + 14, 4) != f->crc))
        return fail("%s: the local header of %.*s has other sizes than the central directory", d->path, length, name);
    if (f->packed > room - before)
        return fail("%s: %.*s has %zu bytes, but %zu follow (truncated?)", d->path, length, name, f->packed,
                    room - before);
    f->header = local;
    f->data = local + LOCAL_SIZE + before;
    return 0;
}

static int read_entry(const directory *d, size_t *at, gp_zip_file *f)
{
    const char *entry = d->data + *at;
    if (d->end - *at < DIRECTORY_SIZE || !is_record(entry, 1, 2))
        return fail("%s: its central directory is damaged at offset %zu", d->path, *at);
    size_t extra = (size_t)number(entry + 30, 2), comment = (size_t)number(entry + 32, 2);
    uint64_t method = number(entry + 10, 2), packed = number(entry + 20, 4), size = number(entry + 24, 4);
    uint64_t offset = number(entry + 42, 4);
    *f = (gp_zip_file){.name = entry + DIRECTORY_SIZE, .name_size = (size_t)number(entry + 28, 2)};
    if (f->name_size + extra + comment > d->end - *at - DIRECTORY_SIZE)
        return fail("%s: its central directory is cut at offset %zu", d->path, *at);
    if (widen(d, f->name + f->name_size, extra, &size, &packed, &offset))
        return -1;
    *at += DIRECTORY_SIZE + f->name_size + extra + comment;
    int length = (int)f->name_size;
    if (method != 0 && method != Z_DEFLATED)
        return fail("%s: %.*s is compressed by method %llu, expected 0 (stored) or 8 (deflated)", d->path, length,
                    f->name, (unsigned long long)method);
    if (method && size > SMALL && (size - SMALL) / SAFE_RATIO > packed)
        return fail("%s: %.*s unpacks to %llu bytes from %llu, more than 64 MiB and %d times as much", d->path, length,
                    f->name, (unsigned long long)size, (unsigned long long)packed, SAFE_RATIO);
    if (number(entry + 8, 2) & ENCRYPTED)
        return fail("%s: %.*s is encrypted", d->path, length, f->name);
    f->deflated = method == Z_DEFLATED;
    if (packed > d->begin || (f->deflated ? size / MAX_RATIO > packed : size != packed))
        return fail("%s: %.*s has %llu bytes and %llu when unpacked, which cannot be", d->path, length, f->name,
                    (unsigned long long)packed, (unsigned long long)size);
    f->packed = (size_t)packed;
    f->size = (size_t)size;
    f->crc = (uint32_t)number(entry + 16, 4);
    return read_local(d, f, entry, offset);
}

static int by_place(const void *a, const void *b)
{
    const gp_zip_file *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int by_name(const void *a, const void *b)
{
    const gp_zip_file *x = a, *y = b;
    return gp_compare_bytes(x->name, x->name_size, y->name, y->name_size);
}

static int check_overlaps(gp_zip *z, const char *path)
{
    qsort(z->files, (size_t)z->count, sizeof *z->files, by_place);
    for (int64_t i = 1; i < z->count; i++) {
        const gp_zip_file *f = &z->files[i], *before = f - 1;
        if (f->header < before->data + before->packed)
            return fail("%s: %.*s and %.*s overlap", path, (int)before->name_size, before->name, (int)f->name_size,
                        f->name);
    }
    return 0;
}

int gp_zip_sort(gp_zip *z, const char *path)
{
    qsort(z->files, (size_t)z->count, sizeof *z->files, by_name);
    for (int64_t i = 1; i < z->count; i++)
        if (!by_name(&z->files[i - 1], &z->files[i]))
            return fail("%s: has two files named %.*s", path, (int)z->files[i].name_size, z->files[i].name);
    return 0;
}

int gp_zip_open(gp_zip *z, const gp_map *map, const char *path)
{
    directory d = {.path = path, .data = map->data};
    *z = (gp_zip){0};
    if (read_end(&d, map))
        return -1;
    z->files = gp_calloc((size_t)d.count, sizeof *z->files);
    size_t at = d.begin;
    for (; z->count < (int64_t)d.count; z->count++)
        if (read_entry(&d, &at, &z->files[z->count]))
            return -1;
    if (at != d.end)
        return fail("%s: its central directory has %zu bytes after its last entry", path, d.end - at);
    return check_overlaps(z, path) || gp_zip_sort(z, path) ? -1 : 0;
}

const gp_zip_file *gp_zip_find(const gp_zip *z, const char *name, size_t n)
{
    int64_t low = 0;
    GP_LOWER_BOUND(low, z->count, i, gp_compare_bytes(z->files[i].name, z->files[i].name_size, name, n) < 0);
    const gp_zip_file *f = z->files + low;
    return low < z->count && !gp_compare_bytes(f->name, f->name_size, name, n) ? f : NULL;
}

int gp_zip_check(const gp_zip_file *f, const char *bytes, const char *path)
{
    uint32_t crc = f->crc ? gp_crc32(0, bytes, f->size) : 0;
    if (crc == f->crc)
        return f->crc != 0;
    return fail("%s: %.*s is damaged (CRC-32 %08x, expected %08x)", path, (int)f->name_size, f->name, crc, f->crc);
}

/* Inflates all of f into the f->size bytes at `to`: whether that is what is there. */
static bool inflate_into(const gp_zip_file *f, char *to)
{
    enum { STEP = 1 << 30 };
    z_stream s = {0};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        die("out of memory");
    size_t in = 0, out = 0;
    int rc = Z_OK;
    char none = 0; /* where there is no room: an empty file */
    while (rc == Z_OK) {
        uInt give = (uInt)gp_min(STEP, (int64_t)(f->packed - in)), room = (uInt)gp_min(STEP, (int64_t)(f->size - out));
        s.next_in = (Bytef *)(uintptr_t)(f->data + in);
        s.avail_in = give;
        s.next_out = (Bytef *)(room ? to + out : &none);
        s.avail_out = room;
        rc = inflate(&s, Z_NO_FLUSH);
        in += give - s.avail_in;
        out += room - s.avail_out;
        if (rc == Z_OK && give == s.avail_in && room == s.avail_out)
            break;
    }
    inflateEnd(&s);
    return rc == Z_STREAM_END && out == f->size && in == f->packed;
}

char *gp_zip_unpack(const gp_zip_file *f, const char *path)
{
    char *bytes = malloc(f->size ? f->size : 1); /* pages are taken as they are filled */
    if (!bytes)
        return fail("%s: %.*s: no memory for its %zu bytes", path, (int)f->name_size, f->name, f->size), NULL;
    bool good = inflate_into(f, bytes);
    if (!good)
        fail("%s: %.*s does not inflate to its %zu bytes", path, (int)f->name_size, f->name, f->size);
    if (good && gp_zip_check(f, bytes, path) >= 0)
        return bytes;
    free(bytes);
    return NULL;
}

void gp_zip_close(gp_zip *z)
{
    free(z->files);
    *z = (gp_zip){0};
}
