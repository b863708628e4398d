/* download.c: one transfer over libcurl; see download.h.
 *
 * A part is continued with `Range: bytes=N-` and `If-Range: VALIDATOR`, so a server whose file has changed sends all
 * of it (200) and one whose file is the same sends the rest (206). The response is accepted only if its range starts at
 * N. Where a server has no validators, the rest is requested without a condition, and accepted if the file still has
 * the same size.
 *
 * A response that need not be the whole file is refused: a range that was not requested, a body in another encoding,
 * one with neither a length nor an end mark.
 */
#include "fetch/download.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fetch/response.h"

enum { MAX_PAGE = 1 << 16 };

#define SET(r, option, value) check_memory((r)->lib->easy_setopt((r)->curl, option, value))

static void check_memory(CURLcode code)
{
    if (code == CURLE_OUT_OF_MEMORY)
        die("out of memory (libcurl)");
}

static size_t on_header(char *line, size_t size, size_t count, void *self)
{
    gp_response *r = self;
    size_t n = size * count;
    r->last_received = gp_now();
    gp_response_header(r, line, n);
    return n;
}

static size_t on_body(char *data, size_t size, size_t count, void *self)
{
    gp_response *r = self;
    gp_download *d = r->d;
    size_t n = size * count;
    r->last_received = gp_now();
    if (!r->body && gp_response_begin(r) != GP_TRANSFER_DONE)
        return 0;
    if (r->status >= 300) /* an error page; an endless one is aborted */
        return (r->page += (int64_t)n) > MAX_PAGE ? 0 : n;
    int64_t expected = r->promised >= 0 ? r->promised : d->size;
    if (expected < 0 && d->part->done > d->limit - (int64_t)n) {
        fail("%s: sends more than %lld bytes, the limit for a file whose size is not known; a size in the "
             "catalog lifts it",
             r->url, (long long)d->limit);
        gp_response_stop(r, GP_TRANSFER_NO);
        return 0;
    }
    if (expected >= 0 && (int64_t)n > expected - d->part->done) {
        fail("%s: sends more than the %lld bytes expected: the file has changed at its source", r->url,
             (long long)expected);
        gp_response_stop(r, GP_TRANSFER_NO);
        return 0;
    }
    if (gp_partial_add(d->part, data, n)) {
        gp_response_stop(r, GP_TRANSFER_STOP);
        return 0;
    }
    gp_progress_set(d->progress, d->part->done, NULL);
    return n;
}

/* Once connected, the time limit is that of the server, which is shorter than that of the connection. */
static void note_connection(gp_response *r)
{
    curl_off_t elapsed = 0;
    if (r->connected || r->lib->easy_getinfo(r->curl, CURLINFO_PRETRANSFER_TIME_T, &elapsed) || !elapsed)
        return;
    r->connected = true;
    r->last_received = gp_now();
}

/* Called at least once a second. libcurl's own limit applies to an average over several seconds, which is too late. */
static int on_progress(void *self, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t up_now)
{
    gp_response *r = self;
    (void)total, (void)now, (void)up, (void)up_now;
    gp_progress_set(r->d->progress, r->d->part->done, NULL);
    note_connection(r);
    if (gp_now() - r->last_received < r->d->stall)
        return 0;
    fail("%s: no data received for %.0f s", r->url, r->d->stall);
    gp_response_stop(r, GP_TRANSFER_AGAIN);
    return 1;
}

/* As the curl program: libcurl itself reads the variables of proxies but not these. */
static void set_certificates(const gp_response *r)
{
    const char *bundle = getenv("CURL_CA_BUNDLE"), *dir = NULL;
    if (!bundle || !*bundle) {
        bundle = getenv("SSL_CERT_FILE");
        dir = getenv("SSL_CERT_DIR");
    }
    if (bundle && *bundle) {
        SET(r, CURLOPT_CAINFO, bundle);
        SET(r, CURLOPT_PROXY_CAINFO, bundle);
    }
    if (dir && *dir) {
        SET(r, CURLOPT_CAPATH, dir);
        SET(r, CURLOPT_PROXY_CAPATH, dir);
    }
}

