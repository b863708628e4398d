/* cublaslt.cu: see cublaslt.cuh. */
#include "backend/cuda/cublaslt.cuh"
#include "base/base.h"

#ifdef GP_CUSIM

int cublaslt_open(Cublaslt *lt)
{
#define CUBLASLT_TAKE(name) lt->name = cublasLt##name;
    CUBLASLT_FUNCTIONS(CUBLASLT_TAKE)
    return 0;
}

#else

#include <dlfcn.h>

#define IN_WORDS(number) #number
#define SO(major)        "libcublasLt.so." IN_WORDS(major)

/* The version of the toolkit that compiled this, then others with the same functions; then where toolkits are installed
 * when ld.so has no path for them. */
static const char *const libraries[] = {
    SO(CUBLAS_VER_MAJOR),
    "libcublasLt.so.13",
    "libcublasLt.so.12",
    "libcublasLt.so",
    "/usr/local/cuda/lib64/libcublasLt.so",
};

static int load(Cublaslt *lt)
{
    for (size_t i = 0; i < ARRAY_LEN(libraries) && !lt->library; i++)
        lt->library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!lt->library)
        return fail("backend cuda: cannot find %s; install CUDA's libcublas, or add its folder to LD_LIBRARY_PATH",
                    SO(CUBLAS_VER_MAJOR));
#define CUBLASLT_TAKE(name)                                                                                            \
    lt->name = reinterpret_cast<decltype(lt->name)>(dlsym(lt->library, "cublasLt" #name));                             \
    if (!lt->name)                                                                                                     \
        return fail("backend cuda: libcublasLt.so has no cublasLt" #name "; cuBLASLt 12 or later is required");
    CUBLASLT_FUNCTIONS(CUBLASLT_TAKE)
    return 0;
}

/* Once a process. */
int cublaslt_open(Cublaslt *lt)
{
    static Cublaslt loaded;
    static bool whole;
    if (!whole && load(&loaded))
        return -1;
    whole = true;
    *lt = loaded;
    return 0;
}

#endif
