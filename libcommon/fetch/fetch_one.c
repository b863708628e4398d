/* fetch_one.c: a file of the catalog: its sources in turn, retries, the check; see fetch_one.h. */
#include "fetch/fetch_one.h"

#include "base/rng.h"
#include "fetch/download.h"
#include "fetch/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RETRIES = 5, BLOCK = 1 << 16 };
static const double CONNECT = 20, STALL = 30, PAUSE = 1, LONGEST_PAUSE = 30;

/* One call of gp_fetch_one_file. */
typedef struct fetch_task {
    gp_fetch_one *b;
    const gp_catalog_file *file;
    gp_fetch_options o; /* with the defaults filled in */
    gp_partial part;
    gp_progress progress;
    bool tried; /* some source was asked */
} fetch_task;

static bool is_url(const char *s)
{
    return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
}

/* MIRROR/host/path for https://host/path, fresh. */
static char *mirrored(const char *mirror, const char *url)
{
    if (!strncmp(mirror, "file://", 7))
        mirror += 7;
    return gp_path_join(mirror, strstr(url, "://") + 3);
}

/* What is here against what the catalog says. */
static bool is_right(const fetch_task *j)
{
    char hex[65];
    if (j->file->size >= 0 && j->part.done != j->file->size)
        return false;
    if (!j->file->sha256)
        return true;
    gp_partial_digest(&j->part, hex);
    return !strcmp(hex, j->file->sha256);
}

/* Says what is wrong with what came, and forgets it. */
static gp_transfer wrong(fetch_task *j, const char *source)
{
    char hex[65];
    gp_partial_digest(&j->part, hex);
    if (j->file->size >= 0 && j->part.done != j->file->size)
        fail("%s: has %lld bytes, expected %lld%s%s: the file has changed at its source", source,
             (long long)j->part.done, (long long)j->file->size, j->b->lock ? " as in " : "",
             j->b->lock ? j->b->lock : "");
    else
        fail("%s: its SHA-256 is %s, expected %s%s%s: the file has changed at its source or on the way", source, hex,
             j->file->sha256, j->b->lock ? " as in " : "", j->b->lock ? j->b->lock : "");
    return gp_partial_restart(&j->part) ? GP_TRANSFER_STOP : GP_TRANSFER_NO;
}

static gp_transfer copy_file(fetch_task *j, const char *path)
{
    int fd = gp_open_regular(path);
    gp_transfer verdict = GP_TRANSFER_DONE;
    if (fd < 0)
        return GP_TRANSFER_NO;
    char *block = gp_malloc(BLOCK);
    if (j->part.done && gp_partial_restart(&j->part))
        verdict = GP_TRANSFER_STOP;
    while (verdict == GP_TRANSFER_DONE) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail("%s: cannot be read: %s", path, strerror(errno));
            verdict = GP_TRANSFER_NO;
        } else if (n && gp_partial_add(&j->part, block, (size_t)n)) {
            verdict = GP_TRANSFER_STOP;
        }
        if (n <= 0)
            break;
        gp_progress_set(&j->progress, j->part.done, NULL);
    }
    free(block);
    close(fd);
    if (verdict == GP_TRANSFER_DONE && !is_right(j))
        verdict = wrong(j, path);
    return verdict;
}

