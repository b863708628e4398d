/* series.h: one entry of a catalog that stands for many files: "shard_{000..099}.bin" in its path and its URLs.
 *
 *     gp_series s;
 *     if (!gp_series_read(&s, "shard_{08..10}.bin"))      // s.count is 3
 *         name = gp_series_name(&s, "https://host/{08..10}.bin", 2);      // "https://host/10.bin", to be freed
 */
#ifndef GP_FETCH_SERIES_H
#define GP_FETCH_SERIES_H

#include "base/base.h"

typedef struct gp_series {
    char braces[40];  /* as they stand in each name: "{000..099}" */
    int first, count; /* count 0: the name stands for itself */
    int width;        /* digits of each number, with zeros in front */
} gp_series;

enum { GP_SERIES_MAX = 10000 };

/* 0, or -1 where there are braces that are no series. */
int gp_series_read(gp_series *s, const char *name);

/* The name of file i, from 0; NULL where `name` has not the braces of s in it. */
char *gp_series_name(const gp_series *s, const char *name, int i);

/* Whether s, in `name`, goes on where `before`, in its own name, ended: "a{1..8}" and "a{9..9}" are one series, whose
 * last file may have a size of its own. */
bool gp_series_continues(const gp_series *s, const char *name, const gp_series *before, const char *before_name);

#endif
