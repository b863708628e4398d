/* backend.c: choosing a backend, and what all of them share. */
#include "backend/backend.h"
#include "backend/nvidia.h"
#include "backend/ref/ref.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const struct backend {
    gp_backend_kind kind;
    int (*open)(gp_backend *be);
    const char *hidden_by;             /* environment variable that hides its devices if it is empty or -1 */
    bool tf32;                         /* supports TF32 products */
    bool formats;                      /* supports fp16, int8 and int4 weights */
    bool (*present)(const char *root); /* whether the device exists, usable or not; NULL: always */
} backends[] = {
/* `auto` takes the first that opens */
#ifdef GPTPIPE_CUDA
    {GP_BACKEND_CUDA, gp_cuda_open, "CUDA_VISIBLE_DEVICES", true, false, gp_nvidia_present},
#endif
    {GP_BACKEND_CPU, gp_cpu_open, NULL, false, true, NULL},
    {GP_BACKEND_REF, gp_ref_open, NULL, false, true, NULL},
};

static const char *const kinds[] = {GP_BACKENDS(GP_CHOICE_NAME)};
static const char *const dtypes[] = {GP_COMPUTE_DTYPES(GP_CHOICE_NAME)};

static void missing(const char *name)
{
    gp_buf known = {0};
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        gp_buf_printf(&known, ", %s", kinds[backends[i].kind]);
    fail("backend %s is not in this build (available: auto%s)", name, known.data);
    gp_buf_release(&known);
}

/* Whether the user has hidden the devices: then `auto` skips the backend without a warning. */
static bool hidden(const char *variable)
{
    const char *devices = variable ? getenv(variable) : NULL;
    return devices && (!*devices || !strcmp(devices, "-1"));
}

/* Whether the machine has the device; without one `auto` does not warn. */
static bool is_here(const struct backend *b)
{
#ifdef GP_CUSIM
    (void)b; /* the simulated device is always there */
    return true;
#else
    return !b->present || b->present("");
#endif
}

/* What is requested of the backend: the dtype of products, GP_DTYPES: the backend chooses; and a weight format, which
 * is not bf16: that is up to the backend. */
static const struct {
    gp_dtype products;
    gp_weight_format format;
} requests[] = {[GP_COMPUTE_AUTO] = {GP_DTYPES, GP_WEIGHTS_FP32}, [GP_COMPUTE_FP32] = {GP_F32, GP_WEIGHTS_FP32},
                [GP_COMPUTE_TF32] = {GP_F32, GP_WEIGHTS_FP32},    [GP_COMPUTE_BF16] = {GP_BF16, GP_WEIGHTS_FP32},
                [GP_COMPUTE_FP16] = {GP_F32, GP_WEIGHTS_FP16},    [GP_COMPUTE_INT8] = {GP_F32, GP_WEIGHTS_INT8},
                [GP_COMPUTE_INT4] = {GP_F32, GP_WEIGHTS_INT4}};

/* Whether the backend supports what is requested. */
static bool supports(const struct backend *b, const gp_backend *be, bool any)
{
    if (be->tf32 && !b->tf32)
        return fail("dtype tf32 requires backend cuda and a GPU that supports it; use --dtype fp32"), false;
    if (be->weight_format != GP_WEIGHTS_FP32 && !b->formats && any)
        return fail("backend %s does not support dtype %s", kinds[b->kind], gp_weight_format_name(be->weight_format)),
               false;
    if (be->weight_format != GP_WEIGHTS_FP32 && !b->formats)
        return fail("dtype %s requires backend cpu or ref (found %s); use --dtype bf16 or --backend cpu",
                    gp_weight_format_name(be->weight_format), kinds[b->kind]),
               false;
    return true;
}

