/* threads.h: work of many equal parts on all processors, where no backend is at hand (its threads are its own). */
#ifndef GP_THREADS_H
#define GP_THREADS_H

#include "base/base.h"

/* Processors that this process may run on. */
int gp_processors(void);

/* Calls run(self, i) once for each i from 0 to n - 1, on this thread and at most threads - 1 others, which end before
 * it returns. Where no thread can be made this one does the work. */
void gp_parallel(int threads, int64_t n, void (*run)(void *self, int64_t i), void *self);

#endif
