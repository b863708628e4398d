/* dry_run.c: what a run would take: model size, memory, time. */
#include "base/json_write.h"
#include "base/memory.h"
#include "cli/progress.h"
#include "train/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps that are timed: up to MAX of them, for about two seconds; at least FEWEST, unless these take ten. */
enum { FEWEST = 3, MAX = 20 };
static const double enough = 2, limit = 10;

typedef struct timing {
    int64_t steps;       /* timed, after one for warm-up */
    double step_seconds; /* the median */
} timing;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(gp_trainer *t, timing *timed)
{
    double seconds[MAX], begun = 0, first = 0;
    int n = 0;
    *timed = (timing){0};
    for (int i = 0; i <= MAX; i++) {
        double begin = gp_now();
        if (i && begin > begun + (i <= FEWEST ? limit : enough))
            break;
        if (gp_trainer_step(t))
            return -1;
        if (i)
            seconds[n++] = gp_now() - begin;
        else
            begun = begin, first = gp_now() - begin;
    }
    if (gp_trainer_wait(t))
        return -1;
    if (!n) /* the warm-up step alone took longer than the limit */
        seconds[n++] = first;
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    *timed = (timing){.steps = n, .step_seconds = seconds[n / 2]};
    return 0;
}

typedef struct plan {
    const gp_job *j;
    gp_memory_use use;
    int64_t optimizer;
    int64_t host;      /* the process's memory without the backend's: code, libraries, buffers, mapped data */
    int64_t total;     /* of the memory that the backend allocates from: on a CPU the peak resident size */
    int64_t available; /* free memory, and what is planned of it already */
    struct {
        int64_t memory; /* at this level of recomputation */
        int64_t rows;   /* of the largest micro-batch that fits */
    } levels[GP_RECOMPUTE_LEVELS];
    timing timed;
    int64_t first; /* the step that the run begins at */
    double estimate;
} plan;

/* Bytes of the mapped streams that are resident after n rows at random positions; reading a page loads its neighbours
 * too. */
static double touched(const gp_trainer *t, double rows)
{
    const double around = 65536;
    double bytes = 0, row = 0;
    for (int i = 0; i < t->sets.train.stream_count; i++) {
        const gp_tokens_info *info = gp_tokens_get_info(t->sets.train.streams[i]);
        bytes += (double)info->count * info->width;
        row = (double)t->T * info->width + around;
    }
    return bytes > 0 ? bytes * -expm1(-rows * row / bytes) : 0;
}

/* By now the process has allocated all that the run will, except for most of the mapped data. */
static void count_memory(plan *p)
{
    const gp_trainer *t = &p->j->t;
    gp_model_memory(t->m, &p->use);
    int64_t arenas = p->use.weights + p->use.slots + p->use.gradients + p->use.activations + p->use.cache +
                     p->use.workspace + p->optimizer;
    double rows = (double)(t->B * p->j->o->grad_accum), done = rows * (double)(p->timed.steps + 1),
           all = rows * (double)gp_max(0, p->j->o->steps - p->first);
    int64_t resident = gp_memory_peak() + (int64_t)(touched(t, all) - touched(t, done));
    p->host = gp_max(0, resident - (t->be->later ? 0 : arenas));
    p->total = arenas + (t->be->later ? 0 : p->host);
}

static void count_levels(plan *p)
{
    const gp_trainer *t = &p->j->t;
    size_t free, all;
    int64_t now = gp_model_training_bytes(t->m, t->m->recompute, t->B, t->T), others = p->total - now;
    t->be->ops->available_memory(t->be, &free, &all);
    p->available = gp_min((int64_t)free + p->total, (int64_t)all);
    for (gp_recompute level = 0; level < GP_RECOMPUTE_LEVELS; level++) {
        p->levels[level].memory = others + gp_model_training_bytes(t->m, level, t->B, t->T);
        p->levels[level].rows = gp_model_largest_batch(t->m, level, t->T, p->available - others);
    }
}

static void print_levels(const plan *p)
{
    char text[32], available[32];
    for (gp_recompute level = 0; level < GP_RECOMPUTE_LEVELS; level++)
        printf("%-12s %-12s %s; %s is enough for --batch-size %lld\n", level ? "" : "recompute",
               gp_recompute_name(level), gp_format_bytes(text, p->levels[level].memory),
               gp_format_bytes(available, p->available), (long long)p->levels[level].rows);
}

