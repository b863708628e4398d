/* tokenizer_wordpiece.c: reads WordPiece tokenizers: the settings of a tokenizer.json, and a vocab.txt, one token a
 * line in the order of the ids, whose settings are those of BertTokenizer in transformers. */
#include <stdlib.h>
#include <string.h>

#include "text/files/reader.h"
#include "text/token_finder.h"

static bool has_type(const json_t *object, const char *type)
{
    const char *name = json_string_value(json_object_get(object, "type"));
    return name && !strcmp(name, type);
}

/* ---- the settings of a tokenizer.json -------------------------------------------------------------------- */

/* true, false or null, which is -1. */
static int get_switch(const json_t *object, const char *key, int8_t *value, const char *where)
{
    const json_t *set = json_object_get(object, key);
    if (!set)
        return 0;
    if (!json_is_boolean(set) && !(json_is_null(set) && *value < 0))
        return fail("%s: %s of its normalizer is not true or false", where, key);
    *value = json_is_null(set) ? -1 : json_is_true(set);
    return 0;
}

static int read_normalizer(gp_bert_switches *s, const json_t *n, const char *where)
{
    int8_t clean = 1, chinese = 1, lower = 1, strip = -1;
    const json_t *list = json_object_get(n, "normalizers");
    *s = (gp_bert_switches){.strip_accents = 0};
    if (!n || json_is_null(n) || (has_type(n, "Sequence") && json_is_array(list) && !json_array_size(list)))
        return 0;
    if (has_type(n, "Sequence") && json_array_size(list) == 1)
        return read_normalizer(s, json_array_get(list, 0), where);
    if (!has_type(n, "BertNormalizer"))
        return fail("%s: its normalizer is %s; of a WordPiece, only BertNormalizer is supported", where,
                    gp_json_type(n));
    if (get_switch(n, "clean_text", &clean, where) || get_switch(n, "handle_chinese_chars", &chinese, where) ||
        get_switch(n, "lowercase", &lower, where) || get_switch(n, "strip_accents", &strip, where))
        return -1;
    *s = (gp_bert_switches){clean, chinese, lower, strip};
    return 0;
}

static int read_model(gp_settings *s, const json_t *model, const char *where)
{
    const json_t *unknown = json_object_get(model, "unk_token"),
                 *prefix = json_object_get(model, "continuing_subword_prefix"),
                 *max = json_object_get(model, "max_input_chars_per_word");
    if ((unknown && !json_is_string(unknown)) || (prefix && !json_is_string(prefix)))
        return fail("%s: its model's %s is not a string", where,
                    unknown && !json_is_string(unknown) ? "unk_token" : "continuing_subword_prefix");
    s->unknown = unknown ? json_string_value(unknown) : "[UNK]";
    s->prefix = prefix ? json_string_value(prefix) : "##";
    s->max_chars = max ? (int)gp_max(gp_min(json_integer_value(max), INT32_MAX), 0) : GP_WORD_CHARS;
    if (s->max_chars < 1 || s->max_chars > GP_WORD_CHARS_MAX)
        return fail("%s: its model's max_input_chars_per_word is not a number from 1 to %d", where, GP_WORD_CHARS_MAX);
    return 0;
}

static int read_decoder(gp_settings *s, const json_t *d, const char *where)
{
    const json_t *prefix = json_object_get(d, "prefix"), *cleanup = json_object_get(d, "cleanup");
    s->cleanup = !cleanup || json_is_true(cleanup);
    s->cleans_text = json_is_true(json_object_get(d, "clean_up_tokenization_spaces")); /* as it is written here */
    if (!d || json_is_null(d))
        return 0;
    if (cleanup && !json_is_boolean(cleanup))
        return fail("%s: cleanup of its decoder is not true or false", where);
    if (!has_type(d, "WordPiece"))
        return fail("%s: its decoder is %s; of a WordPiece, only WordPiece is supported", where, gp_json_type(d));
    if ((prefix && (!json_is_string(prefix) || strcmp(json_string_value(prefix), s->prefix) != 0)))
        return fail("%s: the prefix of its decoder is not \"%s\", that of its model", where, s->prefix);
    return 0;
}

int gp_settings_read_wordpiece(gp_settings *s, const json_t *root, const char *where)
{
    const json_t *split = json_object_get(root, "pre_tokenizer");
    *s = (gp_settings){.wordpiece = true};
    if (!has_type(split, "BertPreTokenizer"))
        return fail("%s: its pre_tokenizer is %s; of a WordPiece, only BertPreTokenizer is supported", where,
                    gp_json_type(split));
    if (read_normalizer(&s->switches, json_object_get(root, "normalizer"), where) ||
        read_model(s, json_object_get(root, "model"), where) ||
        read_decoder(s, json_object_get(root, "decoder"), where))
        return -1;
    return gp_settings_read_post_processor(s, json_object_get(root, "post_processor"), where);
}

