/* What stands in a state.safetensors is checked, value by value, before a run continues from it. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/safetensors.h"
#include "train/state.h"

static char path[] = "/tmp/gptpipe-test.XXXXXX";

typedef struct note {
    const char *key, *value;
} note;

/* As train writes it at step 40, but for one value (NULL: left out). */
static int read_with(gp_state *s, const char *key, const char *value)
{
    const note notes[] = {{"step", "40"},     {"best_step", "30"}, {"best_loss", "1.5"},
                          {"samples", "123"}, {"data", "a"},       {"fingerprint", "b"},
                          {"validation", ""}, {"batches", "c"},    {"machine", "ref"}};
    gp_safetensors_writer *w = gp_safetensors_create(path);
    gp_tensor t = gp_tensor_view(NULL, GP_F32, 1, 1);
    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        const char *text = strcmp(notes[i].key, key) ? notes[i].value : value;
        if (text)
            assert_int_equal(gp_safetensors_add_metadata(w, notes[i].key, text, strlen(text)), 0);
    }
    gp_safetensors_declare(w, "x", &t);
    gp_safetensors_write(w, &(float){0}, sizeof(float));
    assert_int_equal(gp_safetensors_finish(w), 0);
    gp_safetensors *file = gp_safetensors_open(path);
    assert_non_null(file);
    int rc = gp_state_read(s, file, 40);
    gp_safetensors_close(file);
    return rc;
}

static void whole_values_are_read(void **state)
{
    (void)state;
    gp_state s;
    assert_int_equal(read_with(&s, "", ""), 0);
    assert_int_equal(s.step, 40);
    assert_int_equal(s.best_step, 30);
    assert_true(s.best_loss == 1.5);
    assert_int_equal(s.samples, 123);
    assert_string_equal(s.batches, "c");
}

static void what_older_checkpoints_lack_has_a_value(void **state)
{
    (void)state;
    gp_state s;
    assert_int_equal(read_with(&s, "samples", NULL), 0);
    assert_true(s.samples == INT64_MAX);
    assert_int_equal(read_with(&s, "best_step", NULL), 0);
    assert_int_equal(s.best_step, -1);
    assert_int_equal(read_with(&s, "fingerprint", NULL), 0);
    assert_string_equal(s.fingerprint, "unknown");
}

static void a_wrong_value_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *why;
    } cases[] = {
        {"step", NULL, "has no step"},
        {"step", "41", "is of step 41, expected that of its folder, 40"},
        {"step", "4", "is of step 4, expected"},
        {"step", "40x", "its step is 40x, expected a number from 0"},
        {"step", "", "its step is , expected a number"},
        {"step", " 40", "its step is  40, expected a number"},
        {"step", "+40", "its step is +40, expected a number"},
        {"step", "-1", "its step is -1, expected a number from 0"},
        {"step", "0x28", "its step is 0x28, expected a number"},
        {"step", "99999999999999999999", "its step is 99999999999999999999, expected a number"},
        {"best_step", "41", "its best_step is 41, expected a number from -1 to 40"},
        {"best_step", "-2", "its best_step is -2, expected a number from -1 to 40"},
        {"best_step", "3o", "its best_step is 3o"},
        {"best_step", "-1", "its best_step is -1 and its best_loss 1.5, which contradict each other"},
        {"best_loss", "inf", "its best_step is 30 and its best_loss inf, which contradict each other"},
        {"best_loss", "nan", "its best_loss is nan, expected a number"},
        {"best_loss", "1.5e", "its best_loss is 1.5e, expected a number"},
        {"best_loss", "", "its best_loss is , expected a number"},
        {"samples", "-3", "its samples is -3, expected a number from 0"},
        {"samples", "12.5", "its samples is 12.5, expected a number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_state s;
        if (read_with(&s, cases[i].key, cases[i].value) != -1)
            fail_msg("%s %s is taken", cases[i].key, cases[i].value);
        if (!strstr(gp_error(), cases[i].why) || gp_error_is_io())
            fail_msg("%s %s: %s", cases[i].key, cases[i].value, gp_error());
    }
}

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_values_are_read),
        cmocka_unit_test(what_older_checkpoints_lack_has_a_value),
        cmocka_unit_test(a_wrong_value_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
