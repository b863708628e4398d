/* vendor.c: peak figures as published by vendors. */
#include <string.h>

#include "base/base.h"
#include "gptpipe/measure.h"

/* Of a processor: cores x highest clock x FLOPs per cycle and core: 2 FLOPs per multiply-add, 32 for two 256-bit pipes
 * (Zen 2 to 4), 64 for two 512-bit pipes (Xeon), twice that in bf16 with AVX-512 BF16, 2048 with AMX. It does not
 * sustain that clock on all cores, so utilization relative to it is a lower bound; but products in fp32 by AMX can
 * exceed the figure, which is of multiply-adds in fp32. Of a GPU: its data sheet, dense. */
typedef struct device {
    const char *name;  /* substring of the system's name; the first match is used */
    int cores;         /* 0: fp32 and bf16 are the whole device's */
    double clock;      /* GHz */
    double fp32, bf16; /* of a core: FLOPs a cycle; of a device: TFLOP/s */
    double bandwidth;  /* GB/s */
} device;

static const device devices[] = {
    /* amd.com, product specifications: cores, max. boost clock, per-socket memory bandwidth */
    {"EPYC 7742", 64, 3.4, 32, 0, 204.8},
    {"EPYC 7763", 64, 3.5, 32, 0, 204.8},
    {"EPYC 9554", 64, 3.75, 32, 64, 460.8},
    {"EPYC 9654", 96, 3.7, 32, 64, 460.8},
    /* ark.intel.com: cores, max. turbo frequency; 8 channels of DDR4-3200 or DDR5-4800 */
    {"Platinum 8380", 40, 3.4, 64, 0, 204.8},
    {"Platinum 8480+", 56, 3.8, 64, 2048, 307.2},
    /* nvidia.com, data sheets; where they give sparse figures, half of them */
    {"Tesla T4", 0, 0, 8.1, 0, 320},
    {"V100-SXM2", 0, 0, 15.7, 0, 900},
    {"A100-SXM4-40GB", 0, 0, 19.5, 312, 1555},
    {"A100-PCIE-40GB", 0, 0, 19.5, 312, 1555},
    {"A100-SXM4-80GB", 0, 0, 19.5, 312, 2039},
    {"A100 80GB PCIe", 0, 0, 19.5, 312, 1935},
    {"H100 80GB HBM3", 0, 0, 67, 989.5, 3350},
    {"H200", 0, 0, 67, 989.5, 4800},
    {"L40S", 0, 0, 91.6, 362, 864},
    {"NVIDIA L4", 0, 0, 30.3, 121, 300},
    {"RTX 4090", 0, 0, 82.6, 165.2, 1008},
};

bool gp_vendor_find(const char *name, int threads, gp_vendor *v)
{
    for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
        const device *d = &devices[i];
        const char *at = strstr(name, d->name);
        size_t length = strlen(d->name);
        if (!at || (at[length] && strchr("0123456789", at[length])))
            continue;
        double scale = d->cores ? 1e9 * d->clock * (double)gp_min(threads, d->cores) : 1e12;
        *v = (gp_vendor){d->name, scale * d->fp32, scale * d->bf16, 1e9 * d->bandwidth};
        return true;
    }
    return false;
}
