/* gpu.cpp: see gpu.h. */
#include "gpu.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cusim
{

/* CUDA's programming guide, the table of technical specifications by compute capability. */
size_t Gpu::shared() const
{
    size_t kib = sm >= 120 ? 99 : sm >= 90 ? 227 : sm > 80 ? 99 : sm == 80 ? 163 : 64;
    return kib << 10;
}

static Gpu read()
{
    Gpu g;
    const char *at = getenv("CUSIM_GPU");
    while (at && *at) {
        char name[16];
        long value;
        int length;
        if (sscanf(at, "%15[a-z]=%ld%n", name, &value, &length) != 2) {
            fprintf(stderr, "CUSIM_GPU: \"%s\" is not name=number\n", at);
            abort();
        }
        if (!strcmp(name, "sm"))
            g.sm = static_cast<int>(value);
        else if (!strcmp(name, "count"))
            g.count = static_cast<int>(value);
        else if (!strcmp(name, "driver"))
            g.driver = static_cast<int>(value);
        else if (!strcmp(name, "image"))
            g.image = static_cast<int>(value);
        else if (!strcmp(name, "cudnn"))
            g.cudnn = static_cast<int>(value);
        else if (!strcmp(name, "cublaslt"))
            g.cublaslt = static_cast<int>(value);
        else if (!strcmp(name, "algorithm"))
            g.algorithm = static_cast<int>(value);
        else if (!strcmp(name, "refused"))
            g.refused = static_cast<int>(value);
        else if (!strcmp(name, "graphs"))
            g.graphs = static_cast<int>(value);
        else if (!strcmp(name, "pages"))
            g.pages = static_cast<int>(value);
        else if (!strcmp(name, "memory"))
            g.memory = static_cast<size_t>(value) << 20;
        else if (!strcmp(name, "lost"))
            g.lost = value;
        else
            abort();
        at += length + (at[length] == ',');
    }
    return g;
}

Gpu &gpu()
{
    static Gpu g = read();
    return g;
}

} // namespace cusim
