/* series.h: one entry of a catalog that denotes many files: "shard_{000..099}.bin" in its path and its URLs.
 *
 *     gp_series s;
 *     if (!gp_series_read(&s, "shard_{08..10}.bin"))      // s.count is 3
 *         name = gp_series_name(&s, "https://host/{08..10}.bin", 2);      // "https://host/10.bin", to be freed
 */
#ifndef GP_FETCH_SERIES_H
#define GP_FETCH_SERIES_H

#include "base/base.h"

typedef struct gp_series {
    char braces[40];  /* as written in each name: "{000..099}" */
    int first, count; /* count 0: the name denotes one file */
    int width;        /* digits of each number, with zeros in front */
} gp_series;

enum { GP_SERIES_MAX = 10000 };

/* 0, or -1 where the braces are not a series. */
int gp_series_read(gp_series *s, const char *name);

/* The name of file i, from 0; NULL where `name` does not contain the braces of s. */
char *gp_series_name(const gp_series *s, const char *name, int i);

/* Whether s, in `name`, continues `before`, in its own name: "a{1..8}" and "a{9..9}" are one series, whose last file
 * may have another size. */
bool gp_series_continues(const gp_series *s, const char *name, const gp_series *before, const char *before_name);

#endif
