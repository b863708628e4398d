/* signals.c: keeps signal handlers from overwriting the heap during a product.
 *
 * Kernels that oneDNN generates (2.6's for AVX2 and AVX-512 in fp32) set the stack pointer to a buffer on the heap. The
 * kernel writes a handler's frame below the stack pointer, and thus over the heap before that buffer. So the threads of
 * the team block signals, and the thread that opens the backend, which then receives those of the process, gets an
 * alternate stack for handlers installed with SA_ONSTACK. */
#include "backend/cpu/cpu.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum { STACK = 1 << 16 }; /* a frame holds all registers: 12 kB with AMX */

/* Signals raised by faults of the thread itself are not blocked: the process would end without a message. */
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
    if (sigaltstack(NULL, &stack) || !(stack.ss_flags & SS_DISABLE)) /* it already has an alternate stack */
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
        return; /* called on another thread: the first may still use the stack, so it is not freed */
    sigaltstack(&none, NULL);
    free(guard);
}
