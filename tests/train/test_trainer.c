/* Steps that the host hears of when the next one is under way are the same steps. ref and cpu do not run ahead by
 * themselves; here they are treated as if they did. */
#include "trainer.h"

#include "backends.h"

/* What a whole run leaves. */
typedef struct outcome {
    float *numbers;
    size_t bytes;
    char *log;
} outcome;

static outcome run(const char *backend, bool later, double skip_z)
{
    small_run r;
    outcome out;
    small_begin(&r, backend, "fp32");
    r.o.grad_accum = 2;
    r.o.dropout = 0.1;
    r.o.skip_loss_z = skip_z;
    small_open(&r, later);
    for (int i = 0; i < SMALL_STEPS; i++) {
        assert_int_equal(gp_trainer_step(&r.t), 0);
        assert_int_equal(r.t.step, i + 1);
        assert_int_equal(r.t.received, i + (later && !(skip_z > 0) ? 0 : 1));
    }
    assert_int_equal(gp_trainer_wait(&r.t), 0);
    assert_int_equal(r.t.received, SMALL_STEPS);
    out.numbers = small_numbers(&r, &out.bytes);
    out.log = small_log(&r);
    small_close(&r);
    return out;
}

static void assert_same(outcome a, outcome b)
{
    assert_int_equal(a.bytes, b.bytes);
    assert_memory_equal(a.numbers, b.numbers, a.bytes);
    assert_string_equal(a.log, b.log);
    assert_non_null(strstr(a.log, "\"step\": 5"));
    free(a.numbers);
    free(b.numbers);
    free(a.log);
    free(b.log);
}

static void steps_that_are_heard_of_later_are_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        assert_same(run(backends[i], false, 0), run(backends[i], true, 0));
}

/* On paper, a token of this model is 3 x (2 (L (4 C C + 2 C F) + C V) + 4 L C T) FLOPs, with L 2, C 16, F 64, V 40, T
 * 8: of a peak of 1 the MFU is as many times the tokens a second. */
static void mfu_is_the_share_of_the_peak(void **state)
{
    (void)state;
    small_run r;
    gp_buf log = {0};
    small_begin(&r, "ref", "fp32");
    small_open(&r, false);
    assert_int_equal(gp_trainer_step(&r.t), 0);
    char *path = gp_path_join(r.folder, "log.jsonl");
    assert_int_equal(gp_file_read(&log, path, 1 << 20), 0);
    json_t *line = json_loads(log.data, JSON_DISABLE_EOF_CHECK, NULL);
    double flops = 3 * (2 * (2 * (4 * 16 * 16 + 2 * 16 * 64) + 16 * 40) + 4 * 2 * 16 * 8);
    double got = json_number_value(json_object_get(line, "mfu")) / json_number_value(json_object_get(line, "tok_s"));
    assert_true(fabs(got - flops) < 1e-3 * flops); /* four digits are printed */
    json_decref(line);
    gp_buf_release(&log);
    free(path);
    small_close(&r);
}

/* RFC 8259, 6: numbers such as Infinity and NaN are not permitted. */
static void a_validation_loss_that_is_not_finite_is_null_in_json(void **state)
{
    (void)state;
    small_run r;
    json_error_t e;
    gp_evaluation sets[] = {
        {.name = "web", .loss = NAN}, {.name = "books", .loss = INFINITY}, {.name = "code", .loss = 2.5}};
    small_begin(&r, "ref", "fp32");
    small_open(&r, false);
    gp_report_evaluation(&r.t.report, 3, sets, 3);
    char *log = small_log(&r);
    json_t *line = json_loads(log, 0, &e);
    if (!line)
        fail_msg("%s: %s", e.text, log);
    json_t *losses = json_object_get(line, "val_losses");
    assert_true(json_is_null(json_object_get(line, "val_loss")));
    assert_true(json_is_null(json_object_get(losses, "web")) && json_is_null(json_object_get(losses, "books")));
    assert_true(json_number_value(json_object_get(losses, "code")) == 2.5);
    json_decref(line);
    free(log);
    small_close(&r);
}

/* Whether a step is one is the host's decision, before the update. */
static void a_run_that_looks_for_outliers_does_not_run_ahead(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        assert_same(run(backends[i], false, 3), run(backends[i], true, 3));
}

/* Only one step's batch meets the number that is not finite; the next step, which is under way by then, would be
 * fine. */
