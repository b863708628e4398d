/* The CUDA backend's matrix products against three loops: every layout, type, epilogue and way to make them. */
#include "backend/cuda/matmul.cuh"
#include "base/rng.h"
#ifdef GP_CUSIM
#include <cublasLt.h>
#endif

#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstring>

extern "C" {
#undef fail /* ours; CMocka has one of its own */
#include <cmocka.h>
}

namespace
{

/* Products use what is in the list's bits; see cuda.h. */
constexpr unsigned ALL = GP_CUDA_LT | GP_CUDA_FUSE_BIAS | GP_CUDA_FUSE_GELU | GP_CUDA_FUSE_SUMS;
constexpr unsigned ways[] = {ALL, GP_CUDA_LT, 0};

gp_backend *open_backend(const char *dtype)
{
    gp_backend *be = gp_backend_open("cuda", dtype, 0);
    if (!be)
        return nullptr;
    gp_shape shape = {};
    shape.B = 1, shape.T = 128, shape.C = shape.V = shape.inner = 256, shape.H = 1;
    gp_backend_plan(be, &shape);
    return be;
}

/* Numbers as the device holds them, in `dtype`, and as the loops read them. */
struct Matrix {
    gp_backend *be;
    gp_dtype dtype;
    int64_t count;
    void *device;
    float *host;

    Matrix(gp_backend *be, gp_dtype dtype, int64_t count, uint64_t seed) : be(be), dtype(dtype), count(count)
    {
        size_t bytes = static_cast<size_t>(count * gp_dtype_size(dtype));
        host = static_cast<float *>(gp_malloc(static_cast<size_t>(count) * sizeof *host));
        for (int64_t i = 0; i < count; i++) {
            float two[2];
            gp_random_normal2(seed, GP_RNG_INIT, 0, static_cast<uint64_t>(i), two);
            host[i] = two[0];
        }
        void *stored = gp_malloc(bytes);
        gp_from_f32(stored, dtype, host, count);
        gp_to_f32(host, stored, dtype, count);
        device = be->ops->alloc(be, bytes);
        be->ops->upload(be, device, stored, bytes);
        be->ops->sync(be);
        free(stored);
    }

    ~Matrix()
    {
        be->ops->free(be, device, static_cast<size_t>(count * gp_dtype_size(dtype)));
        free(host);
    }

    Matrix(const Matrix &) = delete;
    Matrix &operator=(const Matrix &) = delete;

    /* What the device has made of it; the caller frees it. */
    float *now() const
    {
        size_t bytes = static_cast<size_t>(count * gp_dtype_size(dtype));
        void *stored = gp_malloc(bytes);
        float *x = static_cast<float *>(gp_malloc(static_cast<size_t>(count) * sizeof *x));
        be->ops->download(be, stored, device, bytes);
        gp_to_f32(x, stored, dtype, count);
        free(stored);
        return x;
    }
};

/* host is what should be there, norm-wise: what no product should write to is there on both sides and counts too. */
void check_near(const Matrix &m, const char *what, double allowed)
{
    float *x = m.now();
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < m.count; i++) {
        double d = static_cast<double>(x[i]) - static_cast<double>(m.host[i]);
        difference += d * d;
        norm += static_cast<double>(m.host[i]) * static_cast<double>(m.host[i]);
    }
    free(x);
    if (!(std::sqrt(difference) <= allowed * std::sqrt(norm)))
        fail_msg("%s: relative error %.3g, allowed %.0e", what, std::sqrt(difference / norm), allowed);
}

