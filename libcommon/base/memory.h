/* memory.h: how much memory this process can have, and how much it has used. */
#ifndef GP_MEMORY_H
#define GP_MEMORY_H

#include "base/base.h"

typedef struct gp_memory_info {
    int64_t available; /* bytes that can be allocated without swapping */
    int64_t total;     /* bytes of the machine, or the lowest limit of a control group of this process */
} gp_memory_info;

/* root: where /proc and /sys are; "" except in tests. */
gp_memory_info gp_memory_query(const char *root);

/* Asks for huge pages where these bytes of anonymous memory lie, which are all going to be written and then read again
 * and again. Nothing happens where the system has none. */
void gp_memory_use_huge_pages(void *p, size_t bytes);

/* Peak resident set size in bytes, mapped files included; 0 if the system does not report it. */
int64_t gp_memory_peak(void);

#endif