static void nothing_is_updated_behind_a_step_that_is_not_finite(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(backends); i++) {
        bool later = i % 2;
        small_run r;
        size_t bytes;
        small_begin(&r, backends[i / 2], "fp32");
        small_open(&r, later);
        for (int s = 0; s < RARE_STEP; s++)
            assert_int_equal(gp_trainer_step(&r.t), 0);
        assert_int_equal(gp_trainer_wait(&r.t), 0);
        float infinite = INFINITY, *wte = r.t.m->wte.data;
        r.t.be->ops->upload(r.t.be, wte + (ptrdiff_t)RARE * r.c.channels, &infinite, sizeof infinite);
        float *before = small_numbers(&r, &bytes);
        if (later)
            assert_int_equal(gp_trainer_step(&r.t), 0);
        assert_int_equal(gp_trainer_step(&r.t), -1);
        assert_non_null(strstr(gp_error(), "step 4: loss nan"));
        assert_non_null(strstr(gp_error(), "parameter wte.weight"));
        assert_int_equal(r.t.step, RARE_STEP);
        float *after = small_numbers(&r, &bytes);
        assert_memory_equal(after, before, bytes);
        char *log = small_log(&r);
        assert_non_null(strstr(log, "\"step\": 3"));
        assert_null(strstr(log, "\"step\": 4"));
        free(log);
        free(before);
        free(after);
        small_close(&r);
    }
}

static void a_batch_that_cannot_be_taken_leaves_the_steps_before_it(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        small_run r;
        small_begin(&r, "ref", "fp32");
        r.c.vocab_size = SMALL_V - 1;
        small_open(&r, later);
        for (int s = 0; s < RARE_STEP; s++)
            assert_int_equal(gp_trainer_step(&r.t), 0);
        assert_int_equal(gp_trainer_step(&r.t), -1);
        assert_non_null(strstr(gp_error(), "id 39"));
        assert_int_equal(r.t.received, RARE_STEP);
        char *log = small_log(&r);
        assert_non_null(strstr(log, "\"step\": 3"));
        free(log);
        small_close(&r);
    }
}

/* ---- steps whose batches have few targets ------------------------------------------------------------------ */

/* Batch n of the inner source with n + 1 of its targets; the first n + 1 losses make up the batch's. */
typedef struct few_targets {
    gp_source source;
    const gp_source *inner;
} few_targets;

static int fill_few(const gp_source *self, int64_t n, gp_batch *batch)
{
    if (gp_source_fill(((const few_targets *)self)->inner, n, batch))
        return -1;
    for (int64_t i = n + 1; i < batch->B * batch->T; i++)
        ((int32_t *)(uintptr_t)batch->targets)[i] = -100;
    return 0;
}

static double weigh_few(const gp_source *self, int64_t n)
{
    (void)self;
    return (double)(n + 1);
}

/* The sum of the losses of a batch's targets, of the model as it is. */
static double sum_losses(small_run *r, const gp_source *s, int64_t n)
{
    gp_batch batch = gp_batch_open(s);
    double mean;
    assert_int_equal(gp_source_fill(s, n, &batch), 0);
    assert_int_equal(gp_model_evaluate(r->t.m, &batch, &mean, NULL), 0);
    gp_batch_close(&batch);
    return mean * (double)(n + 1);
}

/* Micro-batches of 1, 2 and 3 targets are one batch of 6: no micro-batch's mean counts as much as another's. */
static void a_steps_loss_is_the_mean_over_its_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        small_run r;
        double sum = 0;
        small_begin(&r, backends[i], "fp32");
        r.o.grad_accum = 3;
        small_open(&r, false);
        few_targets few = {.source = *r.t.sets.source, .inner = r.t.sets.source};
        few.source.fill = fill_few;
        few.source.weight = weigh_few;
        for (int64_t n = 0; n < 3; n++)
            sum += sum_losses(&r, &few.source, n);
        r.t.sets.source = &few.source;
        assert_int_equal(gp_trainer_step(&r.t), 0);
        assert_int_equal(gp_trainer_wait(&r.t), 0);
        assert_true(fabs(r.t.report.last_loss - sum / 6) < 1e-5);
        small_close(&r);
    }
}

static double weigh_nothing(const gp_source *self, int64_t n)
{
    (void)self;
    (void)n;
    return 0;
}

static void a_step_without_targets_fails_and_updates_nothing(void **state)
{
    (void)state;
    small_run r;
    size_t bytes;
    small_begin(&r, "ref", "fp32");
    small_open(&r, false);
    gp_source none = *r.t.sets.source;
    none.weight = weigh_nothing;
    float *before = small_numbers(&r, &bytes);
    r.t.sets.source = &none;
    assert_int_equal(gp_trainer_step(&r.t), -1);
    assert_string_equal(gp_error(), "step 1: its batches have no target");
    float *after = small_numbers(&r, &bytes);
    assert_memory_equal(before, after, bytes);
    free(before);
    free(after);
    small_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_that_are_heard_of_later_are_the_same),
        cmocka_unit_test(mfu_is_the_share_of_the_peak),
        cmocka_unit_test(a_validation_loss_that_is_not_finite_is_null_in_json),
        cmocka_unit_test(a_run_that_looks_for_outliers_does_not_run_ahead),
        cmocka_unit_test(nothing_is_updated_behind_a_step_that_is_not_finite),
        cmocka_unit_test(a_batch_that_cannot_be_taken_leaves_the_steps_before_it),
        cmocka_unit_test(a_steps_loss_is_the_mean_over_its_targets),
        cmocka_unit_test(a_step_without_targets_fails_and_updates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