/* No redirect is followed from https to http, nor to a local file. */
static void set_protocols(const gp_response *r, const char *url)
{
    bool encrypted = !strncasecmp(url, "https:", 6);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(r, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(r, CURLOPT_REDIR_PROTOCOLS_STR, encrypted ? "https" : "http,https");
#else
    SET(r, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(r, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTPS | (encrypted ? 0 : CURLPROTO_HTTP)));
#endif
}

static void set_up(gp_response *r, const char *url)
{
    SET(r, CURLOPT_URL, url);
    SET(r, CURLOPT_USERAGENT, "gptpipe/" GPTPIPE_VERSION);
    SET(r, CURLOPT_FOLLOWLOCATION, 1L);
    SET(r, CURLOPT_MAXREDIRS, 10L);
    SET(r, CURLOPT_NOSIGNAL, 1L);
    SET(r, CURLOPT_CONNECTTIMEOUT_MS, (long)(fmin(r->d->connect, 1e6) * 1000));
    SET(r, CURLOPT_NOPROGRESS, 0L);
    SET(r, CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(r, CURLOPT_XFERINFODATA, r);
    SET(r, CURLOPT_ERRORBUFFER, r->reason);
    SET(r, CURLOPT_HEADERFUNCTION, on_header);
    SET(r, CURLOPT_HEADERDATA, r);
#if LIBCURL_VERSION_NUM >= 0x074000
    SET(r, CURLOPT_HTTP09_ALLOWED, 0L); /* a body without a status */
#endif
    SET(r, CURLOPT_WRITEFUNCTION, on_body);
    SET(r, CURLOPT_WRITEDATA, r);
    set_protocols(r, url);
    set_certificates(r);
}

static struct curl_slist *add_header(gp_response *r, struct curl_slist *headers, const char *line)
{
    struct curl_slist *more = r->lib->slist_append(headers, line);
    if (!more)
        die("out of memory (libcurl)");
    SET(r, CURLOPT_HTTPHEADER, more);
    return more;
}

/* The request's headers. The rest is requested only where a mixture of two versions would be detected: by the
 * validator, by the SHA-256, or, where the server has no validator, most likely by the size. */
static struct curl_slist *request_headers(gp_response *r, int *rc)
{
    gp_partial *p = r->d->part;
    struct curl_slist *headers = add_header(r, NULL, "Accept-Encoding: identity");
    bool same_url = p->url && !strcmp(p->url, r->url), same_source = same_url && p->validator;
    *rc = 0;
    if (!p->done)
        return headers;
    r->by_size = same_url && !same_source && p->whole >= p->done;
    if (!same_source && !r->by_size && !r->d->checked) {
        *rc = gp_partial_restart(p);
        return headers;
    }
    r->ranged = true;
    char *range = gp_format("%lld-", (long long)p->done);
    SET(r, CURLOPT_RANGE, range);
    free(range);
    if (same_source) {
        r->conditional = true;
        char *condition = gp_format("If-Range: %s", p->validator);
        headers = add_header(r, headers, condition);
        free(condition);
    }
    return headers;
}

static void report_failure(const gp_response *r, CURLcode code)
{
    const char *reason = *r->reason ? r->reason : r->lib->easy_strerror(code);
    if (code == CURLE_UNSUPPORTED_PROTOCOL && r->location)
        fail("%s: leads to %s, which is not followed: only http and https are, and from https only https", r->url,
             r->location);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        fail("%s: %s; SSL_CERT_FILE or CURL_CA_BUNDLE may name a file of further certificates to trust", r->url,
             reason);
    else
        fail("%s: %s", r->url, reason);
}

static gp_transfer judge(gp_response *r, CURLcode code)
{
    gp_download *d = r->d;
    if (r->verdict != GP_TRANSFER_DONE)
        return r->verdict; /* a callback has reported it */
    check_memory(code);
    if (code == CURLE_OK || r->page > MAX_PAGE) {
        r->lib->easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &r->status);
        if (r->status >= 300)
            return gp_response_judge_status(r);
        if (!r->body && gp_response_begin(r) != GP_TRANSFER_DONE) /* an empty file */
            return r->verdict;
        /* A response can end before the file: the server sent a shorter range than requested, or gave no length. */
        int64_t whole = r->promised >= 0 ? r->promised : d->size;
        if (d->part->done < whole) {
            fail("%s: ended after %lld of %lld bytes", r->url, (long long)d->part->done, (long long)whole);
            return GP_TRANSFER_AGAIN;
        }
        return GP_TRANSFER_DONE;
    }
    report_failure(r, code);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        d->no_host = true;
        return GP_TRANSFER_AGAIN;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return GP_TRANSFER_AGAIN;
    default:
        return GP_TRANSFER_NO;
    }
}

/* A server that disconnects while TLS writes to it raises SIGPIPE, whose default action ends the process. The signal is
 * blocked on this thread during the transfer, and discarded if it was raised. */
static CURLcode perform(const gp_response *r)
{
    sigset_t pipe, before, pending;
    const struct timespec at_once = {0};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    CURLcode code = r->lib->easy_perform(r->curl);
    if (!was_pending)
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

gp_transfer gp_download_run(gp_download *d, const char *url)
{
    const gp_curl *lib = gp_curl_open();
    if (!lib)
        return GP_TRANSFER_NO;
    gp_response r = {.d = d, .url = url, .verdict = GP_TRANSFER_DONE, .lib = lib, .curl = lib->easy_init()};
    int rc;
    if (!r.curl)
        die("libcurl cannot be started");
    d->wait = 0;
    d->no_host = d->changed = false;
    gp_response_clear(&r);
    r.last_received = gp_now() + d->connect;
    set_up(&r, url);
    struct curl_slist *headers = request_headers(&r, &rc);
    gp_transfer verdict = rc ? GP_TRANSFER_STOP : judge(&r, perform(&r));
    if (verdict != GP_TRANSFER_DONE)
        d->part->resumed = d->part->done > 0;
    lib->slist_free_all(headers);
    lib->easy_cleanup(r.curl);
    gp_response_clear(&r);
    free(r.location);
    return verdict;
}
