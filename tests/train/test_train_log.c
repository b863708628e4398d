/* What a run logs and remembers, over the ends of the processes that continue it: tokens, and which loss was the
 * best. */
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/tokens.h"
#include "gptpipe/train.h"

static char dir[64], *data, *run;

static int make_folder(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptpipe-log.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    data = gp_path_join(dir, "data.tok");
    run = gp_path_join(dir, "run");
    gp_tokens_writer *w = gp_tokens_create(data, &(gp_tokens_info){.vocab_size = 40});
    for (int32_t i = 0; i < 600; i++)
        assert_int_equal(gp_tokens_write(w, &(int32_t){(i * i + 3 * i) % 39}, 1), 0);
    return gp_tokens_finish(w);
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = gp_format("rm -rf '%s'", dir);
    int rc = system(command);
    free(command);
    free(data);
    free(run);
    return rc;
}

static gp_train_options options(int64_t steps)
{
    static const char *items[1];
    gp_train_options o = gp_train_defaults();
    items[0] = data;
    o.data = (gp_list){.items = items, .count = 1};
    o.layers = o.heads = 1;
    o.channels = 8;
    o.seq_len = 8;
    o.batch_size = 2;
    o.grad_accum = 3;
    o.steps = steps;
    o.schedule = GP_SCHEDULE_CONSTANT;
    o.warmup = 0;
    o.lr = 1e-2;
    o.eval_every = o.save_every = 1;
    o.keep = 100;
    o.backend = GP_BACKEND_REF;
    o.dtype = GP_COMPUTE_FP32;
    o.threads = 1;
    o.quiet = true;
    return o;
}

static void begin(int64_t steps)
{
    gp_train_options o = options(steps);
    o.out = run;
    if (gp_train(&o))
        fail_msg("%s", gp_error());
}

static void go_on(int64_t steps, double lr)
{
    gp_train_options o = options(steps);
    o.resume = run;
    o.lr = o.min_lr = lr;
    if (gp_train(&o))
        fail_msg("%s", gp_error());
}

/* The values of `key` in the log's lines that have one, and of "step" beside it. */
static int logged(const char *key, double *values, int64_t *steps, int most)
{
    gp_buf log = {0};
    char *path = gp_path_join(run, "log.jsonl"), *save = NULL;
    int count = 0;
    assert_int_equal(gp_file_read(&log, path, 1 << 20), 0);
    for (char *line = strtok_r(log.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL), *value = json_object_get(o, key);
        if (value) {
            assert_true(count < most);
            values[count] = json_number_value(value);
            steps[count++] = json_integer_value(json_object_get(o, "step"));
        }
        json_decref(o);
    }
    gp_buf_release(&log);
    free(path);
    return count;
}

/* 2 rows x 8 tokens x 3 micro-batches are 48 a step. */
static void tokens_are_all_that_the_run_has_read(void **state)
{
    (void)state;
    double tokens[8];
    int64_t steps[8];
    begin(3);
    go_on(5, 1e-2);
    assert_int_equal(logged("tokens", tokens, steps, 8), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(steps[i], i + 1);
        assert_true(tokens[i] == 48 * (i + 1));
    }
}

/* 801 tokens are 100 sequences of 8 and a last target. 0.07 times 100 is 7.000000000000001 in doubles, and no 8
 * steps. */
static void epochs_are_rounded_up_to_steps_but_not_by_an_error_of_rounding(void **state)
{
    (void)state;
    static const struct {
        double epochs;
        int steps;
    } cases[] = {{0.07, 7}, {0.071, 8}, {0.14, 14}, {0.001, 1}};
    double tokens[16];
    int64_t steps[16];
    gp_tokens_writer *w = gp_tokens_create(data, &(gp_tokens_info){.vocab_size = 40});
    for (int32_t i = 0; i < 801; i++)
        assert_int_equal(gp_tokens_write(w, &(int32_t){i % 39}, 1), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_train_options o = options(0);
        free(run);
        run = gp_format("%s/run%zu", dir, i);
        o.out = run;
        o.batch_size = o.grad_accum = 1;
        o.val_fraction = 0;
        o.eval_every = o.save_every = 0;
        o.epochs = cases[i].epochs;
        if (gp_train(&o))
            fail_msg("%s", gp_error());
        assert_int_equal(logged("tokens", tokens, steps, 16), cases[i].steps);
    }
}

static double number_in_state(int64_t step, const char *key)
{
    char *path = gp_format("%s/ckpt-%08lld/state.safetensors", run, (long long)step);
    gp_safetensors *s = gp_safetensors_open(path);
    if (!s)
        fail_msg("%s", gp_error());
    const char *value = gp_safetensors_metadata(s, key, NULL);
    assert_non_null(value);
    double x = strtod(value, NULL);
    gp_safetensors_close(s);
    free(path);
    return x;
}

/* Which step's loss is the least of the log's first `count`. */
static int best_of(const double *losses, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (losses[i] < losses[best])
            best = i;
    return best;
}

/* Two steps that learn, two of another process at a rate that spoils everything, two of a third. */
static void the_best_loss_is_known_to_the_runs_that_go_on(void **state)
{
    (void)state;
    double losses[8];
    int64_t steps[8];
    char target[64];
    begin(2);
    go_on(4, 10);
    go_on(6, 1e-9);
    assert_int_equal(logged("val_loss", losses, steps, 8), 6);
    assert_true(losses[2] > losses[1] && losses[3] > losses[1] && losses[5] > losses[1]);
    for (int i = 0; i < 6; i++) {
        int best = best_of(losses, i + 1);
        assert_int_equal(steps[i], i + 1);
        assert_true(number_in_state(i + 1, "best_step") == best + 1);
        assert_true(fabs(number_in_state(i + 1, "best_loss") - losses[best]) < 1e-7);
    }
    char *link = gp_path_join(run, "best");
    ssize_t n = readlink(link, target, sizeof target - 1);
    assert_true(n > 0);
    target[n] = 0;
    char *expected = gp_format("ckpt-%08d", best_of(losses, 6) + 1);
    assert_string_equal(target, expected);
    free(expected);
    free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_are_all_that_the_run_has_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(epochs_are_rounded_up_to_steps_but_not_by_an_error_of_rounding, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_best_loss_is_known_to_the_runs_that_go_on, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
