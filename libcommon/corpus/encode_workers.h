/* encode_workers.h: a text's documents on their way to ids, by one thread or by several; what comes out is the same.
 *
 *     gp_encoding *e = gp_encoding_open(&(gp_encoding_options){.t = t, .threads = 4, .put = put, .mark = mark});
 *     gp_encoding_feed(e, part, n, false);  // any size; true: the document ends behind it
 *     gp_encoding_end(e, SEPARATED);        // the document ends; mark(self, SEPARATED) comes behind its ids
 *     gp_encoding_finish(e);                // all is out
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
    int threads;                                               /* that encode; 1: this one alone */
    bool allow_special;                                        /* as gp_encoder_allow_special; by one thread */
    int (*put)(void *self, const int32_t *ids, int64_t count); /* what is not 0 stops it all, and is given back */
    int (*mark)(void *self, int what);
    void *self;
} gp_encoding_options;

typedef struct gp_encoding gp_encoding;

gp_encoding *gp_encoding_open(const gp_encoding_options *o);
void gp_encoding_place(gp_encoding *e, const char *name, int64_t offset); /* of what is fed next, for messages */
int gp_encoding_feed(gp_encoding *e, const char *text, size_t length, bool last);
int gp_encoding_end(gp_encoding *e, int what);
int gp_encoding_finish(gp_encoding *e);
void gp_encoding_close(gp_encoding *e);

#endif
