/* threads.c: divides an op's work among threads: the only parallel region of the backend, except in products and
 * signals.c.
 *
 * A region wakes sleeping threads and waits for all of them. (They sleep because threads that spin while they wait are
 * far slower on a machine with any other load: gp_tool_start.) With two threads on a shared virtual machine that took 3
 * us at best, 10 us in a series of ops, 50 us in the median. So work is divided if one thread would take 50 us or more:
 * halving it then pays for most regions, and below there is little to gain. A token of 4 layers of 128 channels, 31 ops
 * of 2 us, took 280 us when every op had a region, and takes 50 us without.
 *
 * The team is one thread or all, never a part: GCC's OpenMP ends the threads that a smaller team does not need, and
 * creates new ones for the next larger one. With one thread there is no region, since even that costs 0.4 us. */
#include "backend/cpu/cpu.h"

int gp_cpu_team(const gp_backend *be, int64_t ps)
{
    return ps < gp_cpu_state(be)->split_ps ? 1 : be->threads;
}

int gp_cpu_split(gp_backend *be, int64_t ps, int64_t n, int64_t grain, gp_cpu_work *run, const void *op)
{
    int parts = gp_cpu_team(be, ps);
    if (parts == 1) {
        run(be, op, (gp_range){0, n, 0});
        return 1;
    }
#pragma omp parallel for schedule(static, 1) num_threads(parts)
    for (int part = 0; part < parts; part++)
        run(be, op, gp_cpu_share(n, grain, part, parts));
    return parts;
}
