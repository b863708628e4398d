/* tokens_format.h: the bytes of a token stream (docs/formats.md), shared by its reader and its writer. */
#ifndef GP_DATA_TOKENS_FORMAT_H
#define GP_DATA_TOKENS_FORMAT_H

#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "gptpipe/tokens.h"

#define GP_TOK_MAGIC   "GPTKTOK1"
#define GP_TOK_TRAILER "GPTKEND1"

enum {
    GP_TOK_HEADER_SIZE = 64,
    GP_TOK_TRAILER_SIZE = 32,
    GP_TOK_METADATA_MAX = 1 << 28, /* bytes of JSON: far more than any tokenizer, far less than a bomb */
};

/* Flags in the header. */
enum { GP_TOK_ITEMS = 1 };

/* llm.c's .bin: int32[256], then uint16 ids. */
enum { GP_LLMC_HEADER_SIZE = 1024, GP_LLMC_MAGIC = 20240520, GP_LLMC_VERSION = 1, GP_LLMC_VOCAB = 50257 };

/* Bytes a token. */
static inline int gp_tok_width(int64_t vocab_size)
{
    return vocab_size <= 65536 ? 2 : 4;
}

/* Little-endian numbers at any address. */
static inline uint32_t gp_get32(const void *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline uint64_t gp_get64(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void gp_put32(void *p, uint32_t x)
{
    memcpy(p, &x, sizeof x);
}

static inline void gp_put64(void *p, uint64_t x)
{
    memcpy(p, &x, sizeof x);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian, and so is this code");

/* The rest is in tokens.c. Fails if vocab_size is neither 0 nor that of s: a .tok records its own. */
int gp_tokens_expect(const gp_tokens *s, int64_t vocab_size);

/* If s has the same metadata as `like`, which must outlive it, frees the copy of s: a tokenizer takes a megabyte or
 * more, and there may be hundreds of shards. */
void gp_tokens_share(gp_tokens *s, const gp_tokens *like);

/* Reads all tokens once to check their ids and, in a .tok, their CRC. Returns early once *stop is set, and at once if s
 * was already verified when it was opened; stop NULL: always checks all. 0 or -1. */
int gp_tokens_check(const gp_tokens *s, const _Atomic bool *stop);

/* Adds to a hash what identifies these tokens: their number and the CRC of a .tok; of a stream without a CRC that many
 * pieces of 4 kB, spread evenly from start to end, because reading all of it may take minutes. */
void gp_tokens_add_sum(const gp_tokens *s, int pieces, gp_sha256 *h);

#endif
