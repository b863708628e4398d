/* error.c: the last failure, fatal errors, and the name of the running tool. */
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static _Thread_local char message[1024];
static _Thread_local int system_errno; /* of the failed system call, or 0 */

const char *gp_error(void)
{
    return message;
}

int gp_fail(const char *fmt, ...)
{
    char text[sizeof message]; /* not into message: the arguments may point into it */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    gp_printable_to(message, sizeof message, text); /* it may quote a file */
    system_errno = 0;
    return -1;
}

int gp_fail_in(const char *fmt, ...)
{
    int number = system_errno;
    char what[sizeof message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    gp_fail("%s: %s", what, message);
    system_errno = number;
    return -1;
}

int gp_fail_errno(const char *fmt, ...)
{
    int number = errno;
    char what[sizeof message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    gp_fail("%s: %s", what, strerror(number));
    system_errno = number;
    return -1;
}

bool gp_error_is_io(void)
{
    return system_errno && system_errno != ENOENT && system_errno != ENOTDIR;
}

const char *gp_version(void)
{
    return GPTPIPE_VERSION;
}

static const char driver[] = "gptpipe "; /* tools/driver/gptpipe.c sets argv[0] to "gptpipe train" */

static bool is_driven(void)
{
    return !strncmp(program_invocation_short_name, driver, strlen(driver));
}

const char *gp_tool_name(void)
{
    return program_invocation_short_name + (is_driven() ? strlen(driver) : 0);
}

const char *gp_tool_prefix(void)
{
    return is_driven() ? driver : "";
}

static struct {
    gp_die_context_fn *describe;
    void *self;
} context;

void gp_die_set_context(gp_die_context_fn *describe, void *self)
{
    context.describe = describe;
    context.self = self;
}

void gp_die(const char *fmt, ...)
{
    char more[512] = "", line[1024], shown[2 * sizeof line];
    va_list ap;
    va_start(ap, fmt);
    gp_die_context_fn *describe = context.describe;
    context.describe = NULL; /* it may call gp_die itself */
    if (describe)
        describe(context.self, more, sizeof more);
    vsnprintf(line, sizeof line, fmt, ap);
    gp_printable_to(shown, sizeof shown, line);
    fprintf(stderr, "%s: %s%s\n", gp_tool_name(), shown, more);
    va_end(ap);
    exit(1);
}

void gp_bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "gptpipe: bug at %s:%d: %s\n", file, line, what);
    abort();
}

double gp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
