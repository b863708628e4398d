/* misbehave.c: a web server that behaves badly by path, for the tests of the tools.
 *
 *     misbehave FOLDER LOG
 *
 * prints its port and serves http://127.0.0.1:PORT/BEHAVIOUR/CASE/FILE: the file FOLDER/FILE, or FOLDER/FILE.bad where
 * the behaviour is to send another one. The same path is answered badly so many times and well from then on. Each
 * request is a line of LOG: its path and its Range, or "-". It ends when it is killed, or after two minutes.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "http_server.h"

enum { PATHS = 256, MAX_PATH = 256 };

typedef struct behaviour {
    const char *name;
    int times;     /* it behaves so, and well after them */
    bool bad_file; /* FILE.bad is what it sends then */
    bool bare;     /* and no ETag */
    int percent;   /* the connection is cut after so much of the file; 0: it is not */
    long lie;      /* added to what Content-Length says */
    reply r;
} behaviour;

static const behaviour behaviours[] = {
    {.name = "good"},
    {.name = "404", .times = 1, .r.status = 404},
    {.name = "500", .times = 1, .r.status = 500},
    {.name = "cut", .times = 1, .percent = 50},
    {.name = "cut-twice", .times = 2, .percent = 30},
    {.name = "bare-cut", .times = 1, .percent = 50, .bare = true},
    {.name = "bare-changes", .times = 1, .percent = 50, .bad_file = true, .bare = true},
    {.name = "no-ranges", .times = 2, .percent = 50, .r.no_ranges = true},
    {.name = "etag-changes", .times = 1, .percent = 50, .bad_file = true, .r.etag = "\"old\""},
    {.name = "wrong", .times = 1, .bad_file = true},
    {.name = "too-long", .times = 1, .lie = 10},
    {.name = "too-short", .times = 1, .lie = -10},
    {.name = "no-length", .times = 1, .r.no_length = true},
    {.name = "no-length-cut", .times = 1, .percent = 50, .r.no_length = true},
    {.name = "redirect-loop", .times = 11, .r = {.status = 302, .headers = "Location: again.txt\r\n"}},
    {.name = "to-file", .times = 1, .r = {.status = 302, .headers = "Location: file:///etc/passwd\r\n"}},
    {.name = "stall", .times = 1, .percent = 50, .r.stall = true},
    {.name = "slow", .times = 1000, .r.pause = 700},
};

/* What the connections' threads share, under the lock. */
typedef struct state {
    const char *folder;
    FILE *log;
    pthread_mutex_t lock;
    struct {
        char path[MAX_PATH];
        int requests;
    } seen[PATHS];
} state;

typedef struct visit {
    state *s;
    int fd;
} visit;

/* Notes the request; how often this path was asked for before. */
static int note(state *s, const char *path, const char *range)
{
    int i = 0;
    pthread_mutex_lock(&s->lock);
    fprintf(s->log, "%s %s\n", path, *range ? range : "-");
    fflush(s->log);
    while (*s->seen[i].path && strcmp(s->seen[i].path, path))
        i++;
    server_check(i < PATHS - 1, "misbehave: too many paths");
    snprintf(s->seen[i].path, MAX_PATH, "%s", path);
    int before = s->seen[i].requests++;
    pthread_mutex_unlock(&s->lock);
    return before;
}

/* Fresh, or NULL where there is no such file. */
static char *load(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    server_check(!fstat(fd, &st), path);
    char *body = malloc((size_t)st.st_size + 1);
    server_check(body && read(fd, body, (size_t)st.st_size) == st.st_size, path);
    close(fd);
    *size = (size_t)st.st_size;
    return body;
}

static void answer(state *s, int fd, const char *request, const char *path, int before)
{
    const behaviour *b = behaviours; /* good */
    char file[2 * MAX_PATH];
    reply r = {.etag = "\"v1\""};
    for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++) {
        size_t n = strlen(behaviours[i].name);
        if (before < behaviours[i].times && !strncmp(path + 1, behaviours[i].name, n) && path[1 + n] == '/')
            b = behaviours + i;
    }
    if (b != behaviours)
        r = b->r;
    if (!r.etag && !b->bare)
        r.etag = "\"v1\"";
    snprintf(file, sizeof file, "%s%s%s", s->folder, strrchr(path, '/'), b->bad_file ? ".bad" : "");
    char *body = load(file, &r.size);
    if (!body && !r.status)
        r.status = 404;
    r.body = r.status ? NULL : body;
    r.size = r.body ? r.size : 0;
    r.cut = (long)r.size * b->percent / 100;
    r.length = b->lie ? (long)r.size + b->lie : 0;
    server_answer(fd, request, &r);
    free(body);
}

static void *serve(void *self)
{
    visit v = *(visit *)self;
    char request[2048], path[MAX_PATH], range[256];
    free(self);
    server_read(v.fd, request, sizeof request);
    if (sscanf(request, "GET %255s", path) == 1 && *path == '/') {
        request_header(request, "\r\nRange:", range, sizeof range);
        answer(v.s, v.fd, request, path, note(v.s, path, range));
    }
    shutdown(v.fd, SHUT_RDWR);
    close(v.fd);
    return NULL;
}

int main(int argc, char **argv)
{
    static state s;
    pthread_attr_t detached;
    int port;
    if (argc != 3) {
        fprintf(stderr, "usage: misbehave FOLDER LOG\n");
        return 2;
    }
    s.folder = argv[1];
    s.log = fopen(argv[2], "we");
    server_check(s.log != NULL, argv[2]);
    pthread_mutex_init(&s.lock, NULL);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    alarm(120);
    int listener = server_listen(&port);
    printf("%d\n", port);
    fclose(stdout);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        visit *v = malloc(sizeof *v);
        server_check(v != NULL, "misbehave: memory");
        *v = (visit){&s, fd};
        server_check(!pthread_create(&thread, &detached, serve, v), "misbehave: thread");
    }
    perror("misbehave: accept");
    return 1;
}
