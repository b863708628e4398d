/* threads.c: cutting an op's work for threads; here is the backend's one parallel region, but for
 * those of products and signals.c.
 *
 * A region wakes sleeping threads and waits for all of them. (They sleep, since threads that spin while they wait
 * are far worse on a machine that does anything else: gp_tool_start.) For two threads on a shared virtual
 * machine that took 3 us at best, 10 us in a good row of ops, 50 us in the median. So work is cut when one thread
 * would take 50 us or more over it: halving it then pays for most regions, and below there is little to gain. A
 * token of 4 layers of 128 channels, 31 ops of 2 us, took 280 us when every op had a region, and takes 50 without.
 *
 * It is one thread or all, never some: GCC's OpenMP ends the threads that a smaller team leaves over, and starts
 * them anew for the next larger one. One thread is a plain call, since even a region of one costs 0.4 us. */
#include "backend/cpu/cpu.h"

int gp_cpu_team(const gp_backend *be, int64_t ps)
{
    return ps < gp_cpu_state(be)->split_ps ? 1 : be->threads;
}

int gp_cpu_split(gp_backend *be, int64_t ps, int64_t n, int64_t grain, gp_cpu_work *run, const void *op)
{
    int parts = gp_cpu_team(be, ps);
    if (parts == 1) {
        run(be, op, (gp_range){0, n}, 0);
        return 1;
    }
#pragma omp parallel for schedule(static, 1) num_threads(parts)
    for (int part = 0; part < parts; part++)
        run(be, op, gp_cpu_share(n, grain, part, parts), part);
    return parts;
}
