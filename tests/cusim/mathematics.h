/* mathematics.h: CUDA's functions of numbers beyond those of C. What is only near on a device is exact here. */
#ifndef CUSIM_MATHEMATICS_H
#define CUSIM_MATHEMATICS_H

#include "types.h"

#include <cmath>
#include <cstring>

static inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}
#define __expf(x)  expf(x) /* names that glibc has for itself */
#define __logf(x)  logf(x)
#define __exp2f(x) exp2f(x)
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float __uint_as_float(unsigned x)
{
    float f;
    memcpy(&f, &x, sizeof f);
    return f;
}
static inline unsigned __float_as_uint(float x)
{
    unsigned u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}
template <class T> static inline T min(T a, T b) /* of one type: CUDA has them for each */
{
    return a < b ? a : b;
}
template <class T> static inline T max(T a, T b)
{
    return a > b ? a : b;
}
template <class T> static inline T __ldg(const T *p)
{
    return *p;
}
template <class T> static inline T __ldcg(const T *p)
{
    return *p;
}

#endif
