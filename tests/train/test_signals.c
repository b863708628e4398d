/* Signals that arrive while the processor computes: handled on a stack of their own, by the thread that computes, never
 * by one of its team. oneDNN's kernels move the stack pointer into the heap, so anything else overwrites it. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "backends.h"
#include "gptpipe/mfu.h"
#include "train/stop.h"

static pthread_t main_thread;
static volatile sig_atomic_t handled, elsewhere, on_its_own_stack;

static void handle(int number)
{
    stack_t stack;
    (void)number;
    handled++;
    elsewhere += !pthread_equal(pthread_self(), main_thread);
    on_its_own_stack += !sigaltstack(NULL, &stack) && (stack.ss_flags & SS_ONSTACK);
}

static void handlers_run_apart_from_products(void **state)
{
    (void)state;
    main_thread = pthread_self();
    gp_backend *be = gp_backend_open(backends[ARRAY_LEN(backends) - 1], "fp32", 2);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 5; i++)
        assert_true(gp_measure_peak(be, 0.05, 1e-3) > 0);
    setitimer(ITIMER_REAL, &never, NULL);
    gp_backend_close(be);
    assert_true(handled > 50);
    assert_int_equal(elsewhere, 0);
    if (!strcmp(backends[ARRAY_LEN(backends) - 1], "cpu"))
        assert_int_equal(on_its_own_stack, handled);
}

static void a_run_s_handlers_ask_for_that_stack(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGBUS};
    gp_stop_begin(true);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct sigaction now;
        assert_int_equal(sigaction(signals[i], NULL, &now), 0);
        assert_true(now.sa_flags & SA_ONSTACK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_run_apart_from_products),
        cmocka_unit_test(a_run_s_handlers_ask_for_that_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