gp_backend *gp_backend_open_kind(gp_backend_kind kind, gp_compute_dtype dtype, int threads)
{
    gp_backend *be = gp_calloc(1, sizeof *be);
    bool any = kind == GP_BACKEND_AUTO, known = any;
    be->threads = threads;
    be->tf32 = dtype == GP_COMPUTE_TF32;
    be->dtype = requests[dtype].products;
    be->weight_format = requests[dtype].format;
    be->chooses_format = dtype == GP_COMPUTE_AUTO;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        if (any ? hidden(backends[i].hidden_by) : kind != backends[i].kind)
            continue;
        if (any && backends[i].kind == GP_BACKEND_REF && be->dtype == GP_BF16)
            break; /* ref's bf16 is for tests; the error of cpu stands */
        known = true;
        if (supports(&backends[i], be, any) && !backends[i].open(be)) {
            be->cache_dtype = be->act_dtype;
            return be;
        }
        if (!*be->warning && is_here(&backends[i]))
            snprintf(be->warning, sizeof be->warning, "%s", gp_error());
    }
    if (!known)
        missing(kinds[kind]);
    free(be);
    return NULL;
}

gp_backend *gp_backend_open(const char *name, const char *dtype, int threads)
{
    int kind = gp_find_name(kinds, ARRAY_LEN(kinds), name), type = gp_find_name(dtypes, ARRAY_LEN(dtypes), dtype);
    if (kind < 0)
        missing(name);
    else if (type < 0)
        fail("unknown dtype %s", dtype);
    if (kind < 0 || type < 0)
        return NULL;
    return gp_backend_open_kind((gp_backend_kind)kind, (gp_compute_dtype)type, threads);
}

int gp_backend_set_cache(gp_backend *be, gp_cache_dtype dtype)
{
    bool computes_bf16 = be->act_dtype == GP_BF16;
    bool narrow = dtype == GP_CACHE_AUTO ? computes_bf16 : dtype == GP_CACHE_BF16;
    if (be->device_memory && narrow != computes_bf16)
        return fail(
            "backend %s caches keys and values in the dtype that it computes in, which is %s here: a cache in %s "
            "requires --dtype %s",
            be->ops->name, gp_backend_dtype(be), narrow ? "bf16" : "fp32", narrow ? "bf16" : "fp32");
    if (be->ops == &gp_ref_ops)
        be->rounds_cache = narrow;
    else
        be->cache_dtype = narrow ? GP_BF16 : GP_F32;
    return 0;
}

const char *gp_backend_cache(const gp_backend *be)
{
    return be->cache_dtype == GP_BF16 || be->rounds_cache ? "bf16" : "fp32";
}

void gp_backend_close(gp_backend *be)
{
    if (!be)
        return;
    gp_backend_forget_plan(be);
    be->ops->close(be);
    free(be->choices);
    free(be);
}

const char *gp_backend_name(const gp_backend *be)
{
    return be->ops->name;
}

const char *gp_backend_dtype(const gp_backend *be)
{
    if (be->weight_format != GP_WEIGHTS_FP32)
        return gp_weight_format_name(be->weight_format);
    return be->dtype == GP_BF16 ? "bf16" : be->tf32 ? "tf32" : "fp32";
}

int gp_backend_check_training(const gp_backend *be)
{
    bool bf16 = be->weight_format == GP_WEIGHTS_BF16;
    if (be->weight_format == GP_WEIGHTS_FP32 || be->chooses_format || (bf16 && be->dtype == GP_BF16))
        return 0;
    if (bf16)
        return fail("training in bf16 on a CPU requires AMX or AVX-512 BF16 and a build with oneDNN (libdnnl-dev), and "
                    "one of them is missing; use --dtype fp32");
    return fail(
        "dtype %s is for models that do not train; train, and eval-mfu's pass train, take auto, fp32, tf32 or bf16",
        gp_backend_dtype(be));
}

void gp_backend_choose_format(gp_backend *be, gp_weight_format format)
{
    if (!be->chooses_format || !be->ops->weight_fill)
        return;
    be->weight_format = format;
    be->dtype = GP_F32;
}

int gp_backend_threads(const gp_backend *be)
{
    return be->threads;
}

const char *gp_backend_device(const gp_backend *be)
{
    return be->device;
}

const char *gp_backend_warning(const gp_backend *be)
{
    return *be->warning ? be->warning : NULL;
}

