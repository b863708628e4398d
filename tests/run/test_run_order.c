/* In which order a save reaches the disk: what a power failure leaves is a beginning of it. The calls of the C library
 * that matter are noted here on their way to the system, with names below the run's folder. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gptpipe/safetensors.h"
#include "gptpipe/tokens.h"
#include "gptpipe/train.h"
#include "run/run.h"

static char dir[64], run[80];

/* ---- what is noted --------------------------------------------------------------------------------------- */

enum { MAX = 2000 };
static char
    *events[MAX]; /* "sync NAME", "rename FROM TO", "remove NAME", "link NAME", "write NAME"; the run itself is "." */
static int count;

/* The name below the run's folder, or NULL. */
static const char *below(const char *path)
{
    size_t n = strlen(run);
    if (strncmp(path, run, n) || (path[n] && path[n] != '/'))
        return NULL;
    return path[n] && path[n + 1] ? path + n + 1 : ".";
}

static const char *full(int at, const char *path, char buffer[512])
{
    char fd[64], base[256] = "";
    if (*path == '/' || at == AT_FDCWD)
        return path;
    snprintf(fd, sizeof fd, "/proc/self/fd/%d", at);
    ssize_t n = readlink(fd, base, sizeof base - 1);
    base[n > 0 ? n : 0] = 0;
    snprintf(buffer, 512, *path ? "%s/%s" : "%s", base, path);
    return buffer;
}

static void note(const char *what, int at, const char *from, int at_to, const char *to)
{
    char a[512], b[512];
    const char *first = below(full(at, from, a)), *second = to ? below(full(at_to, to, b)) : NULL;
    if (first && count < MAX)
        events[count++] = second ? gp_format("%s %s %s", what, first, second) : gp_format("%s %s", what, first);
}

