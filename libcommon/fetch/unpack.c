/* unpack.c: see unpack.h. */
#include "fetch/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/progress.h"
#include "fetch/archive.h"

enum { BLOCK = 1 << 16, STAMP_MAX = 1 << 12, OPEN_MAX = 16 };

/* What was unpacked, for the stamp. */
typedef struct unpacked_counts {
    int64_t files, bytes;
    char sha256[65];  /* of a single file; "" of a folder */
    char archive[65]; /* of the archive, where it was read from a stamp */
} unpacked_counts;

/* One call of gp_unpack. */
typedef struct extraction {
    const gp_unpacking *u;
    gp_archive *archive;
    gp_progress progress;
    char block[BLOCK];
    unpacked_counts n;
} extraction;

/* ---- stamps ---------------------------------------------------------------------------------------------- */

static char *stamp_path(const gp_unpacking *u)
{
    if (u->folder)
        return gp_path_join(u->path, ".unpacked");
    const char *slash = strrchr(u->path, '/'), *name = slash ? slash + 1 : u->path;
    return gp_format("%.*s.%s.unpacked", (int)(name - u->path), u->path, name);
}

static int write_stamp(const char *path, const gp_unpacking *u, const unpacked_counts *n)
{
    json_t *o = json_pack("{s:s, s:I, s:I}", "archive", u->sha256, "files", (json_int_t)n->files, "bytes",
                          (json_int_t)n->bytes);
    if (*n->sha256)
        json_object_set_new(o, "sha256", json_string(n->sha256));
    char *text = gp_json_dump(o, JSON_COMPACT);
    gp_buf line = {0};
    gp_buf_printf(&line, "%s\n", text);
    int rc = gp_file_write(path, line.data, line.len);
    gp_buf_release(&line);
    free(text);
    json_decref(o);
    return rc;
}

/* Whether a stamp records that this archive was unpacked here, and what was in it; -1 where it cannot be read. */
static int read_stamp(const gp_unpacking *u, unpacked_counts *n)
{
    char *path = stamp_path(u);
    gp_buf text = {0};
    const char *archive = NULL, *sha256 = "";
    json_int_t files = 0, bytes = 0;
    int there = gp_exists(path);
    bool found = there > 0 && !gp_file_read_regular(&text, path, STAMP_MAX),
         unread = there && !found && gp_error_is_io();
    json_t *o = found ? gp_json_load(text.data, text.len, 0, NULL) : NULL;
    found = o && !json_unpack(o, "{s:s, s:I, s:I, s?s}", "archive", &archive, "files", &files, "bytes", &bytes,
                              "sha256", &sha256);
    found = found && gp_is_sha256(archive) && (!u->sha256 || !strcmp(u->sha256, archive));
    *n = (unpacked_counts){.files = files, .bytes = bytes};
    if (found) {
        snprintf(n->sha256, sizeof n->sha256, "%s", sha256);
        snprintf(n->archive, sizeof n->archive, "%s", archive);
    }
    json_decref(o);
    gp_buf_release(&text);
    free(path);
    return unread ? -1 : found;
}

static int is_file(const char *path, const unpacked_counts *n)
{
    gp_map m;
    char hex[65];
    if (gp_map_open(&m, path))
        return -1;
    gp_sha256_hex(hex, m.data, m.size);
    gp_map_close(&m);
    return !strcmp(hex, n->sha256);
}

/* Files below a folder, hidden ones apart; -1 on failure. */
static int64_t count_files(const char *path)
{
    char **names;
    int64_t listed, count = 0;
    if (gp_folder_list(path, &names, &listed))
        return -1;
    for (int64_t i = 0; count >= 0 && i < listed; i++) {
        struct stat st;
        if (*names[i] == '.')
            continue;
        char *name = gp_path_join(path, names[i]);
        int64_t more = lstat(name, &st)      ? fail_errno("%s", name)
                       : S_ISDIR(st.st_mode) ? count_files(name)
                                             : S_ISREG(st.st_mode);
        count = more < 0 ? -1 : count + more;
        free(name);
    }
    gp_folder_list_free(names, listed);
    return count;
}

