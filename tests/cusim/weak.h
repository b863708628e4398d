/* weak.h: what one block has written is not there for another one until a fence stands behind it.
 *
 * Blocks run one after another, so that everything would be seen, fence or none. With CUSIM_WEAK=1 a block's writes to
 * device memory are taken back when it ends, and come again when the launch does; all but what a __threadfence() of the
 * block had behind it when one of its threads asked an atomic for the value before: drew a ticket. Such atomics are
 * seen at once, for that is what they are; those whose value nobody looks at are writes like any other.
 *
 * That is less than a GPU may do: a thread's fence is taken to be that of its whole block, and to stand where the
 * block's next barrier or ticket is; and what is read is never old. It costs copies of all device memory, some for each
 * block.
 */
#ifndef CUSIM_WEAK_H
#define CUSIM_WEAK_H

#include <cstddef>
#include <functional>

namespace cusim
{

extern bool weak; /* a program begins with CUSIM_WEAK of its environment */

/* Device memory as it is allocated; the rest is a thread's own, or its block's. */
void weak_allocated(char *start, size_t bytes);
void weak_freed(char *start);

void weak_begin_block();
void weak_end_block();
void weak_end_launch();

void weak_fence();
void weak_barrier(); /* all threads of the block go on */

/* An atomic was done, and can be done again; gives its number. */
size_t weak_atomic(const void *address, size_t bytes, std::function<void()> again);
/* The value before it was looked at. */
void weak_look(size_t atomic);

} // namespace cusim

#endif