int fsync(int fd)
{
    note("sync", fd, "", 0, NULL);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    note("sync", fd, "", 0, NULL);
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *data, size_t n)
{
    note("write", fd, "", 0, NULL);
    return syscall(SYS_write, fd, data, n);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    note("rename", from_at, from, to_at, to);
    return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return renameat2(from_at, from, to_at, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int at, const char *path, int flags)
{
    note("remove", at, path, 0, NULL);
    return (int)syscall(SYS_unlinkat, at, path, flags);
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int symlinkat(const char *target, int at, const char *path)
{
    note("link", at, path, 0, NULL);
    return (int)syscall(SYS_symlinkat, target, at, path);
}

int symlink(const char *target, const char *path)
{
    return symlinkat(target, AT_FDCWD, path);
}

static void forget(void)
{
    while (count)
        free(events[--count]);
}

/* The first event from `from` on that begins and ends so; fails where there is none. */
static int find(int from, const char *begin, const char *end)
{
    for (int i = from; i < count; i++) {
        size_t n = strlen(events[i]), m = strlen(end);
        if (!strncmp(events[i], begin, strlen(begin)) && n >= m && !strcmp(events[i] + n - m, end))
            return i;
    }
    for (int i = 0; i < count; i++)
        print_message("%s\n", events[i]);
    fail_msg("no '%s...%s' from event %d on", begin, end, from);
    return -1;
}

/* ---- a run ----------------------------------------------------------------------------------------------- */

static int make_folder(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptpipe-order.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(run, sizeof run, "%s/run", dir);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = gp_format("rm -rf '%s'", dir);
    int rc = system(command);
    free(command);
    forget();
    return rc;
}

static int fill(void *self, const char *folder)
{
    static const char *const names[] = {"model.safetensors", "state.safetensors"};
    float x[4] = {1, 2, 3, 4};
    (void)self;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        gp_tensor t = gp_tensor_view(x, GP_F32, 1, 4);
        char *path = gp_path_join(folder, names[i]);
        gp_safetensors_writer *w = gp_safetensors_create(path);
        free(path);
        if (!w || gp_safetensors_declare(w, "x", &t) || gp_safetensors_write(w, x, sizeof x) ||
            gp_safetensors_finish(w))
            return -1;
    }
    return 0;
}

/* The rename that gives a checkpoint its name; what it was called before, and how often that was synced last: as a
 * folder, and by its files, with no write behind. */
static int find_naming(const char *name, char source[256], int *files, int *folder)
{
    char *end = gp_format(" %s", name);
    int named = find(0, "rename ", end), written = -1;
    assert_int_equal(sscanf(events[named], "rename %255s", source), 1);
    size_t n = strlen(source);
    *files = 0;
    *folder = -1;
    for (int i = 0; i < named; i++) {
        bool synced = !strncmp(events[i], "sync ", 5);
        const char *at = events[i] + (synced ? 5 : 6);
        if ((!synced && strncmp(events[i], "write ", 6)) || strncmp(at, source, n))
            continue;
        if (!synced)
            written = i;
        else if (at[n])
            ++*files;
        else
            *folder = i;
    }
    assert_true(*folder > written);
    free(end);
    return named;
}

/* Files and their folder are on the disk before the checkpoint has its name, the name before `last` points to it, and
 * that before anything older goes. */
static void a_save_reaches_the_disk_in_order(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_non_null(r);
    assert_int_equal(gp_run_save(r, 1, false, 1, fill, NULL), 0);
    for (int64_t step = 2; step < 4; step++) {
        char old[64], new[32], source[256];
        int files, folder;
        snprintf(old, sizeof old, "rename ckpt-%08d", (int)step - 1);
        snprintf(new, sizeof new, "ckpt-%08d", (int)step);
        forget();
        assert_int_equal(gp_run_save(r, step, false, 1, fill, NULL), 0);
        int named = find_naming(new, source, &files, &folder);
        assert_true(files >= 2 && folder >= 0);
        int synced = find(named, "sync .", ""), points = find(synced, "rename ", " last");
        int told = find(points, "sync .", "");
        assert_true(find(0, old, "") > told);
        char *path = gp_path_join(run, old + strlen("rename "));
        assert_int_equal(access(path, F_OK), -1); /* keep 1: one is there */
        free(path);
    }
    gp_run_close(r);
}

/* A link is replaced by another in one step: at no moment there is none. */
static void links_are_never_taken_away(void **state)
{
    (void)state;
    static const char *const links[] = {"last", "best", "model.safetensors"};
    gp_run *r = gp_run_create(run);
    for (int64_t step = 1; step < 5; step++)
        assert_int_equal(gp_run_save(r, step, step % 2, 2, fill, NULL), 0);
    gp_run_close(r);
    for (size_t k = 0; k < ARRAY_LEN(links); k++) {
        char *removed = gp_format("remove %s", links[k]), *made = gp_format("link %s", links[k]);
        char *renamed = gp_format(" %s", links[k]);
        find(0, "rename ", renamed);
        for (int i = 0; i < count; i++) {
            assert_string_not_equal(events[i], removed);
            assert_string_not_equal(events[i], made);
        }
        free(removed);
        free(made);
        free(renamed);
    }
}

/* Where `last` cannot be made to point on, the older checkpoints stay. */
static void what_is_older_stays_while_last_cannot_point_on(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    char *last = gp_path_join(run, "last"), *old = gp_path_join(run, "ckpt-00000001");
    assert_int_equal(gp_run_save(r, 1, false, 1, fill, NULL), 0);
    assert_int_equal(unlink(last), 0);
    assert_int_equal(mkdir(last, 0700), 0);
    assert_int_equal(gp_run_save(r, 2, false, 1, fill, NULL), -1);
    assert_int_equal(access(old, F_OK), 0);
    assert_int_equal(rmdir(last), 0);
    assert_int_equal(gp_run_save(r, 3, false, 1, fill, NULL), 0);
    assert_int_equal(access(old, F_OK), -1);
    gp_run_close(r);
    free(last);
    free(old);
}

/* What a checkpoint takes for logged is on the disk before it. */
static void the_log_is_on_the_disk_before_the_checkpoint(void **state)
{
    (void)state;
    char *data = gp_path_join(dir, "data.tok");
    gp_tokens_writer *w = gp_tokens_create(data, &(gp_tokens_info){.vocab_size = 40});
    for (int32_t i = 0; i < 400; i++)
        assert_int_equal(gp_tokens_write(w, &(int32_t){i % 39}, 1), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    gp_train_options o = gp_train_defaults();
    o.data = (gp_list){.items = (const char *[]){data}, .count = 1};
    o.out = run;
    o.layers = o.heads = 1;
    o.channels = o.seq_len = 8;
    o.batch_size = 2;
    o.steps = 3;
    o.save_every = 1;
    o.backend = GP_BACKEND_REF;
    o.dtype = GP_COMPUTE_FP32;
    o.threads = 1;
    o.quiet = true;
    if (gp_train(&o))
        fail_msg("%s", gp_error());
    int saves = 0, written = -1;
    for (int i = 0; i < count; i++) {
        int step, end = 0;
        written = !strcmp(events[i], "write log.jsonl") ? i : written;
        if (sscanf(events[i], "rename %*s ckpt-%8d%n", &step, &end) != 1 || events[i][end])
            continue;
        assert_true(written >= 0);
        assert_true(find(written, "sync log.jsonl", "") < i);
        saves++;
    }
    assert_int_equal(saves, 3);
    free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_save_reaches_the_disk_in_order),
        TEST(links_are_never_taken_away),
        TEST(what_is_older_stays_while_last_cannot_point_on),
        TEST(the_log_is_on_the_disk_before_the_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
