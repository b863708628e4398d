/* Encoding remembers pieces that it has met: one that is nearly another must not get the other's ids. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "gptpipe/tokenizer.h"
#include "small_bpe.h"

/* Words of 12 to 18 letters that differ in their last, or in their first: enough for many to fall into one place of the
 * cache. No merge applies ("a" does not occur), so that the ids are the bytes. */
static void nearly_equal_pieces_have_ids_of_their_own(void **state)
{
    (void)state;
    static const char letters[] = "bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    enum { WORDS = 60, ENDS = sizeof letters - 1 };
    char *json = make_json(",\"aa\":256", "[\"a a\"]", "");
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "small");
    if (!t)
        fail_msg("%s", gp_error());
    gp_buf text = {0};
    for (int again = 0; again < 2; again++)
        for (int w = 0; w < WORDS; w++)
            for (int e = 0; e < ENDS; e++) {
                char word[24] = " ";
                int n = 12 + w % 7;
                for (int i = 1; i <= n; i++)
                    word[i] = letters[(w * 7 + i * (w + 3)) % ENDS];
                word[w % 2 ? n : 1] = letters[e];
                gp_buf_add(&text, word, (size_t)n + 1);
            }
    int32_t *ids = NULL;
    int64_t count;
    assert_int_equal(gp_tokenizer_encode(t, text.data, text.len, false, &ids, &count), 0);
    assert_int_equal(count, text.len);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(ids[i], (uint8_t)text.data[i]);
    free(ids);
    free(json);
    gp_buf_release(&text);
    gp_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearly_equal_pieces_have_ids_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
