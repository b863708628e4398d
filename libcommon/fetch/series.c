/* series.c: see series.h. */
#include "fetch/series.h"

#include <string.h>

int gp_series_read(gp_series *s, const char *name)
{
    const char *open = strpbrk(name, "{}");
    int first, last, from, to, end = 0;
    *s = (gp_series){0};
    if (!open)
        return 0;
    /* Six digits at most, so that nothing overflows. */
    if (sscanf(open, "{%n%6d%n..%6d}%n", &from, &first, &to, &last, &end) != 2 || !end ||
        (size_t)end >= sizeof s->braces || strpbrk(open + end, "{}") || first < 0 || last < first ||
        last - first >= GP_SERIES_MAX)
        return fail("\"%s\" is no series of files: expected {FIRST..LAST}, as in {000..099}, of %d at most", name,
                    GP_SERIES_MAX);
    memcpy(s->braces, open, (size_t)end);
    s->first = first;
    s->count = last - first + 1;
    s->width = to - from;
    return 0;
}

char *gp_series_name(const gp_series *s, const char *name, int i)
{
    const char *at = strstr(name, s->braces);
    if (!at)
        return NULL;
    return gp_format("%.*s%0*d%s", (int)(at - name), name, s->width, s->first + i, at + strlen(s->braces));
}

bool gp_series_continues(const gp_series *s, const char *name, const gp_series *before, const char *before_name)
{
    const char *at = strstr(name, s->braces), *before_at = strstr(before_name, before->braces);
    if (!s->count || !before->count || s->first != before->first + before->count)
        return false;
    return at - name == before_at - before_name && !strncmp(name, before_name, (size_t)(at - name)) &&
           !strcmp(at + strlen(s->braces), before_at + strlen(before->braces));
}
