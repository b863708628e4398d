/* mixture.h: what a list of files, patterns, weights and names stands for: sets of open token streams.
 *
 *     gp_mixture m, val;                              // files: "web_*.bin=0.7", "books.tok=0.3"
 *     gp_mixture_open(&m, &files, &(gp_mixture_how){.weights = true});
 *     gp_mixture_hold_out(&m, 0.1, &val);
 *     gp_loader_open(m.sets, m.count, &options);
 *     gp_mixture_close(&val);
 *     gp_mixture_close(&m);
 *
 * All streams are mapped at once and hold no descriptor: a thousand shards cost address space, and of memory what the
 * system chooses to keep. Shards that say the same of themselves share that text.
 */
#ifndef GP_DATA_MIXTURE_H
#define GP_DATA_MIXTURE_H

#include "base/base.h"
#include "gptpipe/loader.h"
#include "gptpipe/options.h"

typedef struct gp_mixture {
    gp_stream_set *sets; /* (count) */
    int count;
    gp_tokens **streams; /* (stream_count) of all sets, one after the other */
    int stream_count;
} gp_mixture;

typedef struct gp_mixture_how {
    gp_stream_format format; /* as gp_tokens_open_as takes them */
    int64_t vocab_size;
    const char *spool;     /* where "-" is kept, NULL: an unlinked file */
    bool weights;          /* an item is FILE or FILE=WEIGHT; files without weights are one set, in their order */
    bool names;            /* an item is FILE or NAME=FILE, a set of its own */
    const gp_tokens *like; /* the streams must agree with it, NULL: with each other */
} gp_mixture_how;

/* Opens every file of the list (each may be a pattern of glob(3), whose matches are sorted; none at all is stdin). A
 * file that is there under the whole item is that file, whatever signs its name has. Vocabularies and tokenizers must
 * agree. 0 or -1; gp_mixture_close in both cases. */
int gp_mixture_open(gp_mixture *m, const gp_list *items, const gp_mixture_how *how);

/* Whether an item's file, or one that its pattern matches, is there; below `folder` where the name is relative and
 * folder is not NULL. "-" is. */
bool gp_mixture_is_there(const char *item, const char *folder, const gp_mixture_how *how);

/* Fails where an item's file, or one that its pattern matches, is there and is no regular file. 0 or -1. */
int gp_mixture_check_regular(const char *text, const gp_mixture_how *how);

/* The item with its file below folder where its name is relative, fresh. */
char *gp_mixture_below(const char *text, const char *folder, const gp_mixture_how *how);

/* Moves the last `fraction` of each set's tokens into a set of the same name in `held`, whose streams stay m's: cut
 * between documents where there are any. 0 or -1; gp_mixture_close for both in both cases. */
int gp_mixture_hold_out(gp_mixture *m, double fraction, gp_mixture *held);

/* The stream that tells most: the first with a tokenizer, or else the first. */
gp_tokens *gp_mixture_stream(const gp_mixture *m);

int64_t gp_mixture_tokens(const gp_mixture *m);         /* of all streams, held out or not */
int64_t gp_stream_set_tokens(const gp_stream_set *set); /* of its spans */

/* Which streams these are, in words: their tokens, and of several their number and a hash of their lengths. */
void gp_mixture_describe(const gp_mixture *m, char *text, size_t size);

/* A hash of what their tokens are, as far as that is known without reading all of them: see gp_tokens_add_sum. */
void gp_mixture_fingerprint(const gp_mixture *m, char hex[33]);

void gp_mixture_close(gp_mixture *m);

#endif
