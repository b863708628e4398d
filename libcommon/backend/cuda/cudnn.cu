/* cudnn.cu: see cudnn.cuh. */
#ifdef GPTPIPE_CUDNN

#include "backend/cuda/cudnn.cuh"
#include "base/base.h"

#ifdef GP_CUSIM

static int load(Cudnn *dnn)
{
    if (!cusim::has_cudnn())
        return fail("backend cuda: cannot find libcudnn.so.9");
#define CUDNN_TAKE(name) dnn->name = cudnn##name;
    CUDNN_FUNCTIONS(CUDNN_TAKE)
    return 0;
}

void cudnn_close(Cudnn *)
{
}

#else

#include <dlfcn.h>

/* All of cuDNN, or its graph library alone; then where toolkits are installed when ld.so has no path for them. */
static const char *const libraries[] = {
    "libcudnn.so.9",
    "libcudnn_graph.so.9",
    "/usr/local/cuda/lib64/libcudnn.so.9",
};

static int load(Cudnn *dnn)
{
    for (size_t i = 0; i < ARRAY_LEN(libraries) && !dnn->library; i++)
        dnn->library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    if (!dnn->library)
        return fail("backend cuda: cannot find libcudnn.so.9; install cuDNN 9, or add its folder to LD_LIBRARY_PATH");
#define CUDNN_TAKE(name)                                                                                               \
    dnn->name = reinterpret_cast<decltype(dnn->name)>(dlsym(dnn->library, "cudnn" #name));                             \
    if (!dnn->name) {                                                                                                  \
        fail("backend cuda: libcudnn.so.9 has no cudnn" #name);                                                        \
        cudnn_close(dnn);                                                                                              \
        return -1;                                                                                                     \
    }
    CUDNN_FUNCTIONS(CUDNN_TAKE)
    return 0;
}

void cudnn_close(Cudnn *dnn)
{
    dlclose(dnn->library);
    dnn->library = nullptr;
}

#endif

/* Older versions do not accept infinity as the value of masked scores. */
constexpr size_t OLDEST = 91000;

int cudnn_open(Cudnn *dnn)
{
    if (load(dnn))
        return -1;
    dnn->version = dnn->GetVersion();
    if (dnn->version >= OLDEST)
        return 0;
    fail("backend cuda: found cuDNN %zu.%zu.%zu, %zu.%zu or later is required", dnn->version / 10000,
         dnn->version / 100 % 100, dnn->version % 100, OLDEST / 10000, OLDEST / 100 % 100);
    cudnn_close(dnn);
    return -1;
}

#endif
