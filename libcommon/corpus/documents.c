/* documents.c: separators, and the walk through a text that encodes its documents; see corpus/corpus.h. */
#include "corpus/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "corpus/encode_workers.h"
#include "text/token_finder.h"
#include "text/text.h"
#include "base/utf8.h"

enum { SLICE = 1 << 22 }; /* bytes encoded between two updates of the progress */

/* ---- separators ------------------------------------------------------------------------------------------ */

gp_separator gp_separator_choose(const gp_text_info *info, const gp_corpus_options *o)
{
    const char *sidecar = info->separator ? info->separator : "";
    gp_separator s = {.text = info->jsonl ? "\n\n" : sidecar, .length = info->jsonl ? 2 : info->separator_length};
    if (o->separator) {
        s.text = o->separator;
        s.length = o->separator_length;
    }
    s.of_sidecar = s.length == info->separator_length && !memcmp(s.text, sidecar, s.length);
    return s;
}

int gp_separator_encode(gp_separator *s, const gp_tokenizer *t)
{
    int32_t end_of_text = gp_tokenizer_end_of_text(t);
    for (size_t at = 0; at < s->length;) {
        uint32_t c;
        at += gp_utf8_last((const uint8_t *)s->text + at, s->length - at, &c);
        if (c >= GP_BAD_BYTE)
            return fail("the separator is not UTF-8 (byte 0x%02x)", c - GP_BAD_BYTE);
    }
    if (end_of_text < 0)
        return gp_tokenizer_encode(t, s->text, s->length, false, &s->ids, &s->count) ? gp_fail_in("the separator") : 0;
    s->ids = gp_malloc(sizeof *s->ids);
    s->ids[0] = end_of_text;
    s->count = 1;
    return 0;
}

void gp_separator_release(gp_separator *s)
{
    free(s->ids);
    *s = (gp_separator){0};
}

bool gp_has_documents(const gp_text_info *info, const gp_separator *s)
{
    return s->length || info->files > 1 || info->jsonl;
}

/* ---- walking --------------------------------------------------------------------------------------------- */

/* Marks between the ids of documents (gp_encoding_end). */
enum { DOCUMENT_ENDS = 1, SEPARATED = 2, CROSSING = 4, BEGINS = 8, FIRST_ENDS = 16 };

/* The state of a walk. */
typedef struct walk_state {
    gp_walk *w;
    const gp_text_info *info;
    gp_encoding *encoding;
    gp_progress progress;
    bool documents;        /* the text has documents */
    bool begins;           /* the next part begins a document */
    int files;             /* completed */
    gp_token_finder names; /* of special tokens, until one is found in the text */
} walk_state;

static int put(void *self, const int32_t *ids, int64_t count)
{
    const gp_walk *w = ((walk_state *)self)->w;
    return w->put(w->self, ids, count);
}

static int mark(void *self, int what, int32_t label)
{
    const walk_state *s = self;
    const gp_walk *w = s->w;
    int64_t before = 0, after = 0;
    const int32_t *first = gp_tokenizer_prefix(w->t, &before), *last = gp_tokenizer_suffix(w->t, &after);
    int rc = what & BEGINS && before ? w->put(w->self, first, before) : 0;
    if (!rc && what & FIRST_ENDS && w->end_first)
        rc = w->end_first(w->self);
    if (!rc && what & DOCUMENT_ENDS && w->around && after)
        rc = w->put(w->self, last, after);
    if (!rc && what & SEPARATED)
        rc = w->put(w->self, w->separator->ids, w->separator->count);
    if (!rc && what & DOCUMENT_ENDS && s->info->label && w->end_item)
        rc = w->end_item(w->self, label);
    else if (!rc && what & DOCUMENT_ENDS && s->documents && w->end_document)
        rc = w->end_document(w->self);
    return !rc && what & CROSSING ? w->cross(w->self) : rc;
}

static int feed(walk_state *s, const char *data, size_t n, int64_t done, bool last)
{
    for (size_t at = 0; at < n; at += SLICE) {
        size_t slice = n - at < SLICE ? n - at : SLICE;
        int rc = gp_encoding_feed(s->encoding, data + at, slice, last && at + slice == n);
        if (rc)
            return rc;
        gp_progress_set(&s->progress, done - (int64_t)(n - at - slice), NULL);
    }
    return 0;
}

