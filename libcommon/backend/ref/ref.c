/* ref.c: the table of ref, its memory, and the size of its workspace; properties of the host. */
#include "backend/ref/loops.h"
#include "backend/ref/ref.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void *gp_ref_alloc(gp_backend *be, size_t bytes)
{
    return gp_host_memory.alloc(gp_host_memory.self, bytes, be->allocating ? be->allocating : "scratch");
}

void gp_ref_free(gp_backend *be, void *p, size_t bytes)
{
    (void)be;
    gp_host_memory.free(gp_host_memory.self, p, bytes);
}

void gp_ref_zero(gp_backend *be, void *p, size_t bytes)
{
    (void)be;
    memset(p, 0, bytes);
}

void gp_ref_copy(gp_backend *be, void *dst, const void *src, size_t bytes)
{
    (void)be;
    memmove(dst, src, bytes);
}

void gp_ref_sync(gp_backend *be)
{
    (void)be;
}

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

size_t gp_ref_plan(gp_backend *be, const gp_shape *shape)
{
    size_t thread = larger_size(gp_ref_embed_scratch(shape), gp_ref_attention_scratch(shape));
    thread = gp_round_up(larger_size(thread, gp_ref_sample_scratch(shape)), 64);
    return larger_size(thread * (size_t)be->threads, gp_ref_head_workspace(shape));
}

void gp_ref_processor(char *text, size_t size)
{
    char line[512];
    snprintf(text, size, "unknown processor");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !value)
            continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = 0;
        snprintf(text, size, "%s", value);
        break;
    }
    fclose(f);
}

int gp_ref_threads(int requested)
{
    enum { MAX = 1024 };
    if (requested < 0 || requested > MAX)
        return fail("%d threads: expected 0 (all cores) to %d", requested, MAX);
#ifdef _OPENMP
    return requested ? requested : (int)gp_min(omp_get_max_threads(), MAX);
#else
    return 1;
#endif
}

static void close_ref(gp_backend *be)
{
    (void)be;
}

int gp_ref_open(gp_backend *be)
{
    int threads = gp_ref_threads(be->threads);
    if (threads < 0)
        return -1;
    be->ops = &gp_ref_ops;
    be->rounds = be->dtype == GP_BF16;
    be->stores_bf16 = be->rounds;
    be->dtype = be->rounds ? GP_BF16 : GP_F32;
    be->act_dtype = (gp_dtype)REAL_DTYPE;
    be->threads = threads;
    gp_ref_processor(be->device, sizeof be->device);
    return 0;
}

#define GP_ENTRY(name, parameters) , .name = gp_ref_##name
const gp_backend_ops gp_ref_ops = {
    .name = "ref",
    .close = close_ref,
    GP_HOST_ENTRIES(gp_ref_zero),
    .plan = gp_ref_plan,
    .weight_open = gp_ref_weight_open,
    .weight_bytes = gp_ref_weight_bytes,
    .weights_changed = gp_ref_weights_changed,
    .weight_close = gp_ref_weight_close,
    .weight_fill = gp_ref_weight_fill,
    .weight_lines = gp_ref_weight_lines GP_OPS(GP_ENTRY),
};