int gp_backend_drop_masters(gp_backend *be)
{
    if (gp_backend_check_training(be))
        return -1;
    if (be->dtype != GP_BF16)
        return fail(
            "training without master weights requires dtype bf16, and backend %s computes in %s; use --dtype bf16",
            gp_backend_name(be), gp_backend_dtype(be));
    if (!be->stores_bf16)
        return fail("backend %s does not train without master weights; cuda and ref do", gp_backend_name(be));
    be->matrix_dtype = GP_BF16;
    return 0;
}

const char *gp_backend_remark(gp_backend *be)
{
    if (*be->remark) {
        snprintf(be->remarked, sizeof be->remarked, "%s", be->remark);
        *be->remark = 0;
        return be->remarked;
    }
    for (int i = 0; i < be->choice_count; i++) {
        gp_product_choice *c = &be->choices[i];
        if (!c->refused || c->reported)
            continue;
        c->reported = true;
        snprintf(be->remarked, sizeof be->remarked,
                 "%s refused to run %s with the algorithm of its heuristic; using another from here on (%s)",
                 be->products_library, c->product, c->way);
        return be->remarked;
    }
    return NULL;
}

static void *sparse_alloc(void *self, size_t bytes, const char *what)
{
    gp_backend *be = self;
    be->allocating = what;
    void *p = be->ops->alloc(be, bytes);
    be->allocating = NULL;
    return p;
}

static void *memory_alloc(void *self, size_t bytes, const char *what)
{
    enum { LEAST = 4 << 20 };
    const gp_backend *be = self;
    void *p = sparse_alloc(self, bytes, what);
    if (!be->device_memory && bytes >= LEAST)
        gp_memory_use_huge_pages(p, bytes);
    return p;
}

void gp_backend_plan(gp_backend *be, const gp_shape *shape)
{
    size_t need = be->ops->plan(be, shape);
    if (need <= be->workspace_size)
        return;
    gp_backend_forget_plan(be);
    be->workspace = memory_alloc(be, need, "workspace");
    be->workspace_size = need;
}

void gp_backend_forget_plan(gp_backend *be)
{
    if (be->workspace)
        be->ops->free(be, be->workspace, be->workspace_size);
    be->workspace = NULL;
    be->workspace_size = 0;
}

int gp_backend_attention(gp_backend *be, gp_attention_by by, const gp_shape *shape)
{
    if (be->ops->attention_by)
        return be->ops->attention_by(be, by, shape);
    if (by == GP_ATTENTION_OWN)
        return 0;
    return fail("attention by cuDNN requires backend cuda (found %s); use --attention own", gp_backend_name(be));
}

static const char *const attention_names[] = {GP_ATTENTIONS(GP_CHOICE_NAME)};

bool gp_attention_parse(const char *name, gp_attention_by *by)
{
    int found = gp_find_name(attention_names, ARRAY_LEN(attention_names), name);
    if (found >= 0)
        *by = (gp_attention_by)found;
    return found >= 0;
}

const char *gp_attention_name(gp_attention_by by)
{
    return attention_names[by];
}

int gp_backend_choose_product(gp_backend *be, const gp_product_choice *choice)
{
    if (be->ops->choose_product)
        return be->ops->choose_product(be, choice);
    return fail("backend %s has a single implementation of matrix products and cannot select one for %s",
                gp_backend_name(be), choice->product);
}

gp_product_choice *gp_backend_add_choice(gp_backend *be)
{
    be->choices = gp_realloc(be->choices, (size_t)be->choice_count + 1, sizeof *be->choices);
    gp_product_choice *added = &be->choices[be->choice_count++];
    memset(added, 0, sizeof *added);
    return added;
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

gp_memory gp_backend_sparse_memory(gp_backend *be)
{
    return (gp_memory){sparse_alloc, memory_free, be};
}

static void *host_alloc(void *self, size_t bytes, const char *what)
{
    gp_backend *be = self;
    be->allocating = what;
    void *p = be->ops->alloc_host(be, bytes);
    be->allocating = NULL;
    return p;
}

static void host_free(void *self, void *p, size_t bytes)
{
    gp_backend *be = self;
    be->ops->free_host(be, p, bytes);
}

gp_memory gp_backend_host_memory(gp_backend *be)
{
    return (gp_memory){host_alloc, host_free, be};
}
