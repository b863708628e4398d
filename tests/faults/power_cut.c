/* power_cut.c: what a disk may hold after the power went, at every moment of a program that was recorded (trace.c), and
 * whether that is what was promised.
 *
 *     power_cut run BEFORE TRACE [STATES]           a run directory, at BEFORE/run
 *     power_cut file BEFORE TRACE NAME...           files that are replaced whole, or made
 *
 * BEFORE is a copy of the recorded folder as it was, which counts as safe on disk. After each operation several disks
 * are made: everything is there; only what was flushed is; names without the bytes; bytes without the names; and at
 * random, any of the writes (whole or in part) and any of the names that nobody flushed. That is more than any one file
 * system does to us. A file's flush makes its bytes safe, a folder's flush the names in it, in the order of POSIX.
 *
 * Then, of a run: what is called ckpt-N is whole, byte for byte what was saved; the last checkpoint whose save was over
 * is there, or a newer one, and gp_run_last finds it, also after a resume has tidied up; the log and the samples go as
 * far as that checkpoint. What was set aside as log.jsonl.damaged is there before it is cut from the log. Of files:
 * each is what it was or what it became, and at the end it is that. Files of others are as they were.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "run/run.h"
#include "run/checkpoint_names.h"

#include "disk.h"

static char place[200];
static int64_t disks;
static int problems;
static const char *looked_at; /* which disk, for messages */

#define PROBLEM(...)                                                                                                   \
    do {                                                                                                               \
        if (problems++ < 10) {                                                                                         \
            printf("FAILED after operation %d (%s), %s: ", op, disk_operation(), looked_at);                           \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    return flag == FTW_DP ? (walk->level ? rmdir(path) : 0) : unlink(path);
}

static bool read_file(const char *path, gp_buf *b)
{
    struct stat st;
    b->len = 0;
    return !lstat(path, &st) && S_ISREG(st.st_mode) && !gp_file_read(b, path, 1 << 28);
}

static bool holds(const char *path, const content *expected)
{
    gp_buf b = {0};
    bool is = read_file(path, &b) && b.len == expected->size &&
              !memcmp(b.len ? b.data : "", expected->size ? expected->data : "", b.len);
    gp_buf_release(&b);
    return is;
}

/* ---- a run ----------------------------------------------------------------------------------------------- */

enum { MAX_STEPS = 64 };

static const char *const parts[] = {"model.safetensors", "state.safetensors"};
static const char *const logs[] = {"log.jsonl", "samples.txt"};
static content rest[ARRAY_LEN(logs)]; /* of each what becomes NAME.damaged */

/* A checkpoint from the moment when its folder got its name. */
static struct {
    int64_t step;
    bool damaged;                                         /* from the beginning */
    content part[ARRAY_LEN(parts)], log[ARRAY_LEN(logs)]; /* the logs as they were then, where that is known */
} saved[MAX_STEPS];
static int saved_count;
static int64_t safe = -1; /* the newest step whose save was over: the next thing was begun */

static int of_step(int64_t step)
{
    for (int i = saved_count - 1; i >= 0; i--)
        if (saved[i].step == step)
            return i;
    return -1;
}

static void note_save(int64_t step)
{
    char *name = gp_run_name(step);
    int i = saved_count++;
    BUG_ON(i == MAX_STEPS);
    saved[i].step = step;
    for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
        char *path = gp_format("run/%s/%s", name, parts[k]);
        disk_content(path, &saved[i].part[k]);
        free(path);
    }
    for (size_t k = 0; k < ARRAY_LEN(logs); k++) {
        char *path = gp_format("run/%s", logs[k]);
        disk_content(path, &saved[i].log[k]);
        free(path);
    }
    free(name);
}

/* Follows the saves: a folder gets a checkpoint's name; the next folder is begun, or the recording ends. */
static void follow(const disk_op *o)
{
    if (o->kind == 'R' && !strncmp(o->to, "run/", 4) && gp_run_step(o->to + 4) >= 0)
        note_save(gp_run_step(o->to + 4));
    if ((o->kind == 'M' && !strncmp(o->to, "run/ckpt-", 9)) || o->kind == 'E')
        for (int i = 0; i < saved_count; i++)
            safe = saved[i].damaged ? safe : gp_max(safe, saved[i].step);
}

/* ---- the order of operations, where a wrong one would be told by its consequences alone ------------------ */

static bool is_temporary(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && !strcmp(name + n - 4, ".tmp");
}

