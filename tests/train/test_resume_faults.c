/* A run is resumed while one system call after another fails, as on a disk with an error or with a full table of
 * descriptors: no checkpoint is lost, no run begins again, and what is resumed afterwards ends as if nothing had
 * been. */
#include "test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gptpipe/tokens.h"
#include "gptpipe/train.h"

/* ---- calls that fail ------------------------------------------------------------------------------------- */

static struct {
    const char *call; /* NULL: none fails */
    int n, error;     /* the n-th one */
    int seen;
} fault;

/* Not where the OpenMP runtime calls: LLVM's does not look whether its ftruncate failed, and dies of SIGBUS. */
static bool fails_for(const char *call, const void *caller)
{
    Dl_info from;
    if (!fault.call || strcmp(call, fault.call))
        return false;
    if (dladdr(caller, &from) && strstr(from.dli_fname, "omp.so"))
        return false;
    if (++fault.seen != fault.n)
        return false;
    errno = fault.error;
    return true;
}

#define fails(call) fails_for(call, __builtin_return_address(0))

/* These stand before the C library's own, for the test and the library that is linked to it. */
int nanosleep(const struct timespec *time, struct timespec *left) /* the pauses of hundreds of measured peaks */
{
    (void)time;
    (void)left;
    return 0;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    unsigned mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    return fails("open") ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    unsigned mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    return fails("openat") ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

DIR *opendir(const char *path)
{
    static DIR *(*next)(const char *);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "opendir");
    return fails("opendir") ? NULL : next(path);
}

struct dirent *readdir(DIR *d)
{
    static struct dirent *(*next)(DIR *);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "readdir");
    return fails("readdir") ? NULL : next(d);
}

int stat(const char *path, struct stat *st)
{
    return fails("stat") ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, 0);
}

