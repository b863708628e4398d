/* cublaslt.cuh: cuBLASLt, loaded by dlopen when the device is opened, so that programs start without it. Under GP_CUSIM
 * it is the simulator's. */
#ifndef GP_CUDA_CUBLASLT_CUH
#define GP_CUDA_CUBLASLT_CUH

#include "backend/cuda/cuda.cuh"

#include <cublasLt.h>

#define CUBLASLT_FUNCTIONS(X)                                                                                          \
    X(Create)                                                                                                          \
    X(GetVersion)                                                                                                      \
    X(Destroy)                                                                                                         \
    X(GetStatusString)                                                                                                 \
    X(MatmulDescCreate)                                                                                                \
    X(MatmulDescDestroy)                                                                                               \
    X(MatmulDescSetAttribute)                                                                                          \
    X(MatrixLayoutCreate)                                                                                              \
    X(MatrixLayoutDestroy)                                                                                             \
    X(MatmulPreferenceCreate)                                                                                          \
    X(MatmulPreferenceDestroy)                                                                                         \
    X(MatmulPreferenceSetAttribute)                                                                                    \
    X(MatmulAlgoGetHeuristic)                                                                                          \
    X(MatmulAlgoCheck)                                                                                                 \
    X(MatmulAlgoConfigGetAttribute)                                                                                    \
    X(Matmul)

/* lt.Matmul is cublasLtMatmul, and so on. */
struct Cublaslt {
    void *library;
#define CUBLASLT_POINTER(name) decltype(&cublasLt##name) name;
    CUBLASLT_FUNCTIONS(CUBLASLT_POINTER)
#undef CUBLASLT_POINTER
};

/* 0; or -1, with an error that names the library. It stays loaded until the process ends: its CUDA modules are loaded
 * lazily, and events or graphs may outlive a backend. */
int cublaslt_open(Cublaslt *lt);

#endif
