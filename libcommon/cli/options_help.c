/* options_help.c: the output of --help. */
#include "cli/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN_MAX = 30 }; /* the text of longer options begins on the next line */

/* Columns on a terminal: bytes other than UTF-8 continuation bytes. */
static int text_width(const char *s, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n; i++)
        width += ((unsigned char)s[i] & 0xC0) != 0x80;
    return width;
}

/* Appends text from `column` on, wrapped at `width`, with further lines indented by `indent`. */
static void put_wrapped(gp_buf *b, const char *text, int column, int indent, int width)
{
    bool first = true;
    for (const char *s = text + strspn(text, " \n"); *s; s += strspn(s, " \n")) {
        size_t n = strcspn(s, " \n");
        int columns = text_width(s, n) + !first;
        if (!first && column + columns > width) {
            gp_buf_printf(b, "\n%*s", indent, "");
            column = indent;
            first = true;
            columns--;
        }
        gp_buf_printf(b, "%s%.*s", first ? "" : " ", (int)n, s);
        column += columns;
        first = false;
        s += n;
    }
    gp_buf_puts(b, "\n");
}

static void put_default(gp_buf *b, const gp_option *o, const void *args)
{
    const void *field = gp_option_field(o, args);
    const gp_list *list = field;
    switch (o->type) {
    case GP_OPT_FLAG:
        gp_buf_puts(b, *(const bool *)field ? "on" : "");
        break;
    case GP_OPT_INT:
        gp_buf_printf(b, "%lld", (long long)*(const int64_t *)field);
        break;
    case GP_OPT_FLOAT:
        gp_put_double(b, *(const double *)field);
        break;
    case GP_OPT_TIME:
        gp_put_time(b, *(const double *)field);
        break;
    case GP_OPT_STRING:
    case GP_OPT_CHOICE:
        gp_buf_puts(b, gp_option_text(o, args));
        break;
    case GP_OPT_LIST:
        for (int i = 0; i < list->count; i++)
            gp_buf_printf(b, "%s%s", i ? " " : "", list->items[i]);
        break;
    case GP_OPT_GROUP:
        break;
    }
}

void gp_option_put_help(gp_buf *b, const gp_tool *tool, const gp_option *o)
{
    if (o->needs) {
        gp_buf_puts(b, "with ");
        gp_option_put_needs(b, tool, o);
        gp_buf_puts(b, ": ");
    }
    gp_buf_puts(b, o->help ? o->help : "");
}

/* "; not with --b, --c" */
static void put_excluded(gp_buf *b, const gp_tool *tool, const gp_option *o)
{
    const char *before = "; not with --";
    for (const gp_option *other = tool->options; o->one_of && !gp_option_ends(other); other++) {
        if (other == o || !other->one_of || strcmp(other->one_of, o->one_of))
            continue;
        gp_buf_printf(b, "%s%s", before, other->name);
        before = ", --";
    }
}

void gp_option_describe(gp_buf *b, const gp_tool *tool, const gp_option *o, const void *args)
{
    gp_buf value = {0};
    gp_option_put_help(b, tool, o);
    put_excluded(b, tool, o);
    if (o->default_text)
        gp_buf_puts(&value, o->default_text);
    else if (!gp_option_is_unset(o, args))
        put_default(&value, o, args);
    if (o->choices) {
        gp_buf_puts(b, " [");
        gp_option_put_choices(b, o, "|");
        gp_buf_puts(b, "]");
    }
    const char *repeated = o->type == GP_OPT_LIST ? "may be repeated" : "";
    if (value.len)
        gp_buf_printf(b, " (%s%sdefault: %s)", repeated, *repeated ? "; " : "", value.data);
    else if (*repeated)
        gp_buf_printf(b, " (%s)", repeated);
    gp_buf_release(&value);
}

bool gp_option_is_on(const gp_option *o, const void *args)
{
    return o->type == GP_OPT_FLAG && *(const bool *)gp_option_field(o, args);
}

/* "  -o, --out FILE" */
static void put_names(gp_buf *b, const gp_option *o, const void *args)
{
    bool on = gp_option_is_on(o, args);
    if (o->letter)
        gp_buf_printf(b, "  -%c, --%s%s", o->letter, on ? "[no-]" : "", o->name);
    else
        gp_buf_printf(b, "      --%s%s", on ? "[no-]" : "", o->name);
    if (o->type != GP_OPT_FLAG)
        gp_buf_printf(b, " %s", o->arg ? o->arg : "VALUE");
}

