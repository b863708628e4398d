/* fetch.c: several files of the catalog at once; see gptpipe/fetch.h. */
#include "gptpipe/fetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "fetch/fetch_one.h"
#include "fetch/lock_file.h"

enum { PARALLEL = 4, MAX_PARALLEL = 16 };
static const int64_t LARGE = 1000000000; /* bytes that are announced before they come */

/* One call of gp_fetch_files. What the threads share stands under `lock`. */
typedef struct crew {
    gp_fetch_job *jobs;
    const gp_fetch_options *o;
    gp_fetch_report *report;
    void *self;
    gp_lock_file *known; /* or NULL */
    gp_progress_group group;
    gp_progress all; /* of many files: how many of them are here */
    pthread_mutex_t lock;
    int count, next; /* jobs, and how many of them were begun */
    int failed, done;
    bool full;         /* no room: the rest is not begun */
    char reason[1024]; /* of the first failure: gp_error() is each thread's own */
} crew;

/* What a lock file knows of the file goes into b. -1 where the catalog knows it otherwise. */
static int apply_lock(const crew *c, const gp_fetch_job *j, gp_fetch_one *b)
{
    const char *sha256;
    int64_t size;
    if (!c->known || !gp_lock_file_find(c->known, j->set->name, j->file->path, &sha256, &size))
        return 0;
    if (b->file.sha256 && strcmp(b->file.sha256, sha256))
        return fail("%s: %s: its SHA-256 is %s in %s, but %s in the catalog", j->set->name, j->file->path, sha256,
                    c->o->lock, b->file.sha256);
    if (b->file.size >= 0 && size >= 0 && b->file.size != size)
        return fail("%s: %s: has %lld bytes in %s, but %lld in the catalog", j->set->name, j->file->path,
                    (long long)size, c->o->lock, (long long)b->file.size);
    if (!b->file.sha256)
        b->lock = c->o->lock;
    b->file.sha256 = sha256;
    b->file.size = size >= 0 ? size : b->file.size;
    return 0;
}

/* Not for two threads at once. */
static int note_lock(crew *c, const gp_fetch_job *j)
{
    const char *sha256;
    int64_t size;
    if (!c->known || !*j->sha256 || gp_lock_file_find(c->known, j->set->name, j->file->path, &sha256, &size))
        return 0;
    return gp_lock_file_add(c->known, j->set->name, j->file->path, j->sha256, j->size);
}

/* Under the lock: the job's end is noted and told. */
static void finish(crew *c, gp_fetch_job *j, int rc)
{
    gp_progress_group_pause(&c->group);
    if (!rc)
        rc = note_lock(c, j);
    j->failed = rc != 0;
    if (rc && !c->failed++)
        snprintf(c->reason, sizeof c->reason, "%s", gp_error());
    if (c->report)
        c->report(c->self, j);
    gp_progress_group_resume(&c->group);
    gp_progress_set(&c->all, ++c->done, NULL);
}

