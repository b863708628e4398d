/* sigbus.c: reading a mapped file that has been truncated, or whose disk fails, raises SIGBUS. A handler ends the
 * process with the name of the file. Handlers have no arguments, so the mappings are in a global list. */
#include "base/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One mapping. Nodes are reused and never freed, since the handler may read the list on any thread. */
typedef struct watched_map {
    struct watched_map *next;
    _Atomic uintptr_t begin; /* 0: unused */
    size_t size;
    char *path, *printable;
    struct stat st; /* when it was mapped */
} watched_map;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static watched_map *_Atomic nodes;
static const char *_Atomic warning;
static struct sigaction before;

/* stdio is not async-signal-safe. */
static void print(const char *text)
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
        print(gp_tool_name());
        print(": ");
        print(n->printable);
        print(shorter ? ": became shorter while it was read" : ": cannot be read (SIGBUS): is its disk failing?");
        print(more ? more : "");
        print("\n");
        _exit(1);
    }
    sigaction(SIGBUS, &before, NULL); /* not one of our mappings: return to fault again under the old handler */
}

static void install(void)
{
    struct sigaction bus = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGBUS, &bus, &before);
}

void gp_sigbus_install(const char *more)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    if (more)
        atomic_store(&warning, more);
}

void gp_sigbus_watch(const void *data, size_t size, const char *path, const struct stat *st)
{
    size_t capacity = 4 * strlen(path) + 16; /* a byte is escaped to at most 4 */
    gp_sigbus_install(NULL);
    pthread_mutex_lock(&lock);
    watched_map *n = atomic_load(&nodes);
    while (n && atomic_load(&n->begin))
        n = n->next;
    bool new = !n;
    if (new)
        n = gp_calloc(1, sizeof *n);
    free(n->path);
    free(n->printable);
    n->path = gp_strdup(path);
    n->printable = gp_malloc(capacity);
    gp_printable_to(n->printable, capacity, path);
    n->size = size;
    n->st = *st;
    if (new) {
        n->next = atomic_load(&nodes);
        atomic_store(&nodes, n);
    }
    atomic_store(&n->begin, (uintptr_t)data);
    pthread_mutex_unlock(&lock);
}

void gp_sigbus_unwatch(const void *data)
{
    pthread_mutex_lock(&lock);
    for (watched_map *n = atomic_load(&nodes); n; n = n->next)
        if (atomic_load(&n->begin) == (uintptr_t)data)
            atomic_store(&n->begin, 0);
    pthread_mutex_unlock(&lock);
}

static bool is_changed(const watched_map *n)
{
    struct stat now;
    return !stat(n->path, &now) && now.st_dev == n->st.st_dev && now.st_ino == n->st.st_ino &&
           (now.st_size != n->st.st_size || now.st_mtim.tv_sec != n->st.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != n->st.st_mtim.tv_nsec);
}

int gp_map_check_unchanged(const void *data)
{
    uintptr_t at = (uintptr_t)data;
    int rc = 0;
    pthread_mutex_lock(&lock);
    for (const watched_map *n = atomic_load(&nodes); n && !rc; n = n->next) {
        uintptr_t begin = atomic_load(&n->begin);
        if (begin && at >= begin && at < begin + n->size && is_changed(n))
            rc = fail("%s: was written to while it was read: the results may be of neither version", n->path);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}
