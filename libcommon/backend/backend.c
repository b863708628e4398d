/* backend.c: choosing a backend, and what all of them share. */
#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*open)(gp_backend *be);
} backends[] = {
/* `auto` takes the first that opens */
#ifdef GPTPIPE_DNNL
    {"cpu", gp_cpu_open},
#endif
    {"ref", gp_ref_open},
};

void gp_backend_prepare(char **argv)
{
#ifdef _OPENMP
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    char self[4096]; /* its path, not the link: a process is called after what it was started as */
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    if (n > 0) {
        self[n] = 0;
        execv(self, argv); /* where that fails, threads spin: slower, not wrong */
    }
#else
    (void)argv;
#endif
}

gp_backend *gp_backend_open(const char *name, const char *dtype, int threads)
{
    gp_backend *be = gp_calloc(1, sizeof *be);
    bool any = !strcmp(name, "auto"), known = any;
    be->threads = threads;
    if (!strcmp(dtype, "bf16"))
        be->dtype = GP_BF16;
    else if (!strcmp(dtype, "auto"))
        be->dtype = GP_DTYPES; /* the backend chooses */
    else if (strcmp(dtype, "fp32")) {
        fail("dtype %s is unknown; there are auto, fp32 and bf16", dtype);
        goto out;
    }
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        if (!any && strcmp(name, backends[i].name))
            continue;
        known = true;
        if (!backends[i].open(be))
            return be;
    }
    if (!known)
        fail("backend %s is not in this build; there are auto%s and ref", name,
             ARRAY_LEN(backends) > 1 ? ", cpu" : "");
out:
    free(be);
    return NULL;
}

void gp_backend_close(gp_backend *be)
{
    if (!be)
        return;
    if (be->workspace)
        be->ops->free(be, be->workspace, be->workspace_size);
    be->ops->close(be);
    free(be);
}

const char *gp_backend_name(const gp_backend *be)
{
    return be->ops->name;
}

const char *gp_backend_dtype(const gp_backend *be)
{
    return be->dtype == GP_BF16 ? "bf16" : "fp32";
}

int gp_backend_threads(const gp_backend *be)
{
    return be->threads;
}

const char *gp_backend_device(const gp_backend *be)
{
    return be->device;
}

void gp_backend_plan(gp_backend *be, const gp_shape *shape)
{
    size_t need = be->ops->plan(be, shape);
    if (need <= be->workspace_size)
        return;
    if (be->workspace)
        be->ops->free(be, be->workspace, be->workspace_size);
    be->workspace = be->ops->alloc(be, need);
    be->workspace_size = need;
}

static void *memory_alloc(void *self, size_t bytes)
{
    gp_backend *be = self;
    return be->ops->alloc(be, bytes);
}

static void memory_free(void *self, void *p, size_t bytes)
{
    gp_backend *be = self;
    be->ops->free(be, p, bytes);
}

gp_memory gp_backend_memory(gp_backend *be)
{
    return (gp_memory){memory_alloc, memory_free, be};
}
