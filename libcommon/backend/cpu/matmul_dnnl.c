/* matmul_dnnl.c: products by oneDNN 2.x or 3.x; the only file that uses it.
 *
 * The addresses of memory objects are set before each run, and all primitives share one scratchpad. Threads are
 * OpenMP's: their number is set around each call, because it is a setting of the calling thread. */
#include "backend/cpu/matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dnnl.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout; /* an object */
typedef const_dnnl_memory_desc_t layout_view;
#else
typedef dnnl_memory_desc_t layout; /* a struct */
typedef const dnnl_memory_desc_t *layout_view;
#endif

enum { PRODUCTS = 512 }; /* slots of the cache; a power of two */

/* A primitive with its memory objects. */
typedef struct cached_product {
    gp_product key;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, bias, c, scratch;
    dnnl_primitive_t reorder[2]; /* plain b, fp32 or bf16, to its layout; NULL until b is packed from it */
    dnnl_memory_t plain_b[2];
} cached_product;

struct gp_matmul {
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    cached_product *table[PRODUCTS];
    int count;
    void *scratch;
    size_t scratch_size;
};

static void check(dnnl_status_t status, const char *what, const gp_product *p)
{
    if (status == dnnl_success)
        return;
    if (!p)
        die("oneDNN: %s failed with status %d", what, (int)status);
    die("oneDNN: %s failed with status %d for %lld x %lld x %lld %s", what, (int)status, (long long)p->M,
        (long long)p->N, (long long)p->K, gp_dtype_name(p->dtype));
}

/* ---- threads --------------------------------------------------------------------------------------------- */

/* Sets this thread's OpenMP team size; returns the previous one. */
static int set_threads(int threads)
{
#ifdef _OPENMP
    int previous = omp_get_max_threads();
    omp_set_num_threads(threads);
    return previous;
#else
    return threads;
#endif
}

/* ---- layouts, which are different in 2.x and 3.x --------------------------------------------------------- */

static dnnl_data_type_t data_type(gp_dtype dtype)
{
    return dtype == GP_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* (rows,columns) row-major, or column-major when transposed; lines are `stride` elements apart (0: dense). */
static layout plain(int64_t rows, int64_t columns, bool transposed, int64_t stride, gp_dtype dtype)
{
    layout l;
    int64_t step = stride ? stride : transposed ? rows : columns;
    dnnl_dims_t dims = {rows, columns}, strides = {transposed ? 1 : step, transposed ? step : 1};
#if DNNL_VERSION_MAJOR >= 3
    check(dnnl_memory_desc_create_with_strides(&l, 2, dims, data_type(dtype), strides), "a layout", NULL);
#else
    check(dnnl_memory_desc_init_by_strides(&l, 2, dims, data_type(dtype), strides), "a layout", NULL);
#endif
    return l;
}

/* (rows,columns) in a layout that the library selects. */
static layout any(int64_t rows, int64_t columns, gp_dtype dtype)
{
    layout l;
    dnnl_dims_t dims = {rows, columns};
#if DNNL_VERSION_MAJOR >= 3
    check(dnnl_memory_desc_create_with_tag(&l, 2, dims, data_type(dtype), dnnl_format_tag_any), "a layout", NULL);
#else
    check(dnnl_memory_desc_init_by_tag(&l, 2, dims, data_type(dtype), dnnl_format_tag_any), "a layout", NULL);
#endif
    return l;
}

static layout copy_layout(layout_view from)
{
    layout l;
#if DNNL_VERSION_MAJOR >= 3
    check(dnnl_memory_desc_clone(&l, from), "a layout", NULL);
#else
    l = *from;
#endif
    return l;
}

static layout_view view(const layout *l)
{
#if DNNL_VERSION_MAJOR >= 3
    return *l;
#else
    return l;
#endif
}

static void free_layout(layout *l)
{
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(*l);
#else
    (void)l;
#endif
}

/* The description of the product with b in this layout. The caller destroys it. */
static dnnl_primitive_desc_t describe(gp_matmul *mm, const gp_product *p, const layout *b)
{
    dnnl_primitive_desc_t d;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    layout a = plain(p->M, p->K, p->a_transposed, 0, p->dtype), c = plain(p->M, p->N, false, p->c_stride, GP_F32);
    layout bias = plain(1, p->N, false, 0, GP_F32);
    check(dnnl_primitive_attr_create(&attr), "an attribute", p);
    check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "an attribute", p);
    check(dnnl_post_ops_create(&post), "an attribute", p);
#if DNNL_VERSION_MAJOR >= 3
    if (p->add)
        check(dnnl_post_ops_append_sum(post, 1, 0, dnnl_data_type_undef), "an attribute", p);
#else
    if (p->add)
        check(dnnl_post_ops_append_sum(post, 1), "an attribute", p);
#endif
    check(dnnl_primitive_attr_set_post_ops(attr, post), "an attribute", p);
#if DNNL_VERSION_MAJOR >= 3
    check(dnnl_matmul_primitive_desc_create(&d, mm->engine, a, *b, p->bias ? bias : NULL, c, attr), "a product", p);
#else
    dnnl_matmul_desc_t op;
    check(dnnl_matmul_desc_init(&op, &a, b, p->bias ? &bias : NULL, &c), "a product", p);
    check(dnnl_primitive_desc_create(&d, &op, attr, mm->engine, NULL), "a product", p);
#endif
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
    free_layout(&a);
    free_layout(&c);
    free_layout(&bias);
    return d;
}

