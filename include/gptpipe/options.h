/* options.h: command-line options. One table yields parsing, --help, --config FILE.yaml, --print-config, the manual
 * page, shell completion, and the config.yaml that a run records.
 *
 *     typedef struct args { const char *out; int64_t steps; double lr; gp_data_order order; } args;
 *
 *     static const gp_option options[] = {
 *         {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE", "output file"},
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
 * Precedence: defaults < files < command line, wherever --config stands on it. A list of a later source replaces that
 * of an earlier one. An unknown key is an error that suggests the nearest name. A number whose default lies outside its
 * range (-1, NaN) is "not given" and prints as null. null in a file empties a list and unsets an option that has
 * .default_text; other options keep their value. An option with .replaces unsets the options it names if they come from
 * an earlier source; giving both in one source is an error. Every tool also has --config FILE, --print-config, --help,
 * --version, --man and --completion SHELL.
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
    GP_OPT_STRING, /* const char *; NULL if not given */
    GP_OPT_CHOICE, /* an enum with values from 0, the indices of .choices; a value named "" is "not given" */
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
    const char *arg;            /* name of the value in --help: "FILE", "N"; NULL for flags */
    const char *help;           /* one or two sentences */
    double min, max;            /* inclusive range of a number; 0, 0 = any; max < min = no maximum */
    const char *const *choices; /* NULL-terminated, for a choice or the items of a list: see gptpipe/choice.h */
    const char *default_text;   /* the default in --help if it is not a constant: "the machine's cores" */
    const char *replaces;       /* "a|b": options that this one replaces; see above */
    /* Conditions on other options: "a|b=x|c!=x" is true if a is given (a string, a list, a flag that is on), b has the
     * value x, or c has a value other than x. See gp_options_check. */
    const char *needs;    /* without this the option has no effect */
    const char *excludes; /* with this the option has no effect */
    const char *one_of;   /* at most one of the options with the same word may be given */
    const char *alias;    /* an older name that is still accepted, in files too; or NULL */
    bool nonempty;        /* an empty string is an error, for file names for example */
    bool unlogged;        /* left out of --print-config and config.yaml, for log paths for example */
} gp_option;

typedef struct gp_tool {
    const char *name, *summary; /* "train", "trains a GPT-2 on a token stream" */
    const char *usage;          /* "[OPTION]... [FILE]" */
    const char *description;    /* paragraphs, separated by blank lines, for --help and the manual page */
    const char *examples;       /* lines: "# comment" or a command */
    const gp_option *options;   /* ends with {0}; flags that default to true are shown as --[no-]name */
    /* 1 + offsetof(args, a gp_list) for the operands; 0 = none allowed. The list may be that of an option:
     * --data A B C is then --data A --data B --data C. */
    size_t positionals;
    bool computes; /* it runs a backend; see gp_tool_start */
} gp_tool;

/* The tools, in the order of the pipeline. */
#define GP_TOOLS(X)                                                                                                    \
    X("fetch-data", "download and verify data sets and GPT-2's files")                                                 \
    X("tokenize", "convert text to a token stream and back")                                                           \
    X("train", "train a GPT-2 on token streams")                                                                       \
    X("sample", "continue prompts with a checkpoint, or score text")                                                   \
    X("predict", "predict masked tokens, labels, embeddings or next tokens for lines of text")                         \
    X("convert-gpt2", "convert checkpoints of other programs")                                                         \
    X("eval-mfu", "measure speed and compare it with the machine's peak")

enum { GP_OPTIONS_RUN = -2, GP_OPTIONS_DONE = 0, GP_OPTIONS_FAILED = 1, GP_OPTIONS_USAGE = 2 };

/* Parses into args, which holds the defaults. GP_OPTIONS_RUN: continue. GP_OPTIONS_DONE: --help or the like has been
 * printed. GP_OPTIONS_USAGE: the command line or a file is wrong, and the reason is on stderr. Strings that come from a
 * file live until the process ends. */
GP_API int gp_options_parse(const gp_tool *tool, void *args, int argc, char **argv);

/* Reads one YAML file into args. 0 or -1. Keys below `recorded:` are skipped. */
GP_API int gp_options_load(const gp_tool *tool, void *args, const char *path);

/* Writes args as YAML, defaults included, in the order of the table, grouped under comments. 0 or -1. */
GP_API int gp_options_print(const gp_tool *tool, const void *args, FILE *out);

/* Whether the command line or a file has set this option, after gp_options_parse. */
GP_API bool gp_options_given(const gp_tool *tool, const char *name);

/* Whether the command line has set it. */
GP_API bool gp_options_on_command_line(const gp_tool *tool, const char *name);

/* Checks .one_of, .needs and .excludes against the final args. Two options with the same .one_of are an error wherever
 * they come from. An option without effect, by .needs or .excludes, is an error only on the command line: a file may
 * set options that only some tools use, as config.yaml does. 0, or GP_OPTIONS_USAGE with the reason on stderr. */
GP_API int gp_options_check(const gp_tool *tool, const void *args);

/* Sets up the process for a tool and calls gp_options_parse; the first call in main. Exceeding the file size limit
 * becomes a failed write instead of a signal. Closed descriptors 0 to 2 are opened, so that no other file gets their
 * numbers. If tool->computes, the program executes itself again with OMP_WAIT_POLICY=passive and a small
 * GOMP_SPINCOUNT, unless one of them is set: see gptpipe/backend.h. */
GP_API int gp_tool_start(const gp_tool *tool, void *args, int argc, char **argv);

/* Prints "NAME: text" on stderr, unless text is NULL. */
GP_API void gp_tool_warning(const gp_tool *tool, const char *text);

/* Prints "NAME: error" if rc is not 0, and closes stdout, which fails on a full disk. Returns the exit status for main:
 * 0, or 1 on failure. */
GP_API int gp_tool_exit(const gp_tool *tool, int rc);

/* Reports wrong usage in one line with the tool's name and a hint at --help; returns 2. */
GP_API int gp_tool_usage(const gp_tool *tool, const char *fmt, ...) GP_PRINTF(2, 3);

/* Replaces the escape sequences \n, \t, \\ and \xHH in place. Returns the length, since \x00 is a byte like any other;
 * -1 if anything else follows a backslash. */
GP_API int64_t gp_unescape(char *s);

#ifdef __cplusplus
}
#endif
#endif
