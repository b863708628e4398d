/* options.h: one table of options gives parsing, --help, --config FILE.yaml, --print-config, the man page,
 * shell completion and the config.yaml that a run logs.
 *
 *     typedef struct args { const char *out; int64_t steps; double lr; gp_data_order order; } args;
 *
 *     static const gp_option options[] = {
 *         {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE", "where the result goes"},
 *         {"steps", 0, GP_OPT_INT, offsetof(args, steps), "N", "optimizer steps", .min = 0, .max = 1e9},
 *         {"lr", 0, GP_OPT_FLOAT, offsetof(args, lr), "X", "peak learning rate", .min = 0, .max = 10},
 *         {"order", 0, GP_OPT_CHOICE, offsetof(args, order), "WHICH", "data order",
 *          .choices = GP_CHOICES(GP_DATA_ORDERS)},
 *         {0},
 *     };
 *     static const gp_tool tool = {.name = "train", .summary = "...", .usage = "[OPTION]...", .options = options};
 *
 *     args a = {.steps = 1000, .lr = 6e-4, .order = GP_ORDER_RANDOM};      // the defaults
 *     int rc = gp_tool_start(&tool, &a, argc, argv);
 *     if (rc != GP_OPTIONS_RUN)
 *         return rc;
 *
 * Order of precedence: defaults < file < command line, wherever --config stands. A list of a later source replaces
 * an earlier one. An unknown key is an error that suggests the nearest name. A number whose default lies outside
 * its range (-1, NaN) is "not given": it prints as null. null in a file is no list, or no text where the option says
 * what that implies; all else it leaves as it is. An option with .replaces makes
 * those that it names "not given" where they come from an earlier source; in one source it is an error to give both.
 * Every tool also has
 * --config FILE, --print-config, --help, --version, --man and --completion SHELL.
 */
#ifndef GPTPIPE_OPTIONS_H
#define GPTPIPE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/choice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gp_opt_type {
    GP_OPT_FLAG,   /* bool: --name, --no-name; in YAML true or false */
    GP_OPT_INT,    /* int64_t: 1000, 1e6, 64k, 2M, 3G (k = 1000) */
    GP_OPT_FLOAT,  /* double */
    GP_OPT_TIME,   /* double, seconds: 90, 90s, 10m, 1.5h, 2d */
    GP_OPT_STRING, /* const char *; NULL when not given */
    GP_OPT_CHOICE, /* an enum from 0 on, one of .choices; the value of "" is "not given" */
    GP_OPT_LIST,   /* gp_list: the option may be repeated; in YAML a sequence (or one scalar) */
    GP_OPT_GROUP,  /* a heading of --help: name is its text */
} gp_opt_type;

typedef struct gp_list {
    const char **items;
    int count;
} gp_list;

typedef struct gp_option {
    const char *name; /* long name, without dashes; also the YAML key */
    char letter;      /* short name or 0 */
    gp_opt_type type;
    size_t offset;              /* of the field in the tool's arguments */
    const char *arg;            /* what --help calls the value: "FILE", "N"; NULL for flags */
    const char *help;           /* one or two sentences */
    double min, max;            /* of numbers, both ends allowed; 0, 0 = any; max < min = no upper end */
    const char *const *choices; /* names up to NULL, of an enum or of a list: see gptpipe/choice.h */
    const char *default_text;   /* for --help where the default is not a constant: "the machine's cores" */
    const char *replaces;       /* "a|b": options of which this one takes the place; see above */
    /* Which options go together: "a|b=x|c!=x", where a is there (text, a list, a flag that is on), b has the value x, c
     * has one that is not x. See gp_options_check. */
    const char *needs;    /* one of these, or this option means nothing */
    const char *excludes; /* beside any of these it means nothing */
    const char *one_of;   /* of the options with this word one at most is given */
    const char *alias;    /* an older name that is still read, in files too; NULL: none */
    bool nonempty;        /* an empty text is refused: a file without a name, say */
    bool unlogged;        /* left out of --print-config and config.yaml (paths of logs, say) */
} gp_option;

