/* gpu.h: which GPU is simulated, and what is wrong with it. Said by CUSIM_GPU, a list of name=number:
 *
 *     CUSIM_GPU=sm=80,memory=64 cusim_attention      what an A100 has, with 64 MiB of memory
 *     CUSIM_GPU=driver=0                             no driver is installed
 *     CUSIM_GPU=driver=12040                         one for CUDA 12.4, older than the toolkit
 *     CUSIM_GPU=count=0                              a driver, and no GPU
 *     CUSIM_GPU=image=0                              the program has no code for this GPU
 *     CUSIM_GPU=lost=1000                            it is lost when it should do its 1000th launch
 *     CUSIM_GPU=cudnn=90100                          cuDNN is 9.1.0; 0: it is not installed
 *     CUSIM_GPU=cublaslt=130200                      cuBLASLt is 13.2.0
 *     CUSIM_GPU=algorithm=3                          its fourth algorithm is the fastest (cublasLt.h)
 *     CUSIM_GPU=refused=164                          cuBLASLt refuses to run what it offered for that epilogue
 *     CUSIM_GPU=graphs=0                             its driver makes no graphs of what was captured
 *     CUSIM_GPU=pages=1                              it reads all of the host's memory by itself, as by HMM; 2: as on
 *                                                    Grace Hopper, by the host's page tables
 */
#ifndef CUSIM_GPU_H
#define CUSIM_GPU_H

#include <cstddef>

namespace cusim
{

constexpr int runtime_version = 13000;

struct Gpu {
    int sm = 90, count = 1, driver = runtime_version, image = 1, cudnn = 91900, pages = 0, cublaslt = 130101,
        algorithm = 0, refused = 0, graphs = 1;
    size_t memory = size_t{1} << 30;
    long lost = -1;        /* launches that it does still; negative: all */
    size_t shared() const; /* bytes that a block may ask for */
};

Gpu &gpu();

} // namespace cusim

#endif
