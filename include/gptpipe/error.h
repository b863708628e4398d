/* error.h: how failures are reported.
 *
 * A function that can fail on bad input returns an int (0, or -1 on failure) or a pointer (NULL on failure), and leaves
 * a one-line message in a thread-local buffer:
 *
 *     gp_tokens *t = gp_tokens_open("train.tok");
 *     if (!t)
 *         fprintf(stderr, "mytool: %s\n", gp_error());
 *
 * Running out of memory or losing a device ends the process with a message and exit status 1; a bug in the library
 * aborts. Otherwise the library never ends the process, and it never prints to stdout.
 */
#ifndef GPTPIPE_ERROR_H
#define GPTPIPE_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GP_API                __attribute__((visibility("default")))
#define GP_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define GP_API
#define GP_PRINTF(fmt, first)
#endif

/* The message of the last failure on this thread, one line without a newline; "" if nothing has failed. */
GP_API const char *gp_error(void);

/* Records a failure and returns -1: `return gp_fail(...)`. */
GP_API int gp_fail(const char *fmt, ...) GP_PRINTF(1, 2);

/* Prepends "CONTEXT: ", formatted as by printf, to the recorded message and returns -1. */
GP_API int gp_fail_in(const char *fmt, ...) GP_PRINTF(1, 2);

/* The version number: "0.1.0". */
GP_API const char *gp_version(void);

/* What to type before the name of a tool, for advice in messages: "gptpipe " if the program gptpipe started this
 * process, else "". */
GP_API const char *gp_tool_prefix(void);

/* Untrusted text (from a file, an archive, a server), safe to print to a terminal: control characters and bidirectional
 * controls are escaped (\n, \x1b, \u202e), as are bytes that are not UTF-8 (\xff). Valid until the eighth call after
 * this one on the same thread. The library's own messages are escaped in this way. */
GP_API const char *gp_printable(const char *text);

/* The ending of a noun after its number: "%lld text%s". */
static inline const char *gp_plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

#ifdef __cplusplus
}
#endif
#endif
