/* corpus.h: walks through the documents of a text, encoding them; shared by the files behind gptpipe/corpus.h. */
#ifndef GP_CORPUS_CORPUS_H
#define GP_CORPUS_CORPUS_H

#include "base/base.h"
#include "gptpipe/corpus.h"

/* What ends a document: its text, and the ids that stand for it in a stream. */
typedef struct gp_separator {
    const char *text; /* UTF-8; not owned */
    size_t length;    /* 0: none */
    int32_t *ids;
    int64_t count;
    bool of_sidecar; /* it is that of the text's sidecars, so their entropies are those of its documents */
} gp_separator;

/* The separator of the options, or else of the sidecars, or a blank line for JSON Lines; "" for none. No ids yet. */
gp_separator gp_separator_choose(const gp_text_info *info, const gp_corpus_options *o);

/* Sets its ids: end-of-text if t has it, or else the ids of its text. */
int gp_separator_encode(gp_separator *s, const gp_tokenizer *t);
void gp_separator_release(gp_separator *s);

/* Whether the text is divided into documents. */
bool gp_has_documents(const gp_text_info *info, const gp_separator *s);

/* Encodes a text and passes on its ids, in order. A callback that returns anything but 0 stops the walk, which returns
 * it. */
typedef struct gp_walk {
    gp_text *text;
    const gp_tokenizer *t;
    const gp_separator *separator;
    int64_t cut; /* the byte, of all files, at which `cross` is called: the beginning of a document, or, in a text
                  * without documents, any place between two characters; -1: never */
    int threads; /* that encode */
    bool around; /* pass on the ids that the tokenizer puts around each document */
    bool allow_special, quiet; /* as in gp_corpus_options */
    int (*put)(void *self, const int32_t *ids, int64_t count);
    int (*end_document)(void *self);            /* or NULL; called only if the text has documents */
    int (*end_first)(void *self);               /* of labelled items, after the first text (or the only one) */
    int (*end_item)(void *self, int32_t label); /* instead of end_document, if the text has labels */
    int (*cross)(void *self);
    void *self;
    int64_t bytes;       /* out: of text, including separators */
    const char *special; /* out: the first file in which a special token's name was encoded as text, or NULL */
    int64_t special_offset;
} gp_walk;

int gp_walk_run(gp_walk *w);

/* Where the validation part of a text begins, for `fraction` of its bytes: at the nearest beginning of a document other
 * than the first; without documents, between two characters. *documents: how many precede it. The text must be files or
 * opened to be read twice, and is rewound. */
int gp_walk_find_cut(gp_text *text, const gp_separator *s, double fraction, int64_t *cut, int64_t *documents);

/* Fails for an id, token `at` of the stream, that the tokenizer does not have: -1. */
int gp_corpus_fail_id(const gp_tokens *s, const gp_tokenizer *t, int64_t at, int32_t id);

/* gp_corpus_decode of a stream of labelled items: JSON Lines with the members that they were made of. Returns the bytes
 * of the texts. */
int64_t gp_items_decode(const gp_tokens *s, const gp_tokenizer *t, FILE *out);

#endif
