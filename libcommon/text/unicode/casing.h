/* casing.h: str.isspace and str.capitalize of Python, with which lm-evaluation-harness preprocesses questions. */
#ifndef GP_TEXT_UNICODE_CASING_H
#define GP_TEXT_UNICODE_CASING_H

#include "base/base.h"

/* str.isspace of one character. Besides White_Space, it is true for U+001C to U+001F, whose bidirectional class is B or
 * S. */
bool gp_python_is_space(uint32_t c);

/* Appends str.capitalize of s: the first character in title case, the rest in lower case, both by Unicode's full
 * mappings (SpecialCasing): a sharp s becomes Ss, a sigma at the end of a word a final sigma. */
void gp_python_capitalize(gp_buf *b, const char *s, size_t n);

/* casing_table.c */
typedef struct gp_case_run {
    uint32_t first, last, step; /* first, first + step, ..., last */
    int32_t delta;              /* each becomes itself plus this */
} gp_case_run;

/* casing.c: what runs, which are sorted by their ends, make of c; c itself if none has it. */
uint32_t gp_case_map(const gp_case_run *runs, size_t count, uint32_t c);

typedef struct gp_case_long {
    uint32_t c, to[3]; /* 0: fewer */
} gp_case_long;

typedef struct gp_case_range {
    uint32_t first, last;
} gp_case_range;

extern const gp_case_run gp_title_runs[], gp_lower_runs[];
extern const gp_case_long gp_title_long[];
extern const gp_case_range gp_case_ignorable[], gp_cased[];
extern const size_t gp_title_runs_count, gp_lower_runs_count, gp_title_long_count, gp_case_ignorable_count,
    gp_cased_count;

#endif
