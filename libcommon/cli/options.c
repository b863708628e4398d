/* options.c: parses the command line. See gptpipe/options.h. */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const gp_option gp_common_options[] = {
    {"config", 0, GP_OPT_LIST, offsetof(gp_common_args, config), "FILE",
     "read options from a YAML file, by their long names; the command line takes precedence", .nonempty = true},
    {"print-config", 0, GP_OPT_FLAG, offsetof(gp_common_args, print_config), NULL,
     "print every option's value as YAML for --config, and exit"},
    {"help", 'h', GP_OPT_FLAG, offsetof(gp_common_args, help), NULL, "print this help and exit"},
    {"version", 0, GP_OPT_FLAG, offsetof(gp_common_args, version), NULL, "print the version and exit"},
    {"man", 0, GP_OPT_FLAG, offsetof(gp_common_args, man), NULL, "print the manual page in man(7) and exit"},
    {"completion", 0, GP_OPT_CHOICE, offsetof(gp_common_args, completion), "SHELL",
     "print a completion script and exit", .choices = (const char *const[]){"", "bash", "zsh", "fish", NULL}},
    {0},
};

/* Which options the last gp_options_parse has set: a process is one tool with one command line. */
static struct {
    const gp_tool *tool;
    bool *options;      /* one per row of the table */
    bool *command_line; /* the same, set by the command line; and one for operands */
} given;

static bool is_name(const char *own, const char *name, size_t length)
{
    return own && strlen(own) == length && !memcmp(own, name, length);
}

const gp_option *gp_option_find(const gp_option *table, const char *name, size_t length)
{
    for (const gp_option *o = table; !gp_option_ends(o); o++)
        if (o->type != GP_OPT_GROUP && (is_name(o->name, name, length) || is_name(o->alias, name, length)))
            return o;
    return NULL;
}

static const gp_option *find_letter(const gp_option *table, char letter)
{
    for (const gp_option *o = table; !gp_option_ends(o); o++)
        if (o->letter && o->letter == letter)
            return o;
    return NULL;
}

size_t gp_option_count(const gp_option *table)
{
    size_t n = 0;
    while (!gp_option_ends(&table[n]))
        n++;
    return n;
}

/* o's row in the tool's table; the number of rows if it is a common option. */
static size_t row_of(const gp_tool *tool, const gp_option *o)
{
    size_t row = 0;
    while (!gp_option_ends(&tool->options[row]) && &tool->options[row] != o)
        row++;
    return row;
}

/* nanoGPT and transformers write underscores in names. */
static char *with_dashes(const char *word)
{
    char *name = gp_strdup(word);
    for (char *c = name; *c; c++)
        if (*c == '_')
            *c = '-';
    return name;
}

/* The name that begins with word, if there is exactly one. */
static const char *complete(const char *word, const char *const *names, size_t count)
{
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!*word || strncmp(names[i], word, strlen(word)))
            continue;
        if (found)
            return NULL;
        found = names[i];
    }
    return found;
}

char *gp_option_suggest(const gp_tool *tool, const char *word, bool common)
{
    const gp_option *tables[] = {tool->options, gp_common_options};
    size_t n = 0;
    const char **names = gp_calloc(gp_option_count(tables[0]) + gp_option_count(tables[1]), sizeof *names);
    for (size_t t = 0; t < (common ? 2 : 1); t++)
        for (const gp_option *o = tables[t]; !gp_option_ends(o); o++)
            if (o->type != GP_OPT_GROUP)
                names[n++] = o->name;
    char *name = with_dashes(word);
    int found = gp_find_name(names, n, name);
    const char *suggestion = found < 0 ? gp_option_find_peer(tool, name) : names[found];
    if (!suggestion)
        suggestion = complete(name, names, n);
    if (!suggestion)
        suggestion = gp_nearest(name, names, n);
    free(names);
    free(name);
    return suggestion ? gp_format("; did you mean '%s%s'?", common ? "--" : "", suggestion) : gp_strdup("");
}

/* The command line is read twice: first for the common options, since files are read before the tool's options wherever
 * --config stands, then for the tool's own. */
