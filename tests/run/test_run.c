/* Run directories: whatever happens to the writer, the last good checkpoint can be read. */
#include "test.h"

#include "base/rng.h"
#include "checkpoint/checkpoint.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "base/atomic_folder.h"
#include "run/run.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/gptpipe-test.XXXXXX";
static char run[64]; /* folder/run */

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(run, sizeof run, "%s/run", folder);
    return 0;
}

static void remove_all(const char *path)
{
    char **names;
    int64_t count;
    if (gp_folder_list(path, &names, &count))
        return;
    for (int64_t i = 0; i < count; i++) {
        char *name = gp_path_join(path, names[i]);
        if (unlink(name))
            gp_folder_remove(name);
        free(name);
    }
    gp_folder_list_free(names, count);
    rmdir(path);
}

static int remove_run(void **state)
{
    (void)state;
    remove_all(run);
    return gp_exists(run) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* run/name; valid until the next but two. */
static const char *in(const char *name)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", run, name);
    return path;
}

enum { NUMBERS = 50000 };

/* Two files with one tensor each, whose numbers all are the step. */
static int fill(void *self, const char *dir)
{
    static const char *const names[] = {"model.safetensors", "state.safetensors"};
    static float x[NUMBERS];
    int rc = 0;
    for (int i = 0; i < NUMBERS; i++)
        x[i] = (float)*(int64_t *)self;
    for (size_t i = 0; !rc && i < ARRAY_LEN(names); i++) {
        gp_tensor t = gp_tensor_view(x, GP_F32, 1, NUMBERS);
        char *path = gp_path_join(dir, names[i]);
        gp_safetensors_writer *w = gp_safetensors_create(path);
        free(path);
        if (!w)
            return -1;
        gp_safetensors_declare(w, "x", &t);
        gp_safetensors_write(w, x, sizeof x);
        rc = gp_safetensors_finish(w);
    }
    return rc;
}

static int save(gp_run *r, int64_t step, bool best, int64_t keep)
{
    return gp_run_save(r, step, best, keep, fill, &step);
}

/* The step that all numbers of the checkpoint in `dir` agree on. */
static int64_t step_in(const char *dir)
{
    static const char *const names[] = {"model.safetensors", "state.safetensors"};
    int64_t step = -1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = gp_path_join(dir, names[i]);
        gp_safetensors *s = gp_safetensors_open(path);
        gp_tensor t;
        if (!s || !gp_safetensors_find(s, "x", &t))
            fail_msg("%s", gp_error());
        const float *x = t.data;
        if (step < 0)
            step = (int64_t)x[0];
        for (int k = 0; k < NUMBERS; k++)
            if (x[k] != (float)step)
                fail_msg("%s holds %g beside %lld", path, (double)x[k], (long long)step);
        gp_safetensors_close(s);
        free(path);
    }
    return step;
}

static int64_t last_step(char **warning)
{
    char *dir = gp_run_last(run, gp_run_weights_open, warning);
    if (!dir)
        fail_msg("%s", gp_error());
    int64_t step = step_in(dir);
    free(dir);
    return step;
}

/* Names in the run, separated by spaces. */
static const char *listed(void)
{
    static char text[512];
    char **names;
    int64_t count;
    assert_int_equal(gp_folder_list(run, &names, &count), 0);
    text[0] = 0;
    for (int64_t i = 0; i < count; i++) {
        strcat(text, i ? " " : "");
        strcat(text, names[i]);
    }
    gp_folder_list_free(names, count);
    return text;
}

static void assert_file(const char *name, const char *expected)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, in(name), 1 << 20), 0);
    assert_string_equal(b.len ? b.data : "", expected);
    gp_buf_release(&b);
}

/* ---- the folder and its lock ----------------------------------------------------------------------------- */

static void test_a_folder_with_anything_in_it_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(run, 0777), 0);
    assert_int_equal(gp_file_write(in("thesis.txt"), "x", 1), 0);
    assert_null(gp_run_create(run));
    assert_non_null(strstr(gp_error(), "/run: is not empty, and a run is never overwritten: give another --out"));
    assert_string_equal(listed(), "thesis.txt");
}

