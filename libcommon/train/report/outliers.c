/* outliers.c: see outliers.h. */
#include "train/report/outliers.h"

#include <math.h>
#include <string.h>

/* The sums are computed from the window each time, so one that was saved and loaded gives the same bits. */
double gp_window_add(gp_window *w, double value)
{
    bool full = w->count == GP_WINDOW;
    double mean = 0, variance = 0;
    if (full)
        memmove(w->value, w->value + 1, (GP_WINDOW - 1) * sizeof *w->value);
    else
        w->count++;
    w->value[w->count - 1] = value;
    if (!full)
        return NAN;
    for (int i = 0; i < GP_WINDOW; i++)
        mean += w->value[i] / GP_WINDOW;
    for (int i = 0; i < GP_WINDOW; i++)
        variance += (w->value[i] - mean) * (w->value[i] - mean) / GP_WINDOW;
    return variance > 0 ? (value - mean) / sqrt(variance) : 0;
}
