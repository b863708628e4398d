/* crc32c.c: CRC-32C. A CRC is the remainder of a polynomial over GF(2) modulo P, here with its highest coefficient in
 * bit 0.
 *
 * The CRC instruction starts every cycle but has a latency of three, so three stretches of the data are processed
 * interleaved; multiplying by a power of x joins their remainders. */
#include "base/file.h"

#include <pthread.h>
#include <string.h>

/* The CRC instruction, for one function alone; clang declares arm64's for a whole file only. */
#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE         __attribute__((target("sse4.2")))
#define HAS_HARDWARE()   __builtin_cpu_supports("sse4.2")
#define CRC_8(crc, word) ((uint32_t)_mm_crc32_u64(crc, word))
#define CRC_1(crc, byte) _mm_crc32_u8(crc, byte)
#elif defined(__aarch64__) && (!defined(__clang__) || defined(__ARM_FEATURE_CRC32))
#include <arm_acle.h>
#include <sys/auxv.h>
#define HARDWARE         __attribute__((target("+crc")))
#define HAS_HARDWARE()   (getauxval(AT_HWCAP) & HWCAP_CRC32)
#define CRC_8(crc, word) __crc32cd(crc, word)
#define CRC_1(crc, byte) __crc32cb(crc, byte)
#endif

enum { STRETCH = GP_CRC32C_BLOCK / 3 };                              /* bytes */
static const uint32_t P = 0x82f63b78u, ONE = 1u << 31, X = 1u << 30; /* 1 and x */

/* a b mod P */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (; a; a <<= 1) {
        if (a & ONE)
            product ^= b;
        b = b >> 1 ^ (b & 1 ? P : 0);
    }
    return product;
}

/* x^(8 bytes) mod P: the factor by which appending that many zero bytes multiplies a remainder. */
static uint32_t power(uint64_t bytes)
{
    uint32_t result = ONE, square = X;
    for (int i = 0; i < 3; i++)
        square = multiply(square, square);
    for (; bytes; bytes >>= 1) {
        if (bytes & 1)
            result = multiply(result, square);
        square = multiply(square, square);
    }
    return result;
}

uint32_t gp_crc32c_join(uint32_t first, uint32_t second, uint64_t second_bytes)
{
    return multiply(power(second_bytes), first) ^ second;
}

/* ---- table lookup ---------------------------------------------------------------------------------------- */

static uint32_t table[8][256]; /* table[k][b]: the remainder of byte b with k zero bytes after it */

static void fill_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? P : 0);
        table[0][b] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

uint32_t gp_crc32c_tables(uint32_t crc, const void *data, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint8_t *p = data;
    pthread_once(&once, fill_tables);
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff] ^ table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24] ^
              table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

/* ---- CRC instruction ------------------------------------------------------------------------------------- */

#ifdef HARDWARE
static const uint32_t SHIFT = 0xe2ea32dcu; /* x^(8 STRETCH) mod P */

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

HARDWARE static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t n)
{
    uint32_t a = ~crc;
    for (; n >= 3 * STRETCH; n -= 3 * STRETCH, p += 3 * STRETCH) {
        uint32_t b = 0, c = 0;
        for (size_t i = 0; i < STRETCH; i += 8) {
            a = CRC_8(a, word_at(p + i));
            b = CRC_8(b, word_at(p + STRETCH + i));
            c = CRC_8(c, word_at(p + 2 * STRETCH + i));
        }
        a = multiply(SHIFT, multiply(SHIFT, a) ^ b) ^ c;
    }
    for (; n >= 8; n -= 8, p += 8)
        a = CRC_8(a, word_at(p));
    for (; n; n--, p++)
        a = CRC_1(a, *p);
    return ~a;
}
#endif

uint32_t gp_crc32c(uint32_t crc, const void *data, size_t n)
{
#ifdef HARDWARE
    if (HAS_HARDWARE())
        return crc_hardware(crc, data, n);
#endif
    return gp_crc32c_tables(crc, data, n);
}