/* The layout of b: plain, or the one that the library selects for M = p->packed. */
static layout layout_of_b(gp_matmul *mm, const gp_product *p)
{
    if (!p->packed)
        return plain(p->K, p->N, p->b_transposed, p->b_stride, p->dtype);
    gp_product as_packed = *p;
    as_packed.M = p->packed;
    int threads = set_threads(mm->threads); /* the layout must not depend on the caller's threads */
    layout open = any(p->K, p->N, p->dtype);
    dnnl_primitive_desc_t d = describe(mm, &as_packed, &open);
    layout selected = copy_layout(dnnl_primitive_desc_query_md(d, dnnl_query_weights_md, 0));
    dnnl_primitive_desc_destroy(d);
    free_layout(&open);
    set_threads(threads);
    return selected;
}

/* ---- primitives ------------------------------------------------------------------------------------------ */

static dnnl_memory_t memory(gp_matmul *mm, layout_view l, const gp_product *p)
{
    dnnl_memory_t m;
    check(dnnl_memory_create(&m, l, mm->engine, DNNL_MEMORY_NONE), "memory", p);
    return m;
}

static void grow_scratch(gp_matmul *mm, size_t bytes)
{
    enum { ALIGN = 64 };
    if (bytes <= mm->scratch_size)
        return;
    free(mm->scratch);
    mm->scratch_size = gp_round_up(bytes, ALIGN);
    if (posix_memalign(&mm->scratch, ALIGN, mm->scratch_size))
        die("out of memory (%zu bytes)", mm->scratch_size);
}

static cached_product *create(gp_matmul *mm, const gp_product *p)
{
    cached_product *m = gp_calloc(1, sizeof *m);
    layout b = layout_of_b(mm, p);
    dnnl_primitive_desc_t d = describe(mm, p, &b);
    m->key = *p;
    check(dnnl_primitive_create(&m->primitive, d), "a primitive", p);
    m->a = memory(mm, dnnl_primitive_desc_query_md(d, dnnl_query_src_md, 0), p);
    m->b = memory(mm, view(&b), p);
    m->c = memory(mm, dnnl_primitive_desc_query_md(d, dnnl_query_dst_md, 0), p);
    if (p->bias)
        m->bias = memory(mm, dnnl_primitive_desc_query_md(d, dnnl_query_weights_md, 1), p);
    layout_view scratch = dnnl_primitive_desc_query_md(d, dnnl_query_scratchpad_md, 0);
    m->scratch = memory(mm, scratch, p);
    grow_scratch(mm, dnnl_memory_desc_get_size(scratch));
    dnnl_primitive_desc_destroy(d);
    free_layout(&b);
    return m;
}

static void destroy(cached_product *m)
{
    dnnl_memory_t each[] = {m->a, m->b, m->bias, m->c, m->scratch, m->plain_b[0], m->plain_b[1]};
    for (size_t i = 0; i < ARRAY_LEN(each); i++)
        if (each[i])
            dnnl_memory_destroy(each[i]);
    dnnl_primitive_destroy(m->primitive);
    for (int i = 0; i < 2; i++)
        if (m->reorder[i])
            dnnl_primitive_destroy(m->reorder[i]);
    free(m);
}

static void clear_cache(gp_matmul *mm)
{
    for (int i = 0; i < PRODUCTS; i++)
        if (mm->table[i])
            destroy(mm->table[i]);
    memset(mm->table, 0, sizeof mm->table);
    mm->count = 0;
}

static bool same(const gp_product *a, const gp_product *b)
{
    return a->M == b->M && a->N == b->N && a->K == b->K && a->a_transposed == b->a_transposed &&
           a->b_transposed == b->b_transposed && a->bias == b->bias && a->add == b->add && a->dtype == b->dtype &&
           a->packed == b->packed && a->b_stride == b->b_stride && a->c_stride == b->c_stride &&
           a->threads == b->threads;
}

