/* hash.c: SHA-256 and base64 by libcrypto, CRC-32 by zlib, and the seed of hash tables. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/file.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* These functions are deprecated in OpenSSL 3. Their replacements read its configuration and initialize its providers
 * first, which takes as long as hashing 2 MB. */
void gp_sha256_begin(gp_sha256 *h)
{
    h->context = gp_malloc(sizeof(SHA256_CTX));
    if (!SHA256_Init(h->context))
        die("libcrypto has no SHA-256");
}

void gp_sha256_add(gp_sha256 *h, const void *data, size_t n)
{
    if (!SHA256_Update(h->context, data, n))
        die("libcrypto's SHA-256 failed");
}

gp_sha256 gp_sha256_copy(const gp_sha256 *h)
{
    gp_sha256 copy = {gp_malloc(sizeof(SHA256_CTX))};
    memcpy(copy.context, h->context, sizeof(SHA256_CTX));
    return copy;
}

void gp_sha256_end(gp_sha256 *h, uint8_t digest[32])
{
    if (!SHA256_Final(digest, h->context))
        die("libcrypto's SHA-256 failed");
    free(h->context);
    h->context = NULL;
}

void gp_hex(char *text, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void gp_sha256_end_hex(gp_sha256 *h, char *text, size_t n)
{
    uint8_t digest[32];
    gp_sha256_end(h, digest);
    gp_hex(text, digest, n);
}

void gp_sha256_hex(char hex[65], const void *data, size_t n)
{
    gp_sha256 h;
    gp_sha256_begin(&h);
    gp_sha256_add(&h, data, n);
    gp_sha256_end_hex(&h, hex, 32);
}

bool gp_is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

uint32_t gp_crc32(uint32_t crc, const void *data, size_t n)
{
    return (uint32_t)crc32_z(crc, data, n);
}

/* libcrypto's decoder skips white space and decodes padding to zero bytes, so both are checked here. */
int64_t gp_base64_decode(uint8_t *bytes, const char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = 0;
    while (padding < n && padding < 2 && text[n - 1 - padding] == '=')
        padding++;
    if (!n || n % 4 || n > INT32_MAX)
        return -1;
    for (size_t i = 0; i < n - padding; i++)
        if (!memchr(digits, text[i], sizeof digits - 1))
            return -1;
    int length = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
    return length < 0 ? -1 : length - (int64_t)padding;
}

void gp_base64_encode(gp_buf *b, const void *data, size_t n)
{
    BUG_ON(n > INT32_MAX / 2);
    gp_buf_reserve(b, (n + 2) / 3 * 4);
    b->len += (size_t)EVP_EncodeBlock((unsigned char *)b->data + b->len, data, (int)n);
}

static uint64_t table_seed;

static void draw_seed(void)
{
    if (getrandom(&table_seed, sizeof table_seed, GRND_NONBLOCK) == (ssize_t)sizeof table_seed)
        return;
    struct timespec t; /* no getrandom in this kernel, or too little entropy after boot */
    clock_gettime(CLOCK_REALTIME, &t);
    table_seed = ((uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid()) * 0x9E3779B97F4A7C15u ^
                 (uint64_t)(uintptr_t)&t;
}

uint64_t gp_hash_seed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_seed);
    return table_seed;
}
