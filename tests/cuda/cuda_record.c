/* Work that is issued now and done later: recordings, marks, and the host's memory that the device reads by itself. */
#include "sides.h"

#include "backend/profile.h"
#include "model/model.h"

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
        assert_int_equal(w.issued[DEVICE], 5);                 /* the second of them twice */
        const char *remark = gp_backend_remark(s->be[DEVICE]); /* of the first refusal alone */
        assert_true(i ? !remark
                      : remark && strstr(remark, "this driver, for CUDA 13.0 (a graph that the test refuses)"));
        release(s, &w);
    }
}
#endif

/* ---- a whole training pass ------------------------------------------------------------------------------- */

enum { B = 2, T = 16, V = 40 };

/* A BERT that trains; gradients as they were when backward had finished them. */
typedef struct learner {
    gp_model *m;
    float *copy; /* the backend's memory */
    int calls;
} learner;

static gp_model *bert(gp_backend *be)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = c.heads = c.types = 2;
    c.channels = 32;
    c.inner = 128;
    c.positions = T;
    c.vocab_size = V;
    c.post_norm = true;
    c.activation = GP_ACT_GELU_ERF;
    c.causal = false;
    c.head = GP_HEAD_MLM;
    c.dropout_embd = c.dropout_attn = c.dropout_resid = 0.1;
    gp_model *m = gp_model_create(&c, be, true);
    gp_model_init(m, 11);
    return m;
}

static void copy_gradient(void *self, const gp_param *row)
{
    learner *l = self;
    l->calls++;
    l->m->be->ops->copy(l->m->be, l->copy + row->offset, l->m->g + row->offset, (size_t)row->count * sizeof *l->copy);
}

/* What a pass needs on the device; ids, types and lengths are other ones in each step. */
static void load(gp_model *m, uint32_t step, bool masked)
{
    const int32_t lengths[B] = {T, T - 5 - (int32_t)step % 3};
    int32_t inputs[B * T], targets[B * T], types[B * T];
    for (int i = 0; i < B * T; i++) {
        inputs[i] = (int32_t)gp_random_below(3, GP_RNG_DATA, step, (uint64_t)i, V);
        targets[i] = i % 5 ? -100 : (inputs[i] * 3 + 1) % V;
        types[i] = i % T > 6 - (int)step % 4;
    }
    gp_batch batch = {.B = B, .T = T, .inputs = inputs, .targets = targets, .types = types};
    batch.lengths = masked ? lengths : NULL;
    assert_int_equal(gp_model_plan(m, B, T), 0);
    assert_int_equal(gp_model_load(m, &m->acts, &batch), 0);
    m->host_step = (gp_step){.seed = 5, .step = step, .sample0 = 8, .scale = 1.0f / 7};
    gp_step_upload(m);
    m->be->ops->zero(m->be, m->g, (size_t)m->params.total * sizeof *m->g);
}

/* The same step, recorded and op by op: the same bits, also those that copy_gradient saw. */
static void assert_learns(learner *l, gp_model *plain, uint32_t step, bool masked)
{
    gp_model *m = l->m;
    const gp_backend_ops *ops = m->be->ops;
    size_t bytes = (size_t)m->params.total * sizeof(float);
    float *got = gp_malloc(bytes), *want = gp_malloc(bytes), *copied = gp_malloc(bytes);
    ops->zero(m->be, l->copy, bytes);
    load(m, step, masked);
    gp_model_learn(m, &m->acts, true);
    gp_step_download(m);
    load(plain, step, masked);
    plain->dropping = true;
    gp_model_loss(plain, &plain->acts, gp_model_forward(plain, &plain->acts), true);
    gp_model_backward(plain, &plain->acts);
    plain->dropping = false;
    gp_step_download(plain);
    assert_true(plain->host_step.loss > 0);
    assert_memory_equal(&m->host_step.loss, &plain->host_step.loss, sizeof plain->host_step.loss);
    ops->download(m->be, got, m->g, bytes);
    ops->download(m->be, copied, l->copy, bytes);
    ops->download(plain->be, want, plain->g, bytes);
    assert_memory_equal(got, want, bytes);
    assert_memory_equal(copied, want, bytes);
    free(got);
    free(want);
    free(copied);
}

static void a_recorded_pass_reads_new_types_and_lengths(void **state)
{
    sides *s = *state;
    for (int k = 0; k < SIDES; k++) {
        gp_model *m = bert(s->be[k]), *plain = bert(s->be[k]);
        learner l = {.m = m, .copy = sides_take(s, k, (size_t)m->params.total * sizeof(float))};
        m->grad_ready = copy_gradient;
        m->grad_ready_self = &l;
        for (uint32_t step = 0; step < 5; step++)
            assert_learns(&l, plain, step, true);
        assert_int_equal(l.calls, (k == REF ? 5 : 2) * m->params.count); /* as it comes, then while it is captured */
        for (uint32_t step = 5; step < 9; step++)                        /* another sequence of ops */
            assert_learns(&l, plain, step, false);
        assert_int_equal(l.calls, (k == REF ? 9 : 4) * m->params.count);
        m->grad_ready = NULL;
        load(m, 9, false);
        m->be->ops->zero(m->be, l.copy, sizeof(float));
        gp_model_learn(m, &m->acts, true); /* nobody hears of gradients any more */
        float first = 1;
        m->be->ops->download(m->be, &first, l.copy, sizeof first);
        assert_true(first == 0);
        gp_model_free(m);
        gp_model_free(plain);
    }
}

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
        OP(s, k, available_memory, &before, &total);
        assert_true(before > 0 && before <= total);
        sides_take(s, k, 64u << 20);
        OP(s, k, available_memory, &after, &total);
        assert_true(k == REF || after <= before - (64u << 20));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIDES_TEST(recorded_work_reads_what_memory_holds_now),
        SIDES_TEST(a_workspace_that_moves_is_recorded_anew),
        SIDES_TEST(a_recorded_pass_reads_new_types_and_lengths),
        SIDES_TEST(nothing_is_recorded_while_ops_are_timed),
#ifdef GP_CUSIM
        SIDES_TEST(work_of_which_no_graph_can_be_made_is_done_all_the_same),
#endif
        SIDES_TEST(uploads_and_downloads_are_done_with_their_marks),
        SIDES_TEST(room_is_what_the_device_has),
    };
    return sides_main("cuda record", tests);
}
