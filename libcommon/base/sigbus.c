/* sigbus.c: a mapped file that shrinks, or whose disk fails, raises SIGBUS where it is read: the process ends with the
 * file's name, whichever tool it is. A handler has no arguments, so the mappings are in one list of the process. */
#include "base/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One mapping. Nodes are used again and never freed, since the handler walks along them on any thread. */
typedef struct watched_map {
    struct watched_map *next;
    _Atomic uintptr_t begin; /* 0: free */
    size_t size;
    char *path, *shown;
} watched_map;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static watched_map *_Atomic nodes;
static const char *_Atomic warning;
static struct sigaction before;

/* Handlers may not use stdio. */
static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)number, (void)context;
    for (const watched_map *n = atomic_load(&nodes); n; n = n->next) {
        uintptr_t begin = atomic_load(&n->begin);
        struct stat st;
        if (!begin || at < begin || at >= begin + gp_round_up(n->size, page))
            continue;
        bool shorter = stat(n->path, &st) || (uint64_t)st.st_size < n->size;
        const char *more = atomic_load(&warning);
        say(gp_tool_name());
        say(": ");
        say(n->shown);
        say(shorter ? ": became shorter while it was read" : ": cannot be read (SIGBUS): is its disk failing?");
        say(more ? more : "");
        say("\n");
        _exit(1);
    }
    sigaction(SIGBUS, &before, NULL); /* not ours: the same fault comes again */
}

static void install(void)
{
    struct sigaction bus = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGBUS, &bus, &before);
}

void gp_bus_begin(const char *more)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    if (more)
        atomic_store(&warning, more);
}

void gp_bus_watch(const void *data, size_t size, const char *path)
{
    enum { SHOWN = 4 };
    size_t room = SHOWN * strlen(path) + 16;
    gp_bus_begin(NULL);
    pthread_mutex_lock(&lock);
    watched_map *n = atomic_load(&nodes);
    while (n && atomic_load(&n->begin))
        n = n->next;
    bool fresh = !n;
    if (fresh)
        n = gp_calloc(1, sizeof *n);
    free(n->path);
    free(n->shown);
    n->path = gp_strdup(path);
    n->shown = gp_malloc(room);
    gp_printable_to(n->shown, room, path);
    n->size = size;
    if (fresh) {
        n->next = atomic_load(&nodes);
        atomic_store(&nodes, n);
    }
    atomic_store(&n->begin, (uintptr_t)data);
    pthread_mutex_unlock(&lock);
}

void gp_bus_forget(const void *data)
{
    pthread_mutex_lock(&lock);
    for (watched_map *n = atomic_load(&nodes); n; n = n->next)
        if (atomic_load(&n->begin) == (uintptr_t)data)
            atomic_store(&n->begin, 0);
    pthread_mutex_unlock(&lock);
}
