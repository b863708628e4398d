/* options_check.c: options that the others make meaningless. See gp_options_check. */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

/* One of what .beside lists: [!]NAME[=VALUE]. */
typedef struct term {
    bool unless;
    const gp_option *other;
    const char *value; /* up to the next comma; NULL: none */
    size_t length;
} term;

static term read_term(const gp_tool *tool, const char *text)
{
    term t = {.unless = *text == '!'};
    const char *name = text + t.unless;
    size_t n = strcspn(name, "=,");
    t.other = gp_option_find(tool->options, name, n);
    BUG_ON(!t.other);
    if (name[n] == '=') {
        t.value = name + n + 1;
        t.length = strcspn(t.value, ",");
    }
    return t;
}

static bool is_there(const gp_option *o, const void *args)
{
    const void *field = gp_option_field(o, args);
    if (o->type == GP_OPT_FLAG)
        return *(const bool *)field;
    if (o->type == GP_OPT_LIST)
        return ((const gp_list *)field)->count > 0;
    return !gp_option_is_unset(o, args);
}

static bool has_value(const term *t, const void *args)
{
    const void *field = gp_option_field(t->other, args);
    if (t->other->type == GP_OPT_INT)
        return *(const int64_t *)field == strtoll(t->value, NULL, 10);
    BUG_ON(t->other->type != GP_OPT_STRING && t->other->type != GP_OPT_CHOICE);
    const char *text = *(const char *const *)field;
    return text && strlen(text) == t->length && !memcmp(text, t->value, t->length);
}

static int check_term(const gp_tool *tool, const gp_option *o, const term *t, const void *args)
{
    if ((t->value ? has_value(t, args) : is_there(t->other, args)) != t->unless)
        return 0;
    bool off = o->type == GP_OPT_FLAG && !is_there(o, args);
    return gp_tool_usage(tool, t->unless ? "--%s%s does nothing beside --%s%s%.*s" : "--%s%s goes with --%s%s%.*s",
                         off ? "no-" : "", o->name, t->other->name, t->value ? " " : "", (int)t->length,
                         t->value ? t->value : "");
}

int gp_options_check(const gp_tool *tool, const void *args)
{
    int rc = 0;
    for (const gp_option *o = tool->options; !gp_option_ends(o) && !rc; o++) {
        bool said = o->beside && gp_options_said(tool, o->name);
        for (const char *at = o->beside; said && !rc && at; at = strchr(at, ','), at = at ? at + 1 : NULL) {
            term t = read_term(tool, at);
            rc = check_term(tool, o, &t, args);
        }
    }
    return rc;
}
