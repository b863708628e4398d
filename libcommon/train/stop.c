/* stop.c: see stop.h. */
#include "train/stop.h"
#include "base/file.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;
static bool terminal;

/* Signal handlers must not use stdio. */
static void print(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

/* A file that is being written still has a temporary name, so ending here costs only the steps since the last
 * checkpoint. */
static void on_stop(int number)
{
    if (stop_signal) {
        print("\ntrain: stopped at once; the last checkpoint stays\n");
        _exit(128 + number);
    }
    stop_signal = number;
    if (terminal) /* a long step would look like a hang */
        print("\ntrain: stopping after this step, which is saved; once more stops at once\n");
}

void gp_stop_begin(bool saves)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction hangup;
    stop_signal = 0;
    terminal = isatty(STDERR_FILENO);
    if (saves) {
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGTERM, &stop, NULL);
    }
    if (saves && !sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN) /* as nohup sets it */
        sigaction(SIGHUP, &stop, NULL);
    gp_sigbus_install("; the last checkpoint stays: --resume continues with the whole file");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, not the end of a run */
    signal(SIGXFSZ, SIG_IGN); /* as is a limit on file sizes */
}

int gp_stop_signal(void)
{
    return stop_signal;
}
