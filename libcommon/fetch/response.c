/* response.c: see response.h. */
#include "fetch/response.h"

#include <stdlib.h>
#include <string.h>

gp_transfer gp_response_stop(gp_response *r, gp_transfer verdict)
{
    r->verdict = verdict;
    return verdict;
}

void gp_response_clear(gp_response *r)
{
    free(r->etag);
    free(r->modified);
    free(r->encoding);
    r->etag = r->modified = r->encoding = NULL;
    r->body = r->ends = false;
    r->page = 0;
    r->from = r->whole = r->promised = -1;
}

/* The value of header NAME in a line, trimmed and fresh, or NULL. */
static char *header_value(const char *line, size_t n, const char *name)
{
    size_t k = strlen(name);
    if (n <= k || line[k] != ':' || strncasecmp(line, name, k))
        return NULL;
    for (line += k + 1, n -= k + 1; n && (*line == ' ' || *line == '\t'); n--)
        line++;
    while (n && strchr(" \t\r\n", line[n - 1]))
        n--;
    return gp_strndup(line, n);
}

/* "bytes 100-199/200"; an unknown size is "*", and so is the range of a response without one (416). */
static void read_range(gp_response *r, const char *value)
{
    long long from, to, whole;
    int known = sscanf(value, "bytes %18lld-%18lld/%18lld", &from, &to, &whole);
    if (known >= 2 && from >= 0 && to >= from && (known == 2 || whole > to)) {
        r->from = from;
        r->whole = known == 3 ? whole : -1;
    } else if (sscanf(value, "bytes */%18lld", &whole) == 1 && whole >= 0) {
        r->whole = whole;
    }
}

void gp_response_header(gp_response *r, const char *line, size_t n)
{
    const struct {
        const char *name;
        char **value;
    } texts[] = {{"ETag", &r->etag},
                 {"Last-Modified", &r->modified},
                 {"Location", &r->location},
                 {"Content-Encoding", &r->encoding}};
    char *value;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if ((value = header_value(line, n, texts[i].name))) {
            free(*texts[i].value);
            *texts[i].value = value;
            return;
        }
    if (n > 5 && !memcmp(line, "HTTP/", 5)) {
        gp_response_clear(r); /* the next response, as after a redirect */
        r->ends = line[5] >= '2';
    } else if ((value = header_value(line, n, "Transfer-Encoding"))) {
        r->ends = r->ends || strcasestr(value, "chunked");
        free(value);
    } else if ((value = header_value(line, n, "Content-Range"))) {
        read_range(r, value);
        free(value);
    }
}

/* A date is weaker than an ETag but If-Range accepts it; it must not have a weak ETag. */
static const char *validator(const gp_response *r)
{
    if (r->etag && *r->etag == '"')
        return r->etag;
    return r->etag ? NULL : r->modified;
}

/* The size, where nothing else identifies the file. */
static int64_t size_alone(const gp_response *r)
{
    return r->etag || r->modified ? -1 : r->promised;
}

/* Whether the response is the file, or the requested range of it, in a form in which a truncated body is noticed. Where
 * the SHA-256 is known, that is enough. */
static int check_response(const gp_response *r, int64_t length)
{
    const gp_download *d = r->d;
    bool known = d->checked || (d->size >= 0 && length == d->size);
    if (r->status != 200 && r->status != 206)
        return fail("%s: the server returned status %ld, which does not carry a file", r->url, r->status);
    if (r->status == 206 && !r->ranged)
        return fail("%s: the server sent part of the file, which was not requested", r->url);
    if (!known && r->encoding && *r->encoding && strcasecmp(r->encoding, "identity"))
        return fail("%s: the server sent the file encoded (%s), which was not requested", r->url, r->encoding);
    if (r->status == 200 && !d->checked && d->size < 0 && length < 0 && !r->ends)
        return fail("%s: the server gives neither the file's length nor a mark at its end, so one that is cut "
                    "short would pass for whole; add a size or a sha256 to the catalog",
                    r->url);
    return 0;
}

gp_transfer gp_response_begin(gp_response *r)
{
    gp_download *d = r->d;
    gp_partial *p = d->part;
    curl_off_t length = -1;
    r->lib->easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &r->status);
    r->lib->easy_getinfo(r->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    r->body = true;
    if (r->status >= 300)
        return GP_TRANSFER_DONE; /* an error page, which is not stored */
    if (r->status == 206)
        length = r->whole;
    if (check_response(r, length))
        return gp_response_stop(r, GP_TRANSFER_NO);
    if (length >= 0 && d->size >= 0 && length != d->size) {
        fail("%s: has %lld bytes, expected %lld: the file has changed at its source", r->url, (long long)length,
             (long long)d->size);
        return gp_response_stop(r, GP_TRANSFER_NO);
    }
    bool endless = length < 0 && d->size < 0 && !d->checked; /* the range may end anywhere */
    if (r->status == 206 && (r->from != p->done || endless)) {
        fail("%s: requested bytes from %lld on, the server sent another range", r->url, (long long)p->done);
        return gp_partial_restart(p) ? gp_response_stop(r, GP_TRANSFER_STOP) : gp_response_stop(r, GP_TRANSFER_AGAIN);
    }
    if (r->status == 206 && r->by_size && r->whole != p->whole) {
        fail("%s: the rest is not that of a file of %lld bytes, which it had: it has changed at its source", r->url,
             (long long)p->whole);
        d->changed = true;
        return gp_partial_restart(p) ? gp_response_stop(r, GP_TRANSFER_STOP) : gp_response_stop(r, GP_TRANSFER_AGAIN);
    }
    if (r->status != 206 && p->done && gp_partial_restart(p)) /* the server sends the whole file */
        return gp_response_stop(r, GP_TRANSFER_STOP);
    r->promised = length;
    if (length > 0)
        gp_progress_set_total(d->progress, length);
    gp_partial_source(p, r->url, validator(r), size_alone(r));
    return GP_TRANSFER_DONE;
}

gp_transfer gp_response_judge_status(gp_response *r)
{
    curl_off_t wait = 0;
    r->lib->easy_getinfo(r->curl, CURLINFO_RETRY_AFTER, &wait);
    r->d->wait = wait > 0 && wait <= 300 ? (double)wait : 0;
    bool same = r->conditional || (r->by_size && r->whole == r->d->part->whole);
    if (r->status == 416 && same && r->whole == r->d->part->done)
        return GP_TRANSFER_DONE; /* an earlier run was stopped just after the last byte */
    if (r->status == 416) {      /* the part is as long as the file is now, or longer */
        fail("%s: the server has nothing after byte %lld", r->url, (long long)r->d->part->done);
        return gp_partial_restart(r->d->part) ? GP_TRANSFER_STOP : GP_TRANSFER_AGAIN;
    }
    fail("%s: the server returned status %ld%s", r->url, r->status,
         r->status == 404   ? " (not found)"
         : r->status == 403 ? " (forbidden)"
         : r->status == 429 ? " (too many requests)"
                            : "");
    return r->status == 408 || r->status == 429 || r->status >= 500 ? GP_TRANSFER_AGAIN : GP_TRANSFER_NO;
}
