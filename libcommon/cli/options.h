/* options.h: shared by the files that implement options; see gptpipe/options.h for the public API. */
#ifndef GP_CLI_OPTIONS_H
#define GP_CLI_OPTIONS_H

#include "base/base.h"
#include "gptpipe/options.h"

/* Options that every tool has. They are in a table too, so that parsing, help, manual page and completion treat them
 * like a tool's own. */
typedef enum gp_shell { NO_SHELL, BASH, ZSH, FISH } gp_shell;

typedef struct gp_common_args {
    gp_list config;
    gp_shell completion;
    bool print_config, help, version, man;
} gp_common_args;

extern const gp_option gp_common_options[];

/* Whether this is the row after the last of a table. (A GP_OPT_GROUP row is a heading and has no value.) */
static inline bool gp_option_ends(const gp_option *o)
{
    return !o->name;
}

size_t gp_option_count(const gp_option *table);
const gp_option *gp_option_find(const gp_option *table, const char *name, size_t length);

/* The name of the tool's option that other programs call `word`, or NULL. */
const char *gp_option_find_peer(const gp_tool *tool, const char *word);

/* "; did you mean 'steps'?" or "": the option that other programs call `word`, else the only one that begins with it,
 * else the nearest. With `common`, common options are candidates too. The caller frees. */
char *gp_option_suggest(const gp_tool *tool, const char *word, bool common);

/* Parses text into o's field; a list is emptied if `first`, then appended to. text must outlive args, as argv does and
 * gp_option_strndup's copies do. The error message does not name the option. */
int gp_option_set(const gp_option *o, void *args, const char *text, bool first);
void gp_option_set_flag(const gp_option *o, void *args, bool on);
void gp_option_set_null(const gp_option *o, void *args);

/* Called when o has been set: unsets the options in o's .replaces, which is an error if the same source has given one
 * of them (`given`, by row of the table). 0 or -1. */
int gp_option_replace(const gp_tool *tool, const gp_option *o, void *args, const bool *given);
void gp_list_append(gp_list *list, const char *text, bool first);

/* A copy that lives until the process ends, reachable for leak checkers. */
const char *gp_option_strndup(const char *text, size_t length);

/* Whether o is "not given"; for a number, that its value is outside the option's range. */
bool gp_option_is_unset(const gp_option *o, const void *args);

static inline const void *gp_option_field(const gp_option *o, const void *args)
{
    return (const char *)args + o->offset;
}

/* Appends o's choices. */
void gp_option_put_choices(gp_buf *b, const gp_option *o, const char *separator);

/* The value of a string or of a choice. */
const char *gp_option_text(const gp_option *o, const void *args);

/* Appends the shortest decimal that reads back as x: 0.0006, 1e-05. */
void gp_put_double(gp_buf *b, double x);

/* Appends a time: 90s. */
static inline void gp_put_time(gp_buf *b, double seconds)
{
    gp_put_double(b, seconds);
    gp_buf_puts(b, "s");
}

/* Appends a string as a YAML scalar: plain if that is safe, else quoted; !!binary if it is not UTF-8. */
void gp_put_yaml(gp_buf *b, const char *text);

/* Reads a file into args and sets given[i] for each row i of the table that the file sets; given may be NULL. */
int gp_options_load_given(const gp_tool *tool, void *args, const char *path, bool *given);

/* Calls fn for each option of config.yaml that differs between two args, in the order of the table, with both values as
 * text ("null" if not given). */
typedef void gp_options_change_fn(void *self, const char *name, const char *was, const char *is);
void gp_options_compare(const gp_tool *tool, const void *was, const void *is, gp_options_change_fn *fn, void *self);

/* Prints "NAME: error"; returns 1. */
int gp_tool_fail(const gp_tool *tool);

/* Whether o is a flag that is on by default, and is shown as --no-NAME. */
bool gp_option_is_on(const gp_option *o, const void *args);

/* Appends o's .needs: "--a, --b x or --c". */
void gp_option_put_needs(gp_buf *b, const gp_tool *tool, const gp_option *o);

/* Appends the help of an option: for completions "with --a: help"; for --help and the manual page with its value too,
 * " [a|b] (default: a)". */
void gp_option_put_help(gp_buf *b, const gp_tool *tool, const gp_option *o);
void gp_option_describe(gp_buf *b, const gp_tool *tool, const gp_option *o, const void *args);

/* Append complete pages; args holds the defaults. */
void gp_options_help(gp_buf *b, const gp_tool *tool, const void *args, int width);
void gp_options_man(gp_buf *b, const gp_tool *tool, const void *args);
void gp_options_completion(gp_buf *b, const gp_tool *tool, const void *args, gp_shell shell);

#endif
