/* hash.c: SHA-256 by libcrypto, CRC-32 by zlib. */
#include "base/file.h"

#include <openssl/evp.h>
#include <zlib.h>

void gp_sha256_begin(gp_sha256 *h)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || !EVP_DigestInit_ex(c, EVP_sha256(), NULL))
        die("libcrypto has no SHA-256");
    h->context = c;
}

void gp_sha256_add(gp_sha256 *h, const void *data, size_t n)
{
    if (!EVP_DigestUpdate(h->context, data, n))
        die("libcrypto's SHA-256 failed");
}

gp_sha256 gp_sha256_copy(const gp_sha256 *h)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || !EVP_MD_CTX_copy_ex(c, h->context))
        die("libcrypto's SHA-256 failed");
    return (gp_sha256){c};
}

void gp_sha256_end(gp_sha256 *h, uint8_t digest[32])
{
    if (!EVP_DigestFinal_ex(h->context, digest, NULL))
        die("libcrypto's SHA-256 failed");
    EVP_MD_CTX_free(h->context);
    h->context = NULL;
}

void gp_hex(char *text, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

uint32_t gp_crc32(uint32_t crc, const void *data, size_t n)
{
    return (uint32_t)crc32_z(crc, data, n);
}
