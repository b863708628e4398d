/* split.c: see split.h. Bit i of a mask is about byte i of a block. */
#include "text/split.h"

#include <string.h>

#include "text/lanes.h"
#include "text/pretokenize.h"

/* The classes of the bytes of a block; all bytes of a non-ASCII character have its class. */
typedef struct byte_classes {
    uint64_t letter, number, space, blank, apostrophe; /* blank: U+0020, which is a space too */
    uint64_t high;                                     /* not ASCII; classify sets their class */
} byte_classes;

/* Classifies eight bytes at a time, as lanes of a word. */
static inline byte_classes classify_ascii(const uint8_t *p)
{
    byte_classes b = {0};
    for (int i = 0; i < GP_SPLIT_BLOCK; i += 8) {
        uint64_t bytes, x, blank;
        memcpy(&bytes, p + i, 8);
        x = bytes & GP_LANES(0x7F);
        blank = gp_lanes_within(x, ' ', ' ') & ~bytes;
        b.letter |= gp_lanes_gather(gp_lanes_within(x | GP_LANES(0x20), 'a', 'z') & ~bytes) << i;
        b.number |= gp_lanes_gather(gp_lanes_within(x, '0', '9') & ~bytes) << i;
        b.space |= gp_lanes_gather((gp_lanes_within(x, '\t', '\r') & ~bytes) | blank) << i;
        b.blank |= gp_lanes_gather(blank) << i;
        b.apostrophe |= gp_lanes_gather(gp_lanes_within(x, '\'', '\'') & ~bytes) << i;
        b.high |= gp_lanes_gather(bytes) << i;
    }
    return b;
}

/* A character that continues in the next block. */
typedef struct carry {
    size_t bytes; /* number of its bytes in the next block */
    gp_class class;
} carry;

static inline uint64_t low_bits(size_t n)
{
    return ((uint64_t)1 << n) - 1;
}

static inline void set_class(byte_classes *b, gp_class class, uint64_t bits)
{
    if (class == GP_LETTER)
        b->letter |= bits;
    else if (class == GP_NUMBER)
        b->number |= bits;
}

/* Classifies the bytes of a block; false if there is a space outside ASCII. */
static inline bool classify(const uint8_t *p, byte_classes *b, carry *c)
{
    *b = classify_ascii(p);
    if (!b->high)
        return true;
    uint64_t left = b->high & ~low_bits(c->bytes);
    set_class(b, c->class, low_bits(c->bytes));
    c->bytes = 0;
    while (left) {
        uint32_t code;
        size_t at = (size_t)__builtin_ctzll(left), length = gp_utf8(p + at, 4, &code);
        uint64_t bits = low_bits(length) << at;
        c->class = gp_class_of(code);
        if (c->class == GP_SPACE)
            return false;
        set_class(b, c->class, bits);
        left &= ~bits;
        c->bytes = at + length > GP_SPLIT_BLOCK ? at + length - GP_SPLIT_BLOCK : 0;
    }
    return true;
}

/* The mask of the preceding byte for each byte; that of the first one is the last of the block before. */
static inline uint64_t after(uint64_t before, uint64_t now)
{
    return now << 1 | before >> 63;
}

/* Where pieces begin, except contractions. A space begins a piece if it follows another class or is the last of a run
 * of several. Any other character begins one if the class changes, unless a blank before it has begun the piece. */
static inline uint64_t find_starts(const byte_classes *before, const byte_classes *now, const byte_classes *next)
{
    uint64_t other = ~(now->letter | now->number | now->space);
    uint64_t other_before = ~(before->letter | before->number | before->space);
    uint64_t same = (now->letter & after(before->letter, now->letter)) |
                    (now->number & after(before->number, now->number)) | (other & after(other_before, other));
    uint64_t inside = after(before->space, now->space) & (now->space >> 1 | next->space << 63);
    return (now->space & ~inside) | (~now->space & ~same & ~after(before->blank, now->blank));
}

/* Sets a bit in the masks of this block and the next. */
static inline void put_bit(uint64_t words[2], size_t at)
{
    words[at / 64] |= (uint64_t)1 << at % 64;
}

size_t gp_split(const uint8_t *p, size_t blocks, uint16_t ends[GP_SPLIT_BLOCK * GP_SPLIT_BLOCKS], bool *complete)
{
    size_t count = 0;
    /* starts of pieces that contractions add and remove, in this block and the next; p itself is not an end */
    uint64_t on[2] = {0}, off[2] = {1};
    byte_classes before = {.space = UINT64_MAX}, now, next;
    carry c = {0};
    *complete = classify(p, &next, &c);
    for (size_t base = 0; *complete && base < blocks * GP_SPLIT_BLOCK; base += GP_SPLIT_BLOCK) {
        now = next;
        *complete = classify(p + base + GP_SPLIT_BLOCK, &next, &c);
        if (!*complete)
            break;
        uint64_t starts = find_starts(&before, &now, &next);
        for (uint64_t left = now.apostrophe & starts; left; left &= left - 1) {
            size_t at = (size_t)__builtin_ctzll(left), length = gp_contraction(p + base + at);
            if (length) {
                put_bit(off, at + 1);
                put_bit(on, at + length);
            }
        }
        for (uint64_t left = (starts & ~off[0]) | on[0]; left; left &= left - 1)
            ends[count++] = (uint16_t)(base + (size_t)__builtin_ctzll(left));
        on[0] = on[1];
        off[0] = off[1];
        on[1] = off[1] = 0;
        before = now;
    }
    return count;
}
