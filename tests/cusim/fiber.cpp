/* fiber.cpp: see fiber.h. */
#include "fiber.h"

#if CUSIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cusim
{

static Fiber *arriving; /* where the switch that is under way came from */
static bool over;       /* that one's last */

/* Once on the new stack: the old one's bounds are only known here. */
static void arrived(Fiber *here)
{
#if CUSIM_ASAN
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(here->asan, &bottom, &size);
    if (arriving && !arriving->stack) { /* the program's own stack becomes known the first time it is left */
        arriving->size = size;
        arriving->self = const_cast<void *>(bottom);
    }
    if (over) { /* its calls never return: their frames would keep their red zones, down to fiber_switch's */
#ifdef CUSIM_UCONTEXT
        char *lowest = arriving->stack;
#else
        char *lowest = static_cast<char *>(arriving->sp);
#endif
        __asan_unpoison_memory_region(lowest, static_cast<size_t>(arriving->stack + arriving->size - lowest));
    }
#else
    (void)here;
#endif
}

static void departing(Fiber *from, Fiber *to, bool last)
{
    arriving = from;
    over = last;
#if CUSIM_ASAN
    const void *bottom = to->stack ? to->stack : to->self;
    __sanitizer_start_switch_fiber(last ? nullptr : &from->asan, bottom, to->size);
#else
    (void)to;
    (void)last;
#endif
}

static Fiber *starting; /* the fiber whose first instruction comes next */

extern "C" void cusim_fiber_begin()
{
    Fiber *f = starting;
    arrived(f);
    f->body(f->self);
    __builtin_trap(); /* a body that returns has nowhere to go */
}

#if defined(CUSIM_UCONTEXT)
#elif defined(__x86_64__)

/* rdi: where to save the stack pointer; rsi: the one to go on with. What a callee must preserve is on the stack. */
extern "C" void cusim_fiber_jump(void **save, void *load);
asm(R"(
    .text
    .globl cusim_fiber_jump
    .hidden cusim_fiber_jump
    .type cusim_fiber_jump, @function
cusim_fiber_jump:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cusim_fiber_jump, . - cusim_fiber_jump
    .section .note.GNU-stack, "", @progbits
    .text
)");

enum { SAVED = 6 };

static void *first_frame(char *stack, size_t size)
{
    uintptr_t top = (reinterpret_cast<uintptr_t>(stack) + size) & ~static_cast<uintptr_t>(15);
    void **sp = reinterpret_cast<void **>(top) - 1; /* a return address that is never used; aligned as after a call */
    *sp = nullptr;
    *--sp = reinterpret_cast<void *>(cusim_fiber_begin);
    for (int i = 0; i < SAVED; i++)
        *--sp = nullptr;
    return sp;
}

#elif defined(__aarch64__)

/* x0: where to save the stack pointer; x1: the one to go on with. */
extern "C" void cusim_fiber_jump(void **save, void *load);
asm(R"(
    .text
    .globl cusim_fiber_jump
    .hidden cusim_fiber_jump
    .type cusim_fiber_jump, %function
cusim_fiber_jump:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size cusim_fiber_jump, . - cusim_fiber_jump
    .section .note.GNU-stack, "", %progbits
    .text
)");

enum { SAVED = 20, LINK = 11 };

static void *first_frame(char *stack, size_t size)
{
    uintptr_t top = (reinterpret_cast<uintptr_t>(stack) + size) & ~static_cast<uintptr_t>(15);
    void **sp = reinterpret_cast<void **>(top) - SAVED;
    for (int i = 0; i < SAVED; i++)
        sp[i] = nullptr;
    sp[LINK] = reinterpret_cast<void *>(cusim_fiber_begin);
    return sp;
}

#endif

void fiber_init(Fiber *f, char *stack, size_t size, void (*body)(void *), void *self)
{
    *f = Fiber();
    f->stack = stack;
    f->size = size;
    f->body = body;
    f->self = self;
#ifdef CUSIM_UCONTEXT
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = size;
    f->context.uc_link = nullptr;
    makecontext(&f->context, cusim_fiber_begin, 0);
#endif
}

void fiber_abandon(Fiber *f)
{
#if CUSIM_ASAN
    __asan_unpoison_memory_region(f->stack, f->size);
#else
    (void)f;
#endif
}

void fiber_switch(Fiber *from, Fiber *to, bool last)
{
    departing(from, to, last);
    starting = to;
#ifdef CUSIM_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    if (!to->sp)
        to->sp = first_frame(to->stack, to->size);
    cusim_fiber_jump(&from->sp, to->sp);
#endif
    arrived(from);
}

} // namespace cusim