int fstat(int fd, struct stat *st)
{
    return fails("fstat") ? -1 : (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

ssize_t read(int fd, void *data, size_t n)
{
    return fails("read") ? -1 : syscall(SYS_read, fd, data, n);
}

ssize_t pread(int fd, void *data, size_t n, off_t at)
{
    return fails("pread") ? -1 : syscall(SYS_pread64, fd, data, n, at);
}

ssize_t readlink(const char *path, char *to, size_t n)
{
    return fails("readlink") ? -1 : syscall(SYS_readlinkat, AT_FDCWD, path, to, n);
}

ssize_t readlinkat(int dir, const char *path, char *to, size_t n)
{
    return fails("readlinkat") ? -1 : syscall(SYS_readlinkat, dir, path, to, n);
}

int fsync(int fd)
{
    return fails("fsync") || fd < 0 ? -1 : 0; /* no_sync.c */
}

int flock(int fd, int how)
{
    return fails("flock") ? -1 : (int)syscall(SYS_flock, fd, how);
}

int ftruncate(int fd, off_t size)
{
    return fails("ftruncate") ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int rename(const char *from, const char *to)
{
    return fails("rename") ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int a, const char *from, int b, const char *to)
{
    return fails("renameat") ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    return fails("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int symlinkat(const char *target, int dir, const char *path)
{
    return fails("symlinkat") ? -1 : (int)syscall(SYS_symlinkat, target, dir, path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails("mkdir") ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* ---- the run --------------------------------------------------------------------------------------------- */

enum { SAVED = 6, LAST = 8, V = 40, B = 2, T = 8 };

static char folder[64];
static char data[80], run[80], copy[80];

static void shell(const char *format, const char *a, const char *b)
{
    char *command = gp_format("%s %s %s", format, a, b);
    assert_int_equal(system(command), 0);
    free(command);
}

/* In a process of its own, since threads and what a failure leaves open go with it. The exit status, and whether the
 * fault was met. */
static int train(const char *out, const char *resume, int64_t steps, bool *met)
{
    int status, to[2];
    char c;
    assert_int_equal(pipe(to), 0);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        const char *files[] = {data};
        for (int i = 1; i < NSIG; i++) /* CMocka's would go on with the next test, here */
            signal(i, SIG_DFL);
        gp_train_options o = gp_train_defaults();
        o.data = (gp_list){.items = files, .count = 1};
        o.out = out;
        o.resume = resume;
        o.layers = o.heads = 1;
        o.channels = T;
        o.seq_len = T;
        o.batch_size = B;
        o.backend = GP_BACKEND_REF;
        o.threads = 1;
        o.warmup = 0;
        o.steps = steps;
        o.decay_steps = LAST;
        o.eval_batches = 0;
        o.save_every = 2;
        o.keep = 99;
        o.quiet = true;
        fclose(stderr);
        int rc = gp_train(&o);
        bool seen = fault.seen >= fault.n;
        fault.call = NULL;
        if (seen && write(to[1], "", 1) != 1)
            _exit(99);
        _exit(rc ? 1 : 0);
    }
    close(to[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    bool came = read(to[0], &c, 1) == 1;
    close(to[0]);
    if (met)
        *met = came;
    if (!WIFEXITED(status))
        fail_msg("%s number %d fails: signal %d", fault.call ? fault.call : "nothing", fault.n, WTERMSIG(status));
    return WEXITSTATUS(status);
}

static int set_up(void **state)
{
    (void)state;
    int32_t ids[B * T * LAST + 1];
    /* in memory where that can be: some hundred runs, whose every file is flushed */
    snprintf(folder, sizeof folder, "%s/gptpipe-test.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder))
        return -1;
    snprintf(data, sizeof data, "%s/data.tok", folder);
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(copy, sizeof copy, "%s/copy", folder);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = (int32_t)((i * i + 3 * i) % V);
    gp_tokens_writer *w = gp_tokens_create(data, &(gp_tokens_info){.vocab_size = V});
    assert_int_equal(gp_tokens_write(w, ids, ARRAY_LEN(ids)), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    assert_int_equal(train(run, NULL, SAVED, NULL), 0);
    shell("cp -a", run, copy);
    assert_int_equal(train(NULL, copy, LAST, NULL), 0);
    char *whole = gp_format("%s/whole", folder);
    assert_int_equal(rename(copy, whole), 0); /* what every resumed run must come to */
    free(whole);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shell("rm -rf", folder, "");
    return 0;
}

static bool same(const char *a, const char *b, const char *name)
{
    char *command = gp_format("cmp -s %s/%s %s/%s", a, name, b, name);
    bool is = !system(command);
    free(command);
    return is;
}

enum { FILES = SAVED / 2 * 2 };

static char *file_of(int i)
{
    return gp_format("%s/ckpt-%08d/%s.safetensors", copy, i / 2 * 2 + 2, i % 2 ? "model" : "state");
}

/* The files of the copy's checkpoints as they are now. A run that begins again comes to the same bytes, in others. */
static void note_files(ino_t inode[FILES])
{
    for (int i = 0; i < FILES; i++) {
        struct stat st;
        char *path = file_of(i);
        inode[i] = stat(path, &st) ? 0 : st.st_ino;
        free(path);
    }
}

static void check_kept(const ino_t inode[FILES], const char *call, int n)
{
    ino_t now[FILES];
    note_files(now);
    for (int i = 0; i < FILES; i++)
        if (!now[i] || now[i] != inode[i])
            fail_msg("%s number %d fails: %s is lost", call, n, file_of(i));
}

static void check_end(const char *call, int n)
{
    char *whole = gp_format("%s/whole", folder);
    static const char *const names[] = {"last/model.safetensors", "last/state.safetensors"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!same(whole, copy, names[i]))
            fail_msg("%s number %d fails: the run ends otherwise (%s)", call, n, names[i]);
    free(whole);
}

static void no_failing_call_loses_a_checkpoint(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int error, stride;
    } cases[] = {
        {"opendir", EMFILE, 1},   {"readdir", EIO, 7},    {"openat", EMFILE, 1}, {"open", ENOMEM, 1},
        {"stat", ESTALE, 1},      {"fstat", EIO, 3},      {"read", EIO, 1},      {"pread", EIO, 1},
        {"readlink", EACCES, 1},  {"readlinkat", EIO, 1}, {"fsync", EIO, 2},     {"flock", ENOLCK, 1},
        {"ftruncate", EIO, 1},    {"rename", EACCES, 1},  {"renameat", EIO, 1},  {"unlinkat", EIO, 1},
        {"symlinkat", ENOSPC, 1}, {"mkdir", ENOSPC, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool met = true;
        for (int n = 1; met; n += cases[i].stride) {
            ino_t inode[FILES];
            shell("cp -a", run, copy);
            note_files(inode);
            fault.call = cases[i].call;
            fault.n = n;
            fault.error = cases[i].error;
            int rc = train(NULL, copy, LAST, &met);
            fault.call = NULL;
            check_kept(inode, cases[i].call, n);
            if (rc)
                rc = train(NULL, copy, LAST, NULL);
            assert_int_equal(rc, 0);
            check_end(cases[i].call, n);
            shell("rm -rf", copy, "");
        }
    }
}

/* Each of these is a call on which resuming depends: where one is not met any more, this test has lost its hold. */
static void every_call_is_met(void **state)
{
    (void)state;
    static const char *const calls[] = {"openat", "open", "readdir", "stat", "fstat", "readlink", "flock"};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        bool met;
        shell("cp -a", run, copy);
        fault.call = calls[i];
        fault.n = 1;
        fault.error = EIO;
        train(NULL, copy, LAST, &met);
        fault.call = NULL;
        if (!met)
            fail_msg("%s is never called", calls[i]);
        shell("rm -rf", copy, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failing_call_loses_a_checkpoint),
        cmocka_unit_test(every_call_is_met),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
