/* report_tensorboard.c: what TensorBoard is told. */
#include "base/file.h"
#include "train/report/tensorboard.h"
#include "train/report/report.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

void gp_report_events(gp_report *r, int64_t step, const gp_scalar *scalars, int count)
{
    struct timespec now;
    gp_buf b = {0};
    int64_t size = 0;
    if (!r->run || !r->o->tensorboard)
        return;
    clock_gettime(CLOCK_REALTIME, &now); /* for the plot's time axis; nothing here depends on it */
    double wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (!r->events.records && !gp_run_size(r->run, GP_EVENTS_NAME, &size) && !size)
        gp_events_begin(&b, wall_time);
    gp_events_add(&b, wall_time, step, scalars, count);
    gp_report_record(r, GP_EVENTS_NAME, &r->events, &b);
    gp_buf_release(&b);
}

int gp_report_cut_events(gp_report *r, gp_run *run, int64_t step)
{
    gp_map map;
    bool damaged;
    char *aside = NULL;
    if (gp_run_map(run, GP_EVENTS_NAME, &map))
        return -1;
    int64_t kept = (int64_t)gp_events_until(map.data, map.size, step, &damaged);
    gp_map_close(&map);
    int rc = damaged ? gp_run_cut_damaged(run, GP_EVENTS_NAME, kept, &aside) : gp_run_cut(run, GP_EVENTS_NAME, kept);
    if (aside)
        gp_report_warn(r, "%s/%s: a record at byte %lld is damaged; it and what follows it are kept as %s",
                       gp_run_path(run), GP_EVENTS_NAME, (long long)kept, aside);
    free(aside);
    return rc;
}
