/* cusim_tensor_core: the emulated tensor core and copy engine in a small product of matrices, as a kernel would use
 * them: tiles by cp.async into two buffers, fragments by ldmatrix, products by mma. */
#include "backend/cuda/tensor_core.cuh"

#include <csetjmp>
#include <cstdarg>
#include <cstring>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace
{

enum Broken { whole, without_wait, wait_too_short };

/* C (16,16) = A (16,K) B (K,16), row after row; one warp, which brings 16 columns of A and 16 rows of B at a time. */
template <Broken broken> __global__ void product(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c, int K)
{
    SHARED(__nv_bfloat16, as, [2][16][16]);
    SHARED(__nv_bfloat16, bs, [2][16][16]);
    unsigned lane = threadIdx.x, row = lane / 2, half = lane % 2 * 8;
    float sum[2][4] = {};
    auto fetch = [&](int k0, int buffer) {
        bool there = k0 < K;
        size_t column = there ? static_cast<size_t>(k0) : 0;
        cp_async_16(&as[buffer][row][half], a + row * static_cast<size_t>(K) + column + half, there);
        cp_async_16(&bs[buffer][row][half], b + (column + row) * 16 + half, there);
        cp_async_commit();
    };
    fetch(0, 0);
    for (int k0 = 0, buffer = 0; k0 < K; k0 += 16, buffer ^= 1) {
        uint32_t fa[4], fb[4];
        fetch(k0 + 16, buffer ^ 1);
        if (broken == whole)
            cp_async_wait(1); /* the newest group is the next tile */
        if (broken == wait_too_short)
            cp_async_wait(2);
        __syncthreads();
        ldmatrix_x4(fa, &as[buffer][lane % 16][lane / 16 * 8]);
        ldmatrix_x4_trans(fb, &bs[buffer][lane % 16][lane / 16 * 8]);
        for (int n = 0; n < 2; n++) {
            uint32_t column[2] = {fb[2 * n], fb[2 * n + 1]};
            mma_m16n8k16(sum[n], fa, column);
        }
        __syncthreads();
    }
    cp_async_wait(0);
    for (unsigned n = 0; n < 2; n++)
        for (unsigned e = 0; e < 4; e++)
            c[(lane / 4 + 8 * (e / 2)) * 16 + 8 * n + 2 * (lane % 4) + e % 2] = sum[n][e];
}

__global__ void leave_early(const float *from)
{
    SHARED(float, to, [4]);
    cp_async_16(to, from, true);
    cp_async_commit();
}

__global__ void crooked(const float *from)
{
    SHARED(float, to, [8]);
    cp_async_16(to + 1, from, true);
}

constexpr int K = 48;

/* Whole numbers, so that every sum is exact in bfloat16's products and in fp32. */
struct Case {
    std::vector<__nv_bfloat16> a, b;
    std::vector<float> c;
    Case() : a(16 * K), b(K * 16), c(256)
    {
        for (size_t i = 0; i < a.size(); i++)
            a[i] = __float2bfloat16(static_cast<float>(static_cast<int>(i * 7 % 23) - 11));
        for (size_t i = 0; i < b.size(); i++)
            b[i] = __float2bfloat16(static_cast<float>(static_cast<int>(i * 5 % 19) - 9));
        for (size_t i = 0; i < 16; i++)
            for (size_t j = 0; j < 16; j++)
                for (size_t k = 0; k < K; k++)
                    c[i * 16 + j] += __bfloat162float(a[i * K + k]) * __bfloat162float(b[k * 16 + j]);
    }
};

template <class T> T *device(const T *values, size_t count)
{
    void *p;
    cudaMalloc(&p, count * sizeof(T));
    if (values)
        cudaMemcpy(p, values, count * sizeof(T), cudaMemcpyHostToDevice);
    return static_cast<T *>(p);
}

/* How many of the seeds give the right product. */
template <Broken broken> int count_right(int seeds)
{
    Case want;
    int right = 0;
    for (int seed = 0; seed < seeds; seed++) {
        std::vector<float> got(256);
        __nv_bfloat16 *a = device(want.a.data(), want.a.size()), *b = device(want.b.data(), want.b.size());
        float *c = device<float>(nullptr, 256);
        cusim::set_seed(static_cast<uint64_t>(seed));
        LAUNCH(product<broken>, 1, 32, 0, nullptr, a, b, c, K);
        cudaMemcpy(got.data(), c, 256 * sizeof(float), cudaMemcpyDeviceToHost);
        if (cudaGetLastError() != cudaSuccess)
            fail_msg("%s", cusim::last_fault());
        right += got == want.c;
        cudaFree(a);
        cudaFree(b);
        cudaFree(c);
    }
    return right;
}

void tiles_are_brought_and_multiplied(void **)
{
    assert_int_equal(count_right<whole>(20), 20);
}

void a_copy_that_is_not_waited_for_shows(void **)
{
    assert_int_equal(count_right<without_wait>(20), 0);
}

void a_wait_that_is_one_group_short_shows(void **)
{
    assert_int_equal(count_right<wait_too_short>(20), 0);
}

void copies_under_way_at_the_end_are_told(void **)
{
    float x[4] = {}, *d = device(x, 4);
    LAUNCH(leave_early, 1, 1, 0, nullptr, d);
    assert_int_not_equal(cudaGetLastError(), cudaSuccess);
    assert_non_null(strstr(cusim::last_fault(), "the thread ends before this has landed"));
    LAUNCH(crooked, 1, 1, 0, nullptr, d);
    assert_int_not_equal(cudaGetLastError(), cudaSuccess);
    assert_non_null(strstr(cusim::last_fault(), "not at a multiple of 16 bytes"));
    cudaFree(d);
}

/* Ties to even, overflow to infinity, NaN stays NaN: 1 + 2^-8 lies between 1 and 1 + 2^-7. */
void bfloat16_rounds_to_nearest_even(void **)
{
    assert_int_equal(__float2bfloat16(1.0f).bits, 0x3f80);
    assert_int_equal(__float2bfloat16(1.0f + 0x1p-8f).bits, 0x3f80);
    assert_int_equal(__float2bfloat16(1.0f + 3 * 0x1p-8f).bits, 0x3f82);
    assert_int_equal(__float2bfloat16(1.0f + 0x1p-8f + 0x1p-20f).bits, 0x3f81);
    assert_int_equal(__float2bfloat16(-3.5f).bits, 0xc060);
    assert_int_equal(__float2bfloat16(3.4e38f).bits, 0x7f80);
    float nan = __bfloat162float(__float2bfloat16(__builtin_nanf("")));
    assert_true(nan != nan);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_brought_and_multiplied),     cmocka_unit_test(a_copy_that_is_not_waited_for_shows),
        cmocka_unit_test(a_wait_that_is_one_group_short_shows), cmocka_unit_test(copies_under_way_at_the_end_are_told),
        cmocka_unit_test(bfloat16_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