typedef struct command_line {
    const gp_tool *tool;
    void *args;
    gp_common_args common;
    bool apply; /* the second time */
    bool *set;  /* given.command_line; the first item of a list on the command line replaces the list so far */
    char **argv;
    int argc, i;
} command_line;

static int fail_unknown(const command_line *w, const char *arg)
{
    char *name = gp_strndup(arg + 2, strcspn(arg + 2, "="));
    char *hint = gp_option_suggest(w->tool, name, true);
    fail("unknown option '--%s'%s", name, hint);
    free(hint);
    free(name);
    return -1;
}

/* Sets one option from its text (NULL for a flag). name: as the command line has it, for messages. */
static int set_option(command_line *w, const gp_option *o, const char *text, bool on, const char *name)
{
    size_t row = row_of(w->tool, o);
    bool own = !gp_option_ends(&w->tool->options[row]);
    if (own != w->apply)
        return 0;
    void *args = own ? w->args : &w->common;
    bool first = own ? !w->set[row] : false;
    if (own)
        w->set[row] = given.options[row] = true;
    if (o->type == GP_OPT_FLAG) {
        gp_option_set_flag(o, args, on);
        return 0;
    }
    if (gp_option_set(o, args, text, first))
        return gp_fail_in("%s", name);
    return own ? gp_option_replace(w->tool, o, args, w->set) : 0;
}

/* text: NULL if the value is the next argument. */
static int set_value(command_line *w, const gp_option *o, const char *text, const char *name)
{
    if (!text && w->i + 1 < w->argc)
        text = w->argv[++w->i];
    if (!text)
        return fail("%s: a value is missing: %s %s", name, name, o->arg ? o->arg : "VALUE");
    return set_option(w, o, text, true, name);
}

static int read_long(command_line *w, const char *arg)
{
    const char *name = arg + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    bool on = true;
    const gp_option *o = gp_option_find(w->tool->options, name, length);
    if (!o)
        o = gp_option_find(gp_common_options, name, length);
    if (!o && length > 3 && !memcmp(name, "no-", 3)) {
        o = gp_option_find(w->tool->options, name + 3, length - 3);
        on = false;
        if (o && o->type != GP_OPT_FLAG)
            return fail("--no-%s: only flags can be turned off, and --%s takes a value", o->name, o->name);
    }
    if (!o)
        return fail_unknown(w, arg);
    char *given_name = gp_strndup(arg, length + 2);
    int rc;
    if (o->type == GP_OPT_FLAG && equals)
        rc = fail("%s: is a flag and takes no value (found '%s')", given_name, equals + 1);
    else if (o->type == GP_OPT_FLAG)
        rc = set_option(w, o, NULL, on, given_name);
    else
        rc = set_value(w, o, equals ? equals + 1 : NULL, given_name);
    free(given_name);
    return rc;
}

static int fail_letter(const command_line *w, char letter, const char *arg)
{
    char name[] = {letter, 0}, in[64] = "", hint[96] = "";
    const char *suggestion = gp_option_find_peer(w->tool, name);
    if (arg[2])
        snprintf(in, sizeof in, " in '%.40s'", arg);
    if (suggestion)
        snprintf(hint, sizeof hint, "; did you mean '--%s'?", suggestion);
    return fail("unknown option '-%c'%s%s", letter, in, hint);
}

/* -q, -o FILE, -oFILE, -qo FILE. */
static int read_short(command_line *w, const char *arg)
{
    for (const char *c = arg + 1; *c; c++) {
        const gp_option *o = find_letter(w->tool->options, *c);
        if (!o)
            o = find_letter(gp_common_options, *c);
        if (!o)
            return fail_letter(w, *c, arg);
        char name[] = {'-', *c, 0};
        if (o->type != GP_OPT_FLAG)
            return set_value(w, o, c[1] ? c + 1 : NULL, name);
        if (set_option(w, o, NULL, true, name))
            return -1;
    }
    return 0;
}

