/* archive.c: see archive.h. */
#include "fetch/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fetch/libraries.h"

enum { BLOCK = 1 << 16, MAX_PATH = 4095, MAX_DEPTH = 64, TAR_BLOCK = 512 };
static const int64_t FREE_BYTES = 64 << 20, MAX_RATIO = 200;

/* An entry costs an inode and a disk block, but only a few bytes of the archive; in real data sets 100 bytes or more.
 * */
static const int64_t FREE_ENTRIES = 16384, BYTES_AN_ENTRY = 20;

struct gp_archive {
    struct archive *reader;
    struct archive_entry *entry; /* not the library's own, whose allocation it does not check */
    char *name;
    int fd;
    char *block;
    int64_t size, unpacked;
    int64_t entries, max_entries; /* files and folders so far, and their limit */
    int64_t done, max_bytes;      /* uncompressed bytes so far, and their limit */
    int64_t names, max_names;     /* bytes of all paths so far, and their limit */
    bool cut;
    gp_buf path;
};

/* ---- an archive ------------------------------------------------------------------------------------------ */

static int broken(const gp_archive *a)
{
    const char *why = gp_libarchive.error_string(a->reader);
    if (gp_libarchive.error_number(a->reader) == ENOMEM)
        die("out of memory (libarchive)");
    return fail("%s: cannot be unpacked: %s; it is damaged or cut short", a->name, why ? why : "no reason given");
}

static int too_large(const gp_archive *a)
{
    if (a->unpacked >= 0)
        return fail("%s: unpacks to more than the %lld bytes expected", a->name, (long long)a->unpacked);
    return fail("%s: unpacks to more than %lld bytes, which is too much for an archive of %lld bytes; if it "
                "is not a decompression bomb, give its size as \"unpacked\" in the catalog",
                a->name, (long long)a->max_bytes, (long long)a->size);
}

static struct archive *new_reader(void)
{
    struct archive *r = gp_libarchive.read_new();
    if (!r)
        die("out of memory (libarchive)");
    int rcs[] = {gp_libarchive.read_support_format_tar(r),  gp_libarchive.read_support_format_zip(r),
                 gp_libarchive.read_support_format_raw(r), /* a compressed file alone */
                 gp_libarchive.read_support_filter_gzip(r), gp_libarchive.read_support_filter_zstd(r),
                 gp_libarchive.read_support_filter_xz(r),   gp_libarchive.read_support_filter_bzip2(r)};
    for (size_t i = 0; i < ARRAY_LEN(rcs); i++)
        if (rcs[i] < ARCHIVE_WARN) /* without the tar format, an archive would pass for a single file */
            die("out of memory (libarchive)");
    return r;
}

static la_ssize_t read_block(struct archive *r, void *self, const void **block)
{
    gp_archive *a = self;
    ssize_t n = gp_read(a->fd, a->block, BLOCK, -1);
    if (n < 0)
        gp_libarchive.set_error(r, errno, "%s", strerror(errno));
    *block = a->block;
    return n < 0 ? ARCHIVE_FATAL : n;
}

/* For zip, whose table of contents is at the end. */
static la_int64_t seek_block(struct archive *r, void *self, la_int64_t offset, int from)
{
    const gp_archive *a = self;
    off_t at = lseek(a->fd, offset, from);
    if (at < 0)
        gp_libarchive.set_error(r, errno, "%s", strerror(errno));
    return at < 0 ? ARCHIVE_FATAL : at;
}

/* The library's own reader of descriptors does not check its allocations. */
static int begin_reading(gp_archive *a)
{
    struct archive *r = a->reader;
    if (gp_libarchive.read_set_callback_data(r, a) || gp_libarchive.read_set_read_callback(r, read_block) ||
        gp_libarchive.read_set_seek_callback(r, seek_block) || gp_libarchive.read_open1(r))
        return broken(a);
    return 0;
}

gp_archive *gp_archive_open_fd(int fd, const char *name, int64_t unpacked)
{
    struct stat st;
    if (gp_libarchive_open())
        return NULL;
    if (fstat(fd, &st) || lseek(fd, 0, SEEK_SET) < 0)
        return fail("%s: cannot be read: %s", name, strerror(errno)), NULL;
    if (!S_ISREG(st.st_mode))
        return fail("%s: is not a regular file, an archive was expected", name), NULL;
    gp_archive *a = gp_calloc(1, sizeof *a);
    int64_t size = (int64_t)st.st_size, max_bytes = INT64_MAX;
    if (gp_mul(size, MAX_RATIO, &max_bytes))
        max_bytes = max_bytes < INT64_MAX - FREE_BYTES ? max_bytes + FREE_BYTES : INT64_MAX;
    *a = (gp_archive){.reader = new_reader(),
                      .name = gp_strdup(name),
                      .fd = fd,
                      .block = gp_malloc(BLOCK),
                      .size = size,
                      .unpacked = unpacked,
                      .max_entries = FREE_ENTRIES + size / BYTES_AN_ENTRY,
                      .max_names = FREE_BYTES + size,
                      .max_bytes = unpacked >= 0 ? unpacked : max_bytes};
    a->entry = gp_libarchive.entry_new();
    if (!a->entry)
        die("out of memory (libarchive)");
    if (!begin_reading(a))
        return a;
    gp_archive_close(a);
    return NULL;
}

void gp_archive_close(gp_archive *a)
{
    if (!a)
        return;
    gp_libarchive.read_free(a->reader);
    gp_libarchive.entry_free(a->entry);
    free(a->block);
    gp_buf_release(&a->path);
    free(a->name);
    free(a);
}