static void test_a_second_writer_is_refused_with_the_first_ones_number(void **state)
{
    (void)state;
    char expected[64];
    gp_run *r = gp_run_create(run);
    snprintf(expected, sizeof expected, "is being written by process %ld;", (long)getpid());
    assert_null(gp_run_create(run));
    assert_non_null(strstr(gp_error(), expected));
    assert_int_equal(save(r, 1, false, 1), 0);
    assert_null(gp_run_open(run));
    assert_non_null(strstr(gp_error(), expected));
    gp_run_close(r);
    r = gp_run_open(run);
    assert_non_null(r);
    gp_run_close(r);
}

static void test_a_run_in_which_nothing_was_kept_is_removed(void **state)
{
    (void)state;
    gp_run_close(gp_run_create(run));
    assert_false(gp_exists(run));
    gp_run *r = gp_run_create(run);
    assert_int_equal(gp_run_write(r, "config.yaml", "steps: 1\n", 9), 0);
    gp_run_close(r);
    assert_string_equal(listed(), ".lock config.yaml");
}

static void test_a_folder_without_checkpoints_cannot_be_resumed(void **state)
{
    (void)state;
    assert_null(gp_run_open(run));
    assert_non_null(strstr(gp_error(), "No such file or directory"));
    assert_int_equal(mkdir(run, 0777), 0);
    assert_null(gp_run_open(run));
    assert_non_null(strstr(gp_error(), "/run: has no checkpoint to resume from"));
    assert_string_equal(listed(), "");
}

/* ---- checkpoints ----------------------------------------------------------------------------------------- */

static void test_links_follow_the_last_and_the_best(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_int_equal(save(r, 10, true, 9), 0);
    assert_int_equal(save(r, 20, false, 9), 0);
    gp_run_close(r);
    assert_int_equal(last_step(NULL), 20);
    assert_int_equal(step_in(in("last")), 20);
    assert_int_equal(step_in(in("best")), 10);
    assert_true(gp_exists(in("model.safetensors")));
    assert_string_equal(listed(), ".lock best ckpt-00000010 ckpt-00000020 last model.safetensors");
}

static void test_old_checkpoints_go_but_the_best_stays(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    for (int64_t step = 1; step <= 6; step++)
        assert_int_equal(save(r, step, step == 2, 3), 0);
    assert_string_equal(listed(), ".lock best ckpt-00000002 ckpt-00000004 ckpt-00000005 ckpt-00000006 last "
                                  "model.safetensors");
    const struct {
        int n;
        int64_t step;
    } kept[] = {{1, 5}, {3, 2}};
    char *path;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        assert_int_equal(gp_run_checkpoint(r, kept[i].n, &path), 0);
        assert_int_equal(step_in(path), kept[i].step);
        free(path);
    }
    assert_int_equal(gp_run_checkpoint(r, 4, &path), 0);
    assert_null(path);
    gp_run_close(r);
}

static void test_a_checkpoint_of_the_same_step_is_replaced(void **state)
{
    (void)state;
    int64_t other = 77;
    gp_run *r = gp_run_create(run);
    assert_int_equal(save(r, 5, false, 2), 0);
    assert_int_equal(gp_run_save(r, 5, false, 2, fill, &other), 0);
    gp_run_close(r);
    assert_int_equal(last_step(NULL), 77);
    assert_string_equal(listed(), ".lock ckpt-00000005 last model.safetensors");
}

static int fill_badly(void *self, const char *dir)
{
    fill(self, dir);
    return gp_fail("the roof fell in");
}

static void test_a_failed_save_leaves_what_was_there(void **state)
{
    (void)state;
    int64_t step = 2;
    gp_run *r = gp_run_create(run);
    assert_int_equal(save(r, 1, true, 1), 0);
    assert_int_equal(gp_run_save(r, 2, true, 1, fill_badly, &step), -1);
    assert_string_equal(gp_error(), "the roof fell in");
    gp_run_close(r);
    assert_int_equal(last_step(NULL), 1);
    assert_string_equal(listed(), ".lock best ckpt-00000001 last model.safetensors");
}

