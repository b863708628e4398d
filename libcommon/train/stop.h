/* stop.h: stopping a run by a signal. Signal handlers have no arguments, so there is one run a process. */
#ifndef GP_TRAIN_STOP_H
#define GP_TRAIN_STOP_H

#include <stdbool.h>

/* From now on a write to a closed pipe or past a size limit is an error, not a signal, and the message about a mapped
 * file that shrinks (base/file.h, gp_sigbus_install) mentions the last checkpoint. saves: SIGINT, SIGTERM and, where it
 * is not ignored, SIGHUP are recorded, and a second one ends the process at once; otherwise they have their default
 * effect. */
void gp_stop_begin(bool saves);

/* The recorded signal, or 0. */
int gp_stop_signal(void);

#endif
