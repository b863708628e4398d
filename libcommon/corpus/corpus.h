/* corpus.h: what the files of gptpipe/corpus.h share: a text walked through, from its documents to ids. */
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
    bool as_said; /* it is the one that the text's sidecars name, so what these say of its documents holds */
} gp_separator;

/* The one that is asked for, or else the text's own, or a blank line for JSON Lines; "" for none. No ids yet. */
gp_separator gp_separator_choose(const gp_text_info *info, const gp_corpus_options *o);

/* Its ids: end-of-text where t has it, or else its text's. */
int gp_separator_encode(gp_separator *s, const gp_tokenizer *t);
void gp_separator_release(gp_separator *s);

/* Is the text cut into documents at all? */
bool gp_has_documents(const gp_text_info *info, const gp_separator *s);

/* The ids of a text, in order. A callback that gives anything but 0 stops the walk, which gives that back. */
typedef struct gp_walk {
    gp_text *text;
    const gp_tokenizer *t;
    const gp_separator *separator;
    int64_t cut; /* where `cross` is called, in bytes of all files: a document's beginning, or, in a text without
                  * documents, the place itself; -1: nowhere */
    int threads; /* that encode */
    bool around; /* each text gets the ids that the tokenizer puts around it */
    bool allow_special, quiet; /* as in gp_corpus_options */
    int (*put)(void *self, const int32_t *ids, int64_t count);
    int (*end_document)(void *self); /* only where there are documents */
    int (*cross)(void *self);
    void *self;
    int64_t bytes;       /* out: of text, separators included */
    const char *special; /* out: the file in which a special token's name is text, and where; NULL: none is */
    int64_t special_offset;
} gp_walk;

int gp_walk_run(gp_walk *w);

/* Where the validation part of a text begins: the beginning of the document that is nearest to what is left of
 * `fraction`, never the first; without documents, that place between two characters. *documents: how many come before
 * it. The text must be files or opened to be read twice, and is at its beginning afterwards. */
int gp_walk_find_cut(gp_text *text, const gp_separator *s, double fraction, int64_t *cut, int64_t *documents);

#endif
