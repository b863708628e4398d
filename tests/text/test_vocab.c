/* The tables from bytes to ids and from pairs of ids to merges, whoever made the bytes and the merges. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "text/bpe/bpe.h"
#include "text/vocab.h"

enum { IDS = 80000 };

/* Token i: 15 bytes, or 16 where it is long, of two random words; the second is then what `pick` makes of them. */
typedef void picker(uint64_t word[2], bool is_long);

static void keep(uint64_t word[2], bool is_long)
{
    (void)word;
    (void)is_long;
}

/* All tokens have one hash in a table whose hash is multiplications by these constants, as it once was. */
static void collide(uint64_t word[2], bool is_long)
{
    enum { BYTES = 15 };
    const uint64_t aim = 0x1234567812345678u;
    if (is_long) {
        uint64_t h = (16 ^ word[0]) * 0x9E3779B97F4A7C15u;
        word[1] = h ^ h >> 32 ^ aim;
    } else {
        word[1] = word[1] >> 8 | (uint64_t)BYTES << 56;
        word[0] = aim ^ word[1] * 0x9E3779B97F4A7C15u;
    }
}

/* Seconds of the processor that a vocabulary of such tokens takes, and that each token is found in it. */
static double build(picker *pick)
{
    gp_buf bytes = {0};
    gp_token *tokens = gp_calloc(IDS, sizeof *tokens);
    gp_vocab v;
    for (int32_t i = 0; i < IDS; i++) {
        bool is_long = i & 1;
        uint64_t word[2] = {gp_random64(5, GP_RNG_DATA, 0, (uint64_t)i), gp_random64(5, GP_RNG_DATA, 1, (uint64_t)i)};
        pick(word, is_long);
        tokens[i] = (gp_token){.id = i, .length = is_long ? 16 : 15, .at = bytes.len};
        gp_buf_add(&bytes, word, is_long ? 16 : 15);
    }
    clock_t began = clock();
    assert_int_equal(gp_vocab_build(&v, tokens, IDS, &bytes, "vocabulary"), 0);
    for (int32_t i = 0; i < IDS; i++)
        assert_int_equal(gp_vocab_find(&v, bytes.data + tokens[i].at, tokens[i].length), i);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    gp_vocab_release(&v);
    gp_buf_release(&bytes);
    free(tokens);
    return seconds;
}

static void a_vocabulary_made_to_collide_is_as_fast_as_any(void **state)
{
    (void)state;
    double any = build(keep), made = build(collide);
    if (made > 10 * any + 0.1)
        fail_msg("%.3f s, and %.3f s for random tokens", made, any);
}

/* ---- merges ---------------------------------------------------------------------------------------------- */

enum { MERGES = 40000 };

/* The number below 2^24 whose multiples are nearest to each other when they are multiplied by the constant that the
 * hash of a pair once had: so they go into neighbouring slots. */
static uint64_t stride(void)
{
    uint64_t best = 1, least = UINT64_MAX;
    for (uint64_t n = 1; n < 1 << 24; n++) {
        uint64_t h = n * 0x9E3779B97F4A7C15u;
        if (h < least) {
            least = h;
            best = n;
        }
    }
    return best;
}

/* Seconds of the processor that MERGES merges take, and that each is found. The k-th pair's bits are k * stride, or
 * random with 0. */
static double build_merges(uint64_t by)
{
    gp_buf bytes = {0};
    gp_token tokens[256];
    gp_vocab v;
    gp_bpe b = {0};
    for (int i = 0; i < 256; i++) {
        tokens[i] = (gp_token){.id = i, .length = 1, .at = bytes.len};
        gp_buf_add(&bytes, &(char){(char)i}, 1);
    }
    assert_int_equal(gp_vocab_build(&v, tokens, 256, &bytes, "vocabulary"), 0);
    int64_t size = v.size;
    v.size = GP_BPE_MAX; /* what the pairs' ids are: their bytes are not asked for */
    assert_int_equal(gp_bpe_init(&b, &v, MERGES, "merges"), 0);
    clock_t began = clock();
    for (int turn = 0; turn < 2; turn++)
        for (uint64_t k = 0; k < MERGES; k++) {
            uint64_t pair = by ? k * by : gp_random64(6, GP_RNG_DATA, 0, k) >> (64 - 2 * GP_BPE_BITS);
            int32_t left = (int32_t)(pair >> GP_BPE_BITS), right = (int32_t)(pair & (GP_BPE_MAX - 1));
            if (!turn)
                gp_bpe_put(&b, &v, (gp_merge){left, right, 0});
            else
                assert_int_equal(gp_bpe_find(&b, left, right), k);
        }
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    gp_bpe_release(&b);
    v.size = size;
    gp_vocab_release(&v);
    gp_buf_release(&bytes);
    return seconds;
}

static void merges_made_to_collide_are_as_fast_as_any(void **state)
{
    (void)state;
    double any = build_merges(0), made = build_merges(stride());
    if (made > 10 * any + 0.1)
        fail_msg("%.3f s, and %.3f s for random pairs", made, any);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vocabulary_made_to_collide_is_as_fast_as_any),
        cmocka_unit_test(merges_made_to_collide_are_as_fast_as_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
