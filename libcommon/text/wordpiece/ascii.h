/* ascii.h: the classes of 64 bytes of text at once, of which bit i of a mask is about byte i. */
#ifndef GP_TEXT_WORDPIECE_ASCII_H
#define GP_TEXT_WORDPIECE_ASCII_H

#include <stdbool.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "text/lanes.h"

enum { GP_ASCII_BLOCK = 64 };

typedef struct gp_ascii {
    uint64_t in_words;    /* ASCII letters and digits */
    uint64_t punctuation; /* every other graphic character of ASCII */
    uint64_t other;       /* neither ASCII nor a space, tab or line ending: control characters too */
} gp_ascii;

/* The white space of ASCII that is removed whatever a BertNormalizer is set to. */
static inline bool gp_ascii_is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Not __builtin_popcountll, a call on processors that may lack the instruction. */
static inline size_t gp_ascii_count(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return (size_t)(((bits + (bits >> 4)) & GP_LANES(0x0F)) * GP_LANES(1) >> 56);
}

/* Writes the offsets from base of the bits in a mask, several at a time, so that few branches are mispredicted: up to
 * GP_ASCII_BLOCK offsets are written. Returns how many of them count. */
static inline size_t gp_ascii_offsets(uint16_t *to, uint64_t bits, size_t base)
{
    const uint64_t last = (uint64_t)1 << (GP_ASCII_BLOCK - 1); /* ctz must have a bit */
    size_t count = gp_ascii_count(bits);
    for (; bits; to += 4)
        for (int i = 0; i < 4; i++, bits &= bits - 1)
            to[i] = (uint16_t)(base + (size_t)__builtin_ctzll(bits | last));
    return count;
}

#ifdef __SSE2__

/* The bytes of x in [low, high], as bytes of ones. */
static inline __m128i gp_ascii_within(__m128i x, char low, char high)
{
    __m128i above = _mm_sub_epi8(x, _mm_set1_epi8(low));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(high - low))), above);
}

static inline uint64_t gp_ascii_mask(__m128i bytes)
{
    return (uint32_t)_mm_movemask_epi8(bytes);
}

static inline __m128i gp_ascii_space_bytes(__m128i x)
{
    return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')), gp_ascii_within(x, '\t', '\n')),
                        _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
}

/* Where gp_ascii_is_space in a block. */
static inline uint64_t gp_ascii_spaces(const uint8_t *p)
{
    uint64_t spaces = 0;
    for (int i = 0; i < GP_ASCII_BLOCK; i += 16)
        spaces |= gp_ascii_mask(gp_ascii_space_bytes(_mm_loadu_si128((const __m128i *)(const void *)(p + i)))) << i;
    return spaces;
}

/* Reads a block at p and writes it to `to`, in lower case if lowercase is 0x20; it is 0 otherwise. */
static inline gp_ascii gp_ascii_read(const uint8_t *p, char lowercase, uint8_t *to)
{
    uint64_t words = 0, graphic = 0, spaces = 0;
    for (int i = 0; i < GP_ASCII_BLOCK; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i upper = gp_ascii_within(x, 'A', 'Z');
        __m128i word = _mm_or_si128(_mm_or_si128(upper, gp_ascii_within(x, 'a', 'z')), gp_ascii_within(x, '0', '9'));
        words |= gp_ascii_mask(word) << i;
        graphic |= gp_ascii_mask(gp_ascii_within(x, '!', '~')) << i;
        spaces |= gp_ascii_mask(gp_ascii_space_bytes(x)) << i;
        x = _mm_or_si128(x, _mm_and_si128(upper, _mm_set1_epi8(lowercase)));
        _mm_storeu_si128((__m128i *)(void *)(to + i), x);
    }
    return (gp_ascii){words, graphic & ~words, ~(graphic | spaces)};
}

#else

/* The high bits of lanes. */
static inline uint64_t gp_ascii_space_lanes(uint64_t bytes)
{
    uint64_t x = bytes & GP_LANES(0x7F);
    return (gp_lanes_within(x, ' ', ' ') | gp_lanes_within(x, '\t', '\n') | gp_lanes_within(x, '\r', '\r')) & ~bytes;
}

static inline uint64_t gp_ascii_spaces(const uint8_t *p)
{
    uint64_t spaces = 0, bytes;
    for (int i = 0; i < GP_ASCII_BLOCK; i += 8) {
        memcpy(&bytes, p + i, 8);
        spaces |= gp_lanes_gather(gp_ascii_space_lanes(bytes)) << i;
    }
    return spaces;
}

static inline gp_ascii gp_ascii_read(const uint8_t *p, char lowercase, uint8_t *to)
{
    uint64_t words = 0, graphic = 0, spaces = 0;
    for (int i = 0; i < GP_ASCII_BLOCK; i += 8) {
        uint64_t bytes, x, upper;
        memcpy(&bytes, p + i, 8);
        x = bytes & GP_LANES(0x7F);
        upper = gp_lanes_within(x, 'A', 'Z') & GP_LANES(0x80) & ~bytes;
        words |= gp_lanes_gather((upper | gp_lanes_within(x, 'a', 'z') | gp_lanes_within(x, '0', '9')) & ~bytes) << i;
        graphic |= gp_lanes_gather(gp_lanes_within(x, '!', '~') & ~bytes) << i;
        spaces |= gp_lanes_gather(gp_ascii_space_lanes(bytes)) << i;
        x = bytes | (upper >> 2 & GP_LANES((uint8_t)lowercase));
        memcpy(to + i, &x, 8);
    }
    return (gp_ascii){words, graphic & ~words, ~(graphic | spaces)};
}

#endif

#endif
