/* http_server.h: a small HTTP server on 127.0.0.1 that does what a test tells it, badly on purpose.
 *
 *     server s = {.replies = {{.status = 500}, {.body = "hello"}}};    // one a request; the last is repeated
 *     server_start(&s);
 *     ... "http://127.0.0.1:%d/path", s.port ...
 *     server_stop(&s);
 *     s.requests, s.request[0]                                         // what was asked
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct reply {
    int status;          /* 0: 200, or 206 where a range is asked for and its condition holds */
    const char *body;    /* NULL: none */
    const char *etag;    /* with quotes, or NULL */
    const char *headers; /* further lines, each with \r\n, or NULL */
    long cut;            /* the connection breaks after so many bytes of the body; 0: it does not */
    bool no_length;      /* no Content-Length: the end of the connection is the end of the body */
    bool no_ranges;      /* Range is ignored */
    bool stall;          /* instead of breaking, it says nothing more for three seconds */
} reply;

typedef struct server {
    reply replies[8];
    int port, listener, requests;
    char request[32][2048];
    pthread_t thread;
} server;

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

static inline void server_answer(server *s, int fd, const char *request, const reply *r)
{
    char range[256], condition[256], head[1024];
    const char *body = r->body ? r->body : "";
    size_t whole = strlen(body), from = 0;
    int status = r->status ? r->status : 200;
    request_header(request, "\r\nRange:", range, sizeof range);
    request_header(request, "\r\nIf-Range:", condition, sizeof condition);
    if (*range && !r->no_ranges && !r->status && (!*condition || (r->etag && !strcmp(condition, r->etag)))) {
        from = strtoul(range + strlen("bytes="), NULL, 10);
        status = from < whole ? 206 : 416;
        from = from < whole ? from : whole;
    }
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Told\r\nConnection: close\r\n", status);
    if (!r->no_length)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", whole - from);
    if (status == 206)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %zu-%zu/%zu\r\n", from,
                      whole - 1, whole);
    if (r->etag)
        n += snprintf(head + n, sizeof head - (size_t)n, "ETag: %s\r\n", r->etag);
    n += snprintf(head + n, sizeof head - (size_t)n, "%s\r\n", r->headers ? r->headers : "");
    server_send(fd, head, (size_t)n);
    size_t rest = whole - from;
    server_send(fd, body + from, r->cut && (size_t)r->cut < rest ? (size_t)r->cut : rest);
    if (r->stall)
        sleep(3);
    (void)s;
}

static inline void *server_run(void *self)
{
    server *s = self;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
        char *request = s->request[s->requests < 32 ? s->requests : 31];
        size_t n = 0;
        ssize_t got;
        while (n < sizeof s->request[0] - 1 &&
               (got = recv(fd, request + n, sizeof s->request[0] - 1 - n, 0)) > 0) {
            n += (size_t)got;
            request[n] = 0;
            if (strstr(request, "\r\n\r\n"))
                break;
        }
        int last = 0;
        while (last + 1 < 8 && last < s->requests &&
               (s->replies[last + 1].status || s->replies[last + 1].body))
            last++;
        s->requests++;
        server_answer(s, fd, request, &s->replies[last]);
        shutdown(fd, SHUT_RDWR);
    }
    return NULL;
}

static inline void server_start(server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static inline void server_stop(server *s)
{
    shutdown(s->listener, SHUT_RDWR); /* accept gives up */
    pthread_join(s->thread, NULL);
    close(s->listener);
}

#endif
