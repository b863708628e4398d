/* stop.h: how a run is stopped from outside. Signal handlers have no arguments, so there is one run a process. */
#ifndef GP_TRAIN_STOP_H
#define GP_TRAIN_STOP_H

#include <stdbool.h>

/* From now on a write that has no reader or is past a limit fails as any other, and where a mapped file shrinks, what
 * ends the process (base/file.h, gp_sigbus_install) says that the last checkpoint stays. saves: SIGINT, SIGTERM and,
 * where it is not ignored, SIGHUP are noted, and a second one ends the process at once; otherwise the first one does,
 * as ever. */
void gp_stop_begin(bool saves);

/* The signal that asked to stop, or 0. */
int gp_stop_signal(void);

#endif
