/* What a run's line says of its speed, and of the validation loss. */
#include "test.h"
#include "perf/mfu.h"
#include "train/report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The line of a run of 1000 FLOPs a token at tok_s, as a pipe gets it. */
static void line_of(char *text, size_t size, gp_report r, double tok_s)
{
    gp_train_options o = gp_train_defaults();
    o.steps = 9;
    o.log_every = 1;
    r.o = &o;
    r.flops_token = 1000;
    r.tok_s = tok_s;
    r.shown = (gp_step_report){.step = 3, .loss = 2.5, .lr = 1e-3, .grad_norm = 1};
    FILE *f = tmpfile();
    int old = dup(STDERR_FILENO);
    assert_non_null(f);
    fflush(stderr);
    assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
    gp_report_show(&r, true);
    fflush(stderr);
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    close(old);
    rewind(f);
    memset(text, 0, size);
    assert_true(fread(text, 1, size - 1, f) > 0);
    fclose(f);
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void the_share_of_the_peak_says_what_it_is(void **state)
{
    (void)state;
    char text[300];
    line_of(text, sizeof text, (gp_report){.peak = 1e6, .lowest_peak = 9e5, .val_loss = NAN}, 500);
    assert_holds(text, "  MFU 50.0%  ");
    line_of(text, sizeof text, (gp_report){.peak = 1e6, .val_loss = NAN}, 1000); /* given, or tried once */
    assert_holds(text, "  MFU 100.0%  ");
    line_of(text, sizeof text, (gp_report){.peak = 1e6, .lowest_peak = 9e5, .val_loss = NAN}, 1200);
    assert_holds(text, "  MFU 120% of a peak measured too low  ");
    line_of(text, sizeof text, (gp_report){.peak = 1e6, .lowest_peak = 3e5, .val_loss = NAN}, 500);
    assert_holds(text, "  MFU about 50%, machine shared  ");
}

static void a_validation_loss_is_its_step_s(void **state)
{
    (void)state;
    char text[300];
    line_of(text, sizeof text, (gp_report){.peak = 1e6, .val_loss = 2.25, .val_step = 3}, 500);
    assert_holds(text, "loss 2.5000  val 2.2500  lr");
    line_of(text, sizeof text, (gp_report){.peak = 1e6, .val_loss = 2.25, .val_step = 2}, 500);
    assert_holds(text, "loss 2.5000  lr");
}

static void the_peak_is_the_best_of_its_trials(void **state)
{
    (void)state;
    double lowest = -1;
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    double best = gp_peak_best(be, 0.005, 1e-9, &lowest);
    assert_true(lowest > 0 && best >= lowest);
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_share_of_the_peak_says_what_it_is),
        cmocka_unit_test(a_validation_loss_is_its_step_s),
        cmocka_unit_test(the_peak_is_the_best_of_its_trials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
