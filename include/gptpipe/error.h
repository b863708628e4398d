/* error.h: how the library says no.
 *
 * A function that can fail on bad input returns an int (0, or -1) or a pointer (NULL on failure) and
 * leaves one clear line for a person in a thread-local buffer:
 *
 *     gp_tokens *t = gp_tokens_open("train.tok");
 *     if (!t)
 *         fprintf(stderr, "mytool: %s\n", gp_error());
 *
 * Out of memory and a lost device end the process with a message (exit 1); a broken promise inside the
 * library aborts. Nothing else leaves the library, and it never prints on stdout.
 */
#ifndef GPTPIPE_ERROR_H
#define GPTPIPE_ERROR_H

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

/* The last failure on this thread, one line without a newline; "" when nothing failed yet. */
GP_API const char *gp_error(void);

/* Records a failure and returns -1, so that `return gp_fail(...)` reads as what it does. */
GP_API int gp_fail(const char *fmt, ...) GP_PRINTF(1, 2);

/* Puts "WHAT: " in front of the recorded failure and returns -1: context on the way out. */
GP_API int gp_fail_in(const char *what);

/* "gptpipe 0.1.0" is printed by every tool's --version; this is the number alone. */
GP_API const char *gp_version(void);

/* What whoever started this process types before a tool's name, for advice: "gptpipe " where the program gptpipe
 * started it, else "". */
GP_API const char *gp_tool_prefix(void);

/* Text that comes from a file, an archive or a server, as a terminal may show it: control characters and those that
 * turn the direction of text are escaped (\n, \x1b, \u202e), bytes that are not UTF-8 too (\xff). Valid until the
 * eighth next call on this thread. All messages of the library are shown so. */
GP_API const char *gp_printable(const char *text);

#ifdef __cplusplus
}
#endif
#endif
