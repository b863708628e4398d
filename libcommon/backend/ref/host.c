/* host.c: the machine that ref and cpu run on: how much memory it has, and what it does not need, since an op is done when
 * it returns. */
#include "backend/ref/ref.h"

#include <stdio.h>
#include <unistd.h>

/* "MemAvailable:    1234 kB": what can be had without swapping, as the kernel estimates it. */
static bool available(size_t *bytes)
{
    char line[128];
    unsigned long long kilobytes;
    bool found = false;
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f))
        found = sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1;
    fclose(f);
    if (found)
        *bytes = (size_t)kilobytes * 1024;
    return found;
}

void gp_ref_room(gp_backend *be, size_t *free, size_t *total)
{
    (void)be;
    *total = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    if (!available(free))
        *free = *total;
}

void gp_ref_mark(gp_backend *be, gp_mark **mark)
{
    (void)be, (void)mark;
}

bool gp_ref_record(gp_backend *be, gp_recording **r)
{
    (void)be, (void)r;
    return true;
}

void gp_ref_record_free(gp_backend *be, gp_recording **r)
{
    (void)be, (void)r;
}