/* Runs fn in a child whose files cannot grow beyond `most` bytes, as on a full disk. */
static int on_full_disk(rlim_t most, int (*fn)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, most});
        _exit(fn());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int save_and_see(void)
{
    gp_run *r = gp_run_open(run);
    int failed = r && save(r, 2, false, 1) && strstr(gp_error(), "cannot be written: File too large");
    gp_run_close(r);
    return failed ? 42 : 0;
}

static void test_a_full_disk_leaves_the_last_good_checkpoint(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_int_equal(save(r, 1, false, 1), 0);
    gp_run_close(r);
    for (rlim_t most = 100; most < NUMBERS * 4; most += 60000) {
        assert_int_equal(on_full_disk(most, save_and_see), 42);
        assert_int_equal(last_step(NULL), 1);
        assert_string_equal(listed(), ".lock ckpt-00000001 last model.safetensors");
    }
}

/* Says on `ready` that it begins, then saves one step after another until it is killed. */
_Noreturn static void save_forever(int64_t step, int ready)
{
    gp_run *r = gp_run_open(run);
    if (write(ready, "", 1) == 1)
        while (r && !save(r, step, step % 3 == 0, 2))
            step++;
    fprintf(stderr, "%s\n", gp_error());
    _exit(1);
}

/* Kills a child at a random moment of its first three saves, each of which takes about `seconds`. */
static void kill_a_writer(int64_t step, double seconds, uint64_t round)
{
    int ready[2], status;
    char c;
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (!child)
        save_forever(step, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    usleep((useconds_t)(3e6 * seconds * gp_random_double(1, 99, 0, round)));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* it did not end by itself */
    close(ready[0]);
}

static void test_kill_at_any_moment_leaves_the_last_good_checkpoint(void **state)
{
    (void)state;
    enum { ROUNDS = 40 };
    int64_t step = 3, grown = 0, interrupted = 0;
    gp_run *r = gp_run_create(run);
    double begin = gp_now();
    for (int64_t i = 1; i <= step; i++)
        assert_int_equal(save(r, i, false, 2), 0);
    double seconds = (gp_now() - begin) / (double)step;
    gp_run_close(r);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        char *warning = NULL;
        kill_a_writer(step + 1, seconds, round);
        int64_t now = last_step(&warning);
        assert_null(warning); /* `last` itself is good */
        assert_true(now >= step);
        grown += now > step;
        interrupted += strstr(listed(), ".tmp") != NULL;
        step = now;
        if (gp_exists(in("best")))
            assert_int_equal(step_in(in("best")) % 3, 0);
        r = gp_run_open(run);
        assert_non_null(r);
        assert_null(strstr(listed(), ".tmp")); /* leftovers are gone */
        char *newest;
        assert_int_equal(gp_run_checkpoint(r, 0, &newest), 0);
        assert_true(step_in(newest) >= step); /* its link may have been missed by a moment */
        free(newest);
        gp_run_close(r);
    }
    assert_true(grown > 0 && interrupted > 0); /* both happened, so the test has tested */
}

/* ---- what is not ours ------------------------------------------------------------------------------------ */

/* An open run with the checkpoints 1 to 3. */
static gp_run *run_of_three(void)
{
    gp_run *r = gp_run_create(run);
    for (int64_t step = 1; step <= 3; step++)
        assert_int_equal(save(r, step, false, 3), 0);
    return r;
}

static void make_elsewhere(const char *name, const char *text)
{
    char *dir = gp_format("%s/elsewhere", folder), *path = gp_path_join(dir, name);
    assert_int_equal(gp_make_dirs(dir), 0);
    assert_int_equal(gp_file_write(path, text, strlen(text)), 0);
    free(path);
    free(dir);
}

