/* report.c: see report.h. */
#include "train/report/report.h"
#include "base/json_write.h"
#include "cli/progress.h"
#include "train/report/outliers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void gp_report_begin(gp_report *r, const gp_train_options *o, gp_run *run)
{
    *r = (gp_report){.o = o, .run = run, .began = gp_now(), .val_loss = NAN, .last_loss = NAN};
    r->live = gp_terminal_can_redraw() && !o->quiet;
}

void gp_report_end(gp_report *r)
{
    gp_report_settle(r);
    gp_buf_release(&r->log.waiting);
    gp_buf_release(&r->events.waiting);
}

static void print(gp_report *r, const char *fmt, va_list ap)
{
    char line[4096];
    gp_report_clear(r);
    vsnprintf(line, sizeof line, fmt, ap);
    fprintf(stderr, "train: %s\n", gp_printable(line));
}

void gp_report_info(gp_report *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!r->o->quiet)
        print(r, fmt, ap);
    va_end(ap);
}

void gp_report_warn(gp_report *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(r, fmt, ap);
    va_end(ap);
}

/* 0, or -1 when it still waits. */
static int write_backlog(gp_report *r, const char *name, gp_backlog *w)
{
    if (!w->records)
        return 0;
    if (gp_run_append(r->run, name, w->waiting.data, w->waiting.len))
        return -1;
    gp_buf_release(&w->waiting);
    w->records = 0;
    return 0;
}

void gp_report_record(gp_report *r, const char *name, gp_backlog *w, const gp_buf *record)
{
    enum { MAX = 16 << 20 };
    bool waited = w->records > 0;
    if (!r->run)
        return;
    if (w->waiting.len + record->len <= MAX) {
        gp_buf_add(&w->waiting, record->data, record->len);
        w->records++;
    } else {
        w->dropped++;
    }
    if (write_backlog(r, name, w) && !waited)
        gp_report_warn(r, "%s; training continues", gp_error());
}

static void flush(gp_report *r, const char *name, gp_backlog *w)
{
    bool bad = write_backlog(r, name, w) != 0;
    int64_t missing = w->dropped + w->records;
    if (missing)
        gp_report_warn(r, "%s/%s lacks %lld records: %s", gp_run_path(r->run), name, (long long)missing,
                       bad ? gp_error() : "the disk was full for too long");
    *w = (gp_backlog){.waiting = w->waiting, .records = w->records};
}

void gp_report_flush(gp_report *r)
{
    flush(r, GP_LOG_NAME, &r->log);
    flush(r, GP_EVENTS_NAME, &r->events);
}

static void log_line(gp_report *r, gp_buf *line)
{
    gp_json_close(line, '}');
    gp_buf_puts(line, "\n");
    gp_report_record(r, GP_LOG_NAME, &r->log, line);
    gp_buf_release(line);
}

double gp_report_mfu(const gp_report *r, double tok_s)
{
    return r->peak > 0 ? tok_s * r->flops_token / r->peak : NAN;
}

static void put_unigram_entropy(const gp_report *r, gp_buf *line)
{
    if (r->unigram_entropy > 0)
        gp_json_put(line, REAL("unigram_entropy", r->unigram_entropy, 9));
}

/* A masked model that fails to learn stays at the unigram entropy. The mean loss of the last quarter (at most 100
 * steps) of the run's first third is compared with it; of fewer than 10 steps it would be noise. */
static void check_progress(gp_report *r, const gp_step_report *s)
{
    enum { FEWEST = 10, MOST = 100 };
    int64_t third = (r->o->steps + 2) / 3, steps = gp_min(MOST, third / 4);
    if (r->o->dry_run || !(r->unigram_entropy > 0) || steps < FEWEST || s->step > third || s->step <= third - steps)
        return;
    r->third_sum += s->loss;
    r->third_steps++;
    double mean = r->third_sum / (double)r->third_steps;
    if (s->step == third && mean >= r->unigram_entropy)
        gp_report_warn(r,
                       "after a third of its steps the run has learned no more than how frequent tokens are: its loss, "
                       "%.4f in the last %lld steps, is not below the unigram entropy of the masked tokens, %.4f; try "
                       "another --lr, a longer --warmup, or more steps",
                       mean, (long long)r->third_steps, r->unigram_entropy);
}