/* ---- the tokenizer --------------------------------------------------------------------------------------- */

/* Of added tokens that normalization makes equal, `tokenizers` finds one or the other, as a hash table has it; one that
 * it makes empty is found everywhere, and may end the program. */
static int check_added(const gp_tokenizer *t, const char *where)
{
    gp_token_finder f;
    size_t n, m;
    int rc = 0;
    gp_token_finder_init(&f, &t->vocab, GP_TOKEN_NORMALIZED, GP_TOKEN_NORMALIZED, &t->wordpiece.switches);
    const gp_token_name *twice = gp_token_finder_twice(&f);
    if (f.nothing >= 0) {
        const char *name = gp_vocab_bytes(&t->vocab, f.nothing, &n);
        rc = fail("%s: its normalizer leaves nothing of added token \"%.*s\" (\"normalized\": true); remove it", where,
                  n < 60 ? (int)n : 60, name);
    } else if (twice) {
        const char *a = gp_vocab_bytes(&t->vocab, twice[0].id, &n), *b = gp_vocab_bytes(&t->vocab, twice[1].id, &m);
        rc = fail("%s: its normalizer makes added tokens \"%.*s\" and \"%.*s\" equal (\"normalized\": true), and "
                  "tokenizers finds either of them by chance; remove one",
                  where, n < 60 ? (int)n : 60, a, m < 60 ? (int)m : 60, b);
    }
    gp_token_finder_release(&f);
    return rc;
}

gp_tokenizer *gp_reader_wordpiece(gp_reader *r, const gp_settings *s, const gp_words *vocab)
{
    int64_t unknown = gp_words_find(vocab, s->unknown);
    for (int64_t i = 0; i < vocab->names.size; i++) {
        size_t n;
        const char *name = gp_vocab_bytes(&vocab->names, (int32_t)i, &n);
        int32_t id = gp_words_id(vocab, i, r->where);
        if (id < 0)
            return NULL;
        gp_token_list_add(&r->list, id, name, n)->flags = vocab->names.flags[i];
    }
    if (unknown < 0)
        return fail("%s: its vocabulary has no %s, the unknown token", r->where, s->unknown), NULL;
    gp_tokenizer *t = r->t = gp_calloc(1, sizeof *t);
    t->kind = GP_KIND_WORDPIECE;
    t->wordpiece = (gp_wordpiece){.switches = s->switches,
                                  .unknown = vocab->ids[unknown],
                                  .max_chars = s->max_chars,
                                  .prefix = gp_strdup(s->prefix),
                                  .cleanup = s->cleanup,
                                  .cleans_text = s->cleans_text};
    if (gp_vocab_build(&t->vocab, r->list.tokens, r->list.count, &r->list.bytes, r->where) ||
        gp_wordpiece_init(&t->wordpiece, &t->vocab, r->where) || check_added(t, r->where))
        return NULL;
    r->t = NULL;
    gp_tokenizer_find_added(t);
    return t;
}

/* ---- vocab.txt ------------------------------------------------------------------------------------------- */

/* Of equal lines the last one counts, as in transformers. */
static int read_lines(gp_words *words, const char *text, size_t length, const char *where)
{
    const char *end = text + length, *next;
    if (gp_words_from_lines(words, text, length))
        return 0;
    json_t *vocab = json_object();
    int64_t id = 0;
    for (const char *p = text; p < end; p = next, id++) {
        size_t n = gp_words_line(p, end, &next);
        char *line = gp_strndup(p, n);
        bool bad = memchr(p, 0, n) || json_object_set_new(vocab, line, json_integer(id));
        free(line);
        if (!bad && id < GP_VOCAB_MAX)
            continue;
        json_decref(vocab);
        fail(bad ? "%s: line %lld is not text in UTF-8" : "%s: has more than %lld lines, not a vocabulary", where,
             bad ? (long long)id + 1 : (long long)GP_VOCAB_MAX);
        return -1;
    }
    int rc = gp_words_from_json(words, vocab, where);
    json_decref(vocab);
    return rc;
}

static bool setting(const gp_tokenizer_config *b, const char *key)
{
    const json_t *value = json_object_get(b->config, key);
    return !json_is_boolean(value) || json_is_true(value);
}