/* Half to all of a pause that doubles each time, so that many clients do not come back at once. */
static void rest(fetch_task *j, int failures, double asked)
{
    double pause = j->o.pause;
    for (int i = 1; i < failures && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    pause = fmin(pause, LONGEST_PAUSE) *
            (0.5 + 0.5 * gp_random_double((uint64_t)getpid(), 0, 0, (uint64_t)(gp_now() * 1e6)));
    pause = fmax(pause, asked);
    gp_progress_say(&j->progress, "%s; trying again in %.0f s", gp_error(), ceil(pause));
    struct timespec left = {(time_t)pause, (long)((pause - floor(pause)) * 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

static gp_transfer download(fetch_task *j, const char *url)
{
    gp_download d = {.part = &j->part,
                     .progress = &j->progress,
                     .size = j->file->size,
                     .limit = (int64_t)64 << 30,
                     .connect = j->o.connect,
                     .stall = j->o.stall,
                     .checked = j->file->sha256 != NULL};
    int64_t farthest = j->part.done;
    bool anew = false; /* what an earlier run left was no good, and is not held against this one's retries */
    for (int failures = 0;;) {
        gp_transfer verdict = gp_download_run(&d, url);
        bool cut = verdict == GP_TRANSFER_AGAIN && j->part.done && j->file->sha256;
        if (cut && is_right(j))
            return GP_TRANSFER_DONE; /* the server has promised more than there is */
        bool joint = d.changed;      /* what was joined may be what is wrong */
        if (verdict == GP_TRANSFER_DONE && !is_right(j)) {
            joint = j->part.resumed;
            verdict = wrong(j, url);
            if (joint && verdict == GP_TRANSFER_NO)
                verdict = GP_TRANSFER_AGAIN;
        }
        if (verdict != GP_TRANSFER_AGAIN)
            return verdict;
        if (joint && !anew) {
            anew = true;
            gp_progress_say(&j->progress, "%s; all of it is asked for again", gp_error());
            continue;
        }
        failures = j->part.done > farthest ? 1 : failures + 1; /* one that gets on may go on */
        farthest = gp_max(farthest, j->part.done);
        if (d.no_host && failures > 1) {
            fail("%s; without a network, --mirror takes the file from a folder", gp_error());
            return GP_TRANSFER_NO;
        }
        if (failures > j->o.retries)
            return GP_TRANSFER_NO;
        rest(j, failures, d.wait);
    }
}

/* One URL: its place in the mirror first, then itself. */
static gp_transfer try_url(fetch_task *j, const char *url, gp_fetched *how)
{
    gp_transfer verdict = GP_TRANSFER_NO;
    char *local = j->o.mirror ? mirrored(j->o.mirror, url) : NULL;
    *how = GP_FETCHED_MIRROR;
    int there = local && !is_url(local) ? gp_exists(local) : 0;
    if (there < 0) {
        j->tried = true; /* the network may have it */
    } else if (there) {
        j->tried = true;
        verdict = copy_file(j, local);
    } else if (local && is_url(local) && !j->o.offline) {
        j->tried = true;
        verdict = download(j, local);
    }
    free(local);
    if (verdict == GP_TRANSFER_NO && !j->o.offline && is_url(url)) {
        *how = GP_FETCHED_DOWNLOADED;
        j->tried = true;
        verdict = download(j, url);
    }
    return verdict;
}

/* Without a socket there was nowhere to look but a mirror folder. */
static int fail_offline(const fetch_task *j)
{
    const char *name = strcmp(j->b->path, "-") ? j->b->path : j->file->path, *mirror = j->o.mirror,
               *below = strstr(j->file->urls[0], "://") + 3;
    if (mirror && is_url(mirror))
        return fail("%s: is missing and --offline is given, which rules out the mirror %s too", name, mirror);
    if (mirror)
        return fail("%s: is missing and --offline is given; expected it at %s/%s", name, mirror, below);
    return fail("%s: is missing and --offline is given; run once without it, or name a folder that has %s with "
                "--mirror",
                name, below);
}

static int fetch(fetch_task *j)
{
    const gp_catalog_file *f = j->file;
    gp_transfer verdict = GP_TRANSFER_NO;
    j->b->how = GP_FETCHED_DOWNLOADED;
    if (f->sha256 && j->part.done && is_right(j))
        return 0; /* an earlier run was stopped just before its end */
    for (int i = 0; i < f->url_count && verdict == GP_TRANSFER_NO; i++)
        verdict = try_url(j, f->urls[i], &j->b->how);
    j->b->full = verdict == GP_TRANSFER_STOP;
    if (verdict == GP_TRANSFER_DONE)
        return 0;
    if (j->tried)
        return -1;
    return fail_offline(j);
}

static bool is_folder(const gp_catalog_file *f)
{
    return f->unpack && !strcmp(f->unpack, "folder");
}

/* Is the file there already, and right? -1 when something is there that cannot be replaced. */
static int look(gp_fetch_one *b, bool *present)
{
    const gp_catalog_file *f = &b->file;
    gp_map m;
    *present = false;
    if (f->unpack) {
        gp_unpacking u = {.path = b->path, .folder = is_folder(f), .sha256 = f->sha256};
        b->size = f->size;
        return gp_unpack_look(&u, present, b->sha256);
    }
    int there = gp_exists(b->path);
    if (!there)
        return 0;
    if (there < 0 || gp_map_open(&m, b->path))
        return -1;
    gp_sha256_hex(b->sha256, m.data, m.size);
    b->size = (int64_t)m.size;
    *present = f->sha256 ? !strcmp(b->sha256, f->sha256) : f->size < 0 || b->size == f->size;
    gp_map_close(&m);
    return 0;
}

/* What came gets its name, or is unpacked and then not wanted any more. An archive that is known to be right is kept
 * when it could not be unpacked: on a disk that was full, the next run has that much less to do. */
static int deliver(fetch_task *j)
{
    const gp_catalog_file *f = j->file;
    const char *slash = strrchr(f->urls[0], '/');
    gp_partial_digest(&j->part, j->b->sha256);
    j->b->size = j->part.done;
    if (!f->unpack)
        return gp_partial_commit(&j->part);
    gp_unpacking u = {.path = j->b->path,
                      .folder = is_folder(f),
                      .size = f->unpacked,
                      .sha256 = j->b->sha256,
                      .group = j->b->group,
                      .quiet = j->o.quiet};
    int rc = gp_unpack(j->part.fd, slash[1] ? slash + 1 : f->path, &u);
    gp_partial_close(&j->part, rc && f->sha256);
    return rc;
}

static fetch_task new_job(gp_fetch_one *b)
{
    const gp_fetch_options *o = b->o;
    fetch_task j = {.b = b, .file = &b->file, .o = *o};
    b->how = GP_FETCHED_PRESENT;
    b->full = false;
    j.o.retries = o->retries < 0 ? 0 : o->retries ? o->retries : RETRIES;
    j.o.connect = o->connect > 0 ? o->connect : CONNECT;
    j.o.stall = o->stall > 0 ? o->stall : STALL;
    j.o.pause = o->pause > 0 ? o->pause : PAUSE;
    return j;
}

static gp_partial_state open_part(fetch_task *j)
{
    gp_progress_begin(&j->progress, j->file->path, GP_PROGRESS_BYTES, 0, j->file->size, j->o.quiet);
    gp_progress_join(&j->progress, j->b->group);
    gp_partial_state state = gp_partial_open(&j->part, j->b->path, false);
    if (state == GP_PARTIAL_BUSY) {
        gp_progress_say(&j->progress, "%s: is being fetched already; waiting for that", j->b->path);
        state = gp_partial_open(&j->part, j->b->path, true);
    }
    gp_progress_end(&j->progress);
    return state;
}

/* Into the part, which is kept for the next run when the transfer was cut. */
static int transfer(fetch_task *j)
{
    const gp_catalog_file *f = j->file;
    gp_progress_begin(&j->progress, f->path, GP_PROGRESS_BYTES, j->part.done, f->size, j->o.quiet);
    gp_progress_join(&j->progress, j->b->group);
    int rc = fetch(j);
    gp_progress_end(&j->progress);
    if (rc)
        gp_partial_close(&j->part, true);
    return rc;
}

/* Between the look and the lock another run may have ended: then its file is there, and the part is new. */
static int look_again(fetch_task *j, bool *present)
{
    int rc = j->part.done ? 0 : look(j->b, present);
    if (rc || *present)
        gp_partial_close(&j->part, false);
    return rc;
}

int gp_fetch_one_file(gp_fetch_one *b)
{
    fetch_task j = new_job(b);
    bool std = !strcmp(b->path, "-"), present = false;
    if (std && is_folder(j.file))
        return fail("%s: is a folder of files, which stdout cannot take; give a folder: -o DIR/", j.file->path);
    if (!std && look(b, &present))
        return -1;
    if (present)
        return 0;
    if (!std && gp_make_parent(b->path))
        return -1;
    gp_partial_state state = open_part(&j);
    if (state == GP_PARTIAL_PRESENT) /* another process brought it while this one waited */
        return gp_fetch_one_file(b);
    if (state != GP_PARTIAL_READY || (!std && look_again(&j, &present)))
        return -1;
    if (present)
        return 0;
    return transfer(&j) ? -1 : deliver(&j);
}

int gp_fetch_open(const gp_catalog_file *f, const gp_fetch_options *o)
{
    gp_fetch_one b = {.file = *f, .path = "-", .o = o, .size = -1};
    fetch_task j = new_job(&b);
    if (open_part(&j) != GP_PARTIAL_READY || transfer(&j))
        return -1;
    int fd = fcntl(j.part.fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        fail("%s: %s", f->path, strerror(errno));
    gp_partial_close(&j.part, false);
    return fd;
}