/* In a text without documents the cut may be inside a part, which is then fed in two pieces. */
static int feed_across(walk_state *s, const gp_text_part *part)
{
    const gp_walk *w = s->w;
    bool inside = !s->documents && w->cut >= part->begin && w->cut < part->end;
    size_t before = inside ? (size_t)(w->cut - part->begin) : 0;
    int rc = inside ? feed(s, part->data, before, w->cut, true) : 0;
    if (!rc && inside)
        rc = gp_encoding_end(s->encoding, CROSSING, -1);
    if (inside)
        gp_encoding_place(s->encoding, part->file, part->offset + (int64_t)before);
    return rc ? rc : feed(s, part->data + before, part->length - before, part->end, part->separated || part->file_ends);
}

/* Records where a special token's name is first encoded as text. */
static void look_for_names(walk_state *s, const gp_text_part *part, const char *text, size_t n)
{
    int32_t id;
    size_t length, at;
    if (!s->names.count)
        return;
    at = gp_token_finder_find(&s->names, (const uint8_t *)text, n, false, &id, &length);
    if (at == n)
        return;
    s->w->special = part->file;
    s->w->special_offset = part->offset + (int64_t)at;
    gp_token_finder_release(&s->names);
}

/* After the first text of a labelled item: the second one of a pair. */
static int take_pair(walk_state *s, const gp_text_part *part)
{
    int rc = gp_encoding_end(s->encoding, FIRST_ENDS, -1);
    if (rc || !part->pair)
        return rc;
    look_for_names(s, part, part->pair, part->pair_length);
    s->w->bytes += (int64_t)part->pair_length;
    return feed(s, part->pair, part->pair_length, part->end, true);
}

static int take(walk_state *s, const gp_text_part *part)
{
    gp_walk *w = s->w;
    int rc = 0;
    if (s->info->label && !part->separated) { /* the end of a file, not an item */
        s->files += part->file_ends;
        return 0;
    }
    if (s->begins && s->documents && part->begin == w->cut)
        rc = gp_encoding_end(s->encoding, CROSSING, -1);
    if (!rc && s->begins && w->around)
        rc = gp_encoding_end(s->encoding, BEGINS, -1);
    if (s->begins)
        gp_encoding_place(s->encoding, part->file, part->offset);
    look_for_names(s, part, part->data, part->length);
    if (!rc)
        rc = feed_across(s, part);
    if (!rc && s->info->label)
        rc = take_pair(s, part);
    if (rc)
        return rc;
    s->files += part->file_ends;
    s->begins = part->separated || part->file_ends;
    bool between = part->file_ends && !part->separated && s->files < s->info->files && !w->separator->length;
    w->bytes += (int64_t)(part->length + (part->separated ? w->separator->length : 0));
    if (!s->begins)
        return 0;
    return gp_encoding_end(s->encoding, DOCUMENT_ENDS | (part->separated || between ? SEPARATED : 0), part->label);
}

int gp_walk_run(gp_walk *w)
{
    walk_state s = {.w = w, .info = gp_text_get_info(w->text), .begins = true};
    gp_text_part part;
    int rc;
    if (!w->allow_special)
        gp_token_finder_init(&s.names, &w->t->vocab, GP_TOKEN_SPECIAL, GP_TOKEN_SPECIAL, NULL);
    s.documents = gp_has_documents(s.info, w->separator);
    s.encoding = gp_encoding_open(&(gp_encoding_options){
        .t = w->t, .threads = w->threads, .allow_special = w->allow_special, .put = put, .mark = mark, .self = &s});
    gp_progress_begin(&s.progress, s.info->name, GP_PROGRESS_BYTES, 0, s.info->bytes, w->quiet);
    while ((rc = gp_text_next(w->text, w->separator->text, w->separator->length, &part)) > 0)
        if ((rc = take(&s, &part)))
            break;
    if (!rc)
        rc = gp_encoding_finish(s.encoding);
    gp_progress_end(&s.progress);
    gp_encoding_close(s.encoding);
    gp_token_finder_release(&s.names);
    return rc;
}
