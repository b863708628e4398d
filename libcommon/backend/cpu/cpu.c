/* cpu.c: the table of the cpu backend, and the selection of instruction set and dtype. */
#include "backend/cpu/cpu.h"
#include "backend/ref/ref.h"

#include <stdlib.h>
#include <string.h>

#ifdef GP_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { LEVELS = 4, SPLIT_US = 50 /* see threads.c */ };

/* An instruction set. AMX's has AVX-512's kernels. */
typedef struct simd_level {
    const char *name;
    const gp_kernels *k;
    gp_product_kernel *amx; /* or NULL */
} simd_level;

#ifdef GP_AMX
/* The kernel has to be asked for a process's first use of tiles. */
static bool has_amx(void)
{
    enum { LEAF = 7, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && d & AMX_BF16 && d & AMX_TILE &&
           !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}
#endif

/* The instruction sets that the processor supports, best first; returns their number. */
static int list_levels(simd_level list[LEVELS])
{
    int n = 0;
#ifdef GP_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
#ifdef GP_AMX
    if (avx512 && has_amx())
        list[n++] = (simd_level){"amx", &gp_kernels_avx512, gp_amx_product};
#endif
    if (avx512)
        list[n++] = (simd_level){"avx512", &gp_kernels_avx512, NULL};
    if (avx2)
        list[n++] = (simd_level){"avx2", &gp_kernels_avx2, NULL};
#endif
#ifdef GP_NEON
    list[n++] = (simd_level){"neon", &gp_kernels_neon, NULL};
#else
    list[n++] = (simd_level){"baseline", &gp_kernels_baseline, NULL};
#endif
    return n;
}

/* The best one, or the one named by GPTPIPE_SIMD. */
static int select_level(simd_level *selected)
{
    const char *requested = getenv("GPTPIPE_SIMD");
    simd_level list[LEVELS];
    int count = list_levels(list);
    char names[64] = "";
    for (int i = 0; i < count; i++) {
        if (!requested || !*requested || !strcmp(requested, list[i].name)) {
            *selected = list[i];
            return 0;
        }
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", list[i].name);
    }
    return fail("GPTPIPE_SIMD is %s: this processor and build have %s", requested, names);
}

/* The dtype of products: fp32, unless bf16 is requested, or the dtype is `auto` and the processor has AMX, where bf16
 * is several times as fast. Weights in int8 and int4 are less exact than bf16. In bf16, models that do not train have
 * bf16 weights, also where products cannot be in bf16. */
static void select_dtype(gp_backend *be)
{
    gp_bf16_unit unit = gp_matmul_bf16();
    bool has_bf16 = unit == GP_BF16_AVX512 || unit == GP_BF16_AMX;
    bool coarse = be->weight_format == GP_WEIGHTS_INT8 || be->weight_format == GP_WEIGHTS_INT4;
    if (be->dtype == GP_BF16)
        be->weight_format = GP_WEIGHTS_BF16;
    if (be->dtype == GP_DTYPES)
        be->dtype = unit == GP_BF16_AMX ? GP_BF16 : GP_F32;
    if (be->dtype == GP_BF16 || coarse)
        be->dtype = has_bf16 ? GP_BF16 : GP_F32;
    be->act_dtype = GP_F32;
    be->first_dw = true;
}

static void zero_part(gp_backend *be, const void *p, gp_range r)
{
    (void)be;
    memset((char *)(uintptr_t)p + r.lo, 0, (size_t)(r.hi - r.lo));
}

/* The gradients, hundreds of megabytes, are zeroed every step, and one thread does not reach the full bandwidth. */
static void zero(gp_backend *be, void *p, size_t bytes)
{
    enum { GRAIN = 1 << 20 };
    gp_cpu_split(be, (int64_t)bytes / (int64_t)sizeof(float) * GP_PS_COPY, (int64_t)bytes, GRAIN, zero_part, p);
}

static size_t plan(gp_backend *be, const gp_shape *shape)
{
    size_t max = 0;
    size_t each[] = {gp_cpu_norm_workspace(be, shape),      gp_cpu_linear_workspace(be, shape),
                     gp_cpu_attention_workspace(be, shape), gp_cpu_head_workspace(be, shape),
                     gp_cpu_decode_workspace(be, shape),    gp_cpu_sample_workspace(be, shape)};
    for (size_t i = 0; i < ARRAY_LEN(each); i++)
        max = each[i] > max ? each[i] : max;
    return gp_round_up(max, 64) + gp_cpu_tile_bytes(be, shape);
}

static void close_cpu(gp_backend *be)
{
    gp_cpu *cpu = be->state;
    gp_matmul_close(cpu->mm);
    gp_matmul_parts_close(cpu->amx);
    gp_cpu_unguard_signals(cpu->guard);
    free(cpu);
}

#define GP_ENTRY(name, parameters) , .name = gp_cpu_##name
static const gp_backend_ops cpu_ops = {
    .name = "cpu",
    .close = close_cpu,
    GP_HOST_ENTRIES(zero),
    .plan = plan,
    .weight_open = gp_cpu_weight_open,
    .weight_bytes = gp_cpu_weight_bytes,
    .weights_changed = gp_cpu_weights_changed,
    .weight_close = gp_cpu_weight_close,
    .weight_fill = gp_cpu_weight_fill,
    .weight_lines = gp_ref_weight_lines GP_OPS(GP_ENTRY),
};

int gp_cpu_open(gp_backend *be)
{
    simd_level selected = {0};
    int threads = gp_ref_threads(be->threads);
    if (threads < 0 || select_level(&selected))
        return -1;
    select_dtype(be);
    gp_cpu *cpu = gp_calloc(1, sizeof *cpu);
    cpu->k = selected.k;
    cpu->split_ps = SPLIT_US * (int64_t)1000000;
#ifdef GP_X86
    cpu->fetches = __builtin_cpu_is("amd");
#endif
    cpu->mm = gp_matmul_open(cpu->k, threads);
    cpu->amx = selected.amx ? gp_matmul_parts_open(selected.amx, threads) : NULL;
    cpu->guard = gp_cpu_guard_signals(threads);
    be->ops = &cpu_ops;
    be->threads = threads;
    be->state = cpu;
    char processor[96];
    gp_ref_processor(processor, sizeof processor);
    snprintf(be->device, sizeof be->device, "%s, %s", processor, selected.name);
    gp_matmul_describe(be->products_library, sizeof be->products_library);
    return 0;
}