/* Removes what make_elsewhere made, which must be as it was. */
static void assert_elsewhere(const char *name, const char *text)
{
    gp_buf b = {0};
    char *dir = gp_format("%s/elsewhere", folder), *path = gp_path_join(dir, name);
    assert_int_equal(gp_file_read(&b, path, 1000), 0);
    assert_string_equal(b.data, text);
    assert_int_equal(gp_folder_remove(dir), 0);
    gp_buf_release(&b);
    free(path);
    free(dir);
}

static void test_a_link_named_as_a_checkpoint_is_removed_itself(void **state)
{
    (void)state;
    make_elsewhere("thesis.txt", "thesis");
    gp_run *r = run_of_three();
    assert_int_equal(gp_folder_remove(in("ckpt-00000001")), 0);
    assert_int_equal(symlink("../elsewhere", in("ckpt-00000001")), 0);
    assert_int_equal(save(r, 4, false, 3), 0);
    assert_string_equal(listed(), ".lock ckpt-00000002 ckpt-00000003 ckpt-00000004 last model.safetensors");
    assert_int_equal(symlink("../elsewhere", in("ckpt-00000009")), 0);
    assert_int_equal(gp_run_remove_after(r, 4), 1);
    assert_string_equal(listed(), ".lock ckpt-00000002 ckpt-00000003 ckpt-00000004 last model.safetensors");
    gp_run_close(r);
    assert_elsewhere("thesis.txt", "thesis");
}

static void test_what_others_put_into_a_checkpoint_stays(void **state)
{
    (void)state;
    gp_run *r = run_of_three();
    assert_int_equal(gp_file_write(in("ckpt-00000001/notes.txt"), "mine", 4), 0);
    assert_int_equal(gp_file_write(in("notes.tmp"), "mine", 4), 0);
    assert_int_equal(save(r, 4, false, 3), 0);
    gp_run_close(r);
    r = gp_run_open(run);
    assert_non_null(r);
    gp_run_close(r);
    assert_string_equal(listed(), ".lock ckpt-00000001.rest ckpt-00000002 ckpt-00000003 ckpt-00000004 last "
                                  "model.safetensors notes.tmp");
    assert_file("ckpt-00000001.rest/notes.txt", "mine");
    assert_false(gp_exists(in("ckpt-00000001.rest/model.safetensors")));
}

static int append_word(gp_run *r, const char *name)
{
    return gp_run_append(r, name, "word", 4);
}

static int cut_to_nothing(gp_run *r, const char *name)
{
    return gp_run_cut(r, name, 0, NULL);
}

static int measure(gp_run *r, const char *name)
{
    int64_t size;
    return gp_run_size(r, name, &size);
}

static void test_nothing_is_written_through_links(void **state)
{
    (void)state;
    static int (*const uses[])(gp_run *, const char *) = {append_word, cut_to_nothing, measure, gp_run_flush};
    static const char *const names[] = {"log.jsonl", "samples.txt", "history.jsonl"};
    make_elsewhere("precious.txt", "precious");
    gp_run *r = run_of_three();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(symlink("../elsewhere/precious.txt", in(names[i])), 0);
        for (size_t k = 0; k < ARRAY_LEN(uses); k++) {
            assert_int_equal(uses[k](r, names[i]), -1);
            assert_non_null(strstr(gp_error(), "is a symbolic link"));
        }
    }
    gp_run_close(r);
    unlink(in(".lock"));
    assert_int_equal(symlink("../elsewhere/precious.txt", in(".lock")), 0);
    assert_null(gp_run_open(run));
    assert_non_null(strstr(gp_error(), "/.lock: is a symbolic link"));
    assert_elsewhere("precious.txt", "precious");
}

/* A pipe under the name of the log would wait for a reader for ever. */
static void test_a_pipe_is_not_the_log(void **state)
{
    (void)state;
    gp_run *r = run_of_three();
    assert_int_equal(mkfifo(in("log.jsonl"), 0600), 0);
    assert_int_equal(append_word(r, "log.jsonl"), -1);
    assert_non_null(strstr(gp_error(), "/log.jsonl: is not a regular file"));
    gp_run_close(r);
}

