/* model_json.h: the vocabulary and the merges in a tokenizer's JSON. They are nearly all of its text; as jansson's
 * values each of their 100,000 strings would be an object of its own. They are read without it where they are written
 * in the usual way, and jansson reads the rest, in which they are empty. Whatever is unusual, jansson reads as a whole:
 * what is accepted, and what is reported, are the same either way. */
#ifndef GP_TEXT_FILES_MODEL_JSON_H
#define GP_TEXT_FILES_MODEL_JSON_H

#include <jansson.h>

#include "text/vocab.h"

/* A vocabulary as it is written, with distinct names. */
typedef struct gp_words {
    gp_vocab
        names;    /* by position in the file, not by id; its flags are those of added tokens with these names, else 0 */
    int32_t *ids; /* (names.size) -1: not a number from 0 to INT32_MAX - 1 */
} gp_words;

void gp_words_release(gp_words *w);

/* From a JSON object. */
int gp_words_from_json(gp_words *w, json_t *object, const char *where);

/* The length of the name in a line of a vocab.txt: without white space at its end, which `tokenizers` cuts off too. */
size_t gp_words_line(const char *p, const char *end, const char **next);

/* From a vocab.txt: a name a line, ids from 0 on. false: two lines are equal, or it is not text in UTF-8, or longer
 * than any vocabulary. */
bool gp_words_from_lines(gp_words *w, const char *text, size_t length);

/* The position of a name, or -1. */
int64_t gp_words_find(const gp_words *w, const char *name);

/* The id at a position; -1, failing, if it is none. */
int32_t gp_words_id(const gp_words *w, int64_t at, const char *where);

/* A merge as it is written: two parts, or a line with a space between them. */
typedef struct gp_merge_text {
    uint32_t left;        /* bytes of the left part; of a line, all */
    uint32_t length : 31; /* of all */
    uint32_t line : 1;
} gp_merge_text;

typedef struct gp_merge_texts {
    gp_buf text; /* of all merges, one after the other */
    gp_merge_text *list;
    int64_t count;
} gp_merge_texts;

/* A tokenizer.json: root is all of it but the members vocab and merges of its model, which may be empty in it. */
typedef struct gp_model_json {
    json_t *root;
    gp_words vocab;
    gp_merge_texts merges;
} gp_model_json;

int gp_model_json_parse(gp_model_json *m, const char *text, size_t length, const char *where);
void gp_model_json_release(gp_model_json *m);

/* The two ways: without jansson (false: it is not written in the usual way), and with jansson alone. */
bool gp_model_json_cut(gp_model_json *m, const char *text, size_t length);
int gp_model_json_load(gp_model_json *m, const char *text, size_t length, const char *where);

/* A vocab.json, which is an object of names and ids; in the same two ways. */
int gp_words_parse(gp_words *w, const char *text, size_t length, const char *where);
bool gp_words_cut(gp_words *w, const char *text, size_t length);
int gp_words_load(gp_words *w, const char *text, size_t length, const char *where);

#endif
