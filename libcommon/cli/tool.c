/* tool.c: how every tool starts and ends. See gptpipe/options.h. */
#include "cli/descriptors.h"
#include "cli/options.h"

#include <errno.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Threads that sleep while they wait: see gptpipe/backend.h. */
static void set_wait_policy(char **argv)
{
#ifdef _OPENMP
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    char self[4096]; /* its path, not the link: a process is called after what it was started as */
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    if (n > 0) {
        self[n] = 0;
        execv(self, argv); /* where that fails, threads spin: slower, not wrong */
    }
#else
    (void)argv;
#endif
}

int gp_tool_start(const gp_tool *tool, void *args, int argc, char **argv)
{
    if (tool->computes)
        set_wait_policy(argv);
    signal(SIGXFSZ, SIG_IGN);
    gp_standard_hold();
    return gp_options_parse(tool, args, argc, argv);
}

int gp_tool_fail(const gp_tool *tool)
{
    fprintf(stderr, "%s: %s\n", tool->name, gp_error());
    return GP_OPTIONS_FAILED;
}

void gp_tool_warning(const gp_tool *tool, const char *text)
{
    if (text)
        fprintf(stderr, "%s: %s\n", tool->name, gp_printable(text));
}

int gp_tool_usage(const gp_tool *tool, const char *fmt, ...)
{
    va_list ap;
    char line[1024];
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s (see %s%s --help)\n", tool->name, gp_printable(line), gp_tool_prefix(), tool->name);
    return GP_OPTIONS_USAGE;
}

int gp_tool_exit(const gp_tool *tool, int rc)
{
    bool pending = __fpending(stdout) != 0, bad = ferror(stdout) != 0;
    errno = 0;
    bool unclosed = fclose(stdout) != 0;
    if (rc)
        return gp_tool_fail(tool);
    /* a stdout that was closed from the start is nobody's loss when nothing was written */
    if (!bad && (!unclosed || (!pending && errno == EBADF)))
        return 0;
    fail("stdout: cannot be written: %s", errno ? strerror(errno) : "an earlier write failed");
    return gp_tool_fail(tool);
}
