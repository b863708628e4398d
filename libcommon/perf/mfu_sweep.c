/* mfu_sweep.c: measurements with one parameter varied, as a table and as an SVG chart. */
#include "perf/mfu.h"

#include <math.h>
#include <string.h>

/* Whether the pass does not depend on the parameter: prefill reads one prompt at a time. */
static bool is_constant(const gp_mfu_sweep *s, const gp_pass_result *p)
{
    return p->pass == GP_PASS_PREFILL && !strcmp(s->what, "batch");
}

void gp_mfu_sweep_print(const gp_mfu_sweep *s, FILE *out)
{
    const gp_mfu *first = s->run[0];
    fprintf(out, "\n%-10s", s->what);
    for (int p = 0; p < first->count; p++)
        fprintf(out, " %9s tok/s     10%% .. 90%%    MFU", gp_pass_name(first->result[p].pass));
    fprintf(out, "\n");
    for (int i = 0; i < s->count; i++) {
        fprintf(out, "%-10lld", (long long)s->values[i]);
        for (int p = 0; p < s->run[i]->count; p++) {
            const gp_speed *speed = &s->run[i]->result[p].speed;
            double mfu = gp_mfu_of(speed, s->run[i]->peak);
            char spread[32];
            snprintf(spread, sizeof spread, "%.0f .. %.0f", speed->tok_s_10, speed->tok_s_90);
            fprintf(out, " %11.0f %17s %5.1f%%%s", speed->tok_s, spread, 100 * mfu, mfu > 1 ? "!" : " ");
        }
        fprintf(out, "  peak %.1f GFLOP/s\n", s->run[i]->peak / 1e9);
    }
    for (int p = 0; p < first->count; p++)
        if (is_constant(s, &first->result[p]))
            fprintf(out, "(%s reads one prompt at a time, whatever the batch)\n", gp_pass_name(first->result[p].pass));
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < s->run[i]->count; p++)
            if (gp_mfu_of(&s->run[i]->result[p].speed, s->run[i]->peak) > 1) {
                fprintf(out, "(!: %s)\n", gp_mfu_note(s->run[i], &s->run[i]->result[p], GP_SHARE_PEAK));
                return;
            }
}

/* ---- the chart ------------------------------------------------------------------------------------------- */

enum { WIDTH = 640, HEIGHT = 400, LEFT = 70, RIGHT = 90, TOP = 56, BOTTOM = 50, LINE = 14 };

static const char *const colours[GP_PASSES] = {"#4477aa", "#cc3311", "#228833", "#aa7700"};

/* Values are equally spaced on the x axis; tokens a second are logarithmic, over whole decades. */
typedef struct axes {
    double min, max; /* log10 */
    int steps;
} axes;

static double at_x(const axes *a, int i)
{
    double width = WIDTH - LEFT - RIGHT;
    return LEFT + width * (a->steps > 1 ? (double)i / (a->steps - 1) : 0.5);
}

static double at_y(const axes *a, double rate)
{
    double height = HEIGHT - TOP - BOTTOM;
    return HEIGHT - BOTTOM - height * (log10(rate) - a->min) / (a->max - a->min);
}

static axes fit(const gp_mfu_sweep *s)
{
    double min = INFINITY, max = 0;
    for (int i = 0; i < s->count; i++)
        for (int p = 0; p < s->run[i]->count; p++) {
            min = fmin(min, s->run[i]->result[p].speed.tok_s_10);
            max = fmax(max, s->run[i]->result[p].speed.tok_s_90);
        }
    axes a = {floor(log10(min)), ceil(log10(max)), s->count};
    if (a.max <= a.min)
        a.max = a.min + 1;
    return a;
}

static void put_escaped(const char *s, FILE *out)
{
    for (; *s; s++)
        if (*s == '&' || *s == '<')
            fputs(*s == '&' ? "&amp;" : "&lt;", out);
        else
            fputc(*s, out);
}

