/* block.cpp: the scheduler; see block.h and device.h. */
#include "block.h"

#include "device.h"
#include "fiber.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

namespace cusim
{

namespace
{

/* With AddressSanitizer every local variable has its red zones. */
constexpr size_t stack_size = 128 << 10;
constexpr unsigned most_threads = 1024, most_shared = 227 << 10, poison = 0xff, fence = 0xa5;
constexpr size_t guard = CUSIM_ASAN ? 0 : 128; /* AddressSanitizer has its own behind the last byte */

enum class State : unsigned char { ready, at_barrier, in_collective, ended };

/* A cp.async under way. */
struct Copy {
    Place place;
    void *to;
    const void *from; /* null: zeros */
    size_t bytes;
    unsigned group;
};

struct Thread {
    Fiber fiber;
    Position at;
    unsigned number; /* in its block */
    unsigned mask;   /* of the collective that it is in */
    Place place;     /* where it waits */
    std::vector<Copy> copies;
    unsigned group; /* that the next copy belongs to */
};

struct Free {
    void operator()(char *p) const
    {
        free(p);
    }
};

struct Memory {
    std::unique_ptr<char, Free> start;
    size_t bytes;
    Place place;
};

/* Lanes as bits. */
struct Warp {
    unsigned waiting;  /* in a collective, of whichever mask */
    unsigned gone;     /* ended, or past the block's last thread */
    void *brought[32]; /* by those that wait */
};

struct Block {
    const Launch *launch;
    std::vector<Thread> threads;
    std::vector<State> states; /* of the threads; here and in the warps is what others look at */
    std::vector<Warp> warps;
    std::vector<unsigned> ready; /* numbers of the threads that can run */
    unsigned at_barrier, ended;
    std::map<const void *, Memory> shared; /* by declaration */
    size_t shared_bytes;
    Thread *running;
    uint64_t *order; /* the state that it is drawn from */
    Fiber scheduler;
    std::string fault;
};

Block *block; /* the one that runs */
std::vector<std::unique_ptr<char[]>> stacks;
uint64_t switch_count;

uint64_t seed_to_begin_with()
{
    const char *text = getenv("CUSIM_SEED");
    return text ? strtoull(text, nullptr, 10) : 0;
}

uint64_t order_seed = seed_to_begin_with();

/* splitmix64 (Steele et al. 2014) */
uint64_t draw(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

std::string format(const char *fmt, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
    return text;
}

std::string format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
std::string format(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    std::string text = format(fmt, ap);
    va_end(ap);
    return text;
}

std::string name_of(const Thread &t)
{
    return format("block (%u,%u,%u) thread (%u,%u,%u)", t.at.block.x, t.at.block.y, t.at.block.z, t.at.thread.x,
                  t.at.thread.y, t.at.thread.z);
}

std::string name_of(Place p)
{
    const char *slash = strrchr(p.file, '/');
    return format("%s at %s:%d", p.what, slash ? slash + 1 : p.file, p.line);
}

bool same(const char *a, const char *b)
{
    return a == b || !strcmp(a, b); /* nearly always the first */
}

bool same(Place a, Place b)
{
    return a.line == b.line && same(a.file, b.file) && same(a.what, b.what);
}

/* One of the threads that can run, each as likely; without a seed the one that became ready last, or the first. Null
 * where there is none, or a fault. */
Thread *choose(Block *b)
{
    if (b->ready.empty() || !b->fault.empty())
        return nullptr;
    if (order_seed)
        std::swap(b->ready[(draw(b->order) >> 32) * b->ready.size() >> 32], b->ready.back());
    Thread *t = &b->threads[b->ready.back()];
    b->ready.pop_back();
    return t;
}

/* Lets other threads run until this one is ready again, the next by a switch from here; last: it never is. */
void wait(bool last = false)
{
    Thread *self = block->running;
    block->running = choose(block);
    if (block->running == self)
        return;
    switch_count++;
    fiber_switch(&self->fiber, block->running ? &block->running->fiber : &block->scheduler, last);
}

State &state_of(const Thread &t)
{
    return block->states[t.number];
}

Warp &warp_of(const Thread &t)
{
    return block->warps[t.number / 32];
}

void make_ready(unsigned number)
{
    block->states[number] = State::ready;
    block->ready.push_back(number);
}

/* ---- the barrier of the block ---------------------------------------------------------------------------- */

/* A thread has come to the barrier, or ended: when that was the last one, all go on. */
void check_barrier()
{
    Block *b = block;
    if (!b->at_barrier || b->at_barrier + b->ended < b->threads.size())
        return;
    const Thread *first = nullptr, *other = nullptr;
    for (const Thread &t : b->threads) {
        if (state_of(t) == State::at_barrier && !first)
            first = &t;
        if (state_of(t) == State::ended || (first && !same(first->place, t.place)))
            other = &t;
    }
    if (other && state_of(*other) == State::ended)
        b->fault = format("%s has ended, while %s waits in %s", name_of(*other).c_str(), name_of(*first).c_str(),
                          name_of(first->place).c_str());
    else if (other)
        b->fault =
            format("%s waits in %s, %s in %s: all threads of a block must come to one barrier", name_of(*first).c_str(),
                   name_of(first->place).c_str(), name_of(*other).c_str(), name_of(other->place).c_str());
    if (other)
        return;
    b->at_barrier = 0;
    weak_barrier();
    for (unsigned i = static_cast<unsigned>(b->threads.size()); i-- > 0;)
        make_ready(i);
}

void thread_body(void *self)
{
    Thread *t = static_cast<Thread *>(self);
    block->launch->body();
    if (!t->copies.empty())
        fault(t->copies[0].place, "the thread ends before this has landed");
    state_of(*t) = State::ended;
    warp_of(*t).gone |= 1u << (t->number & 31);
    block->ended++;
    check_barrier();
    wait(true);
}

void check_fences()
{
    for (const auto &m : block->shared)
        for (size_t i = 0; i < guard; i++)
            if (static_cast<unsigned char>(m.second.start.get()[m.second.bytes + i]) != fence) {
                uint3 at = block->threads[0].at.block;
                block->fault = format("block (%u,%u,%u) wrote behind %s, %zu bytes of shared memory", at.x, at.y, at.z,
                                      name_of(m.second.place).c_str(), m.second.bytes);
                return;
            }
}

/* Nobody can run and nothing can be released: what they all wait for. */
void tell_deadlock()
{
    std::map<std::string, int> waiting;
    for (const Thread &t : block->threads)
        if (state_of(t) != State::ended)
            waiting[name_of(t.place)]++;
    block->fault = "no thread can go on:";
    for (const auto &entry : waiting)
        block->fault += format(" %d wait in %s;", entry.second, entry.first.c_str());
    for (const Thread &t : block->threads)
        if (state_of(t) == State::in_collective) {
            block->fault +=
                format(" the first lane's mask is 0x%08x, lanes 0x%08x have come", t.mask, warp_of(t).waiting);
            return;
        }
}

/* ---- one block ------------------------------------------------------------------------------------------- */

void begin(Block *b, const Launch &launch, uint3 index)
{
    unsigned count = launch.block.x * launch.block.y * launch.block.z;
    b->launch = &launch;
    b->threads.assign(count, Thread());
    b->states.assign(count, State::ready);
    b->warps.assign((count + 31) / 32, Warp());
    if (count % 32)
        b->warps.back().gone = ~0u << count % 32;
    b->ready.clear();
    b->fault.clear();
    b->shared_bytes = 0;
    b->at_barrier = b->ended = 0;
    while (stacks.size() < count)
        stacks.emplace_back(new char[stack_size]);
    for (unsigned i = 0; i < count; i++) {
        Thread *t = &b->threads[i];
        uint3 at = {i % launch.block.x, i / launch.block.x % launch.block.y, i / launch.block.x / launch.block.y};
        t->at = {at, index, launch.block, launch.grid};
        t->number = i;
        /* tops that do not share one set of the cache */
        fiber_init(&t->fiber, stacks[i].get(), stack_size - i % 32 * 128, thread_body, t);
    }
    for (unsigned i = count; i-- > 0;)
        make_ready(i);
}

std::string run_block(const Launch &launch, uint3 index, uint64_t *order)
{
    static Block b; /* with what its lists have allocated */
    block = &b;
    b.order = order;
    begin(&b, launch, index);
    b.running = choose(&b);
    fiber_switch(&b.scheduler, &b.running->fiber); /* until none can run */
    if (b.fault.empty() && b.ended < b.threads.size())
        tell_deadlock();
    if (b.fault.empty())
        check_fences();
    for (Thread &t : b.threads)
        if (state_of(t) != State::ended)
            fiber_abandon(&t.fiber);
    b.shared.clear();
    block = nullptr;
    return b.fault.empty() ? "" : std::string(launch.kernel) + ": " + b.fault;
}

std::string check(const Launch &l)
{
    unsigned long long threads = 1ull * l.block.x * l.block.y * l.block.z,
                       blocks = 1ull * l.grid.x * l.grid.y * l.grid.z;
    if (!threads || threads > most_threads || l.block.z > 64)
        return format("%s: blocks of %llu threads (%u,%u,%u); 1 to %u are possible", l.kernel, threads, l.block.x,
                      l.block.y, l.block.z, most_threads);
    if (!blocks || l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535)
        return format("%s: a grid of (%u,%u,%u) blocks", l.kernel, l.grid.x, l.grid.y, l.grid.z);
    if (l.dynamic_shared > most_shared)
        return format("%s: %zu bytes of shared memory; %u are possible", l.kernel, l.dynamic_shared, most_shared);
    return "";
}

} // namespace

/* ---- what device.h promises ------------------------------------------------------------------------------ */

const Position &position()
{
    return block->running->at;
}

unsigned lane()
{
    return block->running->number & 31;
}

/* A thread that is at fault never goes on, so nothing on its stack is destroyed: no strings there, nor at the
 * caller. */
void fault(Place place, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    block->fault = name_of(*block->running) + ", " + name_of(place) + ": " + format(fmt, ap);
    va_end(ap);
    fiber_switch(&block->running->fiber, &block->scheduler, true);
    abort(); /* never switched to again */
}

void *shared_memory(const void *declaration, size_t bytes, Place place)
{
    Memory &memory = block->shared[declaration];
    if (!memory.start) {
        block->shared_bytes += bytes;
        if (block->shared_bytes > most_shared)
            fault(place, "%zu bytes of shared memory; %u are possible", block->shared_bytes, most_shared);
        void *p = nullptr;
        if (posix_memalign(&p, 128, bytes + guard))
            abort();
        memset(p, poison, bytes);
        memset(static_cast<char *>(p) + bytes, fence, guard);
        memory.start.reset(static_cast<char *>(p));
        memory.bytes = bytes;
        memory.place = place;
    }
    return memory.start.get();
}

void *dynamic_shared_memory(Place place)
{
    static const char declaration = 0;
    if (!block->launch->dynamic_shared)
        fault(place, "the launch asked for no dynamic shared memory");
    return shared_memory(&declaration, block->launch->dynamic_shared, place);
}

void block_barrier(Place place)
{
    Thread *t = block->running;
    state_of(*t) = State::at_barrier;
    t->place = place;
    block->at_barrier++;
    check_barrier();
    wait();
}

void copy_async(Place place, void *to, const void *from, size_t bytes, bool there)
{
    Thread *t = block->running;
    if (reinterpret_cast<uintptr_t>(to) % bytes || reinterpret_cast<uintptr_t>(from) % bytes)
        fault(place, "an address is not at a multiple of %zu bytes", bytes);
    memset(to, poison, bytes);
    t->copies.push_back({place, to, there ? from : nullptr, bytes, t->group});
}

void copy_commit()
{
    block->running->group++;
}

void copy_wait(unsigned groups)
{
    Thread *t = block->running;
    size_t left = 0;
    for (const Copy &c : t->copies) {
        if (c.group + groups >= t->group)
            t->copies[left++] = c; /* one of the newest groups, or of none yet */
        else if (c.from)
            memcpy(c.to, c.from, c.bytes);
        else
            memset(c.to, 0, c.bytes);
    }
    t->copies.resize(left);
}

/* Whether every lane of the running thread's mask is in the same collective. */
static bool all_lanes_came()
{
    const Thread *t = block->running, *warp = t - (t->number & 31);
    unsigned mask = t->mask, missing = mask & ~warp_of(*t).waiting, gone = missing & warp_of(*t).gone;
    if (missing && !gone)
        return false;
    if (gone) {
        unsigned i = static_cast<unsigned>(__builtin_ctz(gone)), count = static_cast<unsigned>(block->threads.size());
        if ((t->number & ~31u) + i >= count)
            fault(t->place, "lane %u of mask 0x%08x does not exist: the block has %u threads", i, mask, count);
        fault(t->place, "lane %u of mask 0x%08x has ended", i, mask);
    }
    for (unsigned left = mask; left; left &= left - 1) {
        unsigned i = static_cast<unsigned>(__builtin_ctz(left));
        const Thread &other = warp[i];
        if (other.mask != mask || !same(other.place, t->place))
            fault(t->place, "lane %u of mask 0x%08x is in %s at line %d with mask 0x%08x", i, mask, other.place.what,
                  other.place.line, other.mask);
    }
    return true;
}

__attribute__((noinline)) /* its array would be on the stack of each that waits */
static void
finish_collective(void (*finish)(Lanes, Place))
{
    const Thread *t = block->running;
    Warp &warp = warp_of(*t);
    void *brought[32];
    for (unsigned i = 0; i < 32; i++)
        brought[i] = t->mask >> i & 1 ? warp.brought[i] : nullptr;
    finish(brought, t->place);
    warp.waiting &= ~t->mask;
    for (unsigned i = 32; i-- > 0;)
        if (t->mask >> i & 1)
            make_ready((t->number & ~31u) + i);
}

void warp_collective(Place place, unsigned mask, void *mine, void (*finish)(Lanes, Place))
{
    static char nothing_brought; /* so that a lane that comes with nothing is told from one that does not come */
    Thread *t = block->running;
    unsigned lane = t->number & 31;
    if (!(mask >> lane & 1))
        fault(place, "lane %u is not in its own mask 0x%08x", lane, mask);
    state_of(*t) = State::in_collective;
    t->place = place;
    t->mask = mask;
    warp_of(*t).waiting |= 1u << lane;
    warp_of(*t).brought[lane] = mine ? mine : &nothing_brought;
    if (all_lanes_came()) /* the last one to come finishes it */
        finish_collective(finish);
    wait(); /* after the last one another may be first to continue */
}

void *peer(Lanes lanes, unsigned from, unsigned reads, Place place)
{
    if (!lanes[reads & 31])
        fault(place, "lane %u reads lane %u, which does not take part", from, reads);
    return lanes[reads & 31];
}

void finish_vote(Lanes lanes, Place)
{
    unsigned ballot = 0;
    for (unsigned i = 0; i < 32; i++)
        if (lanes[i] && static_cast<Vote *>(lanes[i])->mine)
            ballot |= 1u << i;
    for (unsigned i = 0; i < 32; i++)
        if (lanes[i])
            static_cast<Vote *>(lanes[i])->ballot = ballot;
}

unsigned active_mask()
{
    return 1u << lane(); /* the machine promises no more */
}

std::string run(const Launch &launch)
{
    std::string wrong = check(launch);
    if (!wrong.empty())
        return wrong;
    uint64_t order = order_seed, blocks = 1ull * launch.grid.x * launch.grid.y * launch.grid.z;
    uint64_t turn = order_seed ? draw(&order) % blocks : 0; /* blocks begin anywhere, and go on in order */
    for (uint64_t i = 0; i < blocks && wrong.empty(); i++) {
        uint64_t b = (i + turn) % blocks;
        uint3 index = {static_cast<unsigned>(b % launch.grid.x),
                       static_cast<unsigned>(b / launch.grid.x % launch.grid.y),
                       static_cast<unsigned>(b / launch.grid.x / launch.grid.y)};
        weak_begin_block();
        wrong = run_block(launch, index, &order);
        weak_end_block();
    }
    weak_end_launch();
    return wrong;
}

void set_seed(uint64_t seed)
{
    order_seed = seed;
}

uint64_t switches()
{
    return switch_count;
}

} // namespace cusim