/* The switches that BertTokenizer takes from tokenizer_config.json. */
static gp_bert_switches switches_of(const gp_tokenizer_config *b)
{
    const json_t *strip = json_object_get(b->config, "strip_accents");
    return (gp_bert_switches){.clean_text = true,
                              .handle_chinese_chars = setting(b, "tokenize_chinese_chars"),
                              .lowercase = setting(b, "do_lower_case"),
                              .strip_accents = json_is_boolean(strip) ? json_is_true(strip) : -1};
}

void gp_settings_clean_text(gp_settings *s, gp_tokenizer_config *b)
{
    const json_t *set = json_object_get(b->config, "clean_up_tokenization_spaces");
    if (!json_is_boolean(set))
        return;
    b->changes |= json_is_true(set) != s->cleans_text;
    s->cleans_text = json_is_true(set);
}

static gp_tokenizer *read_vocab(gp_reader *r, gp_words *vocab, gp_tokenizer_config *config)
{
    gp_settings s = {.wordpiece = true, .prefix = "##", .max_chars = GP_WORD_CHARS, .cleanup = true};
    json_t *tokens = json_array();
    gp_tokenizer *t = NULL;
    s.switches = switches_of(config);
    gp_settings_clean_text(&s, config);
    if (!gp_tokenizer_config_add_tokens(config, tokens, vocab) && !gp_reader_add_tokens(r, tokens, vocab)) {
        const char *unknown = gp_tokenizer_config_named(config, "unk_token");
        gp_settings_class_template(&s, config, tokens, vocab);
        s.unknown = unknown ? unknown : "[UNK]";
        t = gp_reader_wordpiece(r, &s, vocab);
    }
    if (t)
        t->template = s.template;
    else
        gp_template_release(&s.template);
    json_decref(tokens);
    return t;
}

/* Warns of a cased vocabulary whose text would be made lower case. */
static void check_case(gp_tokenizer *t, const char *path)
{
    const gp_vocab *v = &t->vocab;
    int64_t upper = 0;
    for (int32_t id = 0; id < v->size && t->wordpiece.switches.lowercase; id++) {
        size_t n;
        const char *bytes = gp_vocab_bytes(v, id, &n);
        upper += n > 2 && bytes[0] >= 'A' && bytes[0] <= 'Z' && bytes[1] >= 'a' && bytes[1] <= 'z';
    }
    if (upper > v->size / 50)
        gp_warning_add(
            &t->warning,
            gp_format("%s has %lld capitalized words, which lower-cased text never uses; is \"do_lower_case\": "
                      "false missing in tokenizer_config.json?",
                      path, (long long)upper));
}

bool gp_is_vocab_txt(const char *text, size_t length)
{
    static const char unknown[] = "[UNK]";
    const char *end = text + length, *next;
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), unknown, sizeof unknown - 1)); p++)
        if ((p == text || p[-1] == '\n') && gp_words_line(p, end, &next) == sizeof unknown - 1)
            return true;
    return false;
}

gp_tokenizer *gp_tokenizer_from_vocab_txt(const char *text, size_t length, const char *where, const char *dir)
{
    gp_reader r = {.where = where};
    gp_tokenizer *t = NULL;
    gp_tokenizer_config config;
    if (gp_tokenizer_config_read(&config, dir))
        return NULL;
    config.kind = GP_CLASS_BERT;
    gp_words vocab = {0};
    if (!read_lines(&vocab, text, length, where))
        t = read_vocab(&r, &vocab, &config);
    if (t)
        check_case(t, where);
    if (t && dir)
        gp_tokenizer_check_folder(t, dir, &config, false);
    gp_words_release(&vocab);
    gp_tokenizer_config_release(&config);
    gp_reader_release(&r);
    return t;
}

/* ---- a tokenizer.json in a folder ------------------------------------------------------------------------ */

static const char *word(int value)
{
    return value < 0 ? "null" : value ? "true" : "false";
}

void gp_settings_apply_bert(gp_settings *s, gp_tokenizer_config *b)
{
    gp_bert_switches file = s->switches, set = switches_of(b);
    const struct {
        const char *name, *key;
        int file, set;
    } all[] = {{"lowercase", "do_lower_case", file.lowercase, set.lowercase},
               {"strip_accents", "strip_accents", file.strip_accents, set.strip_accents},
               {"handle_chinese_chars", "tokenize_chinese_chars", file.handle_chinese_chars, set.handle_chinese_chars},
               {"clean_text", "clean_text", file.clean_text, set.clean_text}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].file != all[i].set) {
            b->changes = true;
            gp_tokenizer_config_warn(
                b, gp_format("%s is %s in tokenizer.json, but %s by %s of tokenizer_config.json or "
                             "its default; using %s, as BertTokenizer of transformers does",
                             all[i].name, word(all[i].file), word(all[i].set), all[i].key, word(all[i].set)));
        }
    s->switches = set;
}