/* The title: what was measured, on which model and machine. */
static void draw_title(const gp_mfu_sweep *s, FILE *out)
{
    const gp_mfu *r = s->run[0];
    fprintf(out, "<text x=\"%d\" y=\"20\" font-size=\"14\">tokens a second by %s</text>\n", LEFT, s->what);
    fprintf(out, "<text x=\"%d\" y=\"38\" font-size=\"10\" fill=\"#555\">%lld layers, %lld channels; ", LEFT,
            (long long)r->config.layers, (long long)r->config.channels);
    put_escaped(r->device, out);
    fprintf(out, ", %s, %s", r->backend, r->dtype);
    if (strcmp(s->what, "threads"))
        fprintf(out, ", %d thread%s", r->threads, r->threads > 1 ? "s" : "");
    fprintf(out, "; bars: 10%% to 90%% of the runs</text>\n");
}

static void draw_axes(const gp_mfu_sweep *s, const axes *a, FILE *out)
{
    for (double d = a->min; d <= a->max; d++) {
        double y = at_y(a, pow(10, d));
        fprintf(out, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>", LEFT, y, WIDTH - RIGHT);
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.10g</text>\n", LEFT - 6, y + 4, pow(10, d));
    }
    for (int i = 0; i < s->count; i++)
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%lld</text>\n", at_x(a, i), HEIGHT - BOTTOM + 18,
                (long long)s->values[i]);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12,
            s->what);
}

/* A line through the medians, with a dot and a bar from the 10th to the 90th percentile at each. */
static void draw_pass(const gp_mfu_sweep *s, const axes *a, int p, FILE *out)
{
    fprintf(out, "<g stroke=\"%s\" fill=\"none\"><path stroke-width=\"2\" d=\"", colours[p]);
    for (int i = 0; i < s->count; i++)
        fprintf(out, "%c%.1f %.1f", i ? 'L' : 'M', at_x(a, i), at_y(a, s->run[i]->result[p].speed.tok_s));
    fprintf(out, "\"/><path d=\"");
    for (int i = 0; i < s->count; i++) {
        const gp_speed *speed = &s->run[i]->result[p].speed;
        fprintf(out, "M%.1f %.1fV%.1f", at_x(a, i), at_y(a, speed->tok_s_10), at_y(a, speed->tok_s_90));
    }
    fprintf(out, "\"/></g>\n");
    for (int i = 0; i < s->count; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", at_x(a, i),
                at_y(a, s->run[i]->result[p].speed.tok_s), colours[p]);
}

/* The name of each pass to the right of its last dot, moved down where names would overlap. */
static void draw_names(const gp_mfu_sweep *s, const axes *a, FILE *out)
{
    const gp_mfu *last = s->run[s->count - 1];
    bool named[GP_PASSES] = {false};
    double below = -INFINITY;
    for (int k = 0; k < last->count; k++) {
        int top = -1; /* the highest without a name */
        for (int p = 0; p < last->count; p++)
            if (!named[p] && (top < 0 || last->result[p].speed.tok_s > last->result[top].speed.tok_s))
                top = p;
        double y = fmax(at_y(a, last->result[top].speed.tok_s), below);
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s%s</text>\n", at_x(a, s->count - 1) + 8, y + 4,
                colours[top], gp_pass_name(last->result[top].pass), is_constant(s, &last->result[top]) ? " of 1" : "");
        below = y + LINE;
        named[top] = true;
    }
}

void gp_mfu_sweep_svg(const gp_mfu_sweep *s, FILE *out)
{
    axes a = fit(s);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n",
            WIDTH, HEIGHT);
    fprintf(out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, HEIGHT);
    draw_title(s, out);
    draw_axes(s, &a, out);
    for (int p = 0; p < s->run[0]->count; p++)
        draw_pass(s, &a, p, out);
    draw_names(s, &a, out);
    fprintf(out, "</svg>\n");
}
