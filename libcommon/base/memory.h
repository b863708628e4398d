/* memory.h: how much memory there is for this process, and how much of it it has had. */
#ifndef GP_MEMORY_H
#define GP_MEMORY_H

#include "base/base.h"

typedef struct gp_room {
    int64_t free;  /* what can be had without swapping */
    int64_t total; /* the machine's, or the least that a control group around this process allows */
} gp_room;

/* root: "" but in tests, where /proc and /sys are looked for below it. */
gp_room gp_memory_room(const char *root);

/* The most memory that this process has had resident so far, mapped files included; 0 where the system does not say. */
int64_t gp_memory_peak(void);

#endif
