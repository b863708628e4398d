/* device.h: what a kernel sees of the machine: where it is, what its threads share, and how they wait for each other.
 *
 * A block's threads are fibers that run one at a time, in an order drawn from a seed, each until it waits. There are
 * two kinds of waiting: __syncthreads for all threads of the block, a warp's collective (shuffle, vote, __syncwarp,
 * mma) for the lanes of its mask. Everything that CUDA leaves undefined there is a fault, told with
 * the kernel, the thread and the source lines: a barrier that a thread never reaches, or reaches elsewhere; a
 * lane that names other lanes than those that come; a value read from a lane that does not take part.
 */
#ifndef CUSIM_DEVICE_H
#define CUSIM_DEVICE_H

#include "types.h"
#include "weak.h"

#include <type_traits>

namespace cusim
{

struct Place {
    const char *file;
    int line;
    const char *what;
};

#define CUSIM_PLACE(what)                                                                                              \
    cusim::Place                                                                                                       \
    {                                                                                                                  \
        __FILE__, __LINE__, what                                                                                       \
    }

/* ---- where a thread is ----------------------------------------------------------------------------------- */

struct Position {
    uint3 thread, block;
    dim3 block_size, grid_size;
};

const Position &position();

#define threadIdx (cusim::position().thread)
#define blockIdx  (cusim::position().block)
#define blockDim  (cusim::position().block_size)
#define gridDim   (cusim::position().grid_size)
constexpr int warpSize = 32;

/* Stops this thread and the launch. */
[[noreturn]] void fault(Place place, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- shared memory --------------------------------------------------------------------------------------- */

/* The block's memory of one declaration, or what the launch asked for; all NaNs (0xff) when the block begins. */
void *shared_memory(const void *declaration, size_t bytes, Place place);
void *dynamic_shared_memory(Place place);

/* __shared__ float tile[32][33]  is written  SHARED(float, tile, [32][33]);
 * extern __shared__ float all[]  is written  DYNAMIC_SHARED(float, all); */
#define SHARED(type, name, ...)                                                                                        \
    using name##_shared_type = type __VA_ARGS__;                                                                       \
    static const char name##_declaration = 0;                                                                          \
    name##_shared_type &name = *static_cast<name##_shared_type *>(                                                     \
        cusim::shared_memory(&name##_declaration, sizeof(name##_shared_type), CUSIM_PLACE(#name)))
#define DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(cusim::dynamic_shared_memory(CUSIM_PLACE(#name)))

/* ---- waiting --------------------------------------------------------------------------------------------- */

void block_barrier(Place place);
#define __syncthreads() cusim::block_barrier(CUSIM_PLACE("__syncthreads"))

/* What each lane of a warp brings to a collective; null where a lane is not in the mask. */
using Lanes = void *const[32];

/* Waits for the lanes of mask, which must all come with the same mask to the same place. The last one to come runs
 * finish over what all have brought, which is good until then. */
void warp_collective(Place place, unsigned mask, void *mine, void (*finish)(Lanes lanes, Place place));

/* The lane of the running thread, and whether lane i is among the lanes of a collective (a fault where not). */
unsigned lane();
void *peer(Lanes lanes, unsigned from, unsigned reads, Place place);

static inline void nothing(Lanes, Place)
{
}
#define __syncwarp(...)                                                                                                \
    cusim::warp_collective(CUSIM_PLACE("__syncwarp"), cusim::mask_or_all(__VA_ARGS__), nullptr, cusim::nothing)
static inline unsigned mask_or_all(unsigned mask = 0xffffffffu)
{
    return mask;
}

/* ---- copies that take their time ------------------------------------------------------------------------- */

/* cp.async: `bytes` from global to shared memory, zeros where `there` is false. They land at the wait that covers their
 * group, not before: until then NaNs (0xff) stand there. A thread that ends with some under way is a fault. */
void copy_async(Place place, void *to, const void *from, size_t bytes, bool there);
void copy_commit();
void copy_wait(unsigned groups);

/* ---- shuffles: the four forms differ in where a lane reads ----------------------------------------------- */

enum class From { index, up, down, exclusive_or };

template <class T> struct Shuffle {
    T value, result;
    From from;
    int operand, width;
};

static inline unsigned shuffle_source(From from, unsigned lane, int operand, int width)
{
    unsigned w = static_cast<unsigned>(width), o = static_cast<unsigned>(operand), base = lane & ~(w - 1),
             in = lane & (w - 1);
    switch (from) {
    case From::index:
        return base + (o & (w - 1));
    case From::up:
        return in >= o ? lane - o : lane;
    case From::down:
        return in + o < w ? lane + o : lane;
    default:
        return (lane ^ o) < base + w ? lane ^ o : lane;
    }
}

template <class T> void finish_shuffle(Lanes lanes, Place place)
{
    for (unsigned i = 0; i < 32; i++) {
        auto *mine = static_cast<Shuffle<T> *>(lanes[i]);
        if (mine) {
            unsigned source = shuffle_source(mine->from, i, mine->operand, mine->width);
            mine->result = static_cast<Shuffle<T> *>(peer(lanes, i, source, place))->value;
        }
    }
}

template <class T> T shuffle(Place place, From from, unsigned mask, T value, int operand, int width = 32)
{
    static_assert(std::is_trivially_copyable<T>::value, "a shuffle copies bytes");
    if (width < 1 || width > 32 || (width & (width - 1)))
        fault(place, "width %d is not a power of two up to 32", width);
    Shuffle<T> s = {value, value, from, operand, width};
    warp_collective(place, mask, &s, finish_shuffle<T>);
    return s.result;
}

#define __shfl_sync(mask, ...)    cusim::shuffle(CUSIM_PLACE("__shfl_sync"), cusim::From::index, mask, __VA_ARGS__)
#define __shfl_up_sync(mask, ...) cusim::shuffle(CUSIM_PLACE("__shfl_up_sync"), cusim::From::up, mask, __VA_ARGS__)
#define __shfl_down_sync(mask, ...)                                                                                    \
    cusim::shuffle(CUSIM_PLACE("__shfl_down_sync"), cusim::From::down, mask, __VA_ARGS__)
#define __shfl_xor_sync(mask, ...)                                                                                     \
    cusim::shuffle(CUSIM_PLACE("__shfl_xor_sync"), cusim::From::exclusive_or, mask, __VA_ARGS__)

/* ---- votes ----------------------------------------------------------------------------------------------- */

struct Vote {
    bool mine;
    unsigned ballot;
};

void finish_vote(Lanes lanes, Place place);

static inline unsigned vote(Place place, unsigned mask, bool mine)
{
    Vote v = {mine, 0};
    warp_collective(place, mask, &v, finish_vote);
    return v.ballot;
}

#define __ballot_sync(mask, predicate) cusim::vote(CUSIM_PLACE("__ballot_sync"), mask, predicate)
#define __any_sync(mask, predicate)    (cusim::vote(CUSIM_PLACE("__any_sync"), mask, predicate) != 0)
#define __all_sync(mask, predicate)    (cusim::vote(CUSIM_PLACE("__all_sync"), mask, predicate) == (mask))
unsigned active_mask();
#define __activemask() cusim::active_mask()

} // namespace cusim

#define __trap() cusim::fault(CUSIM_PLACE("__trap"), "the kernel gave up")

/* ---- atomics: one thread runs at a time ------------------------------------------------------------------ */

namespace cusim
{

/* What an atomic gives: the value before. Whether a thread looks at it says what the atomic was for: weak.h. */
template <class T> struct Before {
    T value;
    size_t atomic;
    operator T() const
    {
        if (weak)
            weak_look(atomic);
        return value;
    }
};

template <class T, class Update> static inline Before<T> atomically(T *address, Update update)
{
    T before = *address;
    *address = update(before);
    if (!weak)
        return {before, 0};
    return {before, weak_atomic(address, sizeof(T), [=] { *address = update(*address); })};
}

} // namespace cusim

template <class T> static inline cusim::Before<T> atomicAdd(T *address, T value)
{
    return cusim::atomically(address, [=](T before) { return before + value; });
}
template <class T> static inline cusim::Before<T> atomicMax(T *address, T value)
{
    return cusim::atomically(address, [=](T before) { return before > value ? before : value; });
}
template <class T> static inline cusim::Before<T> atomicExch(T *address, T value)
{
    return cusim::atomically(address, [=](T) { return value; });
}
template <class T> static inline cusim::Before<T> atomicCAS(T *address, T expected, T value)
{
    return cusim::atomically(address, [=](T before) { return before == expected ? value : before; });
}
static inline void __threadfence()
{
    cusim::weak_fence();
}
static inline void __threadfence_block()
{
}

#endif
