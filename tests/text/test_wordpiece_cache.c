/* The caches of WordPiece: many chunks, long ones among them, get the ids of none but themselves; and chunks and words
 * are found alike by all sets of instructions. */
#include "test.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gptpipe/tokenizer.h"
#include "text/wordpiece/wordpiece_state.h"

enum { LETTERS = 26, FIRST = 1, INSIDE = FIRST + LETTERS, DASH = INSIDE + LETTERS };

/* The vocabulary has each letter at the start of words and inside them, so that the ids are the letters. */
static gp_tokenizer *open_letters(void)
{
    gp_buf json = {0};
    gp_buf_puts(&json, "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                       "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
                       "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
                       "\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0");
    for (int i = 0; i < LETTERS; i++)
        gp_buf_printf(&json, ",\"%c\":%d,\"##%c\":%d", 'a' + i, FIRST + i, 'a' + i, INSIDE + i);
    gp_buf_printf(&json, ",\"-\":%d}}}", DASH);
    gp_tokenizer *t = gp_tokenizer_from_json(json.data, json.len, "letters");
    if (!t)
        fail_msg("%s", gp_error());
    gp_buf_release(&json);
    return t;
}

static uint32_t draw(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

/* Adds a chunk of `length` bytes to the text, and its ids. */
static void add_chunk(gp_buf *text, gp_buf *ids, uint64_t *state, uint32_t length)
{
    bool inside = false;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t letter = draw(state, LETTERS);
        bool dash = i % 40 == 39; /* words are shorter than the limit */
        const char *letters = draw(state, 8) ? "abcdefghijklmnopqrstuvwxyz" : "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        int32_t id = dash ? DASH : (inside ? INSIDE : FIRST) + (int32_t)letter;
        gp_buf_add(text, dash ? "-" : letters + letter, 1);
        gp_buf_add(ids, &id, sizeof id);
        inside = !dash;
    }
    gp_buf_puts(text, draw(state, 10) ? " " : "\n\t ");
}

static int collect(void *self, const int32_t *ids, int64_t count)
{
    gp_buf_add(self, ids, (size_t)count * sizeof *ids);
    return 0;
}

static void chunks_have_ids_of_their_own(void **s)
{
    (void)s;
    enum { CHUNKS = 120000, SHORT = 16, LONG = 300 };
    gp_tokenizer *t = open_letters();
    gp_buf text = {0}, want = {0}, found = {0};
    uint64_t state = 1;
    for (int i = 0; i < CHUNKS; i++)
        add_chunk(&text, &want, &state, 1 + draw(&state, i % 3 ? SHORT : LONG));
    gp_encoder *e = gp_encoder_open(t, collect, &found);
    for (int again = 0; again < 3; again++) {
        found.len = 0;
        for (size_t at = 0, n; at < text.len; at += n) {
            n = again == 2 ? 1 + draw(&state, 20000) : text.len;
            n = n < text.len - at ? n : text.len - at;
            assert_int_equal(gp_encoder_feed(e, text.data + at, n), 0);
        }
        assert_int_equal(gp_encoder_end(e), 0);
        assert_int_equal(found.len, want.len);
        assert_memory_equal(found.data, want.data, want.len);
    }
    gp_encoder_close(e);
    gp_buf_release(&text);
    gp_buf_release(&want);
    gp_buf_release(&found);
    gp_tokenizer_close(t);
}

static void all_instructions_find_the_same_chunks(void **s)
{
    (void)s;
    enum { MAX = 1024 };
    static const uint8_t bytes[] = {' ',  '\t', '\n', '\r', 'a',  '\v', '\f', 0,
                                    0x1F, '!',  8,    14,   0x7F, 0x80, 0xA0, 0xFF};
    uint64_t state = 1;
    for (int round = 0; round < 2000; round++) {
        uint8_t text[MAX];
        uint16_t want[MAX + GP_ASCII_BLOCK], found[MAX + GP_ASCII_BLOCK];
        size_t n = 1 + draw(&state, MAX), count = 0;
        uint32_t kinds = 1 + draw(&state, sizeof bytes);
        memset(text, ' ', sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = bytes[draw(&state, kinds)];
        for (size_t i = 0; i < n; i++)
            if (gp_ascii_is_space(text[i]) != (i ? gp_ascii_is_space(text[i - 1]) : true))
                want[count++] = (uint16_t)i;
        for (int level = 0; level < GP_ASCII_LEVELS; level++)
            if (gp_ascii_functions_of(level)) {
                assert_int_equal(gp_ascii_functions_of(level)->find_chunks(text, n, found), count);
                assert_memory_equal(found, want, count * sizeof *want);
            }
    }
    assert_non_null(gp_ascii_functions_of(0));
}

/* The words of ASCII by the definition, a character at a time, as bytes that a space precedes; returns how many bytes
 * are before the first one that is not ASCII. */
static size_t words_of(const uint8_t *p, size_t n, gp_buf *words)
{
    size_t at = 0;
    for (bool inside = false; at < n && (p[at] == ' ' || (p[at] > ' ' && p[at] < 0x7F)); at++) {
        bool in_word = isalnum(p[at]);
        if (p[at] != ' ' && !(inside && in_word))
            gp_buf_puts(words, " ");
        if (p[at] != ' ')
            gp_buf_add(words, &(char){(char)tolower(p[at])}, 1);
        inside = in_word;
    }
    return at;
}

static void all_instructions_find_the_same_words(void **self)
{
    (void)self;
    enum { MAX = 900 };
    static const uint8_t bytes[] = "ab Z,9 (q\xFF\x7F";
    uint64_t state = 1;
    gp_buf want = {0}, found = {0};
    for (int round = 0; round < 3000; round++) {
        uint8_t text[MAX + GP_ASCII_BLOCK] = {0};
        size_t n = 1 + draw(&state, MAX);
        uint32_t kinds = 1 + draw(&state, round % 4 ? sizeof bytes - 3 : sizeof bytes - 1);
        for (size_t i = 0; i < n; i++)
            text[i] = bytes[draw(&state, kinds)];
        want.len = 0;
        size_t read = words_of(text, n, &want);
        for (int level = 0; level < GP_ASCII_LEVELS; level++) {
            const gp_ascii_functions *f = gp_ascii_functions_of(level);
            struct gp_wordpiece_state *s = f ? gp_wordpiece_state_new() : NULL;
            size_t done = 0;
            if (!f)
                continue;
            assert_int_equal(f->read(s, text, n, 0x20, &done), read);
            found.len = 0;
            for (size_t i = 0; i < s->started; i++) {
                gp_buf_puts(&found, " ");
                gp_buf_add(&found, s->text + s->starts[i], (i < s->ended ? s->ends[i] : s->length) - s->starts[i]);
            }
            assert_int_equal(found.len, want.len);
            assert_memory_equal(found.data, want.data, want.len);
            for (size_t i = done; i < read; i++) /* nothing ends in what is not done */
                assert_true(isalnum(text[i]));
            assert_true(done == 0 || !isalnum(text[done - 1]));
            gp_wordpiece_state_free(s);
        }
    }
    gp_buf_release(&want);
    gp_buf_release(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_have_ids_of_their_own),
        cmocka_unit_test(all_instructions_find_the_same_chunks),
        cmocka_unit_test(all_instructions_find_the_same_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
