/* cusim.h: a CUDA device for tests, in C++17 and without a toolkit. A kernel's source includes this in place of
 * cuda_runtime.h, and says LAUNCH, SHARED and DYNAMIC_SHARED where CUDA has syntax of its own:
 *
 *     __global__ void scale(float *x, float by, int n)
 *     {
 *         int i = blockIdx.x * blockDim.x + threadIdx.x;
 *         if (i < n)
 *             x[i] *= by;
 *     }
 *     LAUNCH(scale, (n + 127) / 128, 128, 0, stream, x, 2.0f, n);
 *     if (cudaGetLastError() != cudaSuccess)
 *         puts(cusim::last_fault());       // "scale: block (0,0,0) thread (3,0,0), ..."
 */
#ifndef CUSIM_H
#define CUSIM_H

#include "bfloat16.h"
#include "device.h"
#include "mathematics.h"
#include "runtime.h"

#endif