/* Counts an entry against the limits; a folder costs as much as a file. */
static int count_entry(gp_archive *a, const char *path)
{
    size_t n = path ? strlen(path) : 0, depth = 0;
    for (const char *part = path; part && *part; part += strcspn(part, "/"), depth++)
        part += strspn(part, "/");
    if (++a->entries > a->max_entries)
        return fail("%s: holds more than %lld files and folders, the limit for an archive of %lld bytes (%lld, and one "
                    "more for each %lld bytes)",
                    a->name, (long long)a->max_entries, (long long)a->size, (long long)FREE_ENTRIES,
                    (long long)BYTES_AN_ENTRY);
    if (n > MAX_PATH || depth > MAX_DEPTH)
        return fail("%s: holds a path of %zu bytes and %zu parts, the limits are %d and %d: %.60s...", a->name, n,
                    depth, MAX_PATH, MAX_DEPTH, path);
    a->names += (int64_t)n;
    if (a->names > a->max_names)
        return fail("%s: its paths have more than %lld bytes together, the limit for an archive of %lld bytes", a->name,
                    (long long)a->max_names, (long long)a->size);
    return 0;
}

/* The path without its empty and "." parts, into a->path. */
static int set_path(gp_archive *a, const char *from)
{
    a->path.len = 0;
    if (!from || *from == '/')
        return fail("%s: holds a file %s, which is not below the archive's folder; nothing is unpacked", a->name,
                    from ? from : "without a name");
    for (const char *part = from; *part; part += strspn(part, "/")) {
        size_t n = strcspn(part, "/");
        if (n == 2 && !memcmp(part, "..", 2))
            return fail("%s: holds a file %s, which leads out of its folder; nothing is unpacked", a->name, from);
        if (n != 1 || *part != '.') {
            gp_buf_puts(&a->path, a->path.len ? "/" : "");
            gp_buf_add(&a->path, part, n);
        }
        part += n;
    }
    return 0;
}

/* A name that libarchive cannot convert to this locale is taken as the UTF-8 that the archive has. */
static const char *path_of(struct archive_entry *e)
{
    const char *path = gp_libarchive.entry_pathname(e);
    return path ? path : gp_libarchive.entry_pathname_utf8(e);
}

/* 1: a file; 0: a folder, which is skipped; -1: an entry that is not allowed. */
static int check_entry(gp_archive *a, struct archive_entry *e)
{
    if (count_entry(a, path_of(e)) || set_path(a, path_of(e)))
        return -1;
    bool hard = gp_libarchive.entry_hardlink(e) || gp_libarchive.entry_hardlink_utf8(e);
    if (hard || gp_libarchive.entry_filetype(e) == AE_IFLNK)
        return fail("%s: holds a link, %s; nothing is unpacked", a->name, a->path.data);
    if (gp_libarchive.entry_filetype(e) == AE_IFDIR)
        return 0;
    if (gp_libarchive.entry_filetype(e) != AE_IFREG || !a->path.len)
        return fail("%s: holds %s, which is neither file nor folder; nothing is unpacked", a->name,
                    a->path.len ? a->path.data : "a file without a name");
    if (gp_libarchive.entry_size_is_set(e) && gp_libarchive.entry_size(e) > a->max_bytes - a->done)
        return too_large(a);
    return 1;
}

/* The next entry, or ARCHIVE_EOF. A tar ends with blocks of zeros. libarchive does not notice where one was cut between
 * two files, but then the last read consumes no block. */
static int next_entry(gp_archive *a, struct archive_entry **e)
{
    if (a->entries && gp_libarchive.read_data_skip(a->reader) < ARCHIVE_WARN) /* and the padding after it */
        return ARCHIVE_FATAL;
    int64_t before = gp_libarchive.filter_bytes(a->reader, 0);
    int rc = gp_libarchive.read_next_header2(a->reader, a->entry);
    *e = a->entry;
    bool tar = (gp_libarchive.format(a->reader) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    a->cut = rc == ARCHIVE_EOF && tar && gp_libarchive.filter_bytes(a->reader, 0) - before < TAR_BLOCK;
    return rc;
}

int gp_archive_next(gp_archive *a, gp_archive_file *f)
{
    for (;;) {
        struct archive_entry *e;
        int rc = next_entry(a, &e);
        if (a->cut)
            return fail("%s: is cut short: the mark at its end is missing", a->name);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) /* a warning: a name that this locale cannot show */
            return a->size ? broken(a) : fail("%s: is empty, an archive was expected", a->name);
        bool single = gp_libarchive.format(a->reader) == ARCHIVE_FORMAT_RAW;
        if (single && gp_libarchive.filter_code(a->reader, 0) == ARCHIVE_FILTER_NONE)
            return fail("%s: is not an archive (tar or zip) nor compressed (gz, zst, xz, bz2)", a->name);
        rc = check_entry(a, e);
        *f = (gp_archive_file){.path = a->path.data, .single = single};
        if (rc)
            return rc;
    }
    if (a->unpacked >= 0 && a->done < a->unpacked)
        return fail("%s: unpacks to %lld bytes, expected %lld", a->name, (long long)a->done, (long long)a->unpacked);
    return 0;
}

int64_t gp_archive_read(gp_archive *a, void *to, size_t n)
{
    la_ssize_t got;
    do
        got = gp_libarchive.read_data(a->reader, to, n);
    while (got == ARCHIVE_RETRY);
    if (got < 0)
        return broken(a);
    a->done += got;
    return a->done > a->max_bytes ? too_large(a) : got;
}

int64_t gp_archive_consumed(const gp_archive *a)
{
    return gp_libarchive.filter_bytes(a->reader, -1);
}
