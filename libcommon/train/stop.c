/* stop.c: see stop.h. */
#include "train/stop.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;
static bool terminal;

/* The mapped files and how long they were. */
enum { MOST_FILES = 1024 };
static struct {
    const char *path;
    off_t size;
} mapped[MOST_FILES];
static volatile sig_atomic_t mapped_count;

/* Handlers may not use stdio. */
static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

/* What is being written has another name still, so ending here costs the steps since the last checkpoint and no more.
 */
static void on_stop(int number)
{
    if (stop_signal) {
        say("\ntrain: stopped at once; the last checkpoint stays\n");
        _exit(128 + number);
    }
    stop_signal = number;
    if (terminal) /* where a step takes long it would seem that nobody listens */
        say("\ntrain: stopping after this step, which is saved; once more stops at once\n");
}

static void on_bus_error(int number)
{
    struct stat st;
    (void)number;
    for (int i = 0; i < mapped_count; i++)
        if (stat(mapped[i].path, &st) || st.st_size < mapped[i].size) {
            say("train: ");
            say(mapped[i].path);
            say(": became shorter while it was read; the last checkpoint stays: --resume goes on with the "
                "whole file\n");
            _exit(1);
        }
    say("train: a mapped file cannot be read (SIGBUS): is its disk failing? The last checkpoint stays\n");
    _exit(1);
}

void gp_stop_begin(const gp_list *files, bool saves)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction bus = {.sa_handler = on_bus_error, .sa_flags = SA_ONSTACK};
    struct sigaction hangup;
    struct stat st;
    int n = 0;
    stop_signal = 0;
    for (int i = 0; i < files->count && n < MOST_FILES; i++)
        if (!stat(files->items[i], &st) && S_ISREG(st.st_mode)) {
            mapped[n].path = files->items[i];
            mapped[n++].size = st.st_size;
        }
    mapped_count = n;
    terminal = isatty(STDERR_FILENO);
    if (saves) {
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGTERM, &stop, NULL);
    }
    if (saves && !sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN) /* nohup's wish is kept */
        sigaction(SIGHUP, &stop, NULL);
    sigaction(SIGBUS, &bus, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed reader is a failed write, not the end of a run */
    signal(SIGXFSZ, SIG_IGN); /* nor is a limit on file sizes */
}

int gp_stop_signal(void)
{
    return stop_signal;
}
