/* block.h: runs the blocks of a launch, one thread at a time. */
#ifndef CUSIM_BLOCK_H
#define CUSIM_BLOCK_H

#include "types.h"

#include <cstdint>
#include <functional>
#include <string>

namespace cusim
{

struct Launch {
    const char *kernel; /* its name, for messages */
    dim3 grid, block;
    size_t dynamic_shared;
    std::function<void()> body; /* what each thread runs */
};

/* Runs a launch to its end. Empty, or what went wrong; then the rest of it was not run. */
std::string run(const Launch &launch);

/* The order of threads and blocks is drawn from this; 0: as they are numbered. A program begins with CUSIM_SEED of its
 * environment, or 0. */
void set_seed(uint64_t seed);

/* Switches between threads so far, to measure what one costs. */
uint64_t switches();

} // namespace cusim

#endif
