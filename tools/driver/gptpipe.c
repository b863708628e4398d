/* gptpipe: runs the tools as `gptpipe train ...`, since train and sample are names of other programs too. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/options.h"

static const struct {
    const char *name, *summary;
} tools[] = {
#define TOOL(name, summary) {name, summary},
    GP_TOOLS(TOOL)
#undef TOOL
};

enum { TOOLS = sizeof tools / sizeof *tools };

static void print_help(FILE *out)
{
    fprintf(out, "Usage: gptpipe TOOL [OPTION]...\n\n");
    for (int i = 0; i < TOOLS; i++)
        fprintf(out, "  %-14s %s\n", tools[i].name, tools[i].summary);
    fprintf(out, "\nSee gptpipe TOOL --help for each.\n");
}

/* Escapes "-", which roff would print as a hyphen. */
static void print_roff(const char *text)
{
    for (; *text; text++)
        fputs(*text == '-' ? "\\-" : (char[]){*text, 0}, stdout);
}

static const char man_head[] =
    ".SH NAME\ngptpipe \\- tools that turn text into a trained GPT\\-2 and its samples\n"
    ".SH SYNOPSIS\n\\fBgptpipe\\fR \\fITOOL\\fR [\\fIOPTION\\fR]...\n.br\n\\fBgptpipe help\\fR \\fITOOL\\fR\n"
    ".SH DESCRIPTION\nRuns one of the tools below. They are connected by files and pipes: a data set becomes a token\n"
    "stream, a token stream a checkpoint, a checkpoint text. Each has its own manual page.\n"
    ".PP\nIf the short names are installed too, \\fBtrain\\fR is the same as \\fBgptpipe train\\fR.\n"
    ".SH TOOLS\n";

static const char man_tail[] =
    ".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint the list of tools and exit\n"
    ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nprint the version and exit\n"
    ".TP\n\\fB\\-\\-man\\fR\nprint this page in man(7) and exit\n"
    ".SH EXIT STATUS\nThe tool's: 0 for success, 1 for failure, 2 for a wrong command line.\n"
    ".SH EXAMPLES\n.EX\n    gptpipe fetch\\-data stories | gptpipe tokenize | gptpipe train \\-\\-steps 200 \\-o run\n"
    "    gptpipe sample run \\(aqOnce upon a time\\(aq\n.EE\n.SH SEE ALSO\n";

/* gptpipe(1), in man(7). */
static void print_man(void)
{
    printf(".TH \"GPTPIPE\" 1 \"\" \"gptpipe %s\" \"gptpipe\"\n%s", gp_version(), man_head);
    for (int i = 0; i < TOOLS; i++) {
        printf(".TP\n\\fB");
        print_roff(tools[i].name);
        printf("\\fR\n");
        print_roff(tools[i].summary);
        putchar('\n');
    }
    fputs(man_tail, stdout);
    for (int i = 0; i < TOOLS; i++) {
        printf("\\fBgptpipe\\-");
        print_roff(tools[i].name);
        printf("\\fR(1)%s\n", i + 1 < TOOLS ? "," : "");
    }
}

static const char *find(const char *name)
{
    for (int i = 0; i < TOOLS; i++)
        if (!strcmp(tools[i].name, name))
            return tools[i].name;
    return NULL;
}

/* Executes a tool: in ../libexec/gptpipe, where it is installed, or in the folder of this program, as in build/bin. */
static int run(const char *name, char **argv)
{
    static const char *const folders[] = {GPTPIPE_TO_TOOLS "/", ""};
    char self[PATH_MAX], path[2 * PATH_MAX] = "", full_name[64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) {
        fprintf(stderr, "gptpipe: /proc/self/exe: %s\n", strerror(errno));
        return 1;
    }
    self[n] = 0;
    char *slash = strrchr(self, '/');
    slash[1] = 0;
    snprintf(full_name, sizeof full_name, "gptpipe %s", name); /* for gp_tool_prefix (error.h) */
    argv[0] = full_name;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s%s%s", self, folders[i], name);
        execv(path, argv);
        if (errno != ENOENT && errno != ENOTDIR)
            break;
    }
    fprintf(stderr, "gptpipe: %s: %s\n", path, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name && (!strcmp(name, "--version") || !strcmp(name, "-V"))) {
        printf("gptpipe %s\n", gp_version());
        return 0;
    }
    if (name && (!strcmp(name, "--help") || !strcmp(name, "-h") || (!strcmp(name, "help") && argc == 2))) {
        print_help(stdout);
        return 0;
    }
    if (name && !strcmp(name, "--man")) {
        print_man();
        return 0;
    }
    if (name && !strcmp(name, "help") && find(argv[2])) {
        char *help[] = {NULL, (char[]){"--help"}, NULL};
        return run(find(argv[2]), help);
    }
    if (!name) {
        print_help(stderr);
        return 2;
    }
    if (find(name))
        return run(find(name), argv + 1);
    fprintf(stderr, "gptpipe: no such tool: %s; the tools are", name);
    for (int i = 0; i < TOOLS; i++)
        fprintf(stderr, "%s %s", i ? "," : "", tools[i].name);
    fprintf(stderr, " (see gptpipe --help)\n");
    return 2;
}