static void *work(void *self)
{
    crew *c = self;
    pthread_mutex_lock(&c->lock);
    while (c->next < c->count && !c->full) {
        gp_fetch_job *j = c->jobs + c->next++;
        gp_fetch_one b = {.file = *j->file, .path = j->path, .o = c->o, .group = &c->group, .size = -1};
        int rc = apply_lock(c, j, &b);
        pthread_mutex_unlock(&c->lock);
        if (!rc)
            rc = gp_fetch_one_file(&b);
        j->how = b.how;
        j->size = b.size;
        memcpy(j->sha256, b.sha256, sizeof j->sha256);
        pthread_mutex_lock(&c->lock);
        c->full = c->full || b.full;
        finish(c, j, rc);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* What is still to come of a file: 0 where it is here, or its size is not known. */
static int64_t missing(const gp_fetch_job *j)
{
    struct stat st;
    int64_t here = 0;
    char *part = gp_format("%s.part", j->path);
    if (!stat(j->path, &st) && (j->file->unpack || st.st_size == j->file->size))
        here = j->file->size;
    else if (!stat(part, &st))
        here = gp_min(st.st_size, j->file->size);
    free(part);
    return gp_max(j->file->size - here, 0);
}

/* What is still to come of all together, and of how many. */
static int64_t missing_of_all(const gp_fetch_job *jobs, int count, int *files)
{
    int64_t sum = 0;
    *files = 0;
    for (int i = 0; i < count; i++) {
        int64_t one = missing(jobs + i);
        *files += one > 0;
        if (__builtin_add_overflow(sum, one, &sum))
            sum = INT64_MAX;
    }
    return sum;
}

/* Who named a data set may not know that it fills a day and a disk. */
static void announce(const gp_fetch_job *jobs, int count, const gp_fetch_options *o)
{
    char size[16];
    int files;
    bool series = false;
    int64_t sum = missing_of_all(jobs, count, &files);
    if (o->quiet || sum < LARGE)
        return;
    for (int i = 0; i < count; i++)
        series = series || jobs[i].file->shards > 0;
    fprintf(stderr, "%s to download in %d file%s%s\n", gp_format_bytes(size, sum), files, files == 1 ? "" : "s",
            series ? "; --shards N takes the first N of a series, and what was downloaded is kept" : "");
}

/* ---- folders --------------------------------------------------------------------------------------------- */

/* How much of path, up to its last slash, is a folder that is there; 0: the one that we are in. */
static size_t here_of(const char *path)
{
    char *dir = gp_strdup(path);
    size_t n = strlen(path);
    do {
        while (n && path[n - 1] == '/') /* of a folder that is not there */
            n--;
        while (n && path[n - 1] != '/')
            n--;
        dir[n] = 0;
    } while (n && gp_exists(dir) == 0);
    free(dir);
    return n;
}

/* Removes the empty folders that path lies in, but none of its first `here` bytes. */
static void remove_empty(const char *path, size_t here)
{
    char *dir = gp_strdup(path);
    size_t n = strlen(path);
    do {
        while (n > here && path[n - 1] != '/')
            n--;
        while (n > here && path[n - 1] == '/')
            n--;
        dir[n] = 0;
    } while (n > here && !rmdir(dir));
    free(dir);
}

/* For each job what here_of says, before any of them has made a folder. */
static size_t *note_folders(const gp_fetch_job *jobs, int count)
{
    size_t *here = gp_calloc((size_t)count, sizeof *here);
    for (int i = 0; i < count; i++)
        here[i] = here_of(jobs[i].path);
    return here;
}

/* When all have ended: what was made for files that did not come, unless other files are there. Frees here. */
static void remove_folders(const gp_fetch_job *jobs, int count, size_t *here)
{
    for (int i = 0; i < count; i++)
        if (jobs[i].failed)
            remove_empty(jobs[i].path, here[i]);
    free(here);
}

/* Two hundred gigabytes are better refused at once than when the disk is full of them. */
static int check_room(const gp_fetch_job *jobs, int count)
{
    struct statvfs disk;
    char needed[16], left[16];
    int files;
    if (!strcmp(jobs->path, "-"))
        return 0;
    int64_t sum = missing_of_all(jobs, count, &files);
    const char *slash = strrchr(jobs->path, '/');
    char *dir = slash ? gp_strndup(jobs->path, (size_t)(slash - jobs->path) + 1) : gp_strdup(".");
    size_t here = here_of(jobs->path); /* the disk that dir will be on */
    char *nearest = here ? gp_strndup(jobs->path, here) : gp_strdup(".");
    int rc = 0;
    if (!statvfs(nearest, &disk) && disk.f_blocks && (double)sum > (double)disk.f_bavail * (double)disk.f_frsize)
        rc = fail("%s: %s to download, the free space is only %s", dir, gp_format_bytes(needed, sum),
                  gp_format_bytes(left, (int64_t)(disk.f_bavail * disk.f_frsize)));
    free(dir);
    free(nearest);
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    const gp_fetch_job *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

/* Of two files of one name only the one that comes later would be left. */
static int check_names(const gp_fetch_job *jobs, int count)
{
    const gp_fetch_job **sorted = gp_calloc((size_t)count, sizeof(gp_fetch_job *));
    int rc = 0;
    for (int i = 0; i < count; i++)
        sorted[i] = jobs + i;
    qsort(sorted, (size_t)count, sizeof *sorted, by_path);
    for (int i = 1; i < count && !rc; i++)
        if (!strcmp(sorted[i]->path, sorted[i - 1]->path) && sorted[i]->file != sorted[i - 1]->file)
            rc = fail("%s: is a file of %s and one of %s; give each a folder of its own", sorted[i]->path,
                      sorted[i - 1]->set->name, sorted[i]->set->name);
    free(sorted);
    return rc;
}

/* This thread works too, so that one file needs no other. */
static void run(crew *c, int threads)
{
    pthread_t others[MAX_PARALLEL];
    int begun = 0;
    while (begun < threads - 1 && !pthread_create(others + begun, NULL, work, c))
        begun++;
    work(c);
    while (begun)
        pthread_join(others[--begun], NULL);
}

int gp_fetch_files(gp_fetch_job *jobs, int count, const gp_fetch_options *o, gp_fetch_report *report, void *self)
{
    crew c = {.jobs = jobs, .count = count, .o = o, .report = report, .self = self};
    int64_t threads = gp_min(gp_min(o->parallel > 0 ? o->parallel : PARALLEL, MAX_PARALLEL), count);
    for (int i = 0; i < count; i++)
        jobs[i].failed = true;
    if (!count)
        return 0;
    if (check_names(jobs, count) || check_room(jobs, count) || (o->lock && !(c.known = gp_lock_file_open(o->lock))))
        return -1;
    announce(jobs, count, o);
    size_t *here = note_folders(jobs, count);
    pthread_mutex_init(&c.lock, NULL);
    gp_progress_group_init(&c.group);
    gp_progress_begin(&c.all, "all", "file", 0, count, o->quiet || count <= threads);
    gp_progress_join(&c.all, &c.group);
    run(&c, (int)threads);
    gp_progress_end(&c.all);
    gp_progress_group_release(&c.group);
    pthread_mutex_destroy(&c.lock);
    gp_lock_file_close(c.known);
    remove_folders(jobs, count, here);
    int failed = c.failed + (count - c.next);
    if (failed && count == 1)
        return fail("%s", c.reason);
    if (failed) /* where nobody was told the reasons, one of them at least */
        return fail("%d of %d files could not be fetched%s%s", failed, count, report ? "" : ": ",
                    report ? "" : c.reason);
    return 0;
}

int gp_fetch(const gp_catalog_entry *d, const char *dir, const gp_fetch_options *o)
{
    gp_fetch_job *jobs = gp_calloc((size_t)d->file_count, sizeof *jobs);
    for (int i = 0; i < d->file_count; i++)
        jobs[i] = (gp_fetch_job){.set = d, .file = d->files + i, .path = gp_path_join(dir, d->files[i].path)};
    int rc = gp_fetch_files(jobs, d->file_count, o, NULL, NULL);
    for (int i = 0; i < d->file_count; i++)
        free((void *)(uintptr_t)jobs[i].path);
    free(jobs);
    return rc;
}
