/* table.c: the kernels of this instruction set. */
#include "backend/cpu/kernels.h"

#define GP_TEXT2(a) #a
#define GP_TEXT(a)  GP_TEXT2(a)

const gp_kernels KERNEL(kernels) = {.level = GP_TEXT(GP_SIMD),
#define GP_ENTRY(result, name, parameters) .name = KERNEL(name),
                                    GP_KERNELS(GP_ENTRY)
#undef GP_ENTRY
};
