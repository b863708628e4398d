/* A training run on the CUDA backend: recorded, issued ahead of the host, with activations made again, and not
 * finite. */
#include "trainer.h"

/* What a run leaves, and how often its host issued a pass op by op. */
typedef struct outcome {
    float *numbers;
    size_t bytes;
    char *log;
    int passes;
} outcome;

typedef struct how {
    const char *dtype;
    gp_recompute recompute;
    bool recorded, ahead;
    int steps;
    bool narrow; /* without masters */
} how;

/* The device's table but for these. There is one run at a time. */
static const gp_backend_ops *device;
static int passes;

static bool not_recorded(gp_backend *be, gp_recording **r)
{
    (void)be, (void)r;
    return true;
}

static void counted_embed(gp_backend *be, const gp_embed_op *op)
{
    passes++;
    device->embed_forward(be, op);
}

static outcome run(how h)
{
    small_run r;
    outcome out;
    small_begin(&r, "cuda", h.dtype);
    r.o.grad_accum = 2;
    r.o.dropout = 0.1;
    r.o.recompute = h.recompute;
    r.o.master_weights = !h.narrow;
    small_open(&r, true);
    device = r.t.be->ops;
    gp_backend_ops table = *device;
    table.embed_forward = counted_embed;
    if (!h.recorded)
        table.record_begin = table.record_end = not_recorded;
    r.t.be->ops = &table;
    passes = 0;
    for (int i = 0; i < h.steps; i++) {
        if (gp_trainer_step(&r.t) || (!h.ahead && gp_trainer_wait(&r.t)))
            fail_msg("%s", gp_error());
        assert_int_equal(r.t.received, h.ahead ? i : i + 1);
    }
    assert_int_equal(gp_trainer_wait(&r.t), 0);
    r.t.be->ops = device;
    out.passes = passes;
    out.numbers = small_numbers(&r, &out.bytes);
    out.log = small_log(&r);
    small_close(&r);
    return out;
}

static void release(outcome *o)
{
    free(o->numbers);
    free(o->log);
}

static bool runs(const char *dtype)
{
    gp_backend *be = gp_backend_open("cuda", dtype, 0);
    if (!be)
        print_message("skipped: %s: %s\n", dtype, gp_error());
    gp_backend_close(be);
    return be != NULL;
}

static const char *const dtypes[] = {"fp32", "bf16"};

/* Two micro-batches a step; of all that, the first is issued as it comes and the second recorded. The last way is that
 * without masters: a recorded update draws anew in every step. */
static void recorded_steps_issued_ahead_are_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dtypes) + 1; i++) {
        bool narrow = i == ARRAY_LEN(dtypes);
        const char *dtype = narrow ? "bf16" : dtypes[i];
        if (!runs(dtype))
            continue;
        outcome plain = run((how){dtype, GP_RECOMPUTE_NONE, false, false, SMALL_STEPS, narrow});
        assert_int_equal(plain.passes, 2 * SMALL_STEPS);
        outcome recorded = run((how){dtype, GP_RECOMPUTE_NONE, true, true, SMALL_STEPS, narrow});
        assert_int_equal(recorded.passes, 2);
        assert_memory_equal(plain.numbers, recorded.numbers, plain.bytes);
        assert_string_equal(plain.log, recorded.log);
        assert_non_null(strstr(plain.log, "\"step\": 5"));
        release(&plain);
        release(&recorded);
    }
}

/* All ops come again as they were, but for GELU alone, which is not the one in a product's epilogue: in fp32 the last
 * bits differ, in bf16 it is that of a rounded number. */
static void activations_made_again_are_what_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++) {
        if (!runs(dtypes[i]))
            continue;
        outcome kept = run((how){dtypes[i], GP_RECOMPUTE_NONE, true, true, 1, false}),
                norms = run((how){dtypes[i], GP_RECOMPUTE_NORMS, true, true, 1, false}),
                block = run((how){dtypes[i], GP_RECOMPUTE_BLOCK, true, true, 1, false});
        assert_memory_equal(kept.numbers, block.numbers, kept.bytes);
        assert_string_equal(kept.log, block.log);
        double difference = 0, norm = 0;
        size_t n = kept.bytes / sizeof(float) / 3;
        for (size_t k = n; k < 2 * n; k++) { /* the first moments, after one step: gradients */
            difference += pow((double)kept.numbers[k] - norms.numbers[k], 2);
            norm += pow((double)kept.numbers[k], 2);
        }
        assert_true(sqrt(difference / norm) < (i ? 1e-2 : 1e-6));
        release(&kept);
        release(&norms);
        release(&block);
    }
}

/* An evaluation in between changes shapes and the workspace; a checkpoint reads what the device has by then. */
static void a_run_goes_on_behind_other_passes(void **state)
{
    (void)state;
    float *numbers[2];
    size_t bytes;
    for (int between = 0; between < 2; between++) {
        small_run r;
        small_begin(&r, "cuda", "fp32");
        small_open(&r, true);
        for (int i = 0; i < SMALL_STEPS; i++) {
            int32_t ids[2 * SMALL_B * SMALL_T] = {0};
            double loss;
            if (gp_trainer_step(&r.t))
                fail_msg("%s", gp_error());
            if (!between)
                continue;
            assert_int_equal(gp_trainer_wait(&r.t), 0);
            gp_batch batch = {.B = i % 2 ? 1 : 2 * SMALL_B, .T = i % 2 ? 3 : SMALL_T, .inputs = ids, .targets = ids};
            assert_int_equal(gp_model_evaluate(r.t.m, &batch, &loss, NULL), 0);
            free(small_numbers(&r, &bytes));
        }
        assert_int_equal(gp_trainer_wait(&r.t), 0);
        numbers[between] = small_numbers(&r, &bytes);
        small_close(&r);
    }
    assert_memory_equal(numbers[0], numbers[1], bytes);
    free(numbers[0]);
    free(numbers[1]);
}

/* Only one step's batch meets the number that is not finite; the next step is under way by then. */
static void nothing_is_updated_behind_a_step_that_is_not_finite(void **state)
{
    (void)state;
    small_run r;
    size_t bytes;
    small_begin(&r, "cuda", "fp32");
    small_open(&r, true);
    for (int s = 0; s < RARE_STEP; s++)
        assert_int_equal(gp_trainer_step(&r.t), 0);
    assert_int_equal(gp_trainer_wait(&r.t), 0);
    float infinite = INFINITY, *wte = r.t.m->wte.data;
    r.t.be->ops->upload(r.t.be, wte + (ptrdiff_t)RARE * r.c.channels, &infinite, sizeof infinite);
    float *before = small_numbers(&r, &bytes);
    assert_int_equal(gp_trainer_step(&r.t), 0);
    assert_int_equal(gp_trainer_step(&r.t), -1);
    assert_non_null(strstr(gp_error(), "step 4: loss nan"));
    assert_non_null(strstr(gp_error(), "parameter wte.weight"));
    assert_int_equal(r.t.step, RARE_STEP);
    float *after = small_numbers(&r, &bytes);
    assert_memory_equal(after, before, bytes);
    free(before);
    free(after);
    small_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_steps_issued_ahead_are_the_same_bits),
        cmocka_unit_test(activations_made_again_are_what_they_were),
        cmocka_unit_test(a_run_goes_on_behind_other_passes),
        cmocka_unit_test(nothing_is_updated_behind_a_step_that_is_not_finite),
    };
    if (!runs("fp32"))
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