void gp_report_step(gp_report *r, const gp_step_report *s)
{
    double tok_s = (double)r->tokens_a_step / s->seconds;
    r->tok_s = r->tok_s > 0 ? 0.9 * r->tok_s + 0.1 * tok_s : tok_s;
    r->last_loss = s->loss;
    gp_buf line = {0};
    gp_json_open(&line, NULL, '{');
    gp_json_put(&line, MEMBER("step", s->step), MEMBER("tokens", s->step * r->tokens_a_step), REAL("loss", s->loss, 9),
                REAL("lr", s->lr, 9), REAL("grad_norm", s->grad_norm, 9));
    put_unigram_entropy(r, &line);
    if (gp_skips_outliers(r->o))
        gp_json_put(&line, MEMBER("loss_z", s->loss_z), MEMBER("norm_z", s->norm_z), MEMBER("skipped", s->skipped));
    gp_json_put(&line, REAL("tok_s", tok_s, 5), REAL("mfu", gp_report_mfu(r, tok_s), 4), MEMBER("memory", r->memory));
    log_line(r, &line);
    gp_report_events(r, s->step,
                     (gp_scalar[]){{"loss", s->loss},
                                   {"lr", s->lr},
                                   {"grad_norm", s->grad_norm},
                                   {"tok_s", tok_s},
                                   {"mfu", gp_report_mfu(r, tok_s)}},
                     5);
    r->shown = *s;
    check_progress(r, s);
    gp_report_show(r, s->step == r->o->steps);
}

/* "val_losses": {"web": 2.5, "books": 3}, and the same for people. */
static void put_sets(gp_buf *line, gp_buf *text, const gp_evaluation *sets, int count)
{
    gp_json_open(line, "val_losses", '{');
    for (int i = 0; i < count; i++) {
        gp_json_put(line, REAL(sets[i].name, sets[i].loss, 9));
        gp_buf_printf(text, "%s %s %.4f", i ? "," : "", sets[i].name, sets[i].loss);
    }
    gp_json_close(line, '}');
}

/* "accuracy": 0.9, ..., "classes": {"neg": {"precision": ...}, ...}, "confusion": [[9, 1], [0, 10]] */
static void put_metrics(gp_buf *line, const gp_evaluation *e)
{
    const gp_metrics *m = &e->metrics;
    gp_json_put(line, MEMBER("items", m->count), REAL("accuracy", gp_metrics_accuracy(m), 9),
                REAL("macro_f1", gp_metrics_macro_f1(m), 9),
                REAL("calibration_error", gp_metrics_calibration_error(m), 9));
    if (e->accuracy_limit > 0)
        gp_json_put(line, REAL("accuracy_limit", e->accuracy_limit, 9));
    gp_json_open(line, "classes", '{');
    for (int64_t i = 0; i < m->labels; i++) {
        gp_class_metrics c = gp_metrics_class(m, i);
        gp_json_open(line, gp_tokens_label_name(e->stream, i), '{');
        gp_json_put(line, REAL("precision", c.precision, 9), REAL("recall", c.recall, 9), REAL("f1", c.f1, 9),
                    MEMBER("items", c.count));
        gp_json_close(line, '}');
    }
    gp_json_close(line, '}');
    gp_json_open(line, "confusion", '[');
    for (int64_t i = 0; i < m->labels; i++) {
        gp_json_open(line, NULL, '[');
        for (int64_t k = 0; k < m->labels; k++)
            gp_json_put(line, MEMBER(NULL, m->confusion[i * m->labels + k]));
        gp_json_close(line, ']');
    }
    gp_json_close(line, ']');
}

void gp_report_metrics(gp_report *r, const gp_evaluation *e)
{
    const gp_metrics *m = &e->metrics;
    char limit[32] = "";
    if (e->accuracy_limit > 0)
        snprintf(limit, sizeof limit, " (limit %.4f)", e->accuracy_limit);
    gp_report_info(r, "%s: %lld item%s, accuracy %.4f%s, macro F1 %.4f, calibration error %.4f", e->name,
                   (long long)m->count, gp_plural(m->count), gp_metrics_accuracy(m), limit, gp_metrics_macro_f1(m),
                   gp_metrics_calibration_error(m));
    for (int64_t i = 0; i < m->labels && m->labels <= 20; i++) {
        gp_class_metrics c = gp_metrics_class(m, i);
        gp_buf row = {0};
        for (int64_t k = 0; k < m->labels; k++)
            gp_buf_printf(&row, "%s%s %lld", k ? ", " : "", gp_tokens_label_name(e->stream, k),
                          (long long)m->confusion[i * m->labels + k]);
        gp_report_info(r, "  %s: precision %.4f, recall %.4f, F1 %.4f; predicted %s",
                       gp_tokens_label_name(e->stream, i), c.precision, c.recall, c.f1, row.data);
        gp_buf_release(&row);
    }
}

