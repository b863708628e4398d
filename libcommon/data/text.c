/* text.c: see gptpipe/text.h. */
#include "gptpipe/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/sidecar.h"
#include "data/spool.h"

/* One input. Mapped: the map is all of it. Otherwise buffer[0, filled) is what was read and not given yet. */
typedef struct source {
    gp_input in;
    bool mapped, at_end;
    gp_map map;
    char *buffer;
    size_t filled;
    size_t at;      /* given: of the map, or of the buffer */
    int64_t offset; /* bytes given so far */
} source;

enum { PART = 1 << 18 };

struct gp_text {
    source *sources;
    int count, current;
    gp_text_info info;
    char *name, *entropy, sha256[65];
    gp_sidecar sidecar;
};

/* ---- opening --------------------------------------------------------------------------------- */

static int open_source(gp_text *t, source *s, const char *path, bool twice)
{
    if (gp_input_open(&s->in, path))
        return -1;
    s->mapped = s->in.mapped || twice;
    if (!s->mapped)
        s->buffer = gp_malloc(PART);
    else if (s->in.mapped ? gp_map_fd(&s->map, s->in.fd, s->in.name) : gp_input_spool(&s->in, &s->map))
        return -1;
    gp_sidecar more = {0};
    if (s->in.mapped && strcmp(path, "-") && gp_sidecar_read(&more, path, &s->map))
        return -1;
    if (t->count == 0) {
        t->sidecar = more;
    } else {
        gp_sidecar_join(&t->sidecar, &more);
        gp_sidecar_release(&more);
    }
    return 0;
}

/* What all sources together are. */
static void describe(gp_text *t)
{
    gp_buf name = {0};
    gp_sha256 h;
    uint8_t digest[32];
    bool whole = true;
    gp_sha256_begin(&h);
    for (int i = 0; i < t->count; i++) {
        const source *s = &t->sources[i];
        const char *slash = strrchr(s->in.name, '/');
        gp_buf_printf(&name, "%s%s", i ? ", " : "", slash ? slash + 1 : s->in.name);
        whole = whole && s->mapped;
        t->info.bytes += (int64_t)s->map.size;
        gp_sha256_add(&h, s->map.data, s->map.size);
    }
    gp_sha256_end(&h, digest);
    gp_hex(t->sha256, digest, sizeof digest);
    t->info.sha256 = whole ? t->sha256 : NULL;
    t->info.bytes = whole ? t->info.bytes : -1;
    t->info.name = t->name = name.data;
    t->info.files = t->count;
    t->info.separator = t->sidecar.separator;
    t->info.separator_length = t->sidecar.separator_length;
    if (t->sidecar.nats) {
        json_t *entropy = json_pack("{s:O, s:O}", "nats", t->sidecar.nats, "chars", t->sidecar.chars);
        t->info.entropy = t->entropy = json_dumps(entropy, JSON_COMPACT | JSON_REAL_PRECISION(17));
        t->info.entropy_documents = (int64_t)json_array_size(t->sidecar.nats);
        json_decref(entropy);
    }
}

gp_text *gp_text_open(const gp_list *paths, bool twice)
{
    int count = paths && paths->count ? paths->count : 1;
    gp_text *t = gp_calloc(1, sizeof *t);
    t->sources = gp_calloc((size_t)count, sizeof *t->sources);
    for (int i = 0; i < count; i++) {
        int rc = open_source(t, &t->sources[i], paths && paths->count ? paths->items[i] : "-", twice);
        t->count++;
        if (rc) {
            gp_text_close(t);
            return NULL;
        }
    }
    describe(t);
    return t;
}

void gp_text_close(gp_text *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->count; i++) {
        gp_map_close(&t->sources[i].map);
        gp_input_close(&t->sources[i].in);
        free(t->sources[i].buffer);
    }
    gp_sidecar_release(&t->sidecar);
    free(t->sources);
    free(t->name);
    free(t->entropy);
    free(t);
}

const gp_text_info *gp_text_get_info(const gp_text *t)
{
    return &t->info;
}

void gp_text_rewind(gp_text *t)
{
    for (int i = 0; i < t->count; i++) {
        BUG_ON(!t->sources[i].mapped);
        t->sources[i].at = 0;
        t->sources[i].offset = 0;
    }
    t->current = 0;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Fills the buffer again behind what was not given yet. */
static int refill(source *s)
{
    s->filled -= s->at;
    memmove(s->buffer, s->buffer + s->at, s->filled);
    s->at = 0;
    while (!s->at_end && s->filled < PART) {
        ssize_t n = read(s->in.fd, s->buffer + s->filled, PART - s->filled);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail("%s: cannot be read: %s", s->in.name, strerror(errno));
        s->at_end = !n;
        s->filled += (size_t)n;
        if (n)
            break; /* what a pipe has now goes on now */
    }
    return 0;
}

int gp_text_next(gp_text *t, const char *separator, size_t length, gp_text_part *part)
{
    if (t->current == t->count)
        return 0;
    source *s = &t->sources[t->current];
    BUG_ON(length >= PART);
    const char *data, *found;
    size_t n;
    bool last;
    for (bool again = true;; again = false) {
        data = s->mapped ? s->map.data + s->at : s->buffer + s->at;
        n = (s->mapped ? s->map.size : s->filled) - s->at;
        found = length && n ? memmem(data, n, separator, length) : NULL;
        last = s->mapped || s->at_end;
        if (found || last || !again)
            break;
        if (refill(s))
            return -1;
    }
    *part = (gp_text_part){.data = data, .length = n, .offset = s->offset, .file = s->in.name};
    if (found) {
        part->length = (size_t)(found - data);
        part->separated = true;
    } else if (!last && length) { /* the end may be the beginning of a separator */
        part->length = n >= length ? n - (length - 1) : 0;
    }
    size_t given = part->length + (found ? length : 0);
    s->at += given;
    s->offset += (int64_t)given;
    part->file_ends = last && given == n;
    t->current += part->file_ends;
    return 1;
}