static void test_a_lock_that_is_not_ours_makes_a_folder_full(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1234\n", "gptpipe train\nx\n"};
    assert_int_equal(mkdir(run, 0777), 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(gp_file_write(in(".lock"), texts[i], strlen(texts[i])), 0);
        assert_null(gp_run_create(run));
        assert_non_null(strstr(gp_error(), "/run: is not empty"));
        assert_file(".lock", texts[i]);
    }
}

/* What a run leaves that is killed before it has kept anything, is begun in again. */
static void test_a_start_that_was_killed_can_be_repeated(void **state)
{
    (void)state;
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        gp_run *r = gp_run_create(run);
        if (r && !gp_run_write(r, "data.tok", "tokens", 6))
            raise(SIGKILL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(gp_file_write(in("log.jsonl.0123456789abcdef.tmp"), "", 0), 0);
    gp_run *r = gp_run_create(run);
    assert_non_null(r);
    gp_run_close(r);
    assert_string_equal(listed(), ".lock data.tok");
    unlink(in(".lock"));
    assert_null(gp_run_create(run)); /* without our lock beside it, it is anyone's */
}

static void test_a_run_may_be_a_link(void **state)
{
    (void)state;
    char *link = gp_format("%s/link", folder);
    gp_run_close(run_of_three());
    assert_int_equal(symlink("run", link), 0);
    gp_run *r = gp_run_open(link);
    assert_non_null(r);
    assert_int_equal(save(r, 4, false, 3), 0);
    gp_run_close(r);
    assert_int_equal(last_step(NULL), 4);
    unlink(link);
    free(link);
}

/* Another run may have begun under the name by then. */
static void test_a_renamed_run_is_gone_on_with_and_another_of_its_name_left_alone(void **state)
{
    (void)state;
    char *away = gp_format("%s/away", folder), *last = gp_path_join(away, "last");
    int64_t theirs = 77;
    gp_run *r = run_of_three();
    assert_int_equal(rename(run, away), 0);
    gp_run *other = gp_run_create(run);
    assert_int_equal(gp_run_save(other, 1, true, 1, fill, &theirs), 0);
    assert_int_equal(gp_run_save(other, 2, false, 2, fill, &theirs), 0);
    assert_int_equal(save(r, 4, true, 1), 0);
    assert_int_equal(gp_run_write(r, "config.yaml", "x", 1), 0);
    gp_run_close(other);
    gp_run_close(r);
    assert_string_equal(listed(), ".lock best ckpt-00000001 ckpt-00000002 last model.safetensors");
    assert_int_equal(last_step(NULL), 77);
    assert_int_equal(step_in(last), 4);
    remove_all(run);
    assert_int_equal(rename(away, run), 0);
    assert_string_equal(listed(), ".lock best ckpt-00000004 config.yaml last model.safetensors");
    free(last);
    free(away);
}

static void test_nothing_is_written_for_a_run_that_was_removed(void **state)
{
    (void)state;
    gp_run *r = run_of_three();
    remove_all(run);
    assert_int_equal(gp_make_dirs(run), 0);
    assert_int_equal(save(r, 4, false, 1), -1);
    assert_non_null(strstr(gp_error(), "was renamed or removed while the run was written"));
    assert_int_equal(gp_run_write(r, "config.yaml", "x", 1), -1);
    gp_run_close(r);
    assert_string_equal(listed(), "");
}

static void test_a_checkpoint_that_another_wrote_gets_another_name(void **state)
{
    (void)state;
    char *name;
    int64_t theirs = 77;
    gp_run *r = run_of_three();
    assert_int_equal(gp_run_rename_existing(r, 4, &name), 0);
    assert_null(name);
    assert_int_equal(gp_run_save(r, 4, false, 3, fill, &theirs), 0);
    assert_int_equal(gp_run_rename_existing(r, 4, &name), 0);
    assert_string_equal(name, "ckpt-00000004.rest");
    free(name);
    assert_int_equal(save(r, 4, false, 3), 0);
    gp_run_close(r);
    assert_int_equal(last_step(NULL), 4);
    assert_int_equal(step_in(in("ckpt-00000004.rest")), 77);
}

/* ---- links and names ------------------------------------------------------------------------------------- */

static void test_a_damaged_checkpoint_gets_another_name(void **state)
{
    (void)state;
    char *name;
    gp_run *r = run_of_three();
    assert_int_equal(gp_run_rename_damaged(r, 3, &name), 0);
    assert_string_equal(name, "ckpt-00000003.damaged");
    free(name);
    assert_int_equal(save(r, 3, false, 3), 0);
    assert_int_equal(gp_run_rename_damaged(r, 3, &name), 0);
    assert_string_equal(name, "ckpt-00000003.damaged.2");
    free(name);
    assert_int_equal(gp_run_continue_from(r, 2, -1), 0);
    gp_run_close(r);
    assert_int_equal(step_in(in("last")), 2);
    assert_string_equal(listed(), ".lock ckpt-00000001 ckpt-00000002 ckpt-00000003.damaged "
                                  "ckpt-00000003.damaged.2 last model.safetensors");
}

static int64_t best_of(void)
{
    char target[64] = "";
    long long step = -1;
    return readlink(in("best"), target, sizeof target - 1) < 0 || sscanf(target, "ckpt-%lld", &step) != 1 ? -1 : step;
}

static void test_best_follows_the_checkpoint_that_is_continued_from(void **state)
{
    (void)state;
    gp_run *r = run_of_three();
    assert_int_equal(gp_run_continue_from(r, 3, 3), 0); /* killed before the link was made */
    assert_int_equal(best_of(), 3);
    assert_int_equal(gp_run_continue_from(r, 2, 1), 0); /* back: what was best later is not */
    assert_int_equal(best_of(), 1);
    assert_int_equal(gp_run_continue_from(r, 3, 2), 0); /* the state and the link disagree: the link's one stays */
    assert_int_equal(best_of(), 1);
    assert_int_equal(gp_folder_remove(in("ckpt-00000001")), 0);
    assert_int_equal(gp_run_continue_from(r, 3, 2), 0); /* it names nothing */
    assert_int_equal(best_of(), 2);
    assert_int_equal(gp_folder_remove(in("ckpt-00000002")), 0);
    assert_int_equal(gp_run_continue_from(r, 3, 2), 0);
    assert_int_equal(best_of(), -1);
    gp_run_close(r);
}

/* What stands where a link belongs is not replaced. */
static void test_a_file_is_not_replaced_by_a_link(void **state)
{
    (void)state;
    gp_run *r = run_of_three();
    unlink(in("model.safetensors"));
    assert_int_equal(gp_file_write(in("model.safetensors"), "mine", 4), 0);
    assert_int_equal(gp_run_continue_from(r, 3, -1), -1);
    assert_non_null(strstr(gp_error(), "/model.safetensors: is not a link, as it is in a run"));
    assert_file("model.safetensors", "mine");
    gp_run_close(r);
}

static void test_a_name_with_more_zeros_is_no_checkpoint(void **state)
{
    (void)state;
    gp_run *r = run_of_three();
    assert_int_equal(mkdir(in("ckpt-000000009"), 0777), 0);
    char *newest;
    assert_int_equal(gp_run_checkpoint(r, 0, &newest), 0);
    assert_int_equal(step_in(newest), 3);
    free(newest);
    gp_run_close(r);
    assert_int_equal(rmdir(in("ckpt-000000009")), 0);
}

/* ---- a broken `last` ------------------------------------------------------------------------------------- */

static void save_three(void)
{
    gp_run *r = gp_run_create(run);
    for (int64_t step = 1; step <= 3; step++)
        assert_int_equal(save(r, step, false, 3), 0);
    gp_run_close(r);
}

static void test_a_truncated_last_checkpoint_is_passed_over(void **state)
{
    (void)state;
    char *warning = NULL;
    save_three();
    assert_int_equal(truncate(in("last/model.safetensors"), 1000), 0);
    assert_int_equal(last_step(&warning), 2);
    assert_non_null(
        strstr(warning, "ckpt-00000003/model.safetensors: is truncated: the header describes 200000 bytes"));
    assert_non_null(strstr(warning, "; taking "));
    assert_non_null(strstr(warning, "/ckpt-00000002 in its place"));
    free(warning);
}

static void test_a_missing_or_dangling_last_is_passed_over(void **state)
{
    (void)state;
    char *warning = NULL;
    save_three();
    unlink(in("last"));
    assert_int_equal(last_step(&warning), 3);
    assert_non_null(strstr(warning, "/last: names no checkpoint; taking "));
    free(warning);
    assert_int_equal(symlink("ckpt-00000009", in("last")), 0);
    assert_int_equal(last_step(&warning), 3);
    assert_non_null(strstr(warning, "ckpt-00000009/model.safetensors: No such file or directory"));
    free(warning);
}

static void test_a_run_with_nothing_good_says_why(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_int_equal(save(r, 1, false, 1), 0);
    gp_run_close(r);
    assert_int_equal(truncate(in("last/model.safetensors"), 0), 0);
    assert_null(gp_run_last(run, gp_run_weights_open, NULL));
    assert_non_null(strstr(gp_error(), "/run: has no checkpoint that can be read: "));
    assert_non_null(strstr(gp_error(), "model.safetensors: is not a safetensors file: it has 0 bytes"));
}

static int fill_golden(void *self, const char *dir)
{
    char *path = gp_path_join(dir, "model.safetensors");
    int rc = gp_checkpoint_write(self, path, NULL);
    free(path);
    return rc;
}

static void test_a_run_is_a_checkpoint(void **state)
{
    (void)state;
    gp_checkpoint *c = gp_checkpoint_open("tests/golden/gpt2-tiny");
    gp_run *r = gp_run_create(run);
    assert_int_equal(gp_run_save(r, 1, false, 2, fill_golden, c), 0);
    assert_int_equal(gp_run_save(r, 2, false, 2, fill_golden, c), 0);
    gp_run_close(r);
    gp_checkpoint_close(c);
    c = gp_checkpoint_open(run);
    assert_non_null(c);
    assert_int_equal(gp_checkpoint_config(c)->vocab_size, 96);
    assert_null(gp_checkpoint_warning(c));
    gp_checkpoint_close(c);
    assert_int_equal(truncate(in("last/model.safetensors"), 1000), 0);
    c = gp_checkpoint_open(run);
    assert_non_null(c);
    assert_non_null(strstr(gp_checkpoint_warning(c), "/ckpt-00000001 in its place"));
    gp_checkpoint_close(c);
}

/* ---- the log --------------------------------------------------------------------------------------------- */

static void assert_log(const char *expected)
{
    assert_file("log.jsonl", expected);
}

#define LINES(text) text, strlen(text)

/* Cuts the log; what it kept aside of it, by name. */
static char *cut_log(gp_run *r, int64_t step)
{
    char *aside;
    assert_int_equal(gp_run_cut_log(r, step, &aside), 0);
    return aside;
}

static void test_the_log_is_cut_back_to_a_step(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_int_equal(gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 1}\n{\"step\": 2}\n")), 0);
    assert_int_equal(gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 2, \"val_loss\": 3.5}\n{\"step\": 3}\n")), 0);
    assert_null(cut_log(r, 9));
    assert_log("{\"step\": 1}\n{\"step\": 2}\n{\"step\": 2, \"val_loss\": 3.5}\n{\"step\": 3}\n");
    assert_null(cut_log(r, 2));
    assert_log("{\"step\": 1}\n{\"step\": 2}\n{\"step\": 2, \"val_loss\": 3.5}\n");
    assert_int_equal(gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 3}\n")), 0);
    assert_null(cut_log(r, 0));
    assert_log("");
    gp_run_close(r);
}