typedef struct gp_tool {
    const char *name, *summary; /* "train", "trains a GPT-2 on a token stream" */
    const char *usage;          /* "[OPTION]... [FILE]" */
    const char *description;    /* paragraphs for the man page and below the usage; blank lines separate */
    const char *examples;       /* lines: "# comment" or a command */
    const gp_option *options;   /* ends with {0}; flags that default to true are shown as --[no-]name */
    /* 1 + offsetof(args, a gp_list) where operands go; 0 = none allowed. The list may be that of an option:
     * --data A B C is then --data A --data B --data C. */
    size_t positionals;
    bool computes; /* a backend works in it; see gp_tool_start */
} gp_tool;

/* The tools, in the order of the pipeline. */
#define GP_TOOLS(X)                                                                                                    \
    X("fetch-data", "data sets and GPT-2's files, checked and whole")                                                  \
    X("tokenize", "text to a stream of token ids, and back")                                                           \
    X("train", "a token stream in, a GPT-2 out")                                                                       \
    X("sample", "a checkpoint continues prompts, or scores text")                                                      \
    X("convert-gpt2", "other people's checkpoints")                                                                    \
    X("eval-mfu", "how fast, beside what the machine can do")

enum { GP_OPTIONS_RUN = -2, GP_OPTIONS_DONE = 0, GP_OPTIONS_FAILED = 1, GP_OPTIONS_USAGE = 2 };

/* Parses into args, which holds the defaults. GP_OPTIONS_RUN: go on. GP_OPTIONS_DONE: --help or the like was
 * printed. GP_OPTIONS_USAGE: the command line or the file is wrong and the reason is on stderr.
 * Strings that come from a file live until the process ends. */
GP_API int gp_options_parse(const gp_tool *tool, void *args, int argc, char **argv);

/* The same without argv: reads one YAML file into args. 0 or -1. Keys below `recorded:` are skipped. */
GP_API int gp_options_load(const gp_tool *tool, void *args, const char *path);

/* Writes args as YAML, defaults included, in the table's order, grouped under comments. 0 or -1. */
GP_API int gp_options_print(const gp_tool *tool, const void *args, FILE *out);

/* Whether this option came from the command line or a file (not the default), after gp_options_parse. */
GP_API bool gp_options_given(const gp_tool *tool, const char *name);

/* Whether it stood on the command line. */
GP_API bool gp_options_on_command_line(const gp_tool *tool, const char *name);

/* Two options of one word of .one_of are refused wherever they come from. An option that would be ignored, by .needs or
 * .excludes, is refused where it stood on the command line: a file may set what only some of its readers need, as
 * config.yaml, which has every option, does. args: as the run will have them. 0, or GP_OPTIONS_USAGE with the reason on
 * stderr. */
GP_API int gp_options_check(const gp_tool *tool, const void *args);

/* main's first line: gp_options_parse in a process that is set up as all tools are. A file too large for its limit is a
 * failed write, as on a full disk. Closed descriptors 0 to 2 are taken, so that no file gets their number.
 * tool->computes: the program starts once more with OMP_WAIT_POLICY=passive, unless that or GOMP_SPINCOUNT is set: see
 * gptpipe/backend.h. */
GP_API int gp_tool_start(const gp_tool *tool, void *args, int argc, char **argv);

/* Prints "NAME: text" on stderr, unless text is NULL. */
GP_API void gp_tool_warning(const gp_tool *tool, const char *text);

/* Prints "NAME: error" for a failed run, closes stdout with a check (a full disk is an error), and gives main's
 * value: 0 if rc is 0, else 1. */
GP_API int gp_tool_exit(const gp_tool *tool, int rc);

/* A wrong combination of options: prints one line, with the tool's name and where its help is; gives 2. */
GP_API int gp_tool_usage(const gp_tool *tool, const char *fmt, ...) GP_PRINTF(2, 3);

/* Replaces \n, \t, \\ and \xHH in place, as people type what they cannot type. Gives the length (\x00 is a byte like
 * any other), or -1 when something else follows a backslash. */
GP_API int64_t gp_unescape(char *s);

#ifdef __cplusplus
}
#endif
#endif
