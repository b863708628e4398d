/* signals.c: a signal must not be handled on top of a product.
 *
 * Kernels that oneDNN generates (2.6's for AVX2 and AVX-512 in fp32) put their stack pointer into a buffer on the heap.
 * A handler's frame is written below the stack pointer: there, over whatever the heap has in front of that buffer. So
 * the team's threads take no signals, and the thread that opens the backend, which then is the one to take those of
 * the process, has a stack of its own for handlers that are installed with SA_ONSTACK. */
#include "backend/cpu/cpu.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum { STACK = 1 << 16 }; /* a frame holds all registers: 12 kB with AMX */

/* Those that a fault in the thread itself raises stay: blocked, they would end the process without a word. */
static void block_signals(int threads)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        sigdelset(&all, faults[i]);
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
    if (omp_get_thread_num())
        pthread_sigmask(SIG_BLOCK, &all, NULL);
#else
    (void)threads;
#endif
}

void *gp_cpu_guard_signals(int threads)
{
    stack_t stack;
    block_signals(threads);
    if (sigaltstack(NULL, &stack) || !(stack.ss_flags & SS_DISABLE)) /* it has one already */
        return NULL;
    stack = (stack_t){.ss_sp = gp_malloc(STACK), .ss_size = STACK};
    if (!sigaltstack(&stack, NULL))
        return stack.ss_sp;
    free(stack.ss_sp);
    return NULL;
}

void gp_cpu_unguard_signals(void *guard)
{
    stack_t stack, none = {.ss_flags = SS_DISABLE};
    if (!guard || sigaltstack(NULL, &stack) || stack.ss_sp != guard)
        return; /* on another thread the stack stays, since the first may still use it */
    sigaltstack(&none, NULL);
    free(guard);
}
