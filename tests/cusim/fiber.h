/* fiber.h: a stack of its own and a switch to it: what each simulated CUDA thread runs on.
 *
 *     static void body(void *self) { ...; fiber_switch(&mine, &scheduler); ... }    // never returns
 *     fiber_init(&f, stack, size, body, self);
 *     fiber_switch(&scheduler, &f);                                                  // until f switches back
 *
 * A few lines of assembly on x86-64 and aarch64; ucontext elsewhere, or where CUSIM_UCONTEXT is defined, which makes a
 * switch fifty times as expensive. AddressSanitizer is told of every switch.
 */
#ifndef CUSIM_FIBER_H
#define CUSIM_FIBER_H

#include <cstddef>
#include <cstdint>
#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(CUSIM_UCONTEXT)
#define CUSIM_UCONTEXT
#endif
#ifdef CUSIM_UCONTEXT
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CUSIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUSIM_ASAN 1
#endif
#endif
#ifndef CUSIM_ASAN
#define CUSIM_ASAN 0
#endif

namespace cusim
{

struct Fiber {
    char *stack = nullptr; /* lowest byte; null: the thread that the program began with */
    size_t size = 0;
    void (*body)(void *self) = nullptr;
    void *self = nullptr;
#ifdef CUSIM_UCONTEXT
    ucontext_t context;
#else
    void *sp = nullptr;
#endif
    void *asan = nullptr; /* AddressSanitizer's fake stack */
};

/* The stack must live as long as the fiber is switched to; body must end in a switch that is never switched back. */
void fiber_init(Fiber *f, char *stack, size_t size, void (*body)(void *), void *self);

/* For a fiber that stopped before the end of body: AddressSanitizer forgets its frames, the stack can be reused. */
void fiber_abandon(Fiber *f);

/* Goes on with `to`; comes back when something switches to `from`. last: `from` will not be switched to again. */
void fiber_switch(Fiber *from, Fiber *to, bool last = false);

} // namespace cusim

#endif