void gp_report_evaluation(gp_report *r, int64_t step, const gp_evaluation *sets, int count)
{
    gp_buf line = {0}, text = {0};
    r->val_loss = sets[0].loss;
    r->val_step = step;
    gp_json_open(&line, NULL, '{');
    gp_json_put(&line, MEMBER("step", step), REAL("val_loss", r->val_loss, 9));
    put_unigram_entropy(r, &line);
    if (count > 1)
        put_sets(&line, &text, sets, count);
    else
        gp_buf_printf(&text, " %.4f", r->val_loss);
    if (sets[0].metrics.labels) {
        put_metrics(&line, &sets[0]);
        gp_buf_printf(&text, "  accuracy %.4f  macro F1 %.4f", gp_metrics_accuracy(&sets[0].metrics),
                      gp_metrics_macro_f1(&sets[0].metrics));
    }
    log_line(r, &line);
    if (sets[0].metrics.labels)
        gp_report_events(r, step,
                         (gp_scalar[]){{"val_accuracy", gp_metrics_accuracy(&sets[0].metrics)},
                                       {"val_macro_f1", gp_metrics_macro_f1(&sets[0].metrics)}},
                         2);
    for (int i = 0; i < count; i++) {
        char *tag = i ? gp_format("val_loss/%s", sets[i].name) : gp_strdup("val_loss");
        gp_report_events(r, step, &(gp_scalar){tag, sets[i].loss}, 1);
        free(tag);
    }
    if (!r->live || count > 1 || sets[0].metrics.labels) /* the live line shows only the first one */
        gp_report_info(r, "step %lld  val loss%s", (long long)step, text.data);
    if (r->live)
        gp_report_show(r, true);
    gp_buf_release(&text);
}

void gp_report_documents(gp_report *r, int64_t step, const gp_document_scores *s)
{
    if (s->left_out)
        gp_report_info(r, "%lld validation document%s longer than the context: not scored", (long long)s->left_out,
                       gp_plural(s->left_out));
    if (!s->documents)
        return;
    gp_buf line = {0};
    gp_json_open(&line, NULL, '{');
    gp_json_put(&line, MEMBER("step", step), MEMBER("documents", s->documents), FIXED("characters", s->characters, 0),
                REAL("document_loss", s->loss, 9), REAL("floor", s->floor, 9),
                REAL("standard_error", s->standard_error, 4), FIXED("document_tokens", s->tokens, 0));
    log_line(r, &line);
    gp_report_info(r,
                   "%lld validation document%s scored whole: %.4f nats a character; their floor is %.4f: %.1f%% above, "
                   "+- %.1f%%",
                   (long long)s->documents, gp_plural(s->documents), s->loss, s->floor, 100 * (s->loss / s->floor - 1),
                   100 * s->standard_error / s->floor);
}

void gp_report_summary(gp_report *r, int64_t step, double took, double best_loss)
{
    double tokens = (double)((step - r->first_step) * r->tokens_a_step);
    gp_buf line = {0};
    gp_report_clear(r);
    gp_json_open(&line, NULL, '{');
    gp_json_put(&line, MEMBER("step", step), MEMBER("steps", step - r->first_step), FIXED("tokens", tokens, 0),
                REAL("loss", r->last_loss, 9), REAL("val_loss", r->val_loss, 9), REAL("best_loss", best_loss, 9),
                MEMBER("seconds", took), REAL("tok_s", took > 0 ? tokens / took : NAN, 5));
    if (r->run)
        gp_json_put(&line, MEMBER("run", gp_run_path(r->run)));
    gp_json_close(&line, '}');
    gp_json_write(&line, stderr, "\n");
}