double gelu(double x)
{
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

/* By differences, so that it does not share a formula with what it checks. */
double gelu_slope(double x)
{
    return (gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5;
}

struct Case {
    int64_t M, N, K;
    bool at, bt;
    gp_dtype out; /* where the backend is in bf16; else fp32 */
    bool add, bias, pre;
    Epilogue epilogue;
    int64_t pad_a, pad_d; /* elements behind each row */
    char sums;            /* 'a', 'b' or 0 */
};

constexpr Epilogue NONE = Epilogue::none, BIAS = Epilogue::bias, GELU = Epilogue::gelu, SLOPE = Epilogue::gelu_slope;

const Case cases[] = {
    {16, 24, 8, false, false, GP_BF16, false, false, false, NONE, 0, 0, 0},
    {16, 24, 8, false, true, GP_BF16, false, false, false, NONE, 0, 0, 0},
    {16, 24, 8, true, false, GP_BF16, false, false, false, NONE, 0, 0, 0},
    {16, 24, 8, true, true, GP_BF16, false, false, false, NONE, 0, 0, 0},
    {70, 90, 40, false, true, GP_F32, true, false, false, NONE, 0, 0, 0},
    {3, 50, 7, false, true, GP_BF16, false, false, false, NONE, 0, 0, 0},
    {33, 65, 129, true, false, GP_F32, true, false, false, NONE, 0, 0, 0},
    /* the head's: rows of logits padded, read and written */
    {24, 50, 16, false, true, GP_BF16, false, false, false, NONE, 0, 14, 0},
    {24, 50, 16, false, true, GP_F32, false, true, false, BIAS, 0, 14, 0},
    {24, 16, 50, false, false, GP_BF16, false, false, false, NONE, 14, 0, 0},
    {50, 16, 24, true, false, GP_F32, true, false, false, NONE, 14, 0, 'a'},
    {50, 16, 24, true, false, GP_F32, true, false, false, NONE, 13, 0, 'a'},
    /* epilogues */
    {40, 48, 32, false, false, GP_BF16, false, true, false, BIAS, 0, 0, 0},
    {40, 48, 32, false, false, GP_BF16, true, true, false, BIAS, 0, 8, 0},
    {40, 48, 32, false, false, GP_F32, false, true, false, BIAS, 0, 0, 0},
    {40, 48, 32, false, false, GP_BF16, false, true, true, GELU, 0, 0, 0},
    {40, 48, 32, false, false, GP_BF16, false, false, true, GELU, 0, 8, 0},
    {40, 48, 32, false, false, GP_BF16, false, true, false, GELU, 0, 0, 0},
    {40, 48, 32, false, false, GP_BF16, false, false, false, GELU, 0, 0, 0},
    {40, 48, 32, false, true, GP_BF16, false, false, true, SLOPE, 0, 0, 0},
    {40, 52, 32, false, false, GP_F32, false, true, true, GELU, 0, 0, 0}, /* pre's rows are no multiple of 8 */
    {40, 51, 32, false, true, GP_BF16, false, true, true, GELU, 0, 0, 0},
    {40, 51, 32, false, true, GP_BF16, false, false, true, SLOPE, 0, 5, 0},
    /* sums beside */
    {40, 48, 32, true, false, GP_F32, true, false, false, NONE, 0, 0, 'a'},
    {40, 48, 32, true, false, GP_F32, true, false, false, NONE, 0, 0, 'b'},
    {41, 47, 300, true, false, GP_F32, true, false, false, NONE, 0, 0, 'b'},
    {8, 1032, 8, true, false, GP_F32, false, false, false, NONE, 0, 0, 'b'}, /* more sums than are kept room for */
};

double a_of(const Case &c, const Matrix &a, int64_t m, int64_t k)
{
    return static_cast<double>(c.at ? a.host[k * (c.M + c.pad_a) + m] : a.host[m * (c.K + c.pad_a) + k]);
}

double b_of(const Case &c, const Matrix &b, int64_t k, int64_t n)
{
    return static_cast<double>(c.bt ? b.host[n * c.K + k] : b.host[k * c.N + n]);
}

/* Into the hosts' numbers what the product should make of them. */
void by_loops(const Case &c, const Matrix &a, const Matrix &b, const Matrix &bias, Matrix &d, Matrix &pre, Matrix &sums)
{
    for (int64_t m = 0; m < c.M; m++)
        for (int64_t n = 0; n < c.N; n++) {
            float *at = &d.host[m * (c.N + c.pad_d) + n], *at_pre = &pre.host[m * c.N + n];
            double v = c.add ? static_cast<double>(*at) : 0;
            for (int64_t k = 0; k < c.K; k++)
                v += a_of(c, a, m, k) * b_of(c, b, k, n);
            v += c.bias ? static_cast<double>(bias.host[n]) : 0;
            if (c.epilogue == GELU) {
                *at_pre = c.pre ? static_cast<float>(v) : *at_pre;
                v = gelu(v);
            } else if (c.epilogue == SLOPE) {
                v *= gelu_slope(static_cast<double>(*at_pre));
            }
            *at = static_cast<float>(v);
        }
    for (int64_t i = 0; c.sums && i < sums.count; i++) {
        double sum = static_cast<double>(sums.host[i]);
        for (int64_t k = 0; k < c.K; k++)
            sum += c.sums == 'a' ? a_of(c, a, i, k) : b_of(c, b, k, i);
        sums.host[i] = static_cast<float>(sum);
    }
}

/* The whole of D by then, where `made` is not null; the caller frees it. */
void check_case(gp_backend *be, const Case &c, double allowed, float **made = nullptr)
{
    gp_dtype in = be->act_dtype, out = in == GP_BF16 ? c.out : GP_F32;
    Matrix a(be, in, (c.at ? c.K : c.M) * ((c.at ? c.M : c.K) + c.pad_a), 1), b(be, in, c.K * c.N, 2);
    Matrix bias(be, in, c.N, 3), d(be, out, c.M * (c.N + c.pad_d), 4), pre(be, out, c.M * c.N, 5);
    Matrix sums(be, GP_F32, c.sums == 'a' ? c.M : c.N, 6);
    Product p = {};
    p.M = c.M, p.N = c.N, p.K = c.K;
    p.a = a.device, p.a_transposed = c.at, p.lda = c.pad_a ? (c.at ? c.M : c.K) + c.pad_a : 0;
    p.b = b.device, p.b_transposed = c.bt;
    p.d = d.device, p.ldd = c.pad_d ? c.N + c.pad_d : 0;
    p.in = in, p.out = out;
    p.add = c.add;
    p.epilogue = c.epilogue;
    p.bias = c.bias ? bias.device : nullptr;
    p.pre = c.pre ? pre.device : nullptr;
    p.a_sums = c.sums == 'a' ? static_cast<float *>(sums.device) : nullptr;
    p.b_sums = c.sums == 'b' ? static_cast<float *>(sums.device) : nullptr;
    matmul(be, &p);
    if (made)
        *made = d.now();
    by_loops(c, a, b, bias, d, pre, sums);
    check_near(d, "D", allowed);
    check_near(pre, "pre", allowed);
    check_near(sums, "sums", allowed);
}

void agree(const char *dtype, double allowed)
{
    gp_backend *be = open_backend(dtype);
    if (!be) {
        print_message("skipped: %s: %s\n", dtype, gp_error());
        skip();
    }
    for (unsigned way : ways)
        for (const Case &c : cases) {
            gp_cuda_allow_products(be, way);
            check_case(be, c, allowed);
        }
    gp_backend_close(be);
}

void products_agree_in_fp32(void **)
{
    agree("fp32", 1e-5);
}

void products_agree_in_tf32(void **)
{
    agree("tf32", 1e-3);
}

/* The sum of K times 1 + 2^-12, of which ten bits of mantissa leave 1. */
float sum_of_nearly_ones(const char *dtype)
{
    constexpr int64_t N = 512;
    gp_backend *be = open_backend(dtype);
    if (!be) {
        print_message("skipped: %s: %s\n", dtype, gp_error());
        skip();
    }
    float first;
    {
        Matrix a(be, GP_F32, N * N, 1), b(be, GP_F32, N * N, 2), d(be, GP_F32, N * N, 3);
        for (int64_t i = 0; i < N * N; i++)
            a.host[i] = 1 + 1.0f / 4096, b.host[i] = 1;
        be->ops->upload(be, a.device, a.host, N * N * sizeof(float));
        be->ops->upload(be, b.device, b.host, N * N * sizeof(float));
        Product p = {};
        p.M = p.N = p.K = N;
        p.a = a.device, p.b = b.device, p.d = d.device;
        p.in = p.out = GP_F32;
        matmul(be, &p);
        float *x = d.now();
        first = x[0];
        free(x);
    }
    gp_backend_close(be);
    return first;
}

void tf32_reads_ten_bits_of_mantissa(void **)
{
    float tf32 = sum_of_nearly_ones("tf32"), fp32 = sum_of_nearly_ones("fp32");
#ifdef GP_CUSIM
    assert_true(tf32 == 512);
#endif
    /* the library may use TF32 and need not: a heuristic may choose a kernel without tensor cores */
    if (tf32 != 512 && tf32 != 512 + 512.0f / 4096)
        fail_msg("the sum of 512 products of 1 + 2^-12 and 1 is %.9g in tf32", static_cast<double>(tf32));
    assert_true(fp32 == 512 + 512.0f / 4096);
}

void products_agree_in_bf16(void **)
{
    agree("bf16", 4e-3);
}

#ifdef GP_CUSIM /* which counts */

/* The products by cuBLASLt that one case takes. */
cusim::Products taken(gp_backend *be, const Case &c)
{
    cusim::Products before = cusim::products();
    check_case(be, c, 4e-3);
    cusim::Products after = cusim::products();
    return {after.run - before.run, after.fused - before.fused, after.looked_for - before.looked_for};
}

/* An algorithm is looked for once, then known. */
void what_can_be_fused_is_fused(void **)
{
    const Case whole = {40, 48, 32, false, false, GP_BF16, false, true, true, GELU, 0, 0, 0};
    const Case sums = {40, 48, 32, true, false, GP_F32, true, false, false, NONE, 0, 0, 'b'};
    const Case other_bias = {40, 48, 32, false, false, GP_F32, false, true, false, BIAS, 0, 0, 0};
    const Case odd = {40, 51, 32, false, true, GP_BF16, false, true, true, GELU, 0, 0, 0};
    gp_backend *be = open_backend("bf16");
    gp_cuda_allow_products(be, ALL);
    for (const Case &c : {whole, sums}) {
        cusim::Products first = taken(be, c), second = taken(be, c);
        assert_true(first.run == 1 && first.fused == 1 && first.looked_for == 1);
        assert_true(second.run == 1 && second.fused == 1 && second.looked_for == 0);
    }
    cusim::Products apart = taken(be, other_bias), none = taken(be, odd);
    assert_true(apart.run == 1 && apart.fused == 0);
    assert_true(none.run == 0);
    gp_cuda_allow_products(be, GP_CUDA_LT);
    apart = taken(be, whole);
    assert_true(apart.run == 1 && apart.fused == 0);
    gp_backend_close(be);
}

/* The n-th algorithm that is looked for is not found, or the n-th product is refused as it runs: another way is taken,
 * to the same numbers. */
void what_is_refused_is_made_another_way(void **)
{
    const Case refusable[] = {
        {40, 48, 32, false, false, GP_BF16, false, true, true, GELU, 0, 0, 0},
        {40, 48, 32, false, false, GP_BF16, false, false, true, GELU, 0, 8, 0},
        {40, 48, 32, false, true, GP_BF16, false, false, true, SLOPE, 0, 0, 0},
        {40, 48, 32, false, false, GP_BF16, false, true, false, BIAS, 0, 0, 0},
        {40, 48, 32, false, false, GP_BF16, true, true, false, BIAS, 0, 8, 0},
        {40, 48, 32, true, false, GP_F32, true, false, false, NONE, 0, 0, 'b'},
    };
    for (const Case &c : refusable)
        for (int n = 1; n <= 3; n++)
            for (auto refuse : {cusim::refuse_algorithm, cusim::refuse_product}) {
                gp_backend *be = open_backend("bf16");
                gp_cuda_allow_products(be, ALL);
                refuse(n);
                check_case(be, c, 4e-3);
                refuse(0);
                cusim::Products again = taken(be, c);
                assert_int_equal(again.looked_for, 0); /* it is not tried again */
                gp_backend_close(be);
            }
}

/* ---- ways that are measured, recorded, repeated ---------------------------------------------------------- */

const Case SLOPED = {40, 48, 32, false, true, GP_BF16, false, false, true, SLOPE, 0, 0, 0};
const Case SUMMED = {40, 48, 96, true, false, GP_F32, true, false, false, NONE, 0, 0, 'b'};

struct Seen {
    int algorithm;
    bool fused;
} seen; /* the product that the library made last */

double as_ever(int algorithm, bool fused)
{
    seen = {algorithm, fused};
    return 10;
}
double fifth_is_fast(int algorithm, bool fused)
{
    seen = {algorithm, fused};
    return algorithm == 4 && fused ? 3 : 10;
}
double apart_is_fast(int algorithm, bool fused)
{
    seen = {algorithm, fused};
    return fused ? 20 : algorithm == 2 ? 4 : 5;
}
double hardly_faster(int algorithm, bool fused)
{
    seen = {algorithm, fused};
    return algorithm == 1 ? 9.95 : 10;
}
double without_order_is_fast(int algorithm, bool fused)
{
    seen = {algorithm, fused};
    return algorithm == cusim::ALGORITHMS ? 1 : algorithm == 3 ? 8 : 10;
}

/* One that measures each product in simulated times. */
gp_backend *open_measuring(const char *dtype, double (*microseconds)(int, bool))
{
    gp_backend *be = open_backend(dtype);
    cusim::time_products(microseconds);
    be->measures_products = true;
    return be;
}

void close_measuring(gp_backend *be)
{
    cusim::time_products(nullptr);
    gp_backend_close(be);
}

/* Fused and apart, each by the heuristic's first algorithms; what is faster by less than a percent is not; and none
 * that adds in no order. A kernel of its own takes a microsecond (runtime.h). */
void the_fastest_way_is_chosen(void **)
{
    const struct {
        double (*microseconds)(int, bool);
        Case product;
        const char *way;
        int algorithm;
        double seconds, first_seconds;
    } rows[] = {
        {fifth_is_fast, SLOPED, "gelu", 4, 3e-6, 10e-6},  {apart_is_fast, SLOPED, "alone", 2, 5e-6, 20e-6},
        {hardly_faster, SLOPED, "gelu", 0, 10e-6, 10e-6}, {without_order_is_fast, SLOPED, "gelu", 3, 8e-6, 10e-6},
        {apart_is_fast, SUMMED, "alone", 2, 6e-6, 7e-6},  {fifth_is_fast, SUMMED, "sums", 4, 4e-6, 12e-6},
    };
    for (const auto &row : rows) {
        gp_backend *be = open_measuring("bf16", row.microseconds);
        check_case(be, row.product, 1e30); /* D has been added to by all of them */
        be->measures_products = false;
        const gp_product_choice *c = be->choices;
        assert_int_equal(be->choice_count, 1);
        assert_string_equal(c->way, row.way);
        assert_true(std::fabs(c->seconds - row.seconds) < 1e-9);
        assert_true(std::fabs(c->first_seconds - row.first_seconds) < 1e-9);
        cusim::Products once = taken(be, row.product);
        assert_true(once.run == 1 && once.looked_for == 0 && seen.algorithm == row.algorithm);
        close_measuring(be);
    }
}

/* What another backend measured gives its bits, though nothing is measured here and another algorithm would be. */
void a_choice_repeats_its_bits(void **)
{
    float *measured, *repeated, *first;
    size_t bytes = static_cast<size_t>(SUMMED.M * SUMMED.N) * sizeof(float);
    gp_backend *be = open_measuring("bf16", fifth_is_fast), *other = open_backend("bf16");
    check_case(be, SUMMED, 1e30);
    be->measures_products = false;
    check_case(be, SUMMED, 4e-3, &measured);
    check_case(other, SUMMED, 4e-3, &first);
    gp_backend_close(other);
    other = open_backend("bf16");
    assert_int_equal(be->choice_count, 1);
    assert_int_equal(gp_backend_choose_product(other, be->choices), 0);
    check_case(other, SUMMED, 4e-3, &repeated);
    assert_int_equal(seen.algorithm, 4);
    assert_memory_equal(measured, repeated, bytes);
    assert_true(memcmp(measured, first, bytes) != 0);
    assert_false(other->choices->lost);
    gp_backend_close(other);
    close_measuring(be);
    free(measured), free(repeated), free(first);
}

/* An algorithm that the library does not take is lost: the heuristic's first is, or what a measurement finds. */
void a_choice_that_cannot_be_had_is_made_again(void **)
{
    gp_backend *be = open_measuring("bf16", fifth_is_fast);
    check_case(be, SUMMED, 1e30);
    for (bool measures : {false, true}) {
        gp_backend *other = open_backend("bf16");
        gp_product_choice choice = be->choices[0];
        choice.algorithm[63] = choice.algorithm[63] == '9' ? '8' : '9'; /* one that there is not */
        other->measures_products = measures;
        assert_int_equal(gp_backend_choose_product(other, &choice), 0);
        assert_false(other->choices->lost);
        check_case(other, SUMMED, 1e30);
        assert_true(other->choices->lost && other->choice_count == 1);
        other->measures_products = false;
        check_case(other, SUMMED, 4e-3);
        assert_int_equal(seen.algorithm, measures ? 4 : 0);
        gp_backend_close(other);
    }
    gp_product_choice choice = be->choices[0];
    choice.algorithm[5] = 'x';
    assert_int_equal(gp_backend_choose_product(be, &choice), -1);
    choice = be->choices[0];
    snprintf(choice.way, sizeof choice.way, "by hand");
    assert_int_equal(gp_backend_choose_product(be, &choice), -1);
    close_measuring(be);
}

/* What the library refused as it ran is remembered: a backend that is told of it takes what was taken then, and does
 * not ask for the other. */
void a_refusal_is_repeated(void **)
{
    float *made, *again;
    gp_backend *be = open_backend("bf16"), *other = open_backend("bf16");
    gp_cuda_allow_products(be, ALL);
    gp_cuda_allow_products(other, ALL);
    cusim::time_products(as_ever);
    cusim::refuse_product(1);
    check_case(be, SLOPED, 4e-3, &made);
    assert_true(be->choice_count == 1 && be->choices->refused && !*be->choices->algorithm);
    assert_string_equal(be->choices->way, "alone");
    assert_false(seen.fused);
    assert_int_equal(gp_backend_choose_product(other, be->choices), 0);
    check_case(other, SLOPED, 4e-3, &again);
    assert_false(seen.fused);
    assert_memory_equal(made, again, static_cast<size_t>(SLOPED.M * SLOPED.N) * sizeof(float));
    cusim::time_products(nullptr);
    gp_backend_close(be);
    gp_backend_close(other);
    free(made), free(again);
}

/* A product that the library refuses in a capture, where it ran before: it is made another way, which the next capture
 * records. A refusal for good would issue it in every round: five times. */
void what_is_refused_in_a_recording_is_recorded_another_way(void **)
{
    constexpr int64_t M = 40, N = 48, K = 32;
    const Case biased = {M, N, K, false, false, GP_BF16, false, true, false, BIAS, 0, 0, 0};
    gp_backend *be = open_backend("bf16");
    gp_cuda_allow_products(be, ALL);
    gp_recording *recording = nullptr;
    int issued = 0;
    {
        Matrix a(be, GP_BF16, M * K, 1), b(be, GP_BF16, K * N, 2), bias(be, GP_BF16, N, 3);
        Matrix d(be, GP_BF16, M * N, 4), pre(be, GP_BF16, M * N, 5), sums(be, GP_F32, N, 6);
        Product p = {};
        p.M = M, p.N = N, p.K = K;
        p.a = a.device, p.b = b.device, p.d = d.device, p.bias = bias.device;
        p.in = p.out = GP_BF16, p.epilogue = BIAS;
        by_loops(biased, a, b, bias, d, pre, sums);
        for (int round = 0; round < 4; round++) {
            be->ops->zero(be, d.device, static_cast<size_t>(M * N) * 2);
            if (round == 1)
                cusim::refuse_product(1);
            if (be->ops->record_begin(be, &recording))
                do {
                    issued++;
                    matmul(be, &p);
                } while (!be->ops->record_end(be, &recording));
            check_near(d, "D", 4e-3);
        }
    }
    assert_int_equal(issued, 4); /* as it is, captured and again as it is, captured; then replayed */
    const char *remark = gp_backend_remark(be);
    assert_non_null(remark);
    assert_non_null(strstr(remark, "refused to run 40x48x32 NN bf16 bf16 bias with the algorithm of its heuristic"));
    assert_null(gp_backend_remark(be));
    be->ops->record_free(be, &recording);
    gp_backend_close(be);
}

/* In fp32 GELU is not the library's, whose tanh is approximate; and its bias is rounded with the sum, once. */
void gelu_is_our_own_in_fp32(void **)
{
    gp_backend *be = open_backend("fp32");
    cusim::Products p = taken(be, {40, 48, 32, false, false, GP_F32, false, true, true, GELU, 0, 0, 0});
    assert_true(p.run == 1 && p.fused == 1); /* the bias alone */
    gp_backend_close(be);
}

/* More shapes than the table of algorithms holds, then the first ones again. */
void shapes_without_end_are_multiplied(void **)
{
    gp_backend *be = open_backend("fp32");
    for (int64_t i = 0; i < 900; i++)
        check_case(be, {1, 4, 1 + i % 800, false, false, GP_F32, false, false, false, NONE, 0, 0, 0}, 1e-5);
    gp_backend_close(be);
}

#endif

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree_in_fp32),
        cmocka_unit_test(products_agree_in_tf32),
        cmocka_unit_test(tf32_reads_ten_bits_of_mantissa),
        cmocka_unit_test(products_agree_in_bf16),
#ifdef GP_CUSIM
        cmocka_unit_test(what_can_be_fused_is_fused),
        cmocka_unit_test(what_is_refused_is_made_another_way),
        cmocka_unit_test(the_fastest_way_is_chosen),
        cmocka_unit_test(a_choice_repeats_its_bits),
        cmocka_unit_test(a_choice_that_cannot_be_had_is_made_again),
        cmocka_unit_test(a_refusal_is_repeated),
        cmocka_unit_test(what_is_refused_in_a_recording_is_recorded_another_way),
        cmocka_unit_test(gelu_is_our_own_in_fp32),
        cmocka_unit_test(shapes_without_end_are_multiplied),
#endif
    };
    return cmocka_run_group_tests_name("cuda matmul", tests, nullptr, nullptr);
}
