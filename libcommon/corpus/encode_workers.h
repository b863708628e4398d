/* encode_workers.h: encodes documents on one thread or several; the result is the same.
 *
 *     gp_encoding *e = gp_encoding_open(&(gp_encoding_options){.t = t, .threads = 4, .put = put, .mark = mark});
 *     gp_encoding_feed(e, part, n, false);  // any size; true: it is the end of the document
 *     gp_encoding_end(e, SEPARATED, -1);    // ends the text; mark(self, SEPARATED, -1) is called after its ids
 *     gp_encoding_finish(e);                // waits until all ids have been passed on
 *     gp_encoding_close(e);
 *
 * put and mark are called on this thread, in the order of the text, during any of these calls.
 */
#ifndef GP_CORPUS_ENCODE_WORKERS_H
#define GP_CORPUS_ENCODE_WORKERS_H

#include "base/base.h"
#include "gptpipe/tokenizer.h"

typedef struct gp_encoding_options {
    const gp_tokenizer *t;
    int threads;                                               /* that encode; 1: only the calling one */
    bool allow_special;                                        /* as gp_encoder_allow_special; on one thread */
    int (*put)(void *self, const int32_t *ids, int64_t count); /* a value other than 0 stops the encoding and is */
    int (*mark)(void *self, int what, int32_t label);          /* returned by the call that was running */
    void *self;
} gp_encoding_options;

typedef struct gp_encoding gp_encoding;

gp_encoding *gp_encoding_open(const gp_encoding_options *o);
void gp_encoding_place(gp_encoding *e, const char *name, int64_t offset); /* for messages, of the text fed next */
int gp_encoding_feed(gp_encoding *e, const char *text, size_t length, bool last);
int gp_encoding_end(gp_encoding *e, int what, int32_t label);
int gp_encoding_finish(gp_encoding *e);
void gp_encoding_close(gp_encoding *e);

#endif
