/* options_value.c: parses values of options into the typed fields of a tool's arguments. */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Memory that lives until the process ends, as arguments do, in a list. */
static struct block {
    struct block *next;
    char data[];
} * blocks;

static void *allocate(size_t bytes)
{
    struct block *block = gp_malloc(sizeof *block + bytes);
    block->next = blocks;
    blocks = block;
    return block->data;
}

const char *gp_option_strndup(const char *text, size_t length)
{
    char *copy = allocate(length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

void gp_list_append(gp_list *list, const char *text, bool first)
{
    if (first)
        *list = (gp_list){0}; /* the old items are defaults or in `blocks` */
    size_t n = (size_t)list->count;
    if (!(n & (n - 1))) { /* full at 0, 1, 2, 4, 8, ... */
        const char **items = allocate((n ? 2 * n : 1) * sizeof *items);
        if (n)
            memcpy(items, list->items, n * sizeof *items);
        list->items = items;
    }
    list->items[n] = text;
    list->count++;
}

/* [sign] digits [. digits] [e exponent] [k|M|G], in integer arithmetic, so that 1e6 and 1.5k are exact, and 1.5 or 1e-1
 * are errors. */
static int parse_int(const char *text, int64_t *out)
{
    const char *s = text;
    bool negative = *s == '-', point = false, digits = false, large = false;
    int64_t value = 0, exponent = 0;
    s += *s == '-' || *s == '+';
    for (; isdigit((unsigned char)*s) || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        digits = true;
        exponent -= point;
        large |= !gp_mul(value, 10, &value) || __builtin_add_overflow(value, negative ? '0' - *s : *s - '0', &value);
    }
    if (digits && (*s == 'e' || *s == 'E')) {
        char *end = NULL;
        bool blank = isspace((unsigned char)s[1]); /* strtol would skip it */
        errno = 0;
        long e = strtol(s + 1, &end, 10);
        if (blank || end == s + 1 || errno || labs(e) > 1000)
            return fail("'%s' is not a whole number", text);
        exponent += e;
        s = end;
    }
    int thousands = *s == 'k' ? 1 : *s == 'M' ? 2 : *s == 'G' ? 3 : 0;
    exponent += 3 * thousands;
    s += thousands > 0;
    if (!digits || *s)
        return fail("'%s' is not a whole number (like 1000, 1e6, 64k, 2M)", text);
    for (; exponent > 0 && value; exponent--)
        large |= !gp_mul(value, 10, &value);
    for (; exponent < 0 && value; exponent++) {
        if (value % 10)
            return fail("'%s' is not a whole number", text);
        value /= 10;
    }
    if (large)
        return fail("'%s' does not fit in 64 bits", text);
    *out = value;
    return 0;
}

static int parse_double(const char *text, double *out)
{
    const char *s = text + (*text == '-' || *text == '+');
    char *end = NULL;
    if (!strcmp(s, ".inf") || !strcmp(s, "inf")) {
        *out = *text == '-' ? -HUGE_VAL : HUGE_VAL;
        return 0;
    }
    errno = 0;
    /* strtod would accept leading white space, nan and hexadecimal numbers too */
    bool decimal = (isdigit((unsigned char)*s) || *s == '.') && !strpbrk(s, "xX");
    double x = decimal ? strtod(text, &end) : 0;
    if (!decimal || *end || end == text)
        return fail("'%s' is not a number", text);
    if (errno == ERANGE && fabs(x) > 1)
        return fail("'%s' is too large for a double", text);
    *out = x;
    return 0;
}

/* Seconds, or the unit that the last letter names. */
static int parse_time(const char *text, double *out)
{
    static const char letters[] = "smhd";
    static const double seconds[] = {1, 60, 3600, 86400};
    size_t n = strlen(text);
    const char *letter = n ? strchr(letters, text[n - 1]) : NULL;
    char *number = gp_strndup(text, letter ? n - 1 : n);
    double x = 0;
    int rc = parse_double(number, &x);
    free(number);
    if (rc)
        return fail("'%s' is not a time (like 90s, 10m, 1.5h, 2d)", text);
    *out = letter ? x * seconds[letter - letters] : x;
    return 0;
}

static double range_max(const gp_option *o)
{
    return o->max < o->min ? HUGE_VAL : o->max;
}

static bool in_range(const gp_option *o, double x)
{
    bool any = o->min == 0 && o->max == 0;
    return any || (x >= o->min && x <= range_max(o));
}

/* Whole numbers without an exponent: 1000000000, not 1e+09. */
static void put_limit(gp_buf *b, double x)
{
    if (x == nearbyint(x) && fabs(x) < 1e15)
        gp_buf_printf(b, "%.0f", x);
    else
        gp_put_double(b, x);
}

static int fail_range(const gp_option *o, const char *text)
{
    gp_buf range = {0};
    if (isinf(o->min)) {
        gp_buf_puts(&range, "at most ");
        put_limit(&range, o->max);
    } else if (isinf(range_max(o))) {
        gp_buf_puts(&range, "at least ");
        put_limit(&range, o->min);
    } else {
        put_limit(&range, o->min);
        gp_buf_puts(&range, " to ");
        put_limit(&range, o->max);
    }
    fail("%s is out of range, expected %s%s", text, range.data, o->type == GP_OPT_TIME ? " seconds" : "");
    gp_buf_release(&range);
    return -1;
}

void gp_option_put_choices(gp_buf *b, const gp_option *o, const char *separator)
{
    const char *const *first = o->choices + !**o->choices;
    for (const char *const *name = first; *name; name++)
        gp_buf_printf(b, "%s%s", name == first ? "" : separator, *name);
}

const char *gp_option_text(const gp_option *o, const void *args)
{
    const void *field = gp_option_field(o, args);
    return o->type == GP_OPT_CHOICE ? o->choices[*(const int *)field] : *(const char *const *)field;
}

static int find_choice(const gp_option *o, const char *text, int *value)
{
    for (int i = 0; *text && o->choices[i]; i++)
        if (!strcmp(o->choices[i], text)) {
            *value = i;
            return 0;
        }
    gp_buf list = {0};
    gp_option_put_choices(&list, o, ", ");
    fail("'%s' is not one of %s", text, list.data);
    gp_buf_release(&list);
    return -1;
}

int gp_option_set(const gp_option *o, void *args, const char *text, bool first)
{
    void *field = (char *)args + o->offset;
    double x = 0;
    int64_t n = 0;
    int choice;
    if (o->nonempty && !*text)
        return fail("is empty, expected %s", o->arg);
    switch (o->type) {
    case GP_OPT_INT:
        if (parse_int(text, &n))
            return -1;
        if (!in_range(o, (double)n))
            return fail_range(o, text);
        *(int64_t *)field = n;
        return 0;
    case GP_OPT_FLOAT:
    case GP_OPT_TIME:
        if (o->type == GP_OPT_TIME ? parse_time(text, &x) : parse_double(text, &x))
            return -1;
        if (!in_range(o, x))
            return fail_range(o, text);
        *(double *)field = x;
        return 0;
    case GP_OPT_CHOICE:
        return find_choice(o, text, field);
    case GP_OPT_STRING:
        *(const char **)field = text;
        return 0;
    case GP_OPT_LIST:
        if (o->choices && find_choice(o, text, &choice))
            return -1;
        gp_list_append(field, text, first);
        return 0;
    case GP_OPT_FLAG:
    case GP_OPT_GROUP:
        break;
    }
    gp_bug(__FILE__, __LINE__, "an option of this type has no text");
}

void gp_option_set_flag(const gp_option *o, void *args, bool on)
{
    BUG_ON(o->type != GP_OPT_FLAG);
    *(bool *)((char *)args + o->offset) = on;
}

static void clear(const gp_option *o, void *args)
{
    void *field = (char *)args + o->offset;
    if (o->type == GP_OPT_STRING)
        *(const char **)field = NULL;
    else if (o->type == GP_OPT_CHOICE)
        *(int *)field = 0;
    else if (o->type == GP_OPT_LIST)
        *(gp_list *)field = (gp_list){0};
}

/* null empties a list and unsets a string or choice that has .default_text; other options keep their value. */
void gp_option_set_null(const gp_option *o, void *args)
{
    if (o->type == GP_OPT_LIST || o->default_text)
        clear(o, args);
}

/* Sets a number to one outside its range, so the option must have a range. */
static void unset(const gp_option *o, void *args)
{
    void *field = (char *)args + o->offset;
    clear(o, args);
    if (o->type == GP_OPT_INT)
        *(int64_t *)field = (int64_t)o->min - 1;
    else if (o->type == GP_OPT_FLOAT || o->type == GP_OPT_TIME)
        *(double *)field = NAN;
    BUG_ON(o->type != GP_OPT_LIST && !gp_option_is_unset(o, args));
}

int gp_option_replace(const gp_tool *tool, const gp_option *o, void *args, const bool *given)
{
    for (const char *name = o->replaces; name && *name;) {
        size_t n = strcspn(name, "|");
        const gp_option *other = gp_option_find(tool->options, name, n);
        BUG_ON(!other);
        if (given[other - tool->options])
            return fail("--%s and --%s cannot be used together", other->name, o->name);
        unset(other, args);
        name += n + (name[n] == '|');
    }
    return 0;
}

bool gp_option_is_unset(const gp_option *o, const void *args)
{
    const void *field = gp_option_field(o, args);
    switch (o->type) {
    case GP_OPT_INT:
        return !in_range(o, (double)*(const int64_t *)field);
    case GP_OPT_FLOAT:
    case GP_OPT_TIME:
        return isnan(*(const double *)field) || !in_range(o, *(const double *)field);
    case GP_OPT_STRING:
        return !*(const char *const *)field;
    case GP_OPT_CHOICE:
        return !*gp_option_text(o, args);
    case GP_OPT_LIST:
    case GP_OPT_FLAG:
    case GP_OPT_GROUP:
        break;
    }
    return false;
}

void gp_put_double(gp_buf *b, double x)
{
    char text[32];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, x);
        if (strtod(text, NULL) == x)
            break;
    }
    gp_buf_puts(b, text);
}

int64_t gp_unescape(char *s)
{
    char *to = s;
    for (const char *from = s; *from; from++) {
        unsigned byte = (unsigned char)*from;
        int used = 0;
        if (*from == '\\') {
            if (from[1] == 'x' && sscanf(from + 2, "%2x%n", &byte, &used) == 1 && used == 2)
                from += 3;
            else if (from[1] == 'n' || from[1] == 't' || from[1] == '\\')
                byte = from[1] == 'n' ? '\n' : from[1] == 't' ? '\t' : '\\', from++;
            else
                return -1;
        }
        *to++ = (char)byte;
    }
    return to - s;
}