static void test_half_a_line_at_the_end_of_the_log_is_cut(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_int_equal(gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 1}\n{\"step\": 2, \"lo")), 0);
    assert_null(cut_log(r, 9));
    assert_log("{\"step\": 1}\n");
    gp_run_close(r);
    assert_string_equal(listed(), ".lock log.jsonl");
}

static void test_what_follows_a_damaged_line_of_the_log_is_kept(void **state)
{
    (void)state;
    static const char *const names[] = {"log.jsonl.damaged", "log.jsonl.damaged.2"};
    gp_run *r = gp_run_create(run);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 1}\n{\"step\": 2, \"lo\n{\"step\": 3}\n")), 0);
        char *aside = cut_log(r, 9);
        assert_string_equal(aside, names[i]);
        free(aside);
        assert_file(names[i], "{\"step\": 2, \"lo\n{\"step\": 3}\n");
        assert_log("{\"step\": 1}\n");
        assert_null(cut_log(r, 0));
    }
    gp_run_close(r);
}

static int log_and_see(void)
{
    gp_run *r = gp_run_open(run);
    int failed = r && gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 2}\n{\"step\": 3}\n")) &&
                 strstr(gp_error(), "log.jsonl: cannot be written: File too large");
    gp_run_close(r);
    return failed ? 42 : 0;
}

