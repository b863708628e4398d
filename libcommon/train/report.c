/* report.c: see report.h. */
#include "train/report.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

void gp_report_begin(gp_report *r, const gp_train_options *o, gp_run *run)
{
    *r = (gp_report){.o = o, .run = run, .began = gp_now(), .val_loss = NAN, .last_loss = NAN};
    r->live = isatty(STDERR_FILENO) && !o->quiet;
}

void gp_report_end(gp_report *r)
{
    if (r->line_width)
        fputc('\n', stderr);
}

static void clear_line(gp_report *r)
{
    if (r->line_width)
        fprintf(stderr, "\r%*s\r", r->line_width, "");
    r->line_width = 0;
}

void gp_report_say(gp_report *r, const char *fmt, ...)
{
    va_list ap;
    if (r->o->quiet)
        return;
    clear_line(r);
    fputs("train: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* JSON has no NaN. */
static void add_number(gp_buf *b, const char *key, double value, int digits)
{
    if (isfinite(value))
        gp_buf_printf(b, ", \"%s\": %.*g", key, digits, value);
    else
        gp_buf_printf(b, ", \"%s\": null", key);
}

/* A full disk does not end a run: it is told once. */
static void log_line(gp_report *r, gp_buf *line)
{
    gp_buf_puts(line, "}\n");
    if (r->run && gp_run_log(r->run, line->data, line->len) && !r->log_failed) {
        gp_report_say(r, "%s; training goes on", gp_error());
        r->log_failed = true;
    }
    gp_buf_release(line);
}

static double mfu(const gp_report *r, double tok_s)
{
    return r->peak > 0 ? tok_s * r->flops_token / r->peak : NAN;
}

static void format_time(char *text, size_t size, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

static void show(gp_report *r, int64_t step, double loss, double lr, double grad_norm)
{
    char line[256], left[32], val[32] = "";
    int64_t to_go = r->o->steps - step;
    format_time(left, sizeof left, (double)(to_go * r->tokens_a_step) / r->tok_s);
    if (isfinite(r->val_loss))
        snprintf(val, sizeof val, "  val %.4f", r->val_loss);
    int n = snprintf(line, sizeof line,
                     "step %lld/%lld  loss %.4f%s  lr %.2e  norm %.2f  %.0f tok/s  MFU %.1f%%  %s left",
                     (long long)step, (long long)r->o->steps, loss, val, lr, grad_norm, r->tok_s,
                     100 * mfu(r, r->tok_s), left);
    if (r->live) {
        fprintf(stderr, "\r%s%*s", line, n < r->line_width ? r->line_width - n : 0, "");
        r->line_width = n;
    } else if (step % r->o->log_every == 0 || step == r->o->steps) {
        fprintf(stderr, "train: %s\n", line);
    }
}

void gp_report_step(gp_report *r, int64_t step, double loss, double lr, double grad_norm, double seconds)
{
    double tok_s = (double)r->tokens_a_step / seconds;
    r->tok_s = r->tok_s > 0 ? 0.9 * r->tok_s + 0.1 * tok_s : tok_s;
    r->last_loss = loss;
    gp_buf line = {0};
    gp_buf_printf(&line, "{\"step\": %lld, \"tokens\": %lld", (long long)step,
                  (long long)(step * r->tokens_a_step));
    add_number(&line, "loss", loss, 9);
    add_number(&line, "lr", lr, 9);
    add_number(&line, "grad_norm", grad_norm, 9);
    add_number(&line, "tok_s", tok_s, 5);
    add_number(&line, "mfu", mfu(r, tok_s), 4);
    gp_buf_printf(&line, ", \"memory\": %lld", (long long)r->memory);
    log_line(r, &line);
    if (!r->o->quiet)
        show(r, step, loss, lr, grad_norm);
}

void gp_report_evaluation(gp_report *r, int64_t step, double val_loss)
{
    r->val_loss = val_loss;
    gp_buf line = {0};
    gp_buf_printf(&line, "{\"step\": %lld", (long long)step);
    add_number(&line, "val_loss", val_loss, 9);
    log_line(r, &line);
    if (!r->live)
        gp_report_say(r, "step %lld  val loss %.4f", (long long)step, val_loss);
}

void gp_report_documents(gp_report *r, int64_t step, const gp_document_scores *s)
{
    if (s->left_out)
        gp_report_say(r, "%lld validation documents are longer than the context: not scored",
                      (long long)s->left_out);
    if (!s->documents)
        return;
    gp_buf line = {0};
    gp_buf_printf(&line, "{\"step\": %lld, \"documents\": %lld, \"characters\": %.0f", (long long)step,
                  (long long)s->documents, s->characters);
    add_number(&line, "document_loss", s->loss, 9);
    add_number(&line, "floor", s->floor, 9);
    add_number(&line, "standard_error", s->standard_error, 4);
    log_line(r, &line);
    gp_report_say(
        r,
        "%lld validation documents scored whole: %.4f nats a character; their floor is %.4f: %.1f%% above, "
        "+- %.1f%%",
        (long long)s->documents, s->loss, s->floor, 100 * (s->loss / s->floor - 1),
        100 * s->standard_error / s->floor);
}
