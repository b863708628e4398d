/* fetch_one.c: one file of the catalog, from the lock file to the file in place: sources in turn, retries,
 * verification; see fetch_one.h. */
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

/* One call of gp_fetch_one. */
typedef struct fetch_task {
    gp_fetch_job *job;
    gp_catalog_file file; /* a copy: the lock file may supply its SHA-256 and size */
    const char *lock;     /* name of the lock file that supplied the SHA-256; NULL: the catalog did, or none is known */
    gp_fetch_options o;   /* with the defaults filled in */
    gp_progress_group *group;
    gp_partial part;
    gp_progress progress;
    bool tried; /* at least one source was tried */
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

/* Whether the bytes received are the expected file. The job gets their SHA-256 and size. */
static bool is_right(fetch_task *t)
{
    gp_partial_digest(&t->part, t->job->sha256);
    t->job->size = t->part.done;
    return (t->file.size < 0 || t->part.done == t->file.size) &&
           (!t->file.sha256 || !strcmp(t->job->sha256, t->file.sha256));
}

/* Verifies a complete transfer. Where it is wrong, reports how and discards the bytes. */
static gp_transfer verify(fetch_task *t, const char *source)
{
    const char *as_in = t->lock ? " as in " : "", *lock = t->lock ? t->lock : "";
    if (is_right(t))
        return GP_TRANSFER_DONE;
    if (t->file.size >= 0 && t->part.done != t->file.size)
        fail("%s: has %lld bytes, expected %lld%s%s: the file has changed at its source", source,
             (long long)t->part.done, (long long)t->file.size, as_in, lock);
    else
        fail("%s: its SHA-256 is %s, expected %s%s%s: the file has changed at its source or on the way", source,
             t->job->sha256, t->file.sha256, as_in, lock);
    return gp_partial_restart(&t->part) ? GP_TRANSFER_STOP : GP_TRANSFER_NO;
}

static gp_transfer copy_file(fetch_task *t, const char *path)
{
    int fd = gp_open_regular(path);
    gp_transfer verdict = GP_TRANSFER_DONE;
    if (fd < 0)
        return GP_TRANSFER_NO;
    char *block = gp_malloc(BLOCK);
    if (t->part.done && gp_partial_restart(&t->part))
        verdict = GP_TRANSFER_STOP;
    while (verdict == GP_TRANSFER_DONE) {
        ssize_t n = gp_read(fd, block, BLOCK, -1);
        if (n < 0) {
            fail("%s: cannot be read: %s", path, strerror(errno));
            verdict = GP_TRANSFER_NO;
        } else if (n && gp_partial_add(&t->part, block, (size_t)n)) {
            verdict = GP_TRANSFER_STOP;
        }
        if (n <= 0)
            break;
        gp_progress_set(&t->progress, t->part.done, NULL);
    }
    free(block);
    close(fd);
    return verdict == GP_TRANSFER_DONE ? verify(t, path) : verdict;
}

/* Sleeps for half to all of a pause that doubles with each failure, so that many clients do not return at once; at
 * least as long as the server requested. */
static void back_off(fetch_task *t, int failures, double requested)
{
    double pause = fmin(ldexp(t->o.pause, failures - 1), LONGEST_PAUSE) *
                   (0.5 + 0.5 * gp_random_double((uint64_t)getpid(), 0, 0, (uint64_t)(gp_now() * 1e6)));
    pause = fmax(pause, requested);
    gp_progress_print(&t->progress, "%s; trying again in %.0f s", gp_error(), ceil(pause));
    struct timespec left = {(time_t)pause, (long)((pause - floor(pause)) * 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

static gp_transfer download(fetch_task *t, const char *url)
{
    gp_download d = {.part = &t->part,
                     .progress = &t->progress,
                     .size = t->file.size,
                     .limit = (int64_t)64 << 30,
                     .connect = t->o.connect,
                     .stall = t->o.stall,
                     .checked = t->file.sha256 != NULL};
    int64_t farthest = t->part.done;
    bool restarted = false; /* once: bad bytes of an earlier run do not count as a failure of this one */
    for (int failures = 0;;) {
        gp_transfer verdict = gp_download_run(&d, url);
        bool cut = verdict == GP_TRANSFER_AGAIN && t->part.done && t->file.sha256;
        if (cut && is_right(t))
            return GP_TRANSFER_DONE; /* the server announced more bytes than the file has */
        bool mixed = d.changed;      /* the bytes may come from two versions of the file */
        if (verdict == GP_TRANSFER_DONE) {
            mixed = t->part.resumed;
            verdict = verify(t, url);
            if (mixed && verdict == GP_TRANSFER_NO)
                verdict = GP_TRANSFER_AGAIN;
        }
        if (verdict != GP_TRANSFER_AGAIN)
            return verdict;
        if (mixed && !restarted) {
            restarted = true;
            gp_progress_print(&t->progress, "%s; all of it is requested again", gp_error());
            continue;
        }
        failures++;
        if (t->part.done > farthest) { /* an attempt that made progress does not count */
            failures = 1;
            farthest = t->part.done;
        }
        if (d.no_host && failures > 1) {
            fail("%s; without a network, --mirror takes the file from a folder", gp_error());
            return GP_TRANSFER_NO;
        }
        if (failures > t->o.retries)
            return GP_TRANSFER_NO;
        back_off(t, failures, d.wait);
    }
}

/* One URL: its copy in the mirror first, then the URL itself. */
static gp_transfer try_url(fetch_task *t, const char *url)
{
    gp_transfer verdict = GP_TRANSFER_NO;
    char *local = t->o.mirror ? mirrored(t->o.mirror, url) : NULL;
    t->job->how = GP_FETCHED_MIRROR;
    int there = local && !is_url(local) ? gp_exists(local) : 0;
    if (there < 0) {
        t->tried = true; /* unreadable; the network may have the file */
    } else if (there) {
        t->tried = true;
        verdict = copy_file(t, local);
    } else if (local && is_url(local) && !t->o.offline) {
        t->tried = true;
        verdict = download(t, local);
    }
    free(local);
    if (verdict == GP_TRANSFER_NO && !t->o.offline && is_url(url)) {
        t->job->how = GP_FETCHED_DOWNLOADED;
        t->tried = true;
        verdict = download(t, url);
    }
    return verdict;
}

/* No source could be tried offline. */
static int fail_offline(const fetch_task *t)
{
    const char *name = strcmp(t->job->path, "-") ? t->job->path : t->file.path, *mirror = t->o.mirror,
               *below = strstr(t->file.urls[0], "://") + 3;
    if (mirror && is_url(mirror))
        return fail("%s: is missing and --offline is given, which rules out the mirror %s too", name, mirror);
    if (mirror)
        return fail("%s: is missing and --offline is given; expected it at %s/%s", name, mirror, below);
    return fail("%s: is missing and --offline is given; run once without it, or name a folder that has %s with "
                "--mirror",
                name, below);
}

/* The whole file into the part, from the first source that has it. A part that is incomplete stays for the next run. */
static int transfer(fetch_task *t, bool *disk_full)
{
    const gp_catalog_file *f = &t->file;
    gp_transfer verdict = GP_TRANSFER_NO;
    gp_progress_begin(&t->progress, f->path, GP_PROGRESS_BYTES, t->part.done, f->size, t->o.quiet);
    gp_progress_join(&t->progress, t->group);
    for (int i = 0; i < f->url_count && verdict == GP_TRANSFER_NO; i++)
        verdict = try_url(t, f->urls[i]);
    if (!t->tried && verdict == GP_TRANSFER_NO)
        fail_offline(t);
    gp_progress_end(&t->progress);
    *disk_full = verdict == GP_TRANSFER_STOP;
    if (verdict == GP_TRANSFER_DONE)
        return 0;
    gp_partial_close(&t->part, true);
    return -1;
}

/* ---- the life of a file ---------------------------------------------------------------------------------- */

static bool is_folder(const gp_catalog_file *f)
{
    return f->unpack && !strcmp(f->unpack, "folder");
}

/* Whether the file is there and right: 1 or 0; -1 where its place is taken by something that must not be replaced. */
static int is_present(fetch_task *t)
{
    const gp_catalog_file *f = &t->file;
    gp_fetch_job *job = t->job;
    gp_map m;
    if (f->unpack) {
        gp_unpacking u = {.path = job->path, .folder = is_folder(f), .sha256 = f->sha256};
        bool present;
        job->size = f->size;
        return gp_unpack_check(&u, &present, job->sha256) ? -1 : present;
    }
    int there = gp_exists(job->path);
    if (there <= 0 || gp_map_open(&m, job->path))
        return there ? -1 : 0;
    gp_sha256_hex(job->sha256, m.data, m.size);
    job->size = (int64_t)m.size;
    gp_map_close(&m);
    return f->sha256 ? !strcmp(job->sha256, f->sha256) : f->size < 0 || job->size == f->size;
}

/* Opens and locks the part. Another process that downloads the same file is waited for. */
static int open_part(fetch_task *t)
{
    gp_progress waiting = {.quiet = t->o.quiet, .group = t->group};
    gp_partial_state state = gp_partial_open(&t->part, t->job->path, false);
    if (state == GP_PARTIAL_BUSY) {
        gp_progress_print(&waiting, "%s: another process is downloading it; waiting for that", t->job->path);
        state = gp_partial_open(&t->part, t->job->path, true);
    }
    return state == GP_PARTIAL_READY ? 0 : -1;
}

/* Renames the complete part, or unpacks and removes it. An archive of known SHA-256 is kept where unpacking failed: on
 * a disk that was full, the next run need not download it again. */
static int deliver(fetch_task *t)
{
    const gp_catalog_file *f = &t->file;
    const char *slash = strrchr(f->urls[0], '/');
    if (!f->unpack)
        return gp_partial_commit(&t->part);
    gp_unpacking u = {.path = t->job->path,
                      .folder = is_folder(f),
                      .size = f->unpacked,
                      .sha256 = t->job->sha256,
                      .group = t->group,
                      .quiet = t->o.quiet};
    int rc = gp_unpack(t->part.fd, slash[1] ? slash + 1 : f->path, &u);
    gp_partial_close(&t->part, rc && f->sha256);
    return rc;
}

/* Fetches the file unless it is present. */
static int fetch(fetch_task *t, bool *disk_full)
{
    bool std = !strcmp(t->job->path, "-"), complete = false;
    if (std && is_folder(&t->file))
        return fail("%s: is a folder of files, which stdout cannot take; give a folder: -o DIR/", t->file.path);
    int present = std ? 0 : is_present(t);
    if (!present) {
        if (open_part(t))
            return -1;
        if (t->part.done) /* an earlier run may have been stopped just before its end */
            complete = t->file.sha256 && is_right(t);
        else if (!std) /* another run may have completed the file before this one had the lock */
            present = is_present(t);
        t->job->how = present ? GP_FETCHED_PRESENT : GP_FETCHED_DOWNLOADED;
        if (!present)
            return !complete && transfer(t, disk_full) ? -1 : deliver(t);
        gp_partial_close(&t->part, false);
    }
    return present > 0 ? 0 : -1;
}

static fetch_task new_task(gp_fetch_job *job, const gp_fetch_options *o)
{
    fetch_task t = {.job = job, .file = *job->file, .o = *o};
    job->how = GP_FETCHED_PRESENT;
    *job->sha256 = 0;
    job->size = -1;
    t.o.retries = o->retries < 0 ? 0 : o->retries ? o->retries : RETRIES;
    t.o.connect = o->connect > 0 ? o->connect : CONNECT;
    t.o.stall = o->stall > 0 ? o->stall : STALL;
    t.o.pause = o->pause > 0 ? o->pause : PAUSE;
    return t;
}

int gp_fetch_one(gp_fetch_job *job, const gp_fetch_options *o, gp_lock_file *lock, gp_progress_group *group,
                 bool *disk_full)
{
    fetch_task t = new_task(job, o);
    t.group = group;
    *disk_full = false;
    int listed = lock ? gp_lock_file_apply(lock, job->set->name, &t.file, &t.lock) : 1;
    if (listed < 0 || fetch(&t, disk_full))
        return -1;
    if (listed || !*job->sha256)
        return 0;
    return gp_lock_file_add(lock, job->set->name, t.file.path, job->sha256, job->size);
}

int gp_fetch_open(const gp_catalog_file *f, const gp_fetch_options *o)
{
    gp_fetch_job job = {.file = f, .path = "-"};
    fetch_task t = new_task(&job, o);
    bool disk_full;
    if (open_part(&t) || transfer(&t, &disk_full))
        return -1;
    int fd = fcntl(t.part.fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        fail("%s: %s", f->path, strerror(errno));
    gp_partial_close(&t.part, false);
    return fd;
}