static uint64_t hash(const gp_product *p)
{
    uint64_t words[] = {
        (uint64_t)p->M,
        (uint64_t)p->N,
        (uint64_t)p->K,
        (uint64_t)p->packed,
        (uint64_t)p->b_stride,
        (uint64_t)p->c_stride,
        (uint64_t)p->threads,
        (uint64_t)(p->a_transposed | p->b_transposed << 1 | p->bias << 2 | p->add << 3 | (int)p->dtype << 4)};
    uint64_t h = 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        h = (h ^ words[i]) * 0x9E3779B97F4A7C15u;
    return h >> 32;
}

/* The cache is an open-addressing hash table. When it is half full (prompts of every length), it is cleared. */
static cached_product *find(gp_matmul *mm, const gp_product *p)
{
    for (uint64_t i = hash(p);; i++) {
        cached_product *m = mm->table[i % PRODUCTS];
        if (m && same(&m->key, p))
            return m;
        if (m)
            continue;
        if (mm->count >= PRODUCTS / 2) {
            clear_cache(mm);
            i = hash(p);
        }
        mm->count++;
        return mm->table[i % PRODUCTS] = create(mm, p);
    }
}

/* ---- the interface --------------------------------------------------------------------------------------- */

gp_matmul *gp_matmul_open(const gp_kernels *k, int threads)
{
    (void)k; /* the library has its own kernels */
    gp_matmul *mm = gp_calloc(1, sizeof *mm);
    mm->threads = threads;
    check(dnnl_engine_create(&mm->engine, dnnl_cpu, 0), "the engine", NULL);
    check(dnnl_stream_create(&mm->stream, mm->engine, dnnl_stream_default_flags), "the stream", NULL);
    return mm;
}

void gp_matmul_close(gp_matmul *mm)
{
    clear_cache(mm);
    dnnl_stream_destroy(mm->stream);
    dnnl_engine_destroy(mm->engine);
    free(mm->scratch);
    free(mm);
}

static dnnl_memory_t at(dnnl_memory_t m, const void *data)
{
    check(dnnl_memory_set_data_handle(m, (void *)(uintptr_t)data), "memory", NULL);
    return m;
}

void gp_matmul_run(gp_matmul *mm, const gp_product *p, const void *a, const void *b, const float *bias, float *c)
{
    BUG_ON(p->bias != (bias != NULL));
    int threads = set_threads(p->threads), n = 4;
    cached_product *m = find(mm, p);
    dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, at(m->a, a)},
                               {DNNL_ARG_WEIGHTS, at(m->b, b)},
                               {DNNL_ARG_DST, at(m->c, c)},
                               {DNNL_ARG_SCRATCHPAD, at(m->scratch, mm->scratch)}};
    if (bias)
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, at(m->bias, bias)};
    check(dnnl_primitive_execute(m->primitive, mm->stream, n, args), "a product", p);
    set_threads(threads);
}

size_t gp_matmul_packed_bytes(gp_matmul *mm, const gp_product *p)
{
    layout b = layout_of_b(mm, p);
    size_t bytes = dnnl_memory_desc_get_size(view(&b));
    free_layout(&b);
    return bytes;
}

/* Creates the primitive that packs b from this dtype, when it is first used. */
static void create_reorder(gp_matmul *mm, cached_product *m, gp_dtype dtype)
{
    const gp_product *p = &m->key;
    layout from = plain(p->K, p->N, p->b_transposed, 0, dtype), to = layout_of_b(mm, p);
    dnnl_primitive_desc_t d;
    check(dnnl_reorder_primitive_desc_create(&d, view(&from), mm->engine, view(&to), mm->engine, NULL), "a reorder", p);
    check(dnnl_primitive_create(&m->reorder[dtype == GP_BF16], d), "a reorder", p);
    m->plain_b[dtype == GP_BF16] = memory(mm, view(&from), p);
    dnnl_primitive_desc_destroy(d);
    free_layout(&from);
    free_layout(&to);
}

void gp_matmul_pack(gp_matmul *mm, const gp_product *p, gp_dtype from, const void *b, void *packed)
{
    int threads = set_threads(mm->threads), i = from == GP_BF16;
    cached_product *m = find(mm, p);
    if (!m->reorder[i])
        create_reorder(mm, m, from);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, at(m->plain_b[i], b)}, {DNNL_ARG_TO, at(m->b, packed)}};
    check(dnnl_primitive_execute(m->reorder[i], mm->stream, 2, args), "a reorder", p);
    set_threads(threads);
}

void gp_matmul_describe(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

gp_bf16_unit gp_matmul_bf16(void)
{
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    unsigned amx = (unsigned)dnnl_cpu_isa_avx512_core_amx, bf16 = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
    if ((isa & amx) == amx)
        return GP_BF16_AMX;
    return (isa & bf16) == bf16 ? GP_BF16_AVX512 : GP_BF16_NONE;
}