/* Operands have their own list, or are appended to that of an option (--data A B C). */
static int read_operand(command_line *w, const char *arg)
{
    if (!w->tool->positionals)
        return fail("unexpected argument '%s'", arg);
    size_t offset = w->tool->positionals - 1, row = 0;
    const gp_option *o = w->tool->options;
    while (!gp_option_ends(&o[row]) && !(o[row].type == GP_OPT_LIST && o[row].offset == offset))
        row++;
    if (!gp_option_ends(&o[row]))
        return set_option(w, &o[row], arg, true, *arg ? arg : "an operand");
    if (!*arg)
        return fail("an operand is empty");
    if (w->apply)
        gp_list_append((gp_list *)(void *)((char *)w->args + offset), arg, !w->set[row]);
    w->set[row] |= w->apply;
    return 0;
}

static int read_arguments(command_line *w, bool apply)
{
    bool options = true;
    w->apply = apply;
    for (w->i = 1; w->i < w->argc; w->i++) {
        const char *arg = w->argv[w->i];
        int rc;
        if (!options || arg[0] != '-' || !arg[1])
            rc = read_operand(w, arg);
        else if (!strcmp(arg, "--"))
            options = false, rc = 0;
        else
            rc = arg[1] == '-' ? read_long(w, arg) : read_short(w, arg);
        if (rc)
            return -1;
    }
    return 0;
}

/* COLUMNS, else the width of the terminal, else 80; at most 100, since long lines are hard to read. */
static int page_width(void)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    int width = 80;
    if (columns && atoi(columns) > 0)
        width = atoi(columns);
    else if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        width = size.ws_col;
    return width < 40 ? 40 : width > 100 ? 100 : width;
}

static int print_page(const command_line *w)
{
    gp_buf page = {0};
    if (w->common.help)
        gp_options_help(&page, w->tool, w->args, page_width());
    else if (w->common.version)
        gp_buf_printf(&page, "%s (gptpipe) %s\n", w->tool->name, gp_version());
    else if (w->common.man)
        gp_options_man(&page, w->tool, w->args);
    else if (w->common.completion)
        gp_options_completion(&page, w->tool, w->args, w->common.completion);
    else
        return GP_OPTIONS_RUN;
    bool failed = fwrite(page.data, 1, page.len, stdout) != page.len || fflush(stdout);
    gp_buf_release(&page);
    if (!failed)
        return GP_OPTIONS_DONE;
    fail_errno("stdout: cannot be written");
    return gp_tool_fail(w->tool);
}

static int parse(command_line *w)
{
    if (read_arguments(w, false))
        return GP_OPTIONS_USAGE;
    int rc = print_page(w); /* before files are read, so that the page shows the defaults */
    if (rc != GP_OPTIONS_RUN)
        return rc;
    for (int i = 0; i < w->common.config.count; i++)
        if (gp_options_load_given(w->tool, w->args, w->common.config.items[i], given.options))
            return GP_OPTIONS_USAGE;
    if (read_arguments(w, true))
        return GP_OPTIONS_USAGE;
    if (!w->common.print_config)
        return GP_OPTIONS_RUN;
    return gp_options_print(w->tool, w->args, stdout) ? gp_tool_fail(w->tool) : GP_OPTIONS_DONE;
}

int gp_options_parse(const gp_tool *tool, void *args, int argc, char **argv)
{
    size_t rows = gp_option_count(tool->options);
    command_line w = {.tool = tool, .args = args, .argc = argc, .argv = argv};
    free(given.options);
    free(given.command_line);
    given.tool = tool;
    given.options = gp_calloc(rows + 1, sizeof *given.options);
    given.command_line = w.set = gp_calloc(rows + 1, sizeof *given.command_line);
    int rc = parse(&w);
    return rc == GP_OPTIONS_USAGE ? gp_tool_usage(tool, "%s", gp_error()) : rc;
}

static size_t row_named(const gp_tool *tool, const char *name)
{
    const gp_option *o = gp_option_find(tool->options, name, strlen(name));
    BUG_ON(!o || given.tool != tool);
    return (size_t)(o - tool->options);
}

bool gp_options_given(const gp_tool *tool, const char *name)
{
    return given.options[row_named(tool, name)];
}

bool gp_options_on_command_line(const gp_tool *tool, const char *name)
{
    return given.command_line[row_named(tool, name)];
}