int gp_unpack_check(const gp_unpacking *u, bool *present, char *archive)
{
    unpacked_counts n;
    struct stat st;
    *present = false;
    *archive = 0;
    int there = gp_stat(u->path, &st);
    if (there <= 0)
        return there;
    if (u->folder != S_ISDIR(st.st_mode))
        return fail("%s: is a %s, a %s is needed there; move it away", u->path, u->folder ? "file" : "folder",
                    u->folder ? "folder" : "file");
    int stamped = read_stamp(u, &n);
    memcpy(archive, n.archive, sizeof n.archive);
    if (stamped < 0)
        return -1;
    if (!u->folder) { /* a wrong file is replaced, as without unpacking */
        int same = stamped ? is_file(u->path, &n) : 0;
        *present = same > 0;
        return same < 0 ? -1 : 0;
    }
    if (!stamped)
        return fail("%s: exists, but was not unpacked from this archive; move it away", u->path);
    int64_t files = count_files(u->path);
    if (files < 0)
        return -1;
    if (files < n.files)
        return fail("%s: has %lld of the %lld files that were unpacked into it; remove it to fetch it again", u->path,
                    (long long)files, (long long)n.files);
    *present = true;
    return 0;
}

/* ---- folders --------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

int gp_remove_tree(const char *path)
{
    if (!nftw(path, remove_one, OPEN_MAX, FTW_DEPTH | FTW_PHYS) || errno == ENOENT)
        return 0;
    return fail("%s: cannot be removed: %s", path, strerror(errno));
}

/* A new file; missing folders are created. */
static int create_file(const char *path)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fd = open(path, flags, 0666);
    if (fd < 0 && errno == ENOENT) {
        if (gp_make_parent_unflushed(path)) /* flush_files does it for all */
            return -1;
        fd = open(path, flags, 0666);
    }
    if (fd < 0 && errno == EEXIST)
        return fail("%s: is in the archive twice", path);
    return fd < 0 ? fail("%s: cannot be created: %s", path, strerror(errno)) : fd;
}

static int unpack_file_to(extraction *j, const char *path)
{
    int fd = create_file(path), rc = 0;
    int64_t n = 0;
    if (fd < 0)
        return -1;
    while (!rc && (n = gp_archive_read(j->archive, j->block, BLOCK)) > 0) {
        rc = gp_write_all(fd, j->block, (size_t)n, path);
        j->n.bytes += n;
        gp_progress_set(&j->progress, gp_archive_consumed(j->archive), NULL);
    }
    if (close(fd) && !rc)
        rc = fail("%s: cannot be written: %s", path, strerror(errno));
    return rc || n < 0 ? -1 : 0;
}

static int unpack_all_below(extraction *j, const char *dir)
{
    gp_archive_file f;
    int rc;
    while ((rc = gp_archive_next(j->archive, &f)) > 0) {
        if (f.single)
            return fail("%s: is one compressed file, an archive of several was expected", j->progress.label);
        char *path = gp_path_join(dir, f.path);
        rc = unpack_file_to(j, path);
        free(path);
        if (rc)
            return -1;
        j->n.files++;
    }
    if (!rc && !j->n.files)
        return fail("%s: holds no files", j->progress.label);
    return rc;
}

/* The only entry of dir, if that is a folder, fresh; otherwise dir itself. NULL on failure. */
static char *find_top(const char *dir)
{
    char **names, *top;
    int64_t count;
    struct stat st = {0};
    if (gp_folder_list(dir, &names, &count))
        return NULL;
    top = count == 1 ? gp_path_join(dir, names[0]) : gp_strdup(dir);
    gp_folder_list_free(names, count);
    if (lstat(top, &st)) {
        fail_errno("%s", top);
        free(top);
        return NULL;
    }
    if (S_ISDIR(st.st_mode))
        return top;
    free(top);
    return gp_strdup(dir);
}

