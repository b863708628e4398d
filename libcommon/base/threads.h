/* threads.h: a parallel loop for code outside the backends, which have their own threads. */
#ifndef GP_THREADS_H
#define GP_THREADS_H

#include "base/base.h"

/* The number of processors in this process's affinity mask. */
int gp_processors(void);

/* Calls run(self, i) once for each i from 0 to n - 1, on the calling thread and at most threads - 1 others, which are
 * joined before it returns. If no thread can be created, the calling thread does all the work. */
void gp_parallel(int threads, int64_t n, void (*run)(void *self, int64_t i), void *self);

#endif
