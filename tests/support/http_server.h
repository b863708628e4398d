/* http_server.h: a small HTTP server on 127.0.0.1 that does what a test tells it, badly on purpose.
 *
 *     server s = {.replies = {{.status = 500}, {.body = "hello"}}};    // one a request; the last is repeated
 *     server_start(&s);
 *     ... "http://127.0.0.1:%d/path", s.port ...
 *     server_stop(&s);
 *     s.requests, s.request[0]                                         // what was asked
 *
 * Each connection has its thread, so that several files can come at once.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_REPLIES = 8, SERVER_REQUESTS = 32 };

typedef struct reply {
    int status;          /* 0: 200, or 206 where a range is asked for and its condition holds */
    const char *body;    /* NULL: none */
    size_t size;         /* of the body; 0: it is a string */
    const char *etag;    /* with quotes, or NULL */
    const char *headers; /* further lines, each with \r\n, or NULL */
    long cut;            /* the connection breaks after so many bytes of the body; 0: it does not */
    long length;         /* what Content-Length says, where that is a lie */
    long most;           /* of a range no more than so many bytes are sent; 0: all */
    long off;            /* a range begins so many bytes after where it was asked for */
    int pause;           /* milliseconds in the middle of the body */
    int together;        /* no answer before so many requests have come */
    bool no_length;      /* no Content-Length: the end of the connection is the end of the body */
    bool chunked;        /* the same, but in chunks, whose end is marked */
    bool no_ranges;      /* Range is ignored */
    bool stall;          /* instead of breaking, it says nothing more until the client goes */
    bool mute;           /* it hangs up without an answer */
} reply;

typedef struct server {
    reply replies[SERVER_REPLIES];
    int port, listener, requests, count;
    char request[SERVER_REQUESTS][2048];
    pthread_t thread, threads[SERVER_REQUESTS];
    pthread_mutex_t lock;
    pthread_cond_t came;
} server;

/* What a connection's thread is given. */
typedef struct connection {
    server *s;
    int fd;
} connection;

static inline void server_check(bool good, const char *what)
{
    if (!good) {
        perror(what);
        abort();
    }
}

/* The value of a request's header (NAME with its colon), into value; "" when it is not there. */
static inline const char *request_header(const char *request, const char *name, char *value, size_t size)
{
    const char *at = strcasestr(request, name);
    *value = 0;
    if (at) {
        at += strlen(name);
        at += strspn(at, " ");
        snprintf(value, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
    return value;
}

static inline void server_send(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        n -= (size_t)sent;
    }
}

/* How a body goes out: cut, in pieces, with a pause. */
static inline void server_send_body(int fd, const char *body, size_t rest, const reply *r)
{
    size_t sent = r->cut && (size_t)r->cut < rest ? (size_t)r->cut : rest;
    char size[32];
    if (r->chunked) {
        snprintf(size, sizeof size, "%zx\r\n", rest);
        server_send(fd, size, strlen(size));
    }
    if (r->pause) {
        server_send(fd, body, sent / 2);
        poll(NULL, 0, r->pause);
        body += sent / 2;
        sent -= sent / 2;
    }
    server_send(fd, body, sent);
    if (r->chunked && !r->cut)
        server_send(fd, "\r\n0\r\n\r\n", 7);
    if (r->stall)
        poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, 30000);
}

static inline void server_answer(int fd, const char *request, const reply *r)
{
    char range[256], condition[256], head[2048];
    const char *body = r->body ? r->body : "";
    size_t whole = r->size ? r->size : strlen(body), from = 0;
    int status = r->status ? r->status : 200;
    request_header(request, "\r\nRange:", range, sizeof range);
    request_header(request, "\r\nIf-Range:", condition, sizeof condition);
    if (*range && !r->no_ranges && !r->status && (!*condition || (r->etag && !strcmp(condition, r->etag)))) {
        from = strtoul(range + strlen("bytes="), NULL, 10) + (size_t)r->off;
        status = from < whole ? 206 : 416;
        from = from < whole ? from : whole;
    }
    size_t rest = whole - from;
    if (r->most && status == 206 && rest > (size_t)r->most)
        rest = (size_t)r->most;
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Told\r\nConnection: close\r\n", status);
    if (r->chunked)
        n += snprintf(head + n, sizeof head - (size_t)n, "Transfer-Encoding: chunked\r\n");
    else if (!r->no_length)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n",
                      r->length && status != 416 ? (size_t)r->length : rest);
    if (status == 206)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %zu-%zu/%zu\r\n", from, from + rest - 1,
                      whole);
    if (status == 416)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes */%zu\r\n", whole);
    if (r->etag)
        n += snprintf(head + n, sizeof head - (size_t)n, "ETag: %s\r\n", r->etag);
    n += snprintf(head + n, sizeof head - (size_t)n, "%s\r\n", r->headers ? r->headers : "");
    server_send(fd, head, (size_t)n);
    server_send_body(fd, body + from, rest, r);
}

/* Reads a request to the empty line at its end. Returns its length. */
static inline size_t server_read(int fd, char *request, size_t size)
{
    size_t n = 0;
    ssize_t got;
    *request = 0;
    while (n < size - 1 && (got = recv(fd, request + n, size - 1 - n, 0)) > 0) {
        n += (size_t)got;
        request[n] = 0;
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    return n;
}

/* Reads a request and keeps it; gives the reply whose turn it is. */
static inline const reply *server_hear(server *s, int fd, char *request, size_t size)
{
    size_t n = server_read(fd, request, size);
    pthread_mutex_lock(&s->lock);
    int last = 0;
    while (last + 1 < SERVER_REPLIES && last < s->requests &&
           (s->replies[last + 1].status || s->replies[last + 1].body || s->replies[last + 1].mute))
        last++;
    memcpy(s->request[s->requests < SERVER_REQUESTS ? s->requests : SERVER_REQUESTS - 1], request, n + 1);
    s->requests++;
    pthread_cond_broadcast(&s->came);
    while (s->requests < s->replies[last].together)
        pthread_cond_wait(&s->came, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return &s->replies[last];
}

static inline void *server_serve(void *self)
{
    connection c = *(connection *)self;
    char request[2048];
    free(self);
    const reply *r = server_hear(c.s, c.fd, request, sizeof request);
    if (!r->mute)
        server_answer(c.fd, request, r);
    shutdown(c.fd, SHUT_RDWR);
    close(c.fd);
    return NULL;
}

static inline void *server_run(void *self)
{
    server *s = self;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; s->count++) {
        connection *c = malloc(sizeof *c);
        server_check(c && s->count < SERVER_REQUESTS, "server: too many connections");
        *c = (connection){s, fd};
        server_check(!pthread_create(&s->threads[s->count], NULL, server_serve, c), "server: thread");
    }
    return NULL;
}

/* A socket that listens on 127.0.0.1, at a port that is free. */
static inline int server_listen(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server_check(listener >= 0 && !bind(listener, (struct sockaddr *)&a, sizeof a) && !listen(listener, 8) &&
                     !getsockname(listener, (struct sockaddr *)&a, &n),
                 "server: listening on 127.0.0.1");
    *port = ntohs(a.sin_port);
    return listener;
}

static inline void server_start(server *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->came, NULL);
    s->listener = server_listen(&s->port);
    server_check(!pthread_create(&s->thread, NULL, server_run, s), "server: thread");
}

static inline void server_stop(server *s)
{
    shutdown(s->listener, SHUT_RDWR); /* accept gives up */
    pthread_join(s->thread, NULL);
    for (int i = 0; i < s->count; i++)
        pthread_join(s->threads[i], NULL);
    close(s->listener);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->came);
}

#endif
