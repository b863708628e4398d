/* lines.c: see lines.h. */
#include "gptpipe/lines.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#ifdef GPTPIPE_EDIT
#include <histedit.h>
#include <locale.h>
#endif

struct gp_lines {
    const char *prompt;
    bool terminal;
    char *line; /* getline's */
    size_t capacity;
    struct sigaction before;
#ifdef GPTPIPE_EDIT
    EditLine *edit;
    History *history;
    bool discarded; /* the line, by Ctrl-C */
#endif
};

static volatile sig_atomic_t interrupted; /* global for the signal handler */

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* SIGINT should interrupt a read, to discard the line, but not a write, which would be left incomplete. */
static void catch_interrupts(bool reading, struct sigaction *before)
{
    int flags = SA_ONSTACK | (reading ? 0 : SA_RESTART); /* see gp_backend_open */
    sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt, .sa_flags = flags}, before);
}

#ifdef GPTPIPE_EDIT

static char *prompt_of(EditLine *e)
{
    gp_lines *l;
    el_get(e, EL_CLIENTDATA, (void **)&l);
    return (char *)l->prompt;
}

static unsigned char discard(EditLine *e, int key)
{
    gp_lines *l;
    (void)key;
    el_get(e, EL_CLIENTDATA, (void **)&l);
    l->discarded = true;
    return CC_NEWLINE;
}

/* While a line is edited, the terminal delivers Ctrl-C as a key instead of a signal, which could interrupt a read. */
static void open_edit(gp_lines *l)
{
    HistEvent e;
    if (!l->terminal)
        return;
    setlocale(LC_CTYPE, ""); /* libedit decodes input by it */
    l->edit = el_init("gptpipe", stdin, stdout, stderr);
    l->history = history_init();
    if (!l->edit || !l->history)
        die("out of memory");
    history(l->history, &e, H_SETSIZE, 1000);
    history(l->history, &e, H_SETUNIQUE, 1);
    el_set(l->edit, EL_CLIENTDATA, l);
    el_set(l->edit, EL_PROMPT, prompt_of);
    el_set(l->edit, EL_EDITOR, "emacs");
    el_set(l->edit, EL_HIST, history, l->history);
    el_set(l->edit, EL_ADDFN, "discard-line", "Discards the line", discard);
    el_set(l->edit, EL_BIND, "^C", "discard-line", NULL);
    el_set(l->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(l->edit, EL_SETTY, "-d", "intr=", NULL);
    el_source(l->edit, NULL); /* ~/.editrc, the user's key bindings */
}

static EditLine *edited; /* the line being edited; global for the signal handlers */

/* Ctrl-Z: restores the terminal before the process stops. */
static void suspend(int signal)
{
    int saved = errno;
    struct sigaction ours;
    el_set(edited, EL_PREP_TERM, 0);
    sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, &ours);
    raise(signal); /* stops here */
    sigaction(signal, &ours, NULL);
    errno = saved;
}

/* fg: other processes may have changed the terminal, so libedit's mode is set again and the line redrawn. */
static void resume(int signal)
{
    int saved = errno;
    (void)signal;
    el_set(edited, EL_PREP_TERM, 0);
    el_set(edited, EL_PREP_TERM, 1);
    el_set(edited, EL_REFRESH);
    errno = saved;
}

/* el_gets with support for suspending. libedit's own handlers (EL_SIGNAL) would forward other signals to the whole
 * process group. */
static const char *get_line(gp_lines *l, int *n)
{
    enum { FLAGS = SA_ONSTACK | SA_RESTART };
    struct sigaction stop, go;
    edited = l->edit;
    sigaction(SIGTSTP, NULL, &stop);
    sigaction(SIGCONT, &(struct sigaction){.sa_handler = resume, .sa_flags = FLAGS}, &go);
    if (stop.sa_handler != SIG_IGN) /* SA_NODEFER: its handler raises it again */
        sigaction(SIGTSTP, &(struct sigaction){.sa_handler = suspend, .sa_flags = FLAGS | SA_NODEFER}, NULL);
    const char *text = el_gets(l->edit, n);
    sigaction(SIGTSTP, &stop, NULL);
    sigaction(SIGCONT, &go, NULL);
    return text;
}

/* Reads l->line; returns its length, or -1 at the end of the input. */
static ssize_t edit_line(gp_lines *l)
{
    HistEvent e;
    for (;;) {
        int n = 0;
        l->discarded = false;
        const char *text = get_line(l, &n);
        if (l->discarded) {
            fputc('\n', stdout);
            continue;
        }
        if (!text || n <= 0)
            return -1;
        if (text[0] != '\n')
            history(l->history, &e, H_ENTER, text);
        free(l->line);
        l->line = gp_strdup(text);
        return n;
    }
}

#endif

gp_lines *gp_lines_open(const char *prompt)
{
    gp_lines *l = gp_calloc(1, sizeof *l);
    l->prompt = prompt;
    l->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    catch_interrupts(false, &l->before);
#ifdef GPTPIPE_EDIT
    open_edit(l);
#endif
    return l;
}

/* Like edit_line, without libedit. */
static ssize_t plain_line(gp_lines *l)
{
    for (;;) {
        if (l->terminal)
            fputs(l->prompt, stdout);
        fflush(stdout);
        errno = 0;
        catch_interrupts(true, NULL);
        ssize_t n = getline(&l->line, &l->capacity, stdin);
        int error = errno;
        catch_interrupts(false, NULL);
        if (n >= 0 || error != EINTR)
            return n;
        clearerr(stdin);
        fputc('\n', stdout);
    }
}

const char *gp_lines_next(gp_lines *l)
{
    ssize_t n;
#ifdef GPTPIPE_EDIT
    n = l->edit ? edit_line(l) : plain_line(l);
#else
    n = plain_line(l);
#endif
    interrupted = 0;
    if (n < 0 && l->terminal)
        fputc('\n', stdout); /* after the prompt at which Ctrl-D was pressed */
    if (n > 0 && l->line[n - 1] == '\n')
        l->line[n - 1] = 0;
    return n < 0 ? NULL : l->line;
}

bool gp_lines_interrupted(const gp_lines *l)
{
    (void)l;
    return interrupted != 0;
}

void gp_lines_close(gp_lines *l)
{
    if (!l)
        return;
#ifdef GPTPIPE_EDIT
    if (l->edit)
        el_end(l->edit);
    if (l->history)
        history_end(l->history);
#endif
    sigaction(SIGINT, &l->before, NULL);
    free(l->line);
    free(l);
}
