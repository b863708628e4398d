/* reader.h: a tokenizer being read out of vocabularies and merges as Hugging Face writes them. */
#ifndef GP_TEXT_READER_H
#define GP_TEXT_READER_H

#include <jansson.h>

#include "text/text.h"

typedef struct gp_reader {
    const char *where;
    gp_alphabet alphabet;
    gp_draft draft;
    gp_tokenizer *t;
    uint8_t *made; /* (vocabulary) 1: a byte or what a merge makes */
} gp_reader;

void gp_reader_release(gp_reader *r);

/* An object out of JSON text, or NULL (said). */
json_t *gp_reader_parse(const char *text, size_t length, const char *where);

/* The id in a JSON value, or -1 (said). */
int32_t gp_reader_id(const json_t *value, const char *name, const char *where);

/* Adds a vocabulary: words in GPT-2's alphabet. Those that `added` has (name -> flags; or NULL) are tokens whose name is
 * what it is. whole: gp_bpe.whole. */
int gp_reader_add_vocab(gp_reader *r, json_t *vocab, const json_t *added, bool whole);

/* The vocabulary is complete: makes the tables, ready for `merges` merges. */
int gp_reader_start(gp_reader *r, int64_t merges);

/* One merge of two parts in GPT-2's alphabet; or as files write it, with one space between them. */
int gp_reader_add_merge(gp_reader *r, const char *left, size_t left_length, const char *right,
                        size_t right_length);
int gp_reader_add_line(gp_reader *r, const char *line, size_t n);

/* What lines of merges that are none begin with. */
bool gp_reader_is_version(const char *line, size_t n);

/* The merges are complete. NULL on failure; the tokenizer is the caller's. */
gp_tokenizer *gp_reader_finish(gp_reader *r);

/* tokenizer_settings.c: what a tokenizer.json says beside vocabulary, merges and added tokens. */
typedef struct gp_settings {
    bool splits; /* by GPT-2's split; or else there is none */
    bool prefix_space, whole, fuse, byte_fallback;
    const char *unknown; /* or NULL; of the JSON */
    gp_template around;
} gp_settings;

/* What is not known, and would give other ids, is refused. */
int gp_settings_read(gp_settings *s, const json_t *root, const char *where);

#endif