/* The column where the help texts begin: after the longest option of at most HELP_COLUMN_MAX columns. */
static int help_column(const gp_option *table, const void *args, int column)
{
    for (const gp_option *o = table; !gp_option_ends(o); o++) {
        if (o->type == GP_OPT_GROUP)
            continue;
        gp_buf names = {0};
        put_names(&names, o, args);
        int width = text_width(names.data, names.len) + 2;
        if (width > column && width <= HELP_COLUMN_MAX)
            column = width;
        gp_buf_release(&names);
    }
    return column;
}

static void put_option(gp_buf *b, const gp_tool *tool, const gp_option *o, const void *args, int column, int width)
{
    size_t start = b->len;
    put_names(b, o, args);
    int used = text_width(b->data + start, b->len - start);
    if (used + 2 > column) {
        gp_buf_puts(b, "\n");
        used = 0;
    }
    gp_buf_printf(b, "%*s", column - used, "");
    gp_buf text = {0};
    gp_option_describe(&text, tool, o, args);
    put_wrapped(b, text.data, column, column, width);
    gp_buf_release(&text);
}

static void put_options(gp_buf *b, const gp_tool *tool, const gp_option *table, const void *args, int column, int width)
{
    for (const gp_option *o = table; !gp_option_ends(o); o++) {
        if (o->type == GP_OPT_GROUP)
            gp_buf_printf(b, "\n%s:\n", o->name);
        else
            put_option(b, tool, o, args, column, width);
    }
}

/* Wraps paragraphs; lines that begin with a space are verbatim. */
static void put_description(gp_buf *b, const char *text, int width)
{
    while (*text) {
        size_t n = 0;
        if (*text == '\n' || *text == ' ') {
            n = strcspn(text, "\n");
            gp_buf_printf(b, "%.*s\n", (int)n, text);
            text += n + (text[n] == '\n');
            continue;
        }
        while (text[n] && !(text[n] == '\n' && (text[n + 1] == '\n' || text[n + 1] == ' ' || !text[n + 1])))
            n++;
        gp_buf paragraph = {0};
        gp_buf_add(&paragraph, text, n);
        put_wrapped(b, paragraph.data, 0, 0, width);
        gp_buf_release(&paragraph);
        text += n + (text[n] == '\n');
    }
}

/* Whether the name of a tool, as a command, is at `at`: at the start of a line, after "| " or after a backtick. */
static bool begins_command(const char *text, const char *at)
{
#define NAME(name, summary) name,
    static const char *const tools[] = {GP_TOOLS(NAME)};
#undef NAME
    bool place = at == text || at[-1] == '\n' || at[-1] == '`' || (at - text > 1 && at[-1] == ' ' && at[-2] == '|');
    for (size_t i = 0; place && i < ARRAY_LEN(tools); i++) {
        size_t n = strlen(tools[i]);
        if (!strncmp(at, tools[i], n) && (at[n] == ' ' || at[n] == '\n' || !at[n]))
            return true;
    }
    return false;
}

/* A copy with gp_tool_prefix before each command. */
static char *with_prefixes(const char *text)
{
    gp_buf b = {0};
    gp_buf_puts(&b, "");
    for (const char *at = text; *at; at++) {
        if (begins_command(text, at))
            gp_buf_puts(&b, gp_tool_prefix());
        gp_buf_add(&b, at, 1);
    }
    return b.data;
}

static void put_examples(gp_buf *b, const char *text)
{
    gp_buf_puts(b, "\nExamples:\n");
    while (*text) {
        size_t n = strcspn(text, "\n");
        gp_buf_printf(b, "%s%.*s\n", n ? "  " : "", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

void gp_options_help(gp_buf *b, const gp_tool *tool, const void *args, int width)
{
    const gp_common_args common = {0};
    const gp_option *table = tool->options;
    int column = help_column(gp_common_options, &common, help_column(table, args, 0));
    gp_buf_printf(b, "Usage: %s%s %s\n", gp_tool_prefix(), tool->name, tool->usage ? tool->usage : "[OPTION]...");
    if (tool->summary) {
        gp_buf line = {0};
        gp_buf_printf(&line, "%c%s.", toupper((unsigned char)tool->summary[0]), tool->summary + 1);
        put_wrapped(b, line.data, 0, 0, width);
        gp_buf_release(&line);
    }
    if (tool->description) {
        gp_buf_puts(b, "\n");
        char *description = with_prefixes(tool->description);
        put_description(b, description, width);
        free(description);
    }
    if (!gp_option_ends(table) && table->type != GP_OPT_GROUP)
        gp_buf_puts(b, "\nOptions:\n");
    put_options(b, tool, table, args, column, width);
    gp_buf_puts(b, "\nCommon options:\n");
    put_options(b, tool, gp_common_options, &common, column, width);
    if (tool->examples) {
        char *examples = with_prefixes(tool->examples);
        put_examples(b, examples);
        free(examples);
    }
}
