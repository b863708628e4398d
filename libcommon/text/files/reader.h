/* reader.h: reads tokenizers from the vocabularies, merges and settings in files of Hugging Face. */
#ifndef GP_TEXT_FILES_READER_H
#define GP_TEXT_FILES_READER_H

#include <jansson.h>

#include "text/files/model_json.h"
#include "text/text.h"

#define GP_READER_JSON (JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES) /* how jansson reads */

typedef struct gp_reader {
    const char *where; /* names the file in messages */
    gp_alphabet alphabet;
    gp_token_list list;
    gp_tokenizer *t;
    uint8_t *made;                    /* (vocabulary) 1: a byte, or made by a merge */
    gp_bpe_parts parts[GP_BPE_BATCH]; /* merges that are not yet added, with their bytes in decoded */
    int64_t pending;
    gp_buf decoded;
} gp_reader;

void gp_reader_release(gp_reader *r);

/* root if it is an object; else releases it and fails, with e if root is NULL. */
json_t *gp_reader_object(json_t *root, const json_error_t *e, const char *where);
json_t *gp_reader_parse(const char *text, size_t length, const char *where);

/* The id in a JSON value, or a number that is one, of a token with a name of n bytes; -1 on failure. */
int32_t gp_reader_id(const json_t *value, const char *name, const char *where);
int32_t gp_reader_number(int64_t id, const char *name, size_t n, const char *where);

/* tiktoken.c: fails if GPT-2's split cuts a token without flags, of those that are made by merges (NULL: all): then the
 * merges are those of another split. */
int gp_reader_check_split(const gp_vocab *v, const uint8_t *made, const char *where);

/* Adds a vocabulary, whose words are in GPT-2's alphabet, except those with flags, which are literal. */
int gp_reader_add_vocab(gp_reader *r, const gp_words *vocab, bool ignore_merges);

/* Builds the tables from the complete vocabulary, for `merges` merges. */
int gp_reader_start(gp_reader *r, int64_t merges);

/* Adds a merge of two parts in GPT-2's alphabet; as a line, they are separated by a space. */
int gp_reader_add_merge(gp_reader *r, const char *left, size_t left_length, const char *right, size_t right_length);
int gp_reader_add_line(gp_reader *r, const char *line, size_t n);

/* After the last merge: adds those that wait for more. */
int gp_reader_end_merges(gp_reader *r);

/* Whether a line of a merges file is its version, not a merge. */
bool gp_reader_is_version(const char *line, size_t n);

/* Completes the tokenizer after the last merge; the caller owns it. NULL on failure. */
gp_tokenizer *gp_reader_finish(gp_reader *r);

/* tokenizer_json.c: adds the added tokens of a tokenizer.json that are not in the vocabulary, and sets the flags of
 * those that are. */
int gp_reader_add_tokens(gp_reader *r, const json_t *added, gp_words *vocab);

/* The class of the tokenizer in transformers; unknown if no file names it. */
typedef enum gp_tokenizer_class {
    GP_CLASS_UNKNOWN,
    GP_CLASS_GPT2,
    GP_CLASS_BERT,
    GP_CLASS_ROBERTA,
    GP_CLASS_OTHER
} gp_tokenizer_class;

/* tokenizer_config.c: the configuration of a tokenizer in its folder. */
typedef struct gp_tokenizer_config {
    json_t *config, *map,
        *added; /* of tokenizer_config.json, special_tokens_map.json, added_tokens.json, {} if missing;
                                     NULL: there is no folder */
    gp_tokenizer_class kind;
    json_t *named; /* once tokens are added: {"bos_token": {"content": ...}, ...} */
    bool changes;  /* it changes the tokens of the tokenizer.json */
    char *warning; /* or NULL */
} gp_tokenizer_config;

int gp_tokenizer_config_read(gp_tokenizer_config *b, const char *dir); /* dir may be NULL */
void gp_tokenizer_config_release(gp_tokenizer_config *b);
void gp_tokenizer_config_warn(gp_tokenizer_config *b, char *text); /* frees text; only the first warning is retained */

/* The name of "cls_token" and the like, or NULL. */
const char *gp_tokenizer_config_named(const gp_tokenizer_config *b, const char *key);

/* added_tokens.c: adds to `tokens`, the added tokens of a tokenizer.json, those that transformers adds. */
int gp_tokenizer_config_add_tokens(gp_tokenizer_config *b, json_t *tokens, const gp_words *vocab);

/* Updates add_prefix_space of the tokenizer.json. */
void gp_tokenizer_config_prefix_space(gp_tokenizer_config *b, bool *space);

/* tokenizer_folder.c: applies the remaining settings, and adds warnings to t, also about other files in the folder.
 * from_json: t is from a tokenizer.json, not from a vocabulary and its merges. */
void gp_tokenizer_check_folder(gp_tokenizer *t, const char *dir, gp_tokenizer_config *b, bool from_json);

/* tokenizer_json_settings.c: the settings of a tokenizer.json. */
typedef struct gp_settings {
    bool splits; /* by GPT-2's pre-tokenization; else there is none */
    bool prefix_space, ignore_merges, fuse, byte_fallback;
    const char *unknown; /* owned by the JSON; or NULL */
    gp_template template;
    gp_trim trim;
    bool wordpiece; /* a WordPiece model: with the following settings, and none of those above the unknown token */
    gp_bert_switches switches;
    const char *prefix; /* owned by the JSON */
    int max_chars;
    bool cleanup, cleans_text;
} gp_settings;

/* tokenizer_config.c: what the classes of BERT and RoBERTa put around a text, cls and sep, whatever the post_processor
 * of tokenizer.json does, as in transformers 5 (4 leaves that to the file): reported if it differs. `tokens` are the
 * added ones, with the class's own. */
void gp_settings_class_template(gp_settings *s, gp_tokenizer_config *b, const json_t *tokens, const gp_words *vocab);

/* For messages: the type of a normalizer and the like, "without a type" or "missing". */
const char *gp_json_type(const json_t *object);

/* Fails on settings that would change the ids and are not supported. */
int gp_settings_read(gp_settings *s, const json_t *root, const char *where);
int gp_settings_read_post_processor(gp_settings *s, const json_t *p, const char *where);

/* tokenizer_wordpiece.c: gp_settings_read for a WordPiece model; and its tokenizer, after gp_reader_add_tokens. */
int gp_settings_read_wordpiece(gp_settings *s, const json_t *root, const char *where);
gp_tokenizer *gp_reader_wordpiece(gp_reader *r, const gp_settings *s, const gp_words *vocab);

/* Takes clean_up_tokenization_spaces from tokenizer_config.json, where it is true or false. */
void gp_settings_clean_text(gp_settings *s, gp_tokenizer_config *b);

/* Updates the switches to those of BertTokenizer in transformers, which takes them from tokenizer_config.json. */
void gp_settings_apply_bert(gp_settings *s, gp_tokenizer_config *b);

#endif
