/* Work that is issued now and done later: recordings, marks, and the host's memory that the device reads by itself. */
#include "sides.h"

#include "backend/profile.h"

enum { ROWS = 6, COLUMNS = 17, COUNT = ROWS * COLUMNS };

/* y = norm(x), recorded. */
typedef struct work {
    pair x, gamma, y, mean, rstd;
    gp_recording *recording[SIDES];
    int issued[SIDES]; /* how often, op by op */
} work;

static work make(sides *s)
{
    return (work){.x = RANDOM(s, FP32, ROWS, COLUMNS),
                  .gamma = RANDOM(s, FP32, COLUMNS),
                  .y = EMPTY(s, ACT, ROWS, COLUMNS),
                  .mean = EMPTY(s, FP32, ROWS),
                  .rstd = EMPTY(s, FP32, ROWS)};
}

static void issue(sides *s, work *w, int k)
{
    gp_tensor x = *ON(w->x, k);
    x.dtype = s->be[k]->act_dtype;
    w->issued[k]++;
    OP(s, k, norm_forward,
       &(gp_norm_op){.residual = &x,
                     .gamma = ON(w->gamma, k),
                     .eps = 1e-5f,
                     .y = ON(w->y, k),
                     .mean = ON(w->mean, k),
                     .rstd = ON(w->rstd, k)});
}

static void run(sides *s, work *w, int k)
{
    if (OP(s, k, record_begin, &w->recording[k]))
        do
            issue(s, w, k);
        while (!OP(s, k, record_end, &w->recording[k]));
}

static void release(sides *s, work *w)
{
    for (int k = 0; k < SIDES; k++) {
        OP(s, k, record_free, &w->recording[k]);
        assert_null(w->recording[k]);
    }
}

/* Other numbers into x on both sides, and that y is their norm. */
static void assert_runs(sides *s, work *w, int round)
{
    float x[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)((i * 37 + round * 11) % 29) / 8 - 1;
    for (int k = 0; k < SIDES; k++) {
        gp_tensor t = *ON(w->x, k);
        t.dtype = s->be[k]->act_dtype;
        sides_write(s, k, &t, x);
        run(s, w, k);
    }
    NEAR(s, w->y, s->tolerance);
}

static void recorded_work_reads_what_memory_holds_now(void **state)
{
    sides *s = *state;
    work w = make(s);
    for (int round = 0; round < 5; round++)
        assert_runs(s, &w, round);
    assert_int_equal(w.issued[REF], 5);
    assert_int_equal(w.issued[DEVICE], 2); /* as it comes, then while it is captured */
    release(s, &w);
    assert_runs(s, &w, 5);
    assert_int_equal(w.issued[DEVICE], 3);
    release(s, &w);
}

static void a_workspace_that_moves_is_recorded_anew(void **state)
{
    sides *s = *state;
    work w = make(s);
    gp_backend *be = s->be[DEVICE];
    char *before = be->workspace, elsewhere[1];
    for (int round = 0; round < 3; round++)
        assert_runs(s, &w, round);
    be->workspace = elsewhere; /* the norm uses none */
    for (int round = 3; round < 6; round++)
        assert_runs(s, &w, round);
    be->workspace = before;
    assert_int_equal(w.issued[DEVICE], 4);
    release(s, &w);
}

static void nothing_is_recorded_while_ops_are_timed(void **state)
{
    sides *s = *state;
    work w = make(s);
    gp_profile profile;
    for (int round = 0; round < 3; round++)
        assert_runs(s, &w, round);
    gp_profile_begin(&profile, s->be[DEVICE]);
    for (int round = 3; round < 6; round++)
        assert_runs(s, &w, round);
    assert_int_equal(profile.count, 1);
    assert_int_equal(profile.row[0].calls, 3);
    gp_profile_end(&profile, s->be[DEVICE]);
    assert_runs(s, &w, 6);
    assert_int_equal(w.issued[DEVICE], 5);
    release(s, &w);
}

#ifdef GP_CUSIM
void cusim_refuse_next_graph(void); /* beside the simulator's C++ */
void cusim_refuse_next_captured(void);

static void work_of_which_no_graph_can_be_made_is_done_all_the_same(void **state)
{
    sides *s = *state;
    void (*const refuse[])(void) = {cusim_refuse_next_graph, cusim_refuse_next_captured};
    for (size_t i = 0; i < ARRAY_LEN(refuse); i++) {
        work w = make(s);
        assert_runs(s, &w, 0);
        refuse[i]();
        for (int round = 1; round < 4; round++)
            assert_runs(s, &w, round);
        assert_int_equal(w.issued[DEVICE], 5); /* the second of them twice */
        release(s, &w);
    }
}
#endif

/* Two buffers in turn, as a loader fills them: each is left alone until the mark behind its upload. */
static void uploads_and_downloads_are_done_with_their_marks(void **state)
{
    sides *s = *state;
    enum { ROUNDS = 7, N = 1000 };
    for (int k = 0; k < SIDES; k++) {
        gp_backend *be = s->be[k];
        size_t bytes = N * sizeof(float);
        gp_mark *mark[2] = {0};
        float *from[2], *to[2], *x = sides_take(s, k, bytes);
        for (int i = 0; i < 2; i++) {
            from[i] = be->ops->alloc_host(be, bytes);
            to[i] = be->ops->alloc_host(be, bytes);
            assert_true(from[i][0] == 0 && to[i][N - 1] == 0);
        }
        for (int round = 0; round < ROUNDS + 2; round++) {
            int at = round % 2;
            be->ops->mark_wait(be, &mark[at]);
            for (int i = 0; i < N && round > 1; i++)
                assert_true(to[at][i] == (float)(i + round - 2));
            if (round >= ROUNDS)
                continue;
            for (int i = 0; i < N; i++)
                from[at][i] = (float)(i + round);
            be->ops->upload(be, x, from[at], bytes);
            be->ops->download_later(be, to[at], x, bytes);
            be->ops->mark_set(be, &mark[at]);
        }
        for (int i = 0; i < 2; i++) {
            be->ops->free_host(be, from[i], bytes);
            be->ops->free_host(be, to[i], bytes);
            be->ops->mark_free(be, &mark[i]);
            assert_null(mark[i]);
        }
    }
}

static void room_is_what_the_device_has(void **state)
{
    sides *s = *state;
    for (int k = 0; k < SIDES; k++) {
        size_t before, after, total;
        OP(s, k, room, &before, &total);
        assert_true(before > 0 && before <= total);
        sides_take(s, k, 64u << 20);
        OP(s, k, room, &after, &total);
        assert_true(k == REF || after <= before - (64u << 20));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(recorded_work_reads_what_memory_holds_now),
        SIDES_TEST(a_workspace_that_moves_is_recorded_anew),
        SIDES_TEST(nothing_is_recorded_while_ops_are_timed),
#ifdef GP_CUSIM
        SIDES_TEST(work_of_which_no_graph_can_be_made_is_done_all_the_same),
#endif
        SIDES_TEST(uploads_and_downloads_are_done_with_their_marks),
        SIDES_TEST(room_is_what_the_device_has),
    };
    return sides_main("cuda record", tests);
}
