/* Products of matrices on backend cpu, as this build makes them (backend/cpu/matmul.h) and by the kernel of the own
 * ones or, at level amx, by AMX's, beside three loops over integers. Nearly all numbers are integers, so that every sum
 * is exact in whatever order it is added: what is expected is equality. */
#include "parity.h"

#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"

enum { MAX_PARTS = 5 };

/* One product's operands, and what becomes of c. */
typedef struct numbers {
    gp_product p;
    float *a, *b, *bias, *before, *want;
} numbers;

static int small_integer(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return (int)(*seed >> 16) % 7 - 3;
}

static float *integers(parity *p, int64_t count, uint32_t *seed)
{
    float *x = parity_take(p, (size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)small_integer(seed);
    return x;
}

static void multiply(const numbers *x)
{
    const gp_product *p = &x->p;
    int64_t a_row = p->a_transposed ? 1 : p->K, a_column = p->a_transposed ? p->M : 1;
    int64_t b_row = p->b_transposed ? 1 : p->N, b_column = p->b_transposed ? p->K : 1;
    for (int64_t m = 0; m < p->M; m++)
        for (int64_t n = 0; n < p->N; n++) {
            int64_t sum = 0;
            for (int64_t k = 0; k < p->K; k++)
                sum += (int64_t)x->a[m * a_row + k * a_column] * (int64_t)x->b[k * b_row + n * b_column];
            sum += (p->bias ? (int64_t)x->bias[n] : 0) + (p->add ? (int64_t)x->before[m * p->N + n] : 0);
            x->want[m * p->N + n] = (float)sum;
        }
}

/* Variants 0 to 15: a and b transposed or not, a bias or none, added or not. */
static numbers make(parity *p, int64_t M, int64_t N, int64_t K, int variant)
{
    uint32_t seed = (uint32_t)(M * 10007 + N * 101 + K * 7 + variant);
    numbers x = {.p = {.M = M, .N = N, .K = K, .dtype = GP_F32, .threads = 1}};
    x.p.a_transposed = variant & 1;
    x.p.b_transposed = variant & 2;
    x.p.bias = variant & 4;
    x.p.add = variant & 8;
    x.a = integers(p, M * K, &seed);
    x.b = integers(p, K * N, &seed);
    x.bias = integers(p, N, &seed);
    x.before = integers(p, M * N, &seed);
    x.want = parity_take(p, (size_t)(M * N) * sizeof *x.want);
    multiply(&x);
    return x;
}

static void assert_equal(const numbers *x, const float *got, const char *how)
{
    const gp_product *p = &x->p;
    for (int64_t i = 0; i < p->M * p->N; i++)
        if (got[i] != x->want[i])
            fail_msg("%s, %lld x %lld x %lld%s%s%s%s: (%lld,%lld) is %g, expected %g", how, (long long)p->M,
                     (long long)p->N, (long long)p->K, p->a_transposed ? ", a transposed" : "",
                     p->b_transposed ? ", b transposed" : "", p->bias ? ", bias" : "", p->add ? ", add" : "",
                     (long long)(i / p->N), (long long)(i % p->N), (double)got[i], (double)x->want[i]);
}

/* What is overwritten is NAN, what is added to is `before`. */
static float *target(parity *p, const numbers *x)
{
    int64_t count = x->p.M * x->p.N;
    float *c = parity_take(p, (size_t)count * sizeof *c);
    for (int64_t i = 0; i < count; i++)
        c[i] = x->p.add ? x->before[i] : NAN;
    return c;
}

/* Scratch as another product may leave it; one for all, since clearing new pages takes longer than a small product. */
static float *dirty_scratch(void)
{
    static _Alignas(64) float scratch[GP_MATMUL_SCRATCH];
    for (int64_t i = 0; i < GP_MATMUL_SCRATCH; i++)
        scratch[i] = NAN;
    return scratch;
}

static void by_kernel(const parity *p, const numbers *x, float *c, int parts, float *scratch)
{
    const gp_cpu *cpu = gp_cpu_state(p->cpu);
    gp_product_kernel *kernel = cpu->amx ? cpu->amx->kernel : cpu->k->matmul;
    for (int part = 0; part < parts; part++)
        kernel(&x->p, x->a, x->b, x->p.bias ? x->bias : NULL, c, part, parts, scratch);
}

/* b as it is, or packed from fp32 or bf16. */
enum { PLAIN, PACKED_FP32, PACKED_BF16 };

/* In bf16 small integers are exact too. */
static void by_this_build(parity *p, const numbers *x, int threads, int packed, float *c)
{
    gp_matmul *mm = gp_cpu_state(p->cpu)->mm;
    gp_product product = x->p;
    const void *a = x->a, *b = x->b;
    product.threads = threads;
    product.dtype = p->cpu->dtype;
    product.packed = packed ? product.M : 0;
    if (product.dtype == GP_BF16) {
        uint16_t *a16 = parity_take(p, (size_t)(product.M * product.K) * sizeof *a16);
        uint16_t *b16 = parity_take(p, (size_t)(product.K * product.N) * sizeof *b16);
        gp_cpu_to_bf16(p->cpu, a16, x->a, product.M * product.K);
        gp_cpu_to_bf16(p->cpu, b16, x->b, product.K * product.N);
        a = a16, b = b16;
    }
    if (packed) {
        void *form = parity_take(p, gp_matmul_packed_bytes(mm, &product));
        if (packed == PACKED_BF16)
            gp_matmul_pack(mm, &product, GP_BF16, b, form);
        else
            gp_matmul_pack(mm, &product, GP_F32, x->b, form);
        b = form;
    }
    gp_matmul_run(mm, &product, a, b, product.bias ? x->bias : NULL, c);
}

static void check(parity *p, int64_t M, int64_t N, int64_t K, int variant)
{
    numbers x = make(p, M, N, K, variant);
    for (int threads = 1; threads <= PARITY_THREADS; threads++)
        for (int packed = PLAIN; packed <= (p->cpu->dtype == GP_BF16 ? PACKED_BF16 : PLAIN); packed++) {
            float *c = target(p, &x);
            by_this_build(p, &x, threads, packed, c);
            assert_equal(&x, c, packed ? "packed" : threads > 1 ? "two threads" : "one thread");
        }
    float *scratch = dirty_scratch();
    for (int parts = 1; p->cpu->dtype == GP_F32 && parts <= MAX_PARTS; parts++) {
        float *c = target(p, &x);
        by_kernel(p, &x, c, parts, scratch);
        assert_equal(&x, c, "the kernel");
    }
    parity_forget(p);
}

/* Every number of rows and columns up to some panels, which are of at most 14 rows and 32 columns. */
static void small_products_are_exact(void **state)
{
    parity *p = *state;
    static const int64_t depths[] = {1, 2, 3, 16, 19};
    int variant = 0;
    for (int64_t M = 1; M <= 30; M++)
        for (int64_t N = 1; N <= 67; N += 1 + N / 34)
            check(p, M, N, depths[(M + N) % (int64_t)ARRAY_LEN(depths)], variant++ % 16);
}

/* Each side beyond the blocks: at most 224 rows (AMX 320), 1024 columns, 256 deep (AMX 512); and where b is no longer
 * read in place. */
static void products_are_exact_at_the_edges_of_blocks(void **state)
{
    parity *p = *state;
    static const int64_t M[] = {16, 17, 24, 25, 56, 57, 128, 129, 144, 145, 224, 225, 320, 321, 449};
    static const int64_t N[] = {1023, 1024, 1025, 1056, 2049};
    static const int64_t K[] = {255, 256, 257, 511, 512, 513, 769};
    for (int variant = 0; variant < 16; variant++) {
        for (size_t i = 0; i < ARRAY_LEN(M); i++)
            check(p, M[i], 33, 5, variant);
        for (size_t i = 0; i < ARRAY_LEN(N); i++)
            check(p, i % 2 ? 5 : 61, N[i], 3, variant);
        for (size_t i = 0; i < ARRAY_LEN(K); i++)
            check(p, 15, 35, K[i], variant);
    }
    check(p, 230, 1030, 260, 8);
    check(p, 230, 1030, 260, 7);
}

/* A number's sum depends on k alone: not on how the work is cut, nor on the rows and columns beside it. */
static void the_own_kernel_s_bits_are_those_of_a_row_alone(void **state)
{
    enum { M = 73, N = 97, K = 300 };
    parity *p = *state;
    gp_tensor a = RANDOM(p, M, K), b = RANDOM(p, K, N), c = RANDOM(p, M, N), other = RANDOM(p, M, N);
    numbers x = {.p = {.M = M, .N = N, .K = K, .dtype = GP_F32}, .a = a.data, .b = b.data};
    float *scratch = dirty_scratch();
    by_kernel(p, &x, c.data, 1, scratch);
    for (int parts = 2; parts <= 9; parts++) {
        by_kernel(p, &x, other.data, parts, scratch);
        assert_true(parity_same_bits(&c, &other));
    }
    for (int64_t m = 0; m < M; m++) { /* its last rows, then each by itself */
        numbers rest = x;
        float *row = (float *)other.data + m * N;
        rest.a += m * K;
        rest.p.M = M - m;
        by_kernel(p, &rest, row, 1, scratch);
        assert_true(parity_same_bits(&c, &other));
        rest.p.M = 1;
        by_kernel(p, &rest, row, 1, scratch);
        assert_true(parity_same_bits(&c, &other));
    }
}

/* Integers of `bits` bits, or powers of two where that is 1. */
static gp_tensor wide_integers(parity *p, int64_t rows, int64_t columns, int bits)
{
    gp_tensor t = RANDOM(p, rows, columns);
    float *x = t.data;
    for (int64_t i = 0; i < rows * columns; i++) {
        uint64_t drawn = gp_random_below(7, GP_RNG_DATA, 97, p->drawn++, (uint64_t)1 << bits);
        float size = bits == 1 ? ldexpf(1, (int)(i % 40) - 20) : (float)(((uint64_t)1 << (bits - 1)) + drawn / 2);
        x[i] = x[i] < 0 ? -size : size;
    }
    return t;
}

/* Products of two numbers with up to 24 bits between them are exact, wherever the bits are. */
static void all_bits_of_both_operands_count(void **state)
{
    enum { M = 70, N = 65 };
    static const int bits[][2] = {{24, 1}, {1, 24}, {12, 12}, {16, 8}, {8, 16}, {20, 4}, {4, 20}};
    parity *p = *state;
    float *scratch = dirty_scratch();
    for (size_t i = 0; i < ARRAY_LEN(bits) && p->cpu->dtype == GP_F32; i++) {
        gp_tensor a = wide_integers(p, M, 1, bits[i][0]), b = wide_integers(p, 1, N, bits[i][1]), c = RANDOM(p, M, N);
        const float *x = a.data, *y = b.data, *got = c.data;
        numbers product = {.p = {.M = M, .N = N, .K = 1, .dtype = GP_F32}, .a = a.data, .b = b.data};
        by_kernel(p, &product, c.data, 1, scratch);
        for (int64_t j = 0; j < M * N; j++)
            assert_true((double)got[j] == (double)x[j / N] * y[j % N]);
    }
}

/* fp32 loses about sqrt(K) 2^-25 by rounding its sums; a product that drops the last eight bits of a number, 4e-6. */
static void sums_are_as_exact_as_fp32(void **state)
{
    enum { M = 70, N = 65, K = 700 };
    parity *p = *state;
    gp_tensor a = RANDOM(p, M, K), b = RANDOM(p, N, K), c = RANDOM(p, M, N);
    const float *x = a.data, *y = b.data, *got = c.data;
    numbers product = {.p = {.M = M, .N = N, .K = K, .b_transposed = true, .dtype = GP_F32}, .a = a.data, .b = b.data};
    if (p->cpu->dtype != GP_F32)
        return;
    by_kernel(p, &product, c.data, 1, dirty_scratch());
    double lost = 0, norm = 0;
    for (int64_t i = 0; i < M * N; i++) {
        double sum = 0;
        for (int64_t k = 0; k < K; k++)
            sum += (double)x[i / N * K + k] * y[i % N * K + k];
        lost += (got[i] - sum) * (got[i] - sum);
        norm += sum * sum;
    }
    assert_true(sqrt(lost / norm) < 5e-7);
}

/* NaN and infinity reach their row, in whatever part of a number they are looked for; what is below fp32's smallest
 * normal number may count as 0. */
static void unusual_numbers_are_not_lost(void **state)
{
    enum { M = 66, N = 67, K = 40 };
    static const float unusual[] = {INFINITY, -INFINITY, NAN, -NAN, 1e-39f};
    parity *p = *state;
    float *scratch = dirty_scratch(), quiet;
    uint32_t last_bit = 0x7F800001; /* a NaN whose bits are in the lower half */
    memcpy(&quiet, &last_bit, sizeof quiet);
    for (size_t i = 0; i <= ARRAY_LEN(unusual) && p->cpu->dtype == GP_F32; i++) {
        float value = i < ARRAY_LEN(unusual) ? unusual[i] : quiet;
        gp_tensor a = RANDOM(p, M, K), b = RANDOM(p, K, N), c = RANDOM(p, M, N), want = RANDOM(p, M, N);
        float *x = (float *)a.data + 17 * K + 23;
        numbers product = {.p = {.M = M, .N = N, .K = K, .dtype = GP_F32}, .a = a.data, .b = b.data};
        *x = 0;
        by_kernel(p, &product, want.data, 1, scratch);
        *x = value;
        by_kernel(p, &product, c.data, 1, scratch);
        const float *got = c.data, *without = want.data;
        for (int64_t j = 0; j < M * N; j++)
            if (j / N == 17 && !(fabsf(value) < 1))
                assert_true(!isfinite(got[j]));
            else
                assert_true(fabsf(got[j] - without[j]) < 1e-30f);
    }
}

/* In this build's own products the same holds with threads. */
static void threads_change_no_bit_of_own_products(void **state)
{
    enum { M = 301, N = 215, K = 517, THREADS = 4 };
    parity *p = *state;
    char products[32];
    gp_matmul_describe(products, sizeof products);
    gp_matmul *mm = gp_matmul_open(gp_cpu_state(p->cpu)->k, THREADS);
    gp_tensor a = RANDOM(p, M, K), b = RANDOM(p, N, K), one = RANDOM(p, M, N), more = RANDOM(p, M, N);
    for (int threads = 1; !strcmp(products, "own kernels") && threads <= THREADS; threads++) {
        gp_product product = {.M = M, .N = N, .K = K, .b_transposed = true, .dtype = GP_F32, .threads = threads};
        gp_matmul_run(mm, &product, a.data, b.data, NULL, threads == 1 ? one.data : more.data);
        assert_true(threads == 1 || parity_same_bits(&one, &more));
    }
    gp_matmul_close(mm);
}

/* Without bf16 products, bf16 weights can still be read, by models that do not train. */
static void bf16_trains_where_products_have_it(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu", "auto"};
    bool has_bf16 = gp_matmul_bf16() > GP_BF16_NONE;
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        gp_backend *be = gp_backend_open(names[i], "bf16", 1);
        assert_non_null(be);
        assert_string_equal(gp_backend_name(be), "cpu");
        assert_int_equal(be->dtype, has_bf16 ? GP_BF16 : GP_F32);
        assert_int_equal(gp_backend_check_training(be), has_bf16 ? 0 : -1);
        if (!has_bf16)
            assert_non_null(strstr(gp_error(), "training in bf16 on a CPU requires AMX or AVX-512 BF16 and a build"));
        gp_backend_close(be);
    }
}

static int group(const char *title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_products_are_exact, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(products_are_exact_at_the_edges_of_blocks, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(the_own_kernel_s_bits_are_those_of_a_row_alone, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(all_bits_of_both_operands_count, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(sums_are_as_exact_as_fp32, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(unusual_numbers_are_not_lost, parity_setup, parity_teardown),
        cmocka_unit_test_setup_teardown(threads_change_no_bit_of_own_products, parity_setup, parity_teardown),
        cmocka_unit_test(bf16_trains_where_products_have_it),
    };
    return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}

int main(void)
{
    return parity_run("matmul", group);
}
