/* fetch.c: brings a file of the catalog here: the sources in turn, retries, the check; see gptpipe/fetch.h. */
#include "gptpipe/fetch.h"

#include "base/rng.h"
#include "data/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RETRIES = 5, BLOCK = 1 << 16 };
static const double STALL = 30, PAUSE = 1, LONGEST_PAUSE = 30;

/* One call of gp_fetch_file. */
typedef struct job {
    const gp_dataset_file *file;
    gp_fetch_options o; /* with the defaults filled in */
    gp_part part;
    gp_progress progress;
    bool tried; /* some source was asked */
} job;

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
static bool is_right(const job *j)
{
    char hex[65];
    if (j->file->size >= 0 && j->part.done != j->file->size)
        return false;
    if (!j->file->sha256)
        return true;
    gp_part_digest(&j->part, hex);
    return !strcmp(hex, j->file->sha256);
}

/* Says what is wrong with what came, and forgets it. */
static gp_transfer wrong(job *j, const char *source)
{
    char hex[65];
    gp_part_digest(&j->part, hex);
    if (j->file->size >= 0 && j->part.done != j->file->size)
        fail("%s: has %lld bytes, expected %lld: the file has changed at its source", source,
             (long long)j->part.done, (long long)j->file->size);
    else
        fail("%s: its SHA-256 is %s, expected %s: the file has changed at its source or on the way", source,
             hex, j->file->sha256);
    return gp_part_restart(&j->part) ? GP_TRANSFER_STOP : GP_TRANSFER_NO;
}

static gp_transfer copy_file(job *j, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gp_transfer verdict = GP_TRANSFER_DONE;
    if (fd < 0) {
        fail("%s: %s", path, strerror(errno));
        return GP_TRANSFER_NO;
    }
    char *block = gp_malloc(BLOCK);
    if (j->part.done && gp_part_restart(&j->part))
        verdict = GP_TRANSFER_STOP;
    while (verdict == GP_TRANSFER_DONE) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail("%s: cannot be read: %s", path, strerror(errno));
            verdict = GP_TRANSFER_NO;
        } else if (n && gp_part_add(&j->part, block, (size_t)n)) {
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
static void rest(job *j, int failures, double asked)
{
    double pause = j->o.pause;
    for (int i = 1; i < failures && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    pause = fmin(pause, LONGEST_PAUSE) *
            (0.5 + 0.5 * gp_random_double((uint64_t)getpid(), 0, 0, (uint64_t)(gp_now() * 1e6)));
    pause = fmax(pause, asked);
    if (!j->o.quiet) {
        gp_progress_clear(&j->progress);
        fprintf(stderr, "%s; trying again in %.0f s\n", gp_error(), ceil(pause));
    }
    struct timespec left = {(time_t)pause, (long)((pause - floor(pause)) * 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

static gp_transfer download(job *j, const char *url)
{
    gp_download d = {.part = &j->part,
                     .progress = &j->progress,
                     .size = j->file->size,
                     .stall = j->o.stall,
                     .checked = j->file->sha256 != NULL};
    for (int failures = 0;;) {
        int64_t before = j->part.done;
        gp_transfer verdict = gp_download_run(&d, url);
        if (verdict == GP_TRANSFER_DONE && !is_right(j)) {
            bool joined = j->part.resumed;
            verdict = wrong(j, url);
            if (joined && verdict == GP_TRANSFER_NO)
                verdict = GP_TRANSFER_AGAIN; /* the joint may be what was wrong */
        }
        if (verdict != GP_TRANSFER_AGAIN)
            return verdict;
        failures = j->part.done > before ? 1 : failures + 1; /* one that gets on may go on */
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
static gp_transfer try_url(job *j, const char *url, gp_fetched *how)
{
    gp_transfer verdict = GP_TRANSFER_NO;
    char *local = j->o.mirror ? mirrored(j->o.mirror, url) : NULL;
    *how = GP_FETCHED_MIRROR;
    if (local && !is_url(local) && gp_exists(local)) {
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

static int bring(job *j, const char *path, gp_fetched *how)
{
    const gp_dataset_file *f = j->file;
    gp_transfer verdict = GP_TRANSFER_NO;
    *how = GP_FETCHED_DOWNLOADED;
    if (f->sha256 && j->part.done && is_right(j))
        return 0; /* an earlier run was stopped just before its end */
    for (int i = 0; i < f->url_count && verdict == GP_TRANSFER_NO; i++)
        verdict = try_url(j, f->urls[i], how);
    if (verdict == GP_TRANSFER_DONE)
        return 0;
    if (j->tried)
        return -1;
    if (j->o.mirror)
        return fail("%s: is not here and --offline is given; expected it at %s/%s", path, j->o.mirror,
                    strstr(f->urls[0], "://") + 3);
    return fail("%s: is not here and --offline is given; run once without it, or name a folder that has %s "
                "with --mirror",
                path, strstr(f->urls[0], "://") + 3);
}

/* Is the file there already, and right? -1 when it is there and wrong. */
static int look(const gp_dataset_file *f, const char *path, bool *present)
{
    gp_map m;
    uint8_t digest[32];
    char hex[65];
    *present = false;
    if (!gp_exists(path))
        return 0;
    if (gp_map_open(&m, path))
        return -1;
    gp_sha256 h;
    gp_sha256_begin(&h);
    gp_sha256_add(&h, m.data, m.size);
    gp_sha256_end(&h, digest);
    gp_hex(hex, digest, sizeof digest);
    *present = f->sha256 ? !strcmp(hex, f->sha256) : f->size < 0 || (int64_t)m.size == f->size;
    gp_map_close(&m);
    return 0;
}

int gp_fetch_file(const gp_dataset_file *f, const char *path, const gp_fetch_options *o, gp_fetched *how)
{
    job j = {.file = f, .o = *o};
    gp_fetched unused;
    bool std = !strcmp(path, "-"), present = false;
    how = how ? how : &unused;
    *how = GP_FETCHED_PRESENT;
    j.o.retries = o->retries ? o->retries : RETRIES;
    j.o.stall = o->stall > 0 ? o->stall : STALL;
    j.o.pause = o->pause > 0 ? o->pause : PAUSE;
    if (!std && look(f, path, &present))
        return -1;
    if (present)
        return 0;
    if ((!std && gp_make_parent(path)) || gp_part_open(&j.part, path, &present))
        return -1;
    if (present) /* another process brought it while this one waited */
        return gp_fetch_file(f, path, o, how);
    gp_progress_begin(&j.progress, f->path, GP_PROGRESS_BYTES, j.part.done, f->size, o->quiet);
    int rc = bring(&j, path, how);
    gp_progress_end(&j.progress);
    if (!rc)
        return gp_part_commit(&j.part);
    gp_part_close(&j.part, true);
    return -1;
}

int gp_fetch(const gp_dataset *d, const char *dir, const gp_fetch_options *o)
{
    for (int i = 0; i < d->file_count; i++) {
        char *path = gp_path_join(dir, d->files[i].path);
        int rc = gp_fetch_file(d->files + i, path, o, NULL);
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}