/* Looks at an operation that was just done. */
static void check_order(int op, const disk_op *o)
{
    looked_at = "the order";
    if (o->kind == 'R' && is_temporary(o->from) && !is_temporary(o->to) && strcmp(o->to, "run/.lock") != 0 &&
        disk_unflushed(o->to)) /* what a lock holds is for people */
        PROBLEM("%s got its name before it was flushed", o->to);
    if (o->kind == 'R' && !strcmp(o->to, "run/last")) {
        char *folder = gp_path_join("run", disk_link("run/last"));
        if (!disk_name_flushed(folder))
            PROBLEM("last points to %s before that name was flushed", folder);
        for (size_t k = 0; k < ARRAY_LEN(logs); k++) {
            char *log = gp_path_join("run", logs[k]);
            if (disk_unflushed(log))
                PROBLEM("last points to %s before %s was flushed", folder, log);
            free(log);
        }
        free(folder);
    }
    const char *gone = o->kind == 'R' || o->kind == 'U' ? o->from : "";
    if (o->kind == 'R' && strstr(o->to, ".damaged"))
        return; /* a checkpoint that is set aside; where last may point it says itself */
    if (!strncmp(gone, "run/", 4) && gp_run_step(gone + 4) >= 0) {
        const char *last = disk_link("run/last");
        if (!last || gp_run_step(last) <= gp_run_step(gone + 4))
            PROBLEM("%s is removed while last points to %s", gone, last ? last : "nothing");
        else if (!disk_name_flushed("run/last"))
            PROBLEM("%s is removed before last was flushed", gone);
    }
    if (o->kind == 'U' && !strncmp(gone, "run/ckpt-", 9)) {
        char *folder = gp_folder_of(gone);
        if (strcmp(folder, "run") && !disk_name_flushed(folder))
            PROBLEM("%s is removed before the name of its folder was flushed", gone);
        free(folder);
    }
}

static void check_whole(int op, int64_t step)
{
    int i = of_step(step);
    char *name = gp_run_name(step);
    for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
        char *path = gp_format("%s/run/%s/%s", place, name, parts[k]);
        if (i < 0)
            PROBLEM("run/%s was never saved", name);
        else if (!holds(path, &saved[i].part[k]))
            PROBLEM("run/%s/%s is not what was saved", name, parts[k]);
        free(path);
    }
    free(name);
}

static void check_last(int op, const char *run, const char *when)
{
    char *last = gp_run_last(run, gp_run_weights_open, NULL);
    int64_t step = last ? gp_run_step(strrchr(last, '/') + 1) : -1;
    int i = of_step(step);
    if (!last)
        PROBLEM("%s no checkpoint can be opened, step %lld was saved: %s", when, (long long)safe, gp_error());
    else if (step < safe)
        PROBLEM("%s step %lld is the last one, step %lld was saved", when, (long long)step, (long long)safe);
    for (size_t k = 0; i >= 0 && k < ARRAY_LEN(logs); k++) {
        gp_buf b = {0};
        char *path = gp_path_join(run, logs[k]);
        bool there = read_file(path, &b);
        const content *then = &saved[i].log[k];
        if (then->size && (!there || b.len < then->size || memcmp(b.data, then->data, then->size)))
            PROBLEM("%s run/%s does not go as far as step %lld", when, logs[k], (long long)step);
        gp_buf_release(&b);
        free(path);
    }
    free(last);
}

/* Each byte that a log had before is in it, or in the file that is kept of it. */
static void check_rest(int op, const char *run)
{
    for (size_t k = 0; k < ARRAY_LEN(logs); k++) {
        gp_buf b = {0};
        content then;
        char *path = gp_path_join(run, logs[k]), *aside = gp_format("%s.damaged", path),
             *name = gp_path_join("run", logs[k]);
        disk_first_content(name, &then);
        bool whole = read_file(path, &b) && b.len >= then.size && !memcmp(b.data, then.data, then.size);
        if (rest[k].there && !whole && !holds(aside, &rest[k]))
            PROBLEM("of %s what was damaged is lost", name);
        gp_buf_release(&b);
        free(then.data);
        free(name);
        free(aside);
        free(path);
    }
}