/* All files at once: to flush a hundred thousand small ones one by one takes minutes. */
static int flush_files(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0 || syncfs(fd))
        rc = fail("%s: cannot be flushed to disk: %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Fails if it exists: where other users can write too, an existing one could be a link of theirs. */
static int make_new_folder(const char *dir)
{
    return mkdir(dir, 0777) ? fail("%s: folder cannot be created: %s", dir, strerror(errno)) : 0;
}

static int unpack_folder(extraction *j)
{
    const gp_unpacking *u = j->u;
    char *dir = gp_format("%s.unpacking", u->path), *top = NULL, *stamp = NULL;
    int rc = -1;
    if (gp_remove_tree(dir)) /* an earlier run was killed */
        goto out;
    if (gp_make_parent(dir) || make_new_folder(dir) || unpack_all_below(j, dir))
        goto out;
    top = find_top(dir);
    if (!top)
        goto out;
    stamp = gp_path_join(top, ".unpacked");
    if (write_stamp(stamp, u, &j->n) || flush_files(dir))
        goto out;
    if (rename(top, u->path)) {
        fail("%s: cannot be renamed into place: %s", u->path, strerror(errno));
        goto out;
    }
    rc = gp_sync_parent(u->path);
out:
    if (rc) {
        char *why = gp_strdup(gp_error());
        gp_remove_tree(dir);
        fail("%s", why);
        free(why);
    } else {
        rmdir(dir); /* which contained the top folder */
    }
    free(stamp);
    free(top);
    free(dir);
    return rc;
}

/* ---- one file -------------------------------------------------------------------------------------------- */

static int copy_file(extraction *j, gp_out *out)
{
    gp_sha256 h;
    int64_t n;
    gp_sha256_begin(&h);
    while ((n = gp_archive_read(j->archive, j->block, BLOCK)) > 0) {
        gp_sha256_add(&h, j->block, (size_t)n);
        j->n.bytes += n;
        if (gp_out_write(out, j->block, (size_t)n)) {
            n = -1;
            break;
        }
        gp_progress_set(&j->progress, gp_archive_consumed(j->archive), NULL);
    }
    gp_sha256_end_hex(&h, j->n.sha256, 32);
    return n < 0 ? -1 : 0;
}

static int unpack_file(extraction *j)
{
    gp_archive_file f;
    gp_out out;
    int rc = gp_archive_next(j->archive, &f);
    if (rc <= 0)
        return rc ? -1 : fail("%s: holds no files", j->progress.label);
    if (gp_out_open(&out, j->u->path))
        return -1;
    rc = copy_file(j, &out);
    if (!rc && (rc = gp_archive_next(j->archive, &f)) > 0)
        rc = fail("%s: holds more than one file, one was expected", j->progress.label);
    j->n.files = 1;
    bool stream = !out.temporary;
    rc = gp_out_end(&out, rc);
    if (rc || stream)
        return rc;
    char *stamp = stamp_path(j->u);
    rc = write_stamp(stamp, j->u, &j->n);
    free(stamp);
    return rc;
}

int gp_unpack(int fd, const char *name, const gp_unpacking *u)
{
    struct stat st;
    BUG_ON(u->folder && !strcmp(u->path, "-"));
    gp_archive *archive = gp_archive_open_fd(fd, name, u->size);
    if (!archive)
        return -1;
    extraction *j = gp_calloc(1, sizeof *j);
    j->u = u;
    j->archive = archive;
    gp_progress_begin(&j->progress, name, GP_PROGRESS_BYTES, 0, fstat(fd, &st) ? -1 : st.st_size, u->quiet);
    gp_progress_join(&j->progress, u->group);
    int rc = u->folder ? unpack_folder(j) : unpack_file(j);
    gp_progress_end(&j->progress);
    gp_archive_close(archive);
    free(j);
    return rc;
}
