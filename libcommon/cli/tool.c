/* tool.c: start and end of every tool. See gptpipe/options.h. */
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes OpenMP's threads sleep while they wait: see gptpipe/backend.h. GCC's spin before that, about 40 us: most ops of
 * a token follow each other faster, and waking a thread takes as long as a small op. (GPT-2 124M in int8 on two
 * threads: 184 instead of 145 tokens a second; with two other programs that compute, 71 instead of 55.) */
static void set_wait_policy(char **argv)
{
#ifdef _OPENMP
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    char self[4096]; /* not the link itself, after which the process would be named "exe" */
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("GOMP_SPINCOUNT", "4000", 1);
    if (n > 0) {
        self[n] = 0;
        execv(self, argv); /* if it fails, threads spin: slower, but correct */
    }
#else
    (void)argv;
#endif
}

/* Opens closed descriptors from 0 to 2, neither readable nor writable. Otherwise the next file opened would become
 * stdin, stdout or stderr: a checkpoint would be read as the prompt, or messages would be written into it. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd) /* open takes the lowest number */
            die("descriptor %d is closed and cannot be opened: %s", fd, strerror(errno));
}

int gp_tool_start(const gp_tool *tool, void *args, int argc, char **argv)
{
    if (tool->computes)
        set_wait_policy(argv);
    signal(SIGXFSZ, SIG_IGN);
    open_standard_descriptors();
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
    bool pending = __fpending(stdout) != 0, failed = ferror(stdout) != 0;
    errno = 0;
    bool close_failed = fclose(stdout) != 0;
    if (rc)
        return gp_tool_fail(tool);
    /* EBADF: stdout was closed from the start, which is fine if nothing was written */
    if (!failed && (!close_failed || (!pending && errno == EBADF)))
        return 0;
    fail("stdout: cannot be written: %s", errno ? strerror(errno) : "an earlier write failed");
    return gp_tool_fail(tool);
}
