/* options.h: what the files of the option engine share. Callers want gptpipe/options.h. */
#ifndef GP_CLI_OPTIONS_H
#define GP_CLI_OPTIONS_H

#include "base/base.h"
#include "gptpipe/options.h"

/* The options that every tool has. They are a table like any other, so that parsing, help, man page and
 * completion treat them alike. */
typedef enum gp_shell { NO_SHELL, BASH, ZSH, FISH } gp_shell;

typedef struct gp_common_args {
    gp_list config;
    gp_shell completion;
    bool print_config, help, version, man;
} gp_common_args;

extern const gp_option gp_common_options[];

/* Rows of a table are walked to the empty one; a GP_OPT_GROUP row is a heading and has no value. */
static inline bool gp_option_ends(const gp_option *o)
{
    return !o->name;
}

const gp_option *gp_option_find(const gp_option *table, const char *name, size_t length);
const gp_option *gp_option_find_letter(const gp_option *table, char letter);

/* The tool's option that other programs call so, or NULL. */
const char *gp_option_of_peer(const gp_tool *tool, const char *word);

/* "; did you mean 'steps'?" or "", fresh: the option that others call so, the only one that begins so, or the nearest.
 * With `common`, the options that every tool has count too. */
char *gp_option_suggest(const gp_tool *tool, const char *word, bool common);

/* Reads text into o's field. A list is emptied first where `first`, then appended to. text must outlive args
 * (argv does; gp_option_keep makes others). -1 says what is wrong with the text, without naming the option.
 */
int gp_option_set(const gp_option *o, void *args, const char *text, bool first);
void gp_option_set_flag(const gp_option *o, void *args, bool on);
void gp_option_set_null(const gp_option *o, void *args);

/* Where o has a value now: what it stands instead of has none, and must not have been given in the same source (given:
 * one a row of the table). 0 or -1. */
int gp_option_replace(const gp_tool *tool, const gp_option *o, void *args, const bool *given);
void gp_list_append(gp_list *list, const char *text, bool first);

/* A copy that lives until the process ends, held where leak checkers see it. */
const char *gp_option_keep(const char *text, size_t length);

/* A number whose value lies outside its own range stands for "not given". */
bool gp_option_is_unset(const gp_option *o, const void *args);

static inline const void *gp_option_field(const gp_option *o, const void *args)
{
    return (const char *)args + o->offset;
}

/* Writes each of o's choices, with this between them. */
void gp_option_put_choices(gp_buf *b, const gp_option *o, const char *between);

/* The text of an option that is given: a string, or the name of a choice's value. */
const char *gp_option_text(const gp_option *o, const void *args);

/* The shortest decimal that reads back as x: 0.0006, 1e-05. */
void gp_put_double(gp_buf *b, double x);

/* Seconds as parsing reads them: 90s. */
static inline void gp_put_time(gp_buf *b, double seconds)
{
    gp_put_double(b, seconds);
    gp_buf_puts(b, "s");
}

/* A string as a YAML scalar: plain where that is safe, else quoted; !!binary where it is not UTF-8. */
void gp_put_yaml(gp_buf *b, const char *text);

/* Reads a file into args; given[i] becomes true for each row i of the table that the file sets (or NULL). */
int gp_options_load_given(const gp_tool *tool, void *args, const char *path, bool *given);

/* Calls fn with each option of config.yaml that differs between two sets, in the table's order, with both values as
 * text ("null" where not given). */
typedef void gp_options_change_fn(void *self, const char *name, const char *was, const char *is);
void gp_options_compare(const gp_tool *tool, const void *was, const void *is, gp_options_change_fn *fn, void *self);

/* Prints "NAME: error"; gives 1. */
int gp_tool_fail(const gp_tool *tool);

/* A flag that is on by default is there to be turned off. */
bool gp_option_is_on(const gp_option *o, const void *args);

/* "--a, --b x or --c": what o needs one of. */
void gp_option_put_needs(gp_buf *b, const gp_tool *tool, const gp_option *o);

/* What --help says of an option, and completions: "with --a: what it does"; and of its value, " [a|b] (default: a)". */
void gp_option_put_help(gp_buf *b, const gp_tool *tool, const gp_option *o);
void gp_option_describe(gp_buf *b, const gp_tool *tool, const gp_option *o, const void *args);

/* The pages, whole; args holds the defaults. */
void gp_options_help(gp_buf *b, const gp_tool *tool, const void *args, int width);
void gp_options_man(gp_buf *b, const gp_tool *tool, const void *args);
void gp_options_completion(gp_buf *b, const gp_tool *tool, const void *args, gp_shell shell);

#endif
