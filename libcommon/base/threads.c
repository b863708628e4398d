/* threads.c: see threads.h. */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { MAX_THREADS = 64 };

typedef struct work {
    _Atomic int64_t next;
    int64_t n;
    void (*run)(void *self, int64_t i);
    void *self;
} work;

static void *work_loop(void *arg)
{
    work *w = arg;
    int64_t i;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->n)
        w->run(w->self, i);
    return NULL;
}

int gp_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n > 1 ? n : 1;
}

void gp_parallel(int threads, int64_t n, void (*run)(void *self, int64_t i), void *self)
{
    work w = {.n = n, .run = run, .self = self};
    pthread_t others[MAX_THREADS];
    int64_t max = gp_min(gp_min(threads, n) - 1, MAX_THREADS);
    int started = 0;
    while (started < max && !pthread_create(&others[started], NULL, work_loop, &w))
        started++;
    work_loop(&w);
    while (started)
        pthread_join(others[--started], NULL);
}
