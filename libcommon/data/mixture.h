/* mixture.h: a list of files, glob patterns, weights and names, opened as sets of token streams; and the dealing of
 * rows to sets by weight.
 *
 *     gp_mixture m, val;                              // files: "web_*.bin=0.7", "books.tok=0.3"
 *     gp_mixture_open(&m, &files, &(gp_mixture_how){.weights = true});
 *     gp_mixture_hold_out(&m, 0.1, &val);
 *     gp_loader_open(m.sets, m.count, &options);
 *     gp_mixture_close(&val);
 *     gp_mixture_close(&m);
 *
 * All streams are mapped at once and need no open descriptors: a thousand shards cost address space, and as much memory
 * as the page cache keeps. Streams with equal metadata share one copy of it.
 */
#ifndef GP_DATA_MIXTURE_H
#define GP_DATA_MIXTURE_H

#include "base/base.h"
#include "gptpipe/loader.h"
#include "gptpipe/options.h"

typedef struct gp_mixture {
    gp_stream_set *sets; /* (count) */
    int count;
    gp_tokens **streams; /* (stream_count) of all sets, in order */
    int stream_count;
} gp_mixture;

typedef struct gp_mixture_how {
    gp_stream_format format; /* of all streams, as in gp_tokens_open_as; vocab_size likewise */
    int64_t vocab_size;
    const char *spool;     /* the file that "-" is copied to; NULL: an unlinked file */
    bool weights;          /* an item is FILE or FILE=WEIGHT; files without weights form one set, in the given order */
    bool names;            /* an item is FILE or NAME=FILE, each a set */
    const gp_tokens *like; /* the streams must match its vocabulary and tokenizer; NULL: each other's */
} gp_mixture_how;

/* Opens every file of the list. An item may be a glob(3) pattern, whose matches are sorted; an empty list is stdin. An
 * item that names an existing file as a whole is that file, even if it contains '=' or '*'. Vocabularies and tokenizers
 * must match. 0 or -1; call gp_mixture_close in both cases. */
int gp_mixture_open(gp_mixture *m, const gp_list *items, const gp_mixture_how *how);

/* Whether the item's file, or a match of its pattern, exists; relative names are looked up in `folder` unless that is
 * NULL. True for "-". */
bool gp_mixture_is_there(const char *item, const char *folder, const gp_mixture_how *how);

/* Fails if the item's file, or a match of its pattern, exists and is not a regular file. 0 or -1. */
int gp_mixture_check_regular(const char *text, const gp_mixture_how *how);

/* The item with a relative file name prefixed by the folder. The caller frees. */
char *gp_mixture_below(const char *text, const char *folder, const gp_mixture_how *how);

/* validation_split.c. Moves the last `fraction` of each set's tokens into a set of the same name in `held`, split
 * between documents if the stream has an index. m still owns the streams. 0 or -1; close both in both cases. */
int gp_mixture_hold_out(gp_mixture *m, double fraction, gp_mixture *held);

/* The first stream that has a tokenizer, or else the first. */
gp_tokens *gp_mixture_stream(const gp_mixture *m);

int64_t gp_mixture_tokens(const gp_mixture *m);         /* of all streams, held out or not */
int64_t gp_stream_set_tokens(const gp_stream_set *set); /* of its spans */

/* For logs and messages: the number of tokens, and of several streams also their number and a hash of their lengths. */
void gp_mixture_describe(const gp_mixture *m, char *text, size_t size);

/* A hash that identifies the tokens without reading all of them: see gp_tokens_add_sum. */
void gp_mixture_fingerprint(const gp_mixture *m, char hex[33]);

/* For `count` sets, the share of each in the rows that the sets before it leave, in units of 2^-64. The caller frees.
 * NULL if one of several weights is not above 0. */
uint64_t *gp_mixture_shares(const gp_stream_set *sets, int count);

/* The set that row *row of the mixture belongs to; *row becomes its number within that set, whose rows are thus 0, 1,
 * 2, ... without a gap. After r rows each set has had its share of r, to within `count` rows. */
int gp_mixture_deal(const uint64_t *shares, int count, int64_t *row);

void gp_mixture_close(gp_mixture *m);

#endif