static void test_a_full_disk_leaves_no_half_line(void **state)
{
    (void)state;
    gp_run *r = gp_run_create(run);
    assert_int_equal(save(r, 1, false, 1), 0);
    assert_int_equal(gp_run_append(r, GP_LOG_NAME, LINES("{\"step\": 1}\n")), 0);
    gp_run_close(r);
    assert_int_equal(on_full_disk(20, log_and_see), 42);
    assert_log("{\"step\": 1}\n");
}

#define TEST(f) cmocka_unit_test_teardown(f, remove_run)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_folder_with_anything_in_it_is_refused),
        TEST(test_a_second_writer_is_refused_with_the_first_ones_number),
        TEST(test_a_run_in_which_nothing_was_kept_is_removed),
        TEST(test_a_folder_without_checkpoints_cannot_be_resumed),
        TEST(test_links_follow_the_last_and_the_best),
        TEST(test_old_checkpoints_go_but_the_best_stays),
        TEST(test_a_checkpoint_of_the_same_step_is_replaced),
        TEST(test_a_failed_save_leaves_what_was_there),
        TEST(test_a_full_disk_leaves_the_last_good_checkpoint),
        TEST(test_kill_at_any_moment_leaves_the_last_good_checkpoint),
        TEST(test_a_link_named_as_a_checkpoint_is_removed_itself),
        TEST(test_what_others_put_into_a_checkpoint_stays),
        TEST(test_nothing_is_written_through_links),
        TEST(test_a_pipe_is_not_the_log),
        TEST(test_a_lock_that_is_not_ours_makes_a_folder_full),
        TEST(test_a_start_that_was_killed_can_be_repeated),
        TEST(test_a_run_may_be_a_link),
        TEST(test_a_renamed_run_is_gone_on_with_and_another_of_its_name_left_alone),
        TEST(test_nothing_is_written_for_a_run_that_was_removed),
        TEST(test_a_checkpoint_that_another_wrote_gets_another_name),
        TEST(test_a_damaged_checkpoint_gets_another_name),
        TEST(test_best_follows_the_checkpoint_that_is_continued_from),
        TEST(test_a_file_is_not_replaced_by_a_link),
        TEST(test_a_name_with_more_zeros_is_no_checkpoint),
        TEST(test_a_truncated_last_checkpoint_is_passed_over),
        TEST(test_a_missing_or_dangling_last_is_passed_over),
        TEST(test_a_run_with_nothing_good_says_why),
        TEST(test_a_run_is_a_checkpoint),
        TEST(test_the_log_is_cut_back_to_a_step),
        TEST(test_half_a_line_at_the_end_of_the_log_is_cut),
        TEST(test_what_follows_a_damaged_line_of_the_log_is_kept),
        TEST(test_a_full_disk_leaves_no_half_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
