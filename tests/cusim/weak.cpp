/* weak.cpp: see weak.h. */
#include "weak.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

namespace cusim
{

namespace
{

using Snapshot = std::map<char *, std::vector<char>>;

struct Atomic {
    char *address;
    size_t bytes;
    std::function<void()> again;
    bool looked_at; /* drew a ticket: seen at once */
    bool seen;      /* by a fence and a ticket behind it */
};

std::map<char *, size_t> memory;
std::vector<std::function<void()>> late; /* what comes when the launch ends */
std::vector<Atomic> atomics;             /* the block's */
Snapshot seen, fenced;                   /* what others see of it; its memory at its last fence */
size_t fenced_atomics;
bool fencing, has_fenced; /* no copy was made of what stands before a fence; one was */

bool from_environment()
{
    const char *text = getenv("CUSIM_WEAK");
    return text && *text && strcmp(text, "0") != 0;
}

Snapshot copy_memory()
{
    Snapshot copy;
    for (const auto &m : memory)
        copy[m.first] = std::vector<char>(m.first, m.first + m.second);
    return copy;
}

void copy_fenced(size_t count)
{
    fenced = copy_memory();
    fenced_atomics = count;
    has_fenced = true;
    fencing = false;
}

const Atomic *last_atomic_at(const char *p)
{
    for (size_t i = atomics.size(); i-- > 0;)
        if (p >= atomics[i].address && p < atomics[i].address + atomics[i].bytes)
            return &atomics[i];
    return nullptr;
}

bool is_ticket_at(const char *p)
{
    for (const Atomic &a : atomics)
        if (a.looked_at && p >= a.address && p < a.address + a.bytes)
            return true;
    return false;
}

} // namespace

bool weak = from_environment();

void weak_allocated(char *start, size_t bytes)
{
    memory[start] = bytes;
}

void weak_freed(char *start)
{
    memory.erase(start);
}

void weak_begin_block()
{
    if (!weak)
        return;
    seen = copy_memory();
    atomics.clear();
    fencing = has_fenced = false;
}

void weak_fence()
{
    fencing = weak;
}

void weak_barrier()
{
    if (fencing)
        copy_fenced(atomics.size());
}

size_t weak_atomic(const void *address, size_t bytes, std::function<void()> again)
{
    char *p = static_cast<char *>(const_cast<void *>(address));
    auto m = memory.upper_bound(p);
    if (m == memory.begin() || p >= (--m)->first + m->second)
        return SIZE_MAX; /* in shared memory */
    atomics.push_back({p, bytes, std::move(again), false, false});
    return atomics.size() - 1;
}

void weak_look(size_t atomic)
{
    if (atomic >= atomics.size())
        return;
    atomics[atomic].looked_at = true;
    if (fencing)
        copy_fenced(atomic);
    if (!has_fenced)
        return;
    for (size_t i = 0; i < fenced_atomics; i++)
        atomics[i].seen = true;
    seen.swap(fenced);
    has_fenced = false;
}

void weak_end_block()
{
    if (!weak)
        return;
    for (const auto &m : memory) {
        const std::vector<char> &old = seen[m.first];
        for (size_t i = 0; i < m.second; i++) {
            char *p = m.first + i, now = *p;
            if (now == old[i] || is_ticket_at(p))
                continue;
            *p = old[i];
            const Atomic *a = last_atomic_at(p);
            if (!a || a->seen)
                late.push_back([p, now] { *p = now; });
        }
    }
    for (const Atomic &a : atomics)
        if (!a.looked_at && !a.seen && !is_ticket_at(a.address))
            late.push_back(a.again);
}

void weak_end_launch()
{
    for (const auto &work : late)
        work();
    late.clear();
}

} // namespace cusim