/* What is known without a step. */
static void print_sizes(const plan *p)
{
    const gp_trainer *t = &p->j->t;
    const gp_config *c = &t->m->config;
    const struct {
        const char *name;
        int64_t bytes;
    } arenas[] = {{"weights", p->use.weights},
                  {"slots", p->use.slots},
                  {"gradients", p->use.gradients},
                  {"optimizer", p->optimizer},
                  {"activations", p->use.activations},
                  {"workspace", p->use.workspace},
                  {"cache", p->use.cache}};
    char text[32];
    printf("model        %lld layers, %lld heads, %lld channels, context %lld, vocabulary %lld: %lld parameters\n",
           (long long)c->layers, (long long)c->heads, (long long)c->channels, (long long)gp_config_context(c),
           (long long)c->vocab_size, (long long)t->m->params.parameters);
    printf("machine      %s\n", p->j->state.machine);
    if (c->head == GP_HEAD_MLM)
        printf("FLOPs        %.6g a token, three times 2 (L (4CC + 2CF) + m (CC + CV)) + 4 LCT, m = %.4g of the tokens "
               "masked; 6N + 12 L H Q T gives %.6g\n",
               t->report.flops_token, gp_reading_targets(&t->sets.reading, t->T), p->estimate);
    else
        printf("FLOPs        %.6g a token, three times 2 (L (4CC + 2CF) + CV) + 4 LCT; 6N + 12 L H Q T gives %.6g\n",
               t->report.flops_token, p->estimate);
    printf("step         %lld x %lld x %lld = %lld tokens\n", (long long)t->B, (long long)t->T,
           (long long)p->j->o->grad_accum, (long long)t->report.tokens_a_step);
    for (size_t i = 0; i < ARRAY_LEN(arenas); i++)
        printf("%-12s %-12s %s\n", i ? "" : "memory", arenas[i].name, gp_format_bytes(text, arenas[i].bytes));
    fflush(stdout); /* the next lines may take minutes */
}

static void print_measured(const plan *p)
{
    const gp_trainer *t = &p->j->t;
    const gp_train_options *o = p->j->o;
    double tokens = (double)t->report.tokens_a_step, tok_s = tokens / p->timed.step_seconds;
    char text[32];
    printf("%-12s %-12s %s\n", "", t->be->later ? "host" : "process", gp_format_bytes(text, p->host));
    printf("%-12s %-12s %s\n", "", "in all", gp_format_bytes(text, p->total));
    print_levels(p);
    printf("time         %.4g s a step, the median of %lld; %.0f tok/s, MFU %.1f%% of %.4g FLOP/s\n",
           p->timed.step_seconds, (long long)p->timed.steps, tok_s,
           100 * tok_s * t->report.flops_token / t->report.peak, t->report.peak);
    printf("the run      %lld steps, %.6g tokens: %s, without evaluations and checkpoints\n",
           (long long)(o->steps - p->first), (double)(o->steps - p->first) * tokens,
           gp_format_seconds(text, (double)(o->steps - p->first) * p->timed.step_seconds));
}

static void print_json(const plan *p)
{
    const gp_trainer *t = &p->j->t;
    int64_t steps = p->j->o->steps - p->first;
    double tokens = (double)t->report.tokens_a_step, seconds = p->timed.step_seconds;
    gp_buf b = {0};
    gp_json_open(&b, NULL, '{');
    gp_json_put(&b, MEMBER("parameters", t->m->params.parameters), MEMBER("machine", p->j->state.machine),
                REAL("flops_token", t->report.flops_token, 9), REAL("flops_token_estimate", p->estimate, 9),
                MEMBER("peak_flops", t->report.peak));
    gp_json_open(&b, "memory", '{');
    gp_json_put(&b, MEMBER("weights", p->use.weights), MEMBER("slots", p->use.slots),
                MEMBER("gradients", p->use.gradients), MEMBER("optimizer", p->optimizer),
                MEMBER("activations", p->use.activations), MEMBER("workspace", p->use.workspace),
                MEMBER("cache", p->use.cache), MEMBER("process", p->host), MEMBER("total", p->total));
    gp_json_close(&b, '}');
    gp_json_put(&b, MEMBER("room", p->available));
    gp_json_open(&b, "recompute", '{');
    for (gp_recompute level = 0; level < GP_RECOMPUTE_LEVELS; level++) {
        gp_json_open(&b, gp_recompute_name(level), '{');
        gp_json_put(&b, MEMBER("memory", p->levels[level].memory), MEMBER("largest_batch", p->levels[level].rows));
        gp_json_close(&b, '}');
    }
    gp_json_close(&b, '}');
    gp_json_put(&b, FIXED("tokens_step", tokens, 0), MEMBER("steps", steps), FIXED("tokens", (double)steps * tokens, 0),
                MEMBER("timed_steps", p->timed.steps), MEMBER("step_seconds", seconds),
                MEMBER("tok_s", tokens / seconds), MEMBER("seconds", (double)steps * seconds));
    gp_json_close(&b, '}');
    gp_json_write(&b, stdout, "\n");
}

int gp_job_dry_run(gp_job *j)
{
    const gp_config *c = &j->t.m->config;
    plan p = {.j = j, .first = gp_min(j->t.step, j->o->steps), .optimizer = (int64_t)j->t.optimizer.arena.size};
    p.estimate = 6 * (double)j->t.m->params.parameters + 12 * (double)(c->layers * c->channels * j->t.T);
    gp_model_memory(j->t.m, &p.use);
    if (!j->o->json)
        print_sizes(&p);
    if (j->t.report.live)
        gp_report_info(&j->t.report, "timing a few steps; Ctrl-C ends this");
    bool quiet = j->o->quiet;
    j->o->quiet = true; /* the steps are not reported */
    int rc = measure(&j->t, &p.timed) || gp_job_rehearse(j) ? -1 : 0;
    j->o->quiet = quiet;
    if (rc)
        return -1;
    count_memory(&p);
    count_levels(&p);
    j->o->json ? print_json(&p) : print_measured(&p);
    return 0;
}
