/* wordpiece_encode.c: text is normalized and its words are found, 64 bytes of ASCII at once or a character at a time;
 * they are looked up in a cache. wordpiece_chunks.c calls it for what its own cache does not have. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/wordpiece/wordpiece_state.h"

enum { BLOCK = GP_ASCII_BLOCK, MAX_WORD = GP_WORD_BYTES, BATCH = 32 };

typedef struct gp_wordpiece_state state;

state *gp_wordpiece_state_new(void)
{
    state *s = gp_calloc(1, sizeof *s);
    gp_piece_cache_init(&s->chunks, GP_PIECE_BITS + 1);
    gp_piece_cache_init(&s->words, GP_PIECE_BITS);
    gp_long_chunks_init(&s->long_chunks);
    for (int level = 0; level < GP_ASCII_LEVELS; level++)
        s->ascii = gp_ascii_functions_of(level) ? gp_ascii_functions_of(level) : s->ascii;
    return s;
}

void gp_wordpiece_state_free(state *s)
{
    if (s) {
        gp_piece_cache_release(&s->chunks);
        gp_piece_cache_release(&s->words);
        gp_long_chunks_release(&s->long_chunks);
    }
    free(s);
}

/* ---- words ----------------------------------------------------------------------------------------------- */

static void end_word(state *s)
{
    if (s->started > s->ended)
        s->ends[s->ended++] = (uint16_t)s->length;
    s->combining = 0;
}

/* Sorts the last character, of `length` bytes, into the combining characters before it, which are in order. */
static void sort_last(state *s, size_t length, unsigned order)
{
    uint8_t last[4];
    size_t at = s->length - length, i = s->combining;
    if (i == GP_WORD_CHARS_MAX) /* the word is too long, whatever their order */
        return;
    memcpy(last, s->text + at, length);
    for (; i && s->orders[i - 1] > order; i--) {
        s->orders[i] = s->orders[i - 1];
        do
            at--;
        while ((s->text[at] & 0xC0) == 0x80);
    }
    memmove(s->text + at + length, s->text + at, s->length - length - at);
    memcpy(s->text + at, last, length);
    s->orders[i] = (uint8_t)order;
    s->combining++;
}

/* Appends a normalized character. What is beyond the longest word is dropped: the word stays too long. */
static void put_char(state *s, uint32_t c, unsigned order)
{
    if (s->started == s->ended)
        s->starts[s->started++] = (uint16_t)s->length;
    if (s->length - s->starts[s->started - 1] >= MAX_WORD)
        return;
    size_t length = gp_utf8_put((char *)s->text + s->length, c);
    s->length += length;
    if (order)
        sort_last(s, length, order);
    else
        s->combining = 0;
}

/* Appends what becomes of a character by an entry that is neither SEVERAL nor HANGUL. */
static void put_entry(state *s, uint32_t entry, uint32_t c)
{
    uint32_t to = gp_entry_char(entry);
    c = to ? to : c;
    switch (gp_entry_kind(entry)) {
    case GP_CHAR_IN_WORD:
        put_char(s, c, gp_entry_order(entry));
        break;
    case GP_CHAR_ISOLATED:
        end_word(s);
        put_char(s, c, 0);
        end_word(s);
        break;
    case GP_CHAR_SPLITS:
        end_word(s);
        break;
    default: /* GP_CHAR_REMOVED */
        if (!gp_entry_order(entry))
            s->combining = 0;
    }
}

static void put_several(const gp_wordpiece *w, state *s, uint32_t entry, uint32_t c)
{
    uint32_t jamo[3];
    if (gp_entry_kind(entry) == GP_CHAR_HANGUL) {
        for (int i = 0, n = gp_hangul(c, jamo); i < n; i++)
            put_char(s, jamo[i], 0);
        return;
    }
    for (unsigned i = 0; i < gp_entry_order(entry); i++)
        put_entry(s, w->map.sequences[gp_entry_char(entry) + i], 0);
}

/* Reads up to BLOCK bytes at p, of n, a character at a time, until it has read a run of ASCII. Returns how many; *done:
 * after the last of them at which words end, unless there is none. */
static size_t read_chars(const gp_wordpiece *w, state *s, const uint8_t *p, size_t n, bool more, size_t *done)
{
    enum { RUN = 8 };
    size_t at = 0;
    for (int ascii = 0; at < n && at < BLOCK && ascii < RUN;) {
        uint32_t c = p[at];
        size_t length = c < 0x80 ? 1 : gp_utf8(p + at, n - at, &c);
        if (!length && more)
            break;
        length = length ? length : 1;
        c = c < GP_BAD_BYTE ? c : 0xFFFD;
        ascii = c < 0x7F && (c >= ' ' || c == '\n') ? ascii + 1 : 0;
        uint32_t entry = gp_char_entry(&w->map, c);
        if (!entry)
            put_char(s, c, 0);
        else if (gp_entry_kind(entry) >= GP_CHAR_SEVERAL)
            put_several(w, s, entry, c);
        else
            put_entry(s, entry, c);
        at += length;
        if (gp_entry_kind(entry) == GP_CHAR_ISOLATED || gp_entry_kind(entry) == GP_CHAR_SPLITS)
            *done = at;
    }
    return at;
}

