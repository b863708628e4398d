/* labels.c: see labels.h. */
#include "data/labels.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* ---- reading ---------------------------------------------------------------------------------------------- */

static bool is_whole_number(const char *name)
{
    size_t sign = *name == '-', digits = strspn(name + sign, "0123456789");
    return digits && !name[sign + digits];
}

static bool are_numbers(const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (!is_whole_number(names[i]))
            return false;
    return count;
}

/* The number 1 is the name "1", not "01". */
static int find_integer(const char *const *names, int count, json_int_t x)
{
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)x);
    return gp_find_name(names, (size_t)count, name);
}

static int read_integer(const char *const *names, int count, json_int_t x, const char *where, int *label)
{
    json_int_t max = count ? count - 1 : INT_MAX;
    if (are_numbers(names, count)) {
        *label = find_integer(names, count, x);
        return *label < 0 ? fail("%s is %lld, which is not one of the %d labels", where, (long long)x, count) : 0;
    }
    *label = (int)x;
    return x < 0 || x > max ? fail("%s is %lld, expected 0 to %lld", where, (long long)x, (long long)max) : 0;
}

static int check_type(const json_t *value, const char *where)
{
    if (json_is_integer(value) || json_is_string(value))
        return 0;
    return fail("%s is %s", where, value ? "neither a whole number nor a name" : "missing");
}

int gp_label_read(const char *const *names, int count, const json_t *value, const char *field, const char *file,
                  int64_t line, int *label)
{
    char *where = gp_format("%s: line %lld: its \"%s\"", file, (long long)line, field);
    int rc = check_type(value, where);
    if (!rc && json_is_integer(value)) {
        rc = read_integer(names, count, json_integer_value(value), where, label);
    } else if (!rc) {
        const char *name = json_string_value(value);
        *label = strlen(name) == json_string_length(value) ? gp_find_name(names, (size_t)count, name) : -1;
        if (*label < 0)
            rc = fail("%s is \"%s\", which is not one of the %d labels", where, name, count);
    }
    free(where);
    return rc;
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static int append(gp_labels *l, char *name)
{
    if (l->count == GP_LABELS_MAX) {
        free(name);
        return fail("there are more than %d labels", GP_LABELS_MAX);
    }
    if (!l->names)
        l->names = gp_calloc(GP_LABELS_MAX, sizeof *l->names);
    l->names[l->count++] = name;
    return 0;
}

static int find(const gp_labels *l, const char *name)
{
    return gp_find_name((const char *const *)l->names, (size_t)l->count, name);
}

int gp_labels_parse(gp_labels *l, const char *list)
{
    if (!gp_is_utf8(list, strlen(list)))
        return fail("the list of labels \"%s\" is not UTF-8", list);
    for (const char *at = list, *end;; at = end + 1) {
        end = at + strcspn(at, ",");
        char *name = gp_strndup(at, (size_t)(end - at));
        int rc = !*name               ? fail("the list of labels \"%s\" has an empty name", list)
                 : find(l, name) >= 0 ? fail("the list of labels \"%s\" has %s twice", list, name)
                                      : 0;
        if (rc) {
            free(name);
            return rc;
        }
        if (append(l, name))
            return -1;
        if (!*end)
            return 0;
    }
}

int gp_labels_add(gp_labels *l, const json_t *value, const char *field, const char *file, int64_t line)
{
    char *where = gp_format("%s: line %lld: its \"%s\"", file, (long long)line, field);
    const char *text = json_string_value(value);
    int rc = check_type(value, where);
    if (!rc && text && strlen(text) != json_string_length(value))
        rc = fail("%s contains U+0000", where);
    if (!rc && text && !*text)
        rc = fail("%s is empty, expected a name", where);
    if (!rc &&
        (text ? *text == '-' && is_whole_number(text) : json_integer_value(value) < 0)) /* "unlabelled", mostly */
        rc = fail("%s is below 0; if it is a label, name all labels with --labels", where);
    char *name = rc ? NULL : text ? gp_strdup(text) : gp_format("%lld", (long long)json_integer_value(value));
    char **first = !name || (text && is_whole_number(text)) ? NULL : text ? &l->name : &l->number;
    if (first && !*first)
        *first = gp_strdup(where);
    if (name && find(l, name) >= 0)
        free(name);
    else if (name && append(l, name))
        rc = gp_fail_in("%s", where);
    free(where);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_number(const void *a, const void *b)
{
    long long x = strtoll(*(char *const *)a, NULL, 10), y = strtoll(*(char *const *)b, NULL, 10);
    return x == y ? by_name(a, b) : x < y ? -1 : 1;
}

int gp_labels_sort(gp_labels *l, const char *what)
{
    if (!l->count)
        return fail("%s: is empty", what);
    if (l->number && l->name)
        return fail("%s is a number, but %s is a name; name the labels 0, 1, ... with --labels", l->number, l->name);
    qsort(l->names, (size_t)l->count, sizeof *l->names, l->name ? by_name : by_number);
    return 0;
}

void gp_labels_release(gp_labels *l)
{
    for (int i = 0; i < l->count; i++)
        free(l->names[i]);
    free(l->names);
    free(l->number);
    free(l->name);
    *l = (gp_labels){0};
}
