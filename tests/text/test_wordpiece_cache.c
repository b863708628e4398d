/* The caches of WordPiece: many chunks, long ones among them, get the ids of none but themselves; and chunks are found
 * alike by all sets of instructions. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "gptpipe/tokenizer.h"
#include "text/wordpiece/chunk_bounds.h"

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
        for (int level = 0; level < GP_CHUNK_FINDERS; level++)
            if (gp_chunk_finder(level)) {
                assert_int_equal(gp_chunk_finder(level)(text, n, found), count);
                assert_memory_equal(found, want, count * sizeof *want);
            }
    }
    assert_non_null(gp_chunk_finder(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_have_ids_of_their_own),
        cmocka_unit_test(all_instructions_find_the_same_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
