/* host.c: the machine that ref and cpu run on: how much memory it has, and what it does not need, since an op is done
 * when it returns. */
#include "backend/ref/ref.h"
#include "base/memory.h"

void gp_ref_available_memory(gp_backend *be, size_t *free, size_t *total)
{
    gp_memory_info info = gp_memory_query("");
    (void)be;
    *free = (size_t)info.available;
    *total = (size_t)info.total;
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
