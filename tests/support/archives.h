/* archives.h: archives for tests, made by libarchive's writer. */
#ifndef ARCHIVES_H
#define ARCHIVES_H

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "test.h"

typedef struct packed {
    const char *path, *text; /* text NULL: a folder */
    const char *link;        /* where a symbolic link points, or ">PATH" of a hard one; NULL: none */
    size_t length;           /* of text; 0: to its end */
} packed;

/* Writes an archive; its kind is its name's end: .tar, .tar.gz, .tar.zst, .tar.xz, .zip, or .gz and .zst for the
 * first file alone. The list ends with a path that is NULL. */
static inline void pack(const char *name, const packed *files)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    bool tar = strstr(name, ".tar"), zip = strstr(name, ".zip");
    if (tar)
        assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    else if (zip)
        assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    else
        assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    archive_write_set_bytes_in_last_block(a, 1);
    if (strstr(name, ".gz"))
        assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    if (strstr(name, ".zst"))
        assert_int_equal(archive_write_add_filter_zstd(a), ARCHIVE_OK);
    if (strstr(name, ".xz"))
        assert_int_equal(archive_write_add_filter_xz(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, name), ARCHIVE_OK);
    for (const packed *f = files; f->path && (tar || zip || f == files); f++) {
        size_t n = f->length ? f->length : f->text ? strlen(f->text) : 0;
        archive_entry_clear(e);
        archive_entry_set_pathname(e, f->path);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_filetype(e, f->text ? AE_IFREG : AE_IFDIR);
        archive_entry_set_size(e, (int64_t)n);
        if (f->link && *f->link == '>')
            archive_entry_set_hardlink(e, f->link + 1);
        else if (f->link)
            archive_entry_set_symlink(e, f->link), archive_entry_set_filetype(e, AE_IFLNK);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        if (n)
            assert_int_equal(archive_write_data(a, f->text, n), (la_ssize_t)n);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    archive_entry_free(e);
}

#endif
