/* options_check.c: checks .one_of, .needs and .excludes. See gp_options_check. */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

/* A term of .needs or .excludes: NAME, NAME=VALUE or NAME!=VALUE. */
typedef struct term {
    const gp_option *other;
    const char *value; /* `length` bytes, or NULL */
    size_t length;
    bool differs; /* != */
} term;

/* Reads the term at *at, and moves *at to the next one, or to NULL. */
static term read_term(const gp_tool *tool, const char **at)
{
    size_t all = strcspn(*at, "|"), name = strcspn(*at, "|=!");
    term t = {.other = gp_option_find(tool->options, *at, name), .differs = (*at)[name] == '!'};
    BUG_ON(!t.other);
    if (name < all) {
        t.value = *at + name + 1 + t.differs;
        t.length = (size_t)(*at + all - t.value);
    }
    *at = (*at)[all] ? *at + all + 1 : NULL;
    return t;
}

static bool is_given(const gp_option *o, const void *args)
{
    const void *field = gp_option_field(o, args);
    if (o->type == GP_OPT_FLAG)
        return *(const bool *)field;
    if (o->type == GP_OPT_LIST)
        return ((const gp_list *)field)->count > 0;
    return !gp_option_is_unset(o, args);
}

/* Whether the other option, which is given, has the term's value. */
static bool has_value(const term *t, const void *args)
{
    const void *field = gp_option_field(t->other, args);
    if (t->other->type == GP_OPT_INT)
        return *(const int64_t *)field == strtoll(t->value, NULL, 10);
    BUG_ON(t->other->type != GP_OPT_STRING && t->other->type != GP_OPT_CHOICE);
    const char *text = gp_option_text(t->other, args);
    return strlen(text) == t->length && !memcmp(text, t->value, t->length);
}

static bool is_true(const term *t, const void *args)
{
    return is_given(t->other, args) && (!t->value || has_value(t, args) != t->differs);
}

static void put_term(gp_buf *b, const term *t)
{
    gp_buf_printf(b, "--%s", t->other->name);
    if (t->value)
        gp_buf_printf(b, " %s%.*s", t->differs ? "other than " : "", (int)t->length, t->value);
}

void gp_option_put_needs(gp_buf *b, const gp_tool *tool, const gp_option *o)
{
    for (const char *at = o->needs; at;) {
        const char *begin = at;
        term t = read_term(tool, &at);
        gp_buf_puts(b, begin == o->needs ? "" : at ? ", " : " or ");
        put_term(b, &t);
    }
}

static int check_needs(const gp_tool *tool, const gp_option *o, const void *args)
{
    gp_buf needs = {0};
    for (const char *at = o->needs; at;) {
        term t = read_term(tool, &at);
        if (is_true(&t, args))
            return 0;
    }
    gp_option_put_needs(&needs, tool, o);
    int rc = gp_tool_usage(tool, "--%s requires %s", o->name, needs.data);
    gp_buf_release(&needs);
    return rc;
}

static int check_excludes(const gp_tool *tool, const gp_option *o, const void *args)
{
    bool off = o->type == GP_OPT_FLAG && !is_given(o, args);
    for (const char *at = o->excludes; at;) {
        term t = read_term(tool, &at);
        if (!is_true(&t, args))
            continue;
        gp_buf other = {0};
        put_term(&other, &t);
        int rc = gp_tool_usage(tool, "--%s%s has no effect with %s", off ? "no-" : "", o->name, other.data);
        gp_buf_release(&other);
        return rc;
    }
    return 0;
}

static int check_one_of(const gp_tool *tool, const gp_option *o, const void *args)
{
    for (const gp_option *other = tool->options; other < o; other++)
        if (other->one_of && !strcmp(other->one_of, o->one_of) && is_given(other, args))
            return gp_tool_usage(tool, "--%s and --%s cannot be used together", other->name, o->name);
    return 0;
}

int gp_options_check(const gp_tool *tool, const void *args)
{
    int rc = 0;
    for (const gp_option *o = tool->options; !gp_option_ends(o) && !rc; o++)
        if (o->one_of && is_given(o, args))
            rc = check_one_of(tool, o, args);
    for (const gp_option *o = tool->options; !gp_option_ends(o) && !rc; o++) {
        bool check = (o->needs || o->excludes) && gp_options_on_command_line(tool, o->name);
        if (check && o->needs)
            rc = check_needs(tool, o, args);
        if (check && !rc)
            rc = check_excludes(tool, o, args);
    }
    return rc;
}