static void check_run(int op)
{
    char *run = gp_path_join(place, "run");
    check_rest(op, run);
    int64_t *steps = NULL, count = 0;
    if (gp_exists(run))
        gp_run_steps(run, &steps, &count);
    for (int64_t i = 0; i < count; i++)
        check_whole(op, steps[i]);
    free(steps);
    if (safe >= 0) {
        check_last(op, run, "at once");
        gp_run *r = gp_run_open(run); /* as a resume does: what was half done is removed */
        if (!r)
            PROBLEM("the run cannot be gone on with: %s", gp_error());
        gp_run_close(r);
        check_last(op, run, "after tidying up");
    }
    free(run);
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static char **names;
static int name_count;
static content *before, *after;

static void check_files(int op, bool over)
{
    for (int i = 0; i < name_count; i++) {
        char *path = gp_path_join(place, names[i]);
        bool is_old = before[i].there ? holds(path, &before[i]) : !gp_exists(path);
        if (!holds(path, &after[i]) && (over || !is_old))
            PROBLEM("%s is %s", names[i], over ? "not what it became" : "neither what it was nor what it became");
        free(path);
    }
}

/* ---- all disks ------------------------------------------------------------------------------------------- */

static void check_others(int op)
{
    static const char *const others[] = {"others.txt", "run/others.txt", "others/others.txt"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        content c;
        disk_first_content(others[i], &c);
        char *path = gp_path_join(place, others[i]);
        if (c.there && !holds(path, &c))
            PROBLEM("%s, which is not ours, changed", others[i]);
        free(c.data);
        free(path);
    }
}

static void check_disk(int op, bool run, bool over)
{
    nftw(place, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    disk_write(place);
    looked_at = disk_kind();
    disks++;
    if (run)
        check_run(op);
    else
        check_files(op, over);
    check_others(op);
}

static void note_what_was_there(const char *folder, const char *trace)
{
    int64_t steps[MAX_STEPS];
    char *run = gp_path_join(folder, "run"), *warning = NULL, *last = gp_run_last(run, gp_run_weights_open, &warning);
    int count = disk_steps("run", steps, MAX_STEPS);
    safe = last ? gp_run_step(strrchr(last, '/') + 1) : -1;
    for (int i = 0; i < count; i++) {
        note_save(steps[i]);
        saved[i].damaged = steps[i] > safe;
        for (size_t k = 0; k < ARRAY_LEN(logs) && safe < steps[count - 1]; k++)
            saved[i].log[k] = (content){0};
    }
    while (disk_next(NULL))
        ;
    for (size_t k = 0; k < ARRAY_LEN(logs); k++) {
        char *aside = gp_format("run/%s.damaged", logs[k]);
        disk_content(aside, &rest[k]);
        free(aside);
    }
    disk_load(folder, trace);
    free(warning);
    free(last);
    free(run);
}

int main(int argc, char **argv)
{
    bool run = argc >= 4 && !strcmp(argv[1], "run");
    if (argc < 4 || (!run && strcmp(argv[1], "file"))) {
        fprintf(stderr, "usage: power_cut run BEFORE TRACE [STATES], power_cut file BEFORE TRACE NAME...\n");
        return 2;
    }
    int random = run && argc > 4 ? atoi(argv[4]) : 4;
    const char *dir = getenv("TMPDIR");
    snprintf(place, sizeof place, "%s/gptpipe-power-cut.XXXXXX", dir && *dir ? dir : "/tmp");
    if (!mkdtemp(place)) {
        fprintf(stderr, "power_cut: %s cannot be made\n", place);
        return 1;
    }
    disk_load(argv[2], argv[3]);
    names = argv + 4;
    name_count = run ? 0 : argc - 4;
    before = gp_calloc((size_t)name_count, sizeof *before);
    after = gp_calloc((size_t)name_count, sizeof *after);
    for (int i = 0; i < name_count; i++)
        disk_content(names[i], &before[i]);
    if (!run) { /* what they become: all of it, once */
        while (disk_next(NULL))
            ;
        for (int i = 0; i < name_count; i++)
            disk_content(names[i], &after[i]);
        disk_load(argv[2], argv[3]);
    } else if (disk_is_folder("run")) {
        note_what_was_there(argv[2], argv[3]);
    }
    disk_op o = {0};
    for (int op = 1; disk_next(&o); op++) {
        if (run)
            follow(&o);
        check_order(op, &o);
        bool over = o.kind == 'E';
        for (int kind = 0; kind < DISK_RANDOM + random; kind++)
            if (disk_crash(kind, run ? safe : over, (uint64_t)op * 1000 + (uint64_t)kind))
                check_disk(op, run, over);
    }
    nftw(place, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    rmdir(place);
    printf("power_cut: %d operations, %lld disks, %d problems\n", disk_operations(), (long long)disks, problems);
    return problems || !disks ? 1 : 0;
}
