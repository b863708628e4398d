/* report_events.c: what TensorBoard is told. */
#include "base/file.h"
#include "train/events.h"
#include "train/report.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

void gp_report_events(gp_report *r, int64_t step, const gp_scalar *scalars, int count)
{
    struct timespec now;
    gp_buf b = {0};
    if (!r->run || !r->o->tensorboard)
        return;
    clock_gettime(CLOCK_REALTIME, &now); /* for the plot's time axis; nothing here depends on it */
    double wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (!r->events.records && !gp_run_size(r->run, GP_EVENTS_NAME))
        gp_events_begin(&b, wall_time);
    gp_events_add(&b, wall_time, step, scalars, count);
    gp_report_record(r, GP_EVENTS_NAME, &r->events, &b);
    gp_buf_release(&b);
}

int gp_report_cut_events(gp_run *run, int64_t step)
{
    char *path = gp_path_join(gp_run_path(run), GP_EVENTS_NAME);
    gp_map map = {0};
    int rc = 0;
    if (gp_exists(path)) {
        rc = gp_map_open(&map, path);
        int64_t kept = rc ? 0 : (int64_t)gp_events_until(map.data, map.size, step);
        gp_map_close(&map);
        if (!rc)
            rc = gp_run_cut(run, GP_EVENTS_NAME, kept);
    }
    free(path);
    return rc;
}
