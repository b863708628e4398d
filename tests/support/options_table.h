/* options_table.h: a made-up tool with one option of each type, and what happens when it is run. */
#ifndef GPTPIPE_OPTIONS_TABLE_H
#define GPTPIPE_OPTIONS_TABLE_H

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gptpipe/options.h"

typedef struct args {
    const char *out;
    enum { RANDOM, SHUFFLE } order;
    int64_t steps, threads, limit;
    double lr, decay;
    gp_list data, operands;
    bool echo, quiet;
} args;

static const gp_option table[] = {
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE", "where the result goes"},
    {"Training", .type = GP_OPT_GROUP},
    {"steps", 's', GP_OPT_INT, offsetof(args, steps), "N", "optimizer steps", .min = 0, .max = 1e9},
    {"limit", 0, GP_OPT_INT, offsetof(args, limit), "N", "any number at all"},
    {"lr", 0, GP_OPT_FLOAT, offsetof(args, lr), "X", "peak learning rate", .min = 0, .max = 10},
    {"decay", 0, GP_OPT_FLOAT, offsetof(args, decay), "X", "any number at all"},
    {"order", 0, GP_OPT_CHOICE, offsetof(args, order), "WHICH", "data order",
     .choices = (const char *const[]){"random", "shuffle", NULL}},
    {"data", 'd', GP_OPT_LIST, offsetof(args, data), "FILE", "token streams"},
    {"Machine", .type = GP_OPT_GROUP},
    {"threads", 't', GP_OPT_INT, offsetof(args, threads), "N", "threads", .min = 1,
     .default_text = "the machine's cores"},
    {"echo", 'e', GP_OPT_FLAG, offsetof(args, echo), NULL, "print the prompt too"},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "no progress", .unlogged = true},
    {0},
};

static const gp_tool tool = {
    .name = "make-it",
    .summary = "makes it",
    .usage = "[OPTION]... [FILE]...",
    .description = "Reads one thing and writes another; this paragraph is long enough to be broken into lines, "
                   "wherever the terminal ends.\n\nA second one:\n\n    stands as it is\n.so does this",
    .examples = "# once\nmake-it --steps 1\n\n# with a path\nmake-it -o 'a\\b'\n",
    .options = table,
    .positionals = 1 + offsetof(args, operands),
};

static inline args defaults(void)
{
    return (args){.order = RANDOM, .steps = 1000, .threads = 0, .lr = 6e-4, .echo = true};
}

/* What a run left: its arguments, parse's value, and what went to stdout and stderr. */
typedef struct result {
    args a;
    int rc;
    char *out, *err;
} result;

static inline char *drain(int fd)
{
    gp_buf b = {0};
    gp_buf_reserve(&b, (size_t)lseek(fd, 0, SEEK_END));
    ssize_t n = pread(fd, b.data, b.cap - 1, 0);
    assert_true(n >= 0);
    b.data[n] = 0;
    close(fd);
    return b.data;
}

static inline result run_tool(const gp_tool *t, char **argv)
{
    result r = {.a = defaults()};
    int argc = 0, saved[2] = {dup(1), dup(2)}, fds[2] = {memfd_create("out", 0), memfd_create("err", 0)};
    while (argv[argc])
        argc++;
    fflush(stdout);
    dup2(fds[0], 1);
    dup2(fds[1], 2);
    r.rc = gp_options_parse(t, &r.a, argc, argv);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    r.out = drain(fds[0]);
    r.err = drain(fds[1]);
    return r;
}

#define RUN(...) run_tool(&tool, (char *[]){"make-it", __VA_ARGS__, NULL})

static inline void drop(result *r)
{
    free(r->out);
    free(r->err);
}

/* Runs, and expects it to be refused with this line on stderr. */
#define REFUSED(line, ...)                                                                                             \
    do {                                                                                                               \
        result r_ = RUN(__VA_ARGS__);                                                                                  \
        assert_string_equal(r_.err, "make-it: " line " (see make-it --help)\n");                                       \
        assert_string_equal(r_.out, "");                                                                               \
        assert_int_equal(r_.rc, GP_OPTIONS_USAGE);                                                                     \
        drop(&r_);                                                                                                     \
    } while (0)

/* Runs, expects it to go on, and then compares one field: TAKES(int, steps, 7, "--steps", "7"). */
#define TAKES(kind, field, value, ...)                                                                                 \
    do {                                                                                                               \
        result r_ = RUN(__VA_ARGS__);                                                                                  \
        assert_string_equal(r_.err, "");                                                                               \
        assert_int_equal(r_.rc, GP_OPTIONS_RUN);                                                                       \
        assert_##kind##_equal(r_.a.field, value);                                                                      \
        drop(&r_);                                                                                                     \
    } while (0)

#endif
