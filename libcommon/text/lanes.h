/* lanes.h: eight bytes of text at a time, as the lanes of a word. */
#ifndef GP_TEXT_LANES_H
#define GP_TEXT_LANES_H

#include <stdint.h>

#define GP_LANES(byte) (0x0101010101010101u * (byte))

/* The high bits of eight bytes as the low eight bits of a word. */
static inline uint64_t gp_lanes_gather(uint64_t bits)
{
    return (bits & GP_LANES(0x80)) * 0x0002040810204081u >> 56;
}

/* Sets the high bit of each byte of x, all below 128, that is in [low, high]. */
static inline uint64_t gp_lanes_within(uint64_t x, uint8_t low, uint8_t high)
{
    return (x + GP_LANES(0x80u - low)) & ~(x + GP_LANES(0x7Fu - high));
}

#endif
