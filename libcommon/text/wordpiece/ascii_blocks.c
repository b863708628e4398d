/* ascii_blocks.c: see ascii_blocks.h. The same code is compiled for each set of instructions; AVX-512 finds the classes
 * of a block, and the offsets in it, in its own way. */
#include "text/wordpiece/ascii_blocks.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "text/wordpiece/wordpiece_state.h"

enum { BLOCK = GP_ASCII_BLOCK, MAX_OPEN = GP_WORD_BYTES - BLOCK };

typedef struct gp_wordpiece_state state;

#define INLINE __attribute__((always_inline)) static inline

/* How the three parts of the work on a block are done. */
typedef struct block_functions {
    uint64_t (*spaces)(const uint8_t *p);
    gp_ascii (*read)(const uint8_t *p, char lowercase, uint8_t *to);
    size_t (*offsets)(uint16_t *to, uint64_t bits, size_t base);
} block_functions;

/* A bound is where a byte is in a chunk and the one before is not, or the reverse. The end of a chunk at n is left out:
 * it may not be one. */
INLINE size_t find_chunks(const block_functions f, const uint8_t *p, size_t n, uint16_t *bounds)
{
    uint64_t inside = 0; /* the byte before is in a chunk */
    size_t count = 0;
    for (size_t base = 0; base < n; base += BLOCK) {
        uint64_t chunks = ~f.spaces(p + base);
        count += f.offsets(bounds + count, chunks ^ (chunks << 1 | inside), base);
        inside = chunks >> (BLOCK - 1);
    }
    return count - (count && count % 2 == 0 && bounds[count - 1] == n);
}

/* Finds the words in the first n bytes of a block that has been written to the end of the text. */
INLINE void take_block(const block_functions f, state *s, const gp_ascii *a, size_t n)
{
    uint64_t all = n < BLOCK ? ((uint64_t)1 << n) - 1 : UINT64_MAX, in_words = a->in_words & all;
    uint64_t punctuation = a->punctuation & all, before = in_words << 1 | (s->started > s->ended);
    size_t base = s->length;
    s->started += f.offsets(s->starts + s->started, (in_words & ~before) | punctuation, base);
    s->ended += f.offsets(s->ends + s->ended, ((~in_words & before) | punctuation << 1) & all, base);
    s->length += n;
    if (punctuation >> (n - 1))
        s->ends[s->ended++] = (uint16_t)s->length;
    s->combining = 0;
}

INLINE size_t read_ascii(const block_functions f, state *s, const uint8_t *p, size_t n, char lowercase, size_t *done)
{
    size_t at = 0;
    for (bool ascii = true; ascii && at < n && !gp_words_are_full(s);) {
        size_t rest = n - at < BLOCK ? n - at : BLOCK, length;
        uint8_t padded[BLOCK];
        if (s->started > s->ended && s->length - s->starts[s->started - 1] > MAX_OPEN)
            break;
        if (rest < BLOCK) {
            memset(padded, ' ', BLOCK);
            memcpy(padded, p + at, rest);
        }
        gp_ascii a = f.read(rest < BLOCK ? padded : p + at, lowercase, s->text + s->length);
        length = a.other ? (size_t)__builtin_ctzll(a.other) : rest;
        ascii = length == rest;
        if (!length)
            break;
        take_block(f, s, &a, length);
        uint64_t ends = ~a.in_words << (BLOCK - length);
        if (ends)
            *done = at + length - (size_t)__builtin_clzll(ends);
        at += length;
    }
    return at;
}

/* ---- for every processor --------------------------------------------------------------------------------- */

static const block_functions everywhere = {gp_ascii_spaces, gp_ascii_read, gp_ascii_offsets};

static size_t find_chunks_baseline(const uint8_t *p, size_t n, uint16_t *bounds)
{
    return find_chunks(everywhere, p, n, bounds);
}

static size_t read_baseline(state *s, const uint8_t *p, size_t n, char lowercase, size_t *done)
{
    return read_ascii(everywhere, s, p, n, lowercase, done);
}

static const gp_ascii_functions baseline = {find_chunks_baseline, read_baseline};

#ifdef __x86_64__

/* ---- AVX2 ------------------------------------------------------------------------------------------------ */

#define AVX2 __attribute__((target("avx2,bmi,popcnt"))) static

AVX2 size_t find_chunks_avx2(const uint8_t *p, size_t n, uint16_t *bounds)
{
    return find_chunks(everywhere, p, n, bounds);
}

AVX2 size_t read_avx2(state *s, const uint8_t *p, size_t n, char lowercase, size_t *done)
{
    return read_ascii(everywhere, s, p, n, lowercase, done);
}

static const gp_ascii_functions avx2 = {find_chunks_avx2, read_avx2};

/* ---- AVX-512 --------------------------------------------------------------------------------------------- */

#define AVX512 __attribute__((target("avx512bw,avx512vbmi2,bmi,popcnt"))) static

/* The bytes of x in [low, high]. */
AVX512 inline uint64_t within(__m512i x, char low, char high)
{
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8(low)), _mm512_set1_epi8((char)(high - low)));
}

AVX512 inline uint64_t spaces_of(__m512i x)
{
    return _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(' ')) | _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\r')) |
           within(x, '\t', '\n');
}

AVX512 inline uint64_t spaces_avx512(const uint8_t *p)
{
    return spaces_of(_mm512_loadu_si512(p));
}

AVX512 inline gp_ascii read_block_avx512(const uint8_t *p, char lowercase, uint8_t *to)
{
    __m512i x = _mm512_loadu_si512(p);
    uint64_t upper = within(x, 'A', 'Z'), words = upper | within(x, 'a', 'z') | within(x, '0', '9');
    uint64_t graphic = within(x, '!', '~');
    _mm512_storeu_si512(to, _mm512_mask_add_epi8(x, upper, x, _mm512_set1_epi8(lowercase)));
    return (gp_ascii){words, graphic & ~words, ~(graphic | spaces_of(x))};
}

/* All offsets of a block at once: those that have a bit are moved together. */
AVX512 inline size_t offsets_avx512(uint16_t *to, uint64_t bits, size_t base)
{
    static const uint8_t numbers[BLOCK] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                           16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                           32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                           48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i from = _mm512_set1_epi16((short)base),
            found = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(numbers));
    __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(found));
    __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(found, 1));
    _mm512_storeu_si512(to, _mm512_add_epi16(low, from));
    _mm512_storeu_si512(to + BLOCK / 2, _mm512_add_epi16(high, from));
    return (size_t)_mm_popcnt_u64(bits);
}

static const block_functions with_avx512 = {spaces_avx512, read_block_avx512, offsets_avx512};

AVX512 size_t find_chunks_avx512(const uint8_t *p, size_t n, uint16_t *bounds)
{
    return find_chunks(with_avx512, p, n, bounds);
}

AVX512 size_t read_avx512(state *s, const uint8_t *p, size_t n, char lowercase, size_t *done)
{
    return read_ascii(with_avx512, s, p, n, lowercase, done);
}

static const gp_ascii_functions avx512 = {find_chunks_avx512, read_avx512};

const gp_ascii_functions *gp_ascii_functions_of(int level)
{
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
    bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
    const gp_ascii_functions *const all[GP_ASCII_LEVELS] = {&baseline, has_avx2 ? &avx2 : NULL,
                                                            has_avx512 ? &avx512 : NULL};
    return all[level];
}

#else

const gp_ascii_functions *gp_ascii_functions_of(int level)
{
    return level ? NULL : &baseline;
}

#endif