/* Reads some text, up to n bytes at p. Returns as read_chars. */
static size_t read_some(const gp_wordpiece *w, state *s, const uint8_t *p, size_t n, bool more, size_t *done)
{
    const char lowercase = w->switches.lowercase ? 0x20 : 0;
    size_t at = 0;
    *done = 0;
    while (at < n && !gp_words_are_full(s)) {
        size_t ends = 0, last = 0, length = s->ascii->read(s, p + at, n - at, lowercase, &ends);
        *done = ends ? at + ends : *done;
        at += length;
        if (at == n || gp_words_are_full(s))
            break;
        length = read_chars(w, s, p + at, n - at, more, &last);
        *done = last ? at + last : *done;
        at += length;
        if (!length)
            break;
    }
    return at;
}

/* Moves the word that has not ended to the start of the text. */
static void move_open(state *s)
{
    size_t from = s->started > s->ended ? s->starts[s->started - 1] : s->length;
    s->length -= from;
    memmove(s->text, s->text + from, s->length);
    s->started = s->started > s->ended;
    s->ended = 0;
    s->starts[0] = 0;
}

/* ---- ids ------------------------------------------------------------------------------------------------- */

static int encode_new(const gp_wordpiece *w, state *s, gp_cache_line *l, const gp_key *key, const uint8_t *p, size_t n,
                      gp_ids *out)
{
    if (gp_ids_reserve(out, w->max_chars))
        return -1;
    int count = gp_wordpiece_encode_word(w, p, n, out->ids + out->count);
    if (n <= GP_KEY_BYTES)
        gp_piece_cache_put(&s->words, l, key, out->ids + out->count, count);
    out->count += count;
    return 0;
}

/* Encodes `count` words that have ended, from `first` on, by the cache, whose lines are prefetched. */
static int encode_batch(const gp_wordpiece *w, state *s, size_t first, size_t count, gp_ids *out)
{
    const uint16_t *starts = s->starts + first, *ends = s->ends + first;
    gp_key keys[BATCH];
    gp_cache_line *lines[BATCH];
    gp_piece_cache_fit(&s->words);
    for (size_t i = 0; i < count; i++) {
        size_t length = (size_t)(ends[i] - starts[i]);
        keys[i] = gp_key_of(s->text + starts[i], length <= GP_KEY_BYTES ? length : GP_KEY_BYTES + 1);
        lines[i] = gp_piece_cache_line(&s->words, &keys[i]);
        __builtin_prefetch(lines[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (gp_ids_reserve(out, GP_PIECE_IDS))
            return -1;
        int known = gp_piece_cache_get(lines[i], &keys[i], out->ids + out->count);
        out->count += known;
        if (!known && encode_new(w, s, lines[i], &keys[i], s->text + starts[i], (size_t)(ends[i] - starts[i]), out))
            return -1;
    }
    return 0;
}

static int encode_words(const gp_wordpiece *w, state *s, void *self)
{
    for (size_t first = 0; first < s->ended; first += BATCH)
        if (encode_batch(w, s, first, s->ended - first < BATCH ? s->ended - first : BATCH, self))
            return -1;
    return 0;
}

int64_t gp_wordpiece_read(const gp_wordpiece *w, state *s, const uint8_t *p, size_t n, bool more, gp_take_words *take,
                          void *self)
{
    size_t at = 0, done = 0;
    s->length = s->started = s->ended = s->combining = 0;
    while (at < n) {
        size_t last, length = read_some(w, s, p + at, n - at, more, &last);
        done = last ? at + last : done;
        at += length;
        if (at == n && !more)
            end_word(s);
        if (take(w, s, self))
            return -1;
        move_open(s);
        if (!length)
            break;
    }
    return (int64_t)(more ? done : n);
}

int64_t gp_wordpiece_encode_text(const gp_wordpiece *w, state *s, const uint8_t *p, size_t n, bool more, gp_ids *out)
{
    return gp_wordpiece_read(w, s, p, n, more, encode_words, out);
}

size_t gp_wordpiece_cut(const gp_wordpiece *w, const uint8_t *p, size_t n, size_t from)
{
    for (size_t at = n; at-- > from + 1;) {
        uint32_t c;
        if ((p[at] & 0xC0) == 0x80 || !gp_utf8(p + at, n - at, &c) || c >= GP_BAD_BYTE)
            continue;
        gp_char_kind kind = gp_entry_kind(gp_char_entry(&w->map, c));
        if (kind == GP_CHAR_ISOLATED || kind == GP_CHAR_SPLITS)
            return at;
    }
    return 0;
}
