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

enum { PARALLEL = 4, MAX_PARALLEL = 16 };
static const int64_t LARGE = 1000000000; /* bytes that are announced before the download */

/* ---- checks before anything is written ------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    const gp_fetch_job *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

/* Of two files with one path, the later one would replace the other. */
static int check_paths(const gp_fetch_job *jobs, int count)
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

/* Bytes of a file that remain to be downloaded: 0 where it is present, or its size is not known. */
static int64_t remaining_bytes(const gp_fetch_job *j)
{
    struct stat st;
    int64_t present = 0;
    char *part = gp_format("%s.part", j->path);
    if (!stat(j->path, &st) && (j->file->unpack || st.st_size == j->file->size))
        present = j->file->size;
    else if (!stat(part, &st))
        present = gp_min(st.st_size, j->file->size);
    free(part);
    return gp_max(j->file->size - present, 0);
}

/* How much of path, up to its last slash, is an existing folder; 0: the working folder. */
static size_t existing_folder(const char *path)
{
    char *dir = gp_strdup(path);
    size_t n = strlen(path);
    do {
        while (n && path[n - 1] == '/') /* of a folder that does not exist */
            n--;
        while (n && path[n - 1] != '/')
            n--;
        dir[n] = 0;
    } while (n && gp_exists(dir) == 0);
    free(dir);
    return n;
}

/* Fails where the disk on which `folder` is has less than `bytes` free. path: of the first file. */
static int check_space(const char *path, const char *folder, int64_t bytes)
{
    struct statvfs disk;
    char needed[16], available[16];
    const char *slash = strrchr(path, '/');
    if (statvfs(folder, &disk) || !disk.f_blocks || (double)bytes <= (double)disk.f_bavail * (double)disk.f_frsize)
        return 0;
    return fail("%.*s: %s to download, the free space is only %s", slash ? (int)(slash - path) + 1 : 1,
                slash ? path : ".", gp_format_bytes(needed, bytes),
                gp_format_bytes(available, (int64_t)(disk.f_bavail * disk.f_frsize)));
}

/* A name does not show that its data set takes a day to download and fills a disk: refuses what the disk cannot hold,
 * and announces what is large. existing: existing_folder of the first path. */
static int check_size(const gp_fetch_job *jobs, int count, size_t existing, bool quiet)
{
    char size[16];
    int files = 0;
    bool series = false;
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        int64_t bytes = remaining_bytes(jobs + i);
        files += bytes > 0;
        series = series || jobs[i].file->shards > 0;
        if (__builtin_add_overflow(sum, bytes, &sum))
            sum = INT64_MAX;
    }
    char *folder = existing ? gp_strndup(jobs->path, existing) : gp_strdup(".");
    int rc = strcmp(jobs->path, "-") ? check_space(jobs->path, folder, sum) : 0;
    free(folder);
    if (!rc && !quiet && sum >= LARGE)
        fprintf(stderr, "%s to download in %d file%s%s\n", gp_format_bytes(size, sum), files, gp_plural(files),
                series ? "; --shards N takes the first N of a series, and what was downloaded is kept" : "");
    return rc;
}

/* ---- threads --------------------------------------------------------------------------------------------- */

/* One call of gp_fetch_files. `lock` guards what the threads share. */
typedef struct pool {
    gp_fetch_job *jobs;
    const gp_fetch_options *o;
    gp_fetch_report *report;
    void *self;
    gp_lock_file *lock_file; /* or NULL */
    gp_progress_group group;
    gp_progress all; /* counts the finished files, where there are more files than threads */
    pthread_mutex_t lock;
    int count, started, finished, failed;
    bool disk_full;    /* no further job is started */
    char reason[1024]; /* of the first failure: gp_error() is each thread's own */
} pool;

/* With the lock taken. */
static void finish(pool *p, gp_fetch_job *j)
{
    if (j->failed && !p->failed++)
        snprintf(p->reason, sizeof p->reason, "%s", gp_error());
    gp_progress_group_pause(&p->group);
    if (p->report)
        p->report(p->self, j);
    gp_progress_group_resume(&p->group);
    gp_progress_set(&p->all, ++p->finished, NULL);
}

static void *work(void *self)
{
    pool *p = self;
    pthread_mutex_lock(&p->lock);
    while (p->started < p->count && !p->disk_full) {
        gp_fetch_job *j = p->jobs + p->started++;
        bool disk_full;
        pthread_mutex_unlock(&p->lock);
        j->failed = gp_fetch_one(j, p->o, p->lock_file, &p->group, &disk_full) != 0;
        pthread_mutex_lock(&p->lock);
        p->disk_full = p->disk_full || disk_full;
        finish(p, j);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* The calling thread works too. */
static void run(pool *p)
{
    pthread_t others[MAX_PARALLEL];
    int64_t threads = gp_min(gp_min(p->o->parallel > 0 ? p->o->parallel : PARALLEL, MAX_PARALLEL), p->count);
    int created = 0;
    pthread_mutex_init(&p->lock, NULL);
    gp_progress_group_init(&p->group);
    gp_progress_begin(&p->all, "all", "file", 0, p->count, p->o->quiet || p->count <= threads);
    gp_progress_join(&p->all, &p->group);
    while (created < threads - 1 && !pthread_create(others + created, NULL, work, p))
        created++;
    work(p);
    while (created)
        pthread_join(others[--created], NULL);
    gp_progress_end(&p->all);
    gp_progress_group_release(&p->group);
    pthread_mutex_destroy(&p->lock);
}

/* Removes the empty folders that contain path, but none of its first `existing` bytes. */
static void remove_empty_folders(const char *path, size_t existing)
{
    char *dir = gp_strdup(path);
    size_t n = strlen(path);
    do {
        while (n > existing && path[n - 1] != '/')
            n--;
        while (n > existing && path[n - 1] == '/')
            n--;
        dir[n] = 0;
    } while (n > existing && !rmdir(dir));
    free(dir);
}

int gp_fetch_files(gp_fetch_job *jobs, int count, const gp_fetch_options *o, gp_fetch_report *report, void *self)
{
    pool p = {.jobs = jobs, .count = count, .o = o, .report = report, .self = self};
    for (int i = 0; i < count; i++)
        jobs[i].failed = true;
    if (!count)
        return 0;
    if (check_paths(jobs, count))
        return -1;
    size_t *existing = gp_calloc((size_t)count, sizeof *existing);
    for (int i = 0; i < count; i++)
        existing[i] = existing_folder(jobs[i].path);
    int rc = check_size(jobs, count, *existing, o->quiet);
    if (!rc && o->lock)
        rc = (p.lock_file = gp_lock_file_open(o->lock)) ? 0 : -1;
    if (!rc)
        run(&p);
    gp_lock_file_close(p.lock_file);
    for (int i = 0; !rc && i < count; i++)
        if (jobs[i].failed) /* the folders that were made for it, unless another file is in them */
            remove_empty_folders(jobs[i].path, existing[i]);
    free(existing);
    if (rc)
        return -1;
    int failed = p.failed + (count - p.started);
    if (failed && count == 1)
        return fail("%s", p.reason);
    if (failed) /* without report() nobody has seen a reason: give the first */
        return fail("%d of %d files could not be fetched%s%s", failed, count, report ? "" : ": ",
                    report ? "" : p.reason);
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
