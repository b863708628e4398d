/* trainer.h: a small run in memory, step by step, for tests of what the host does between steps. */
#ifndef GPTPIPE_TEST_TRAINER_H
#define GPTPIPE_TEST_TRAINER_H

#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "gptpipe/tokens.h"
#include "train/trainer.h"

/* Id RARE stands in the batch of step RARE_STEP (from 0) and in no other. */
enum { SMALL_B = 2, SMALL_T = 8, SMALL_V = 40, SMALL_STEPS = 5, RARE = SMALL_V - 1, RARE_STEP = 3 };

typedef struct small_run {
    gp_train_options o;
    gp_config c;
    gp_trainer t;
    char dir[64];
    char *path, *folder;
    const char *data[1];
} small_run;

static inline void small_write(const small_run *r)
{
    enum { COUNT = SMALL_B * SMALL_T * 2 * SMALL_STEPS + 1 };
    int32_t ids[COUNT];
    for (int i = 0; i < COUNT; i++)
        ids[i] = (i * i + 3 * i) % (SMALL_V - 1);
    ids[RARE_STEP * SMALL_B * SMALL_T + 5] = RARE;
    gp_tokens_writer *w = gp_tokens_create(r->path, &(gp_tokens_info){.vocab_size = SMALL_V});
    assert_non_null(w);
    assert_int_equal(gp_tokens_write(w, ids, COUNT), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
}

/* The options and the configuration may be changed before small_open. */
static inline void small_begin(small_run *r, const char *backend, const char *dtype)
{
    static const char *const kinds[] = {GP_BACKENDS(GP_CHOICE_NAME)};
    static const char *const dtypes[] = {GP_COMPUTE_DTYPES(GP_CHOICE_NAME)};
    *r = (small_run){.o = gp_train_defaults(), .dir = "/tmp/gptpipe-small.XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    r->path = gp_path_join(r->dir, "data.tok");
    r->folder = gp_path_join(r->dir, "run");
    small_write(r);
    r->data[0] = r->path;
    r->o.data = (gp_list){.items = r->data, .count = 1};
    r->o.order = GP_ORDER_SEQUENTIAL;
    r->o.batch_size = SMALL_B;
    r->o.seq_len = SMALL_T;
    r->o.steps = SMALL_STEPS;
    r->o.lr = 1e-2;
    r->o.warmup = 2;
    r->o.backend = (gp_backend_kind)gp_find_name(kinds, ARRAY_LEN(kinds), backend);
    r->o.dtype = (gp_compute_dtype)gp_find_name(dtypes, ARRAY_LEN(dtypes), dtype);
    r->o.threads = 2;
    r->o.quiet = true;
    r->o.eval_batches = 0;
    assert_int_equal(gp_config_preset(&r->c, "nano"), 0);
    r->c.layers = 2;
    r->c.heads = 2;
    r->c.channels = 16;
    r->c.inner = 64;
    r->c.positions = SMALL_T;
    r->c.vocab_size = SMALL_V;
    r->c.tied = false;
    r->c.init_std = 0.1;
}

/* later: as on a device that runs by itself. */
static inline void small_open(small_run *r, bool later)
{
    gp_trainer *t = &r->t;
    r->c.dropout_embd = r->c.dropout_attn = r->c.dropout_resid = r->o.dropout;
    assert_int_equal(gp_trainer_open_data(t, &r->o, NULL), 0);
    t->be->later = later;
    gp_report_begin(&t->report, &r->o, gp_run_create(r->folder));
    t->report.peak = 1; /* measuring it takes the simulator a second */
    gp_model *m = gp_model_create(&r->c, t->be, true);
    gp_model_init(m, 1);
    if (gp_trainer_open_model(t, m, &(gp_recorded_choices){0}))
        fail_msg("%s", gp_error());
}

static inline void small_close(small_run *r)
{
    gp_run *run = r->t.report.run;
    gp_trainer_close(&r->t);
    gp_run_close(run);
    char *command = gp_format("rm -rf '%s'", r->dir);
    assert_int_equal(system(command), 0);
    free(command);
    free(r->path);
    free(r->folder);
}

/* Parameters and both moments, as they are stored; the caller frees them. */
static inline float *small_numbers(small_run *r, size_t *bytes)
{
    gp_trainer *t = &r->t;
    size_t own = (size_t)t->m->params.bytes, each = (size_t)t->m->params.total * sizeof(float);
    char *all = gp_malloc(*bytes = own + 2 * each);
    t->be->ops->download(t->be, all, t->m->p, own);
    t->be->ops->download(t->be, all + own, t->optimizer.m, each);
    t->be->ops->download(t->be, all + own + each, t->optimizer.v, each);
    return (float *)(void *)all;
}

/* The log without what depends on the clock; the caller frees it. */
static inline char *small_log(const small_run *r)
{
    gp_buf log = {0}, kept = {0};
    char *path = gp_path_join(r->folder, "log.jsonl"), *save = NULL;
    assert_int_equal(gp_file_read(&log, path, 1 << 20), 0);
    for (char *line = strtok_r(log.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL);
        json_object_del(o, "tok_s");
        json_object_del(o, "mfu");
        json_object_del(o, "memory");
        char *text = json_dumps(o, JSON_REAL_PRECISION(9));
        gp_buf_printf(&kept, "%s\n", text);
        free(text);
        json_decref(o);
    }
    gp_buf_release(&log);
    free(path);
    return kept.data ? kept.data : gp_strdup("");
}

#endif
