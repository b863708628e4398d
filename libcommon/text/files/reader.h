/* reader.h: a tokenizer being read out of vocabularies and merges as Hugging Face writes them. */
#ifndef GP_TEXT_FILES_READER_H
#define GP_TEXT_FILES_READER_H

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

/* Adds a vocabulary: words in GPT-2's alphabet. Those that `added` has (name -> flags; or NULL) are tokens whose name
 * is what it is. whole: gp_bpe.whole. */
int gp_reader_add_vocab(gp_reader *r, json_t *vocab, const json_t *added, bool whole);

/* The vocabulary is complete: makes the tables, ready for `merges` merges. */
int gp_reader_start(gp_reader *r, int64_t merges);

/* One merge of two parts in GPT-2's alphabet; or as files write it, with one space between them. */
int gp_reader_add_merge(gp_reader *r, const char *left, size_t left_length, const char *right, size_t right_length);
int gp_reader_add_line(gp_reader *r, const char *line, size_t n);

/* What lines of merges that are none begin with. */
bool gp_reader_is_version(const char *line, size_t n);

/* The merges are complete. NULL on failure; the tokenizer is the caller's. */
gp_tokenizer *gp_reader_finish(gp_reader *r);

/* tokenizer_json.c: adds a tokenizer.json's added tokens that the vocabulary lacks, and collects the flags of all by
 * their names in *names. */
int gp_reader_add_tokens(gp_reader *r, const json_t *added, const json_t *vocab, json_t *names);

/* tokenizer_beside.c: what stands beside a vocabulary in its folder. */
/* Of transformers' tokenizers; unknown: no file says which. */
typedef enum gp_beside_class { GP_CLASS_UNKNOWN, GP_CLASS_GPT2, GP_CLASS_OTHER } gp_beside_class;

typedef struct gp_beside {
    json_t *config, *map, *added; /* objects, or NULL: there is no folder */
    gp_beside_class kind;
    json_t *named; /* once added: {"bos_token": {"content": ...}, ...} */
    bool changes;  /* it has other tokens than the tokenizer.json */
    char *warning; /* or NULL */
} gp_beside;

int gp_beside_read(gp_beside *b, const char *dir); /* dir may be NULL */
void gp_beside_release(gp_beside *b);
void gp_beside_warn(gp_beside *b, char *text); /* takes text; only the first warning stays */

/* added_tokens.c: adds what transformers adds to a tokenizer.json's added tokens. */
int gp_beside_add(gp_beside *b, json_t *tokens, const json_t *vocab);

/* Whether a space is put before a text, where the folder has another setting than *space. */
void gp_beside_prefix_space(gp_beside *b, bool *space);

/* tokenizer_folder.c: looks at what else is there; remarks go to t. alone: t is from a vocabulary and its merges, not
 * from a tokenizer.json. */
void gp_tokenizer_look_around(gp_tokenizer *t, const char *dir, gp_beside *b, bool alone);

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
