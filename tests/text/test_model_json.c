/* The vocabulary and the merges of a tokenizer.json: what is read without jansson is what is written, whatever is
 * unusual is left to jansson, and both ways give the same. (tests/fuzz/tokenizer_json.c compares them on more.) */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "text/files/model_json.h"

static void assert_word(const gp_words *w, const char *name, int32_t id)
{
    int64_t at = gp_words_find(w, name);
    if (at < 0 || w->ids[at] != id)
        fail_msg("%s is %d, expected %d", name, at < 0 ? -1 : w->ids[at], id);
}

static void assert_merge(const gp_merge_texts *m, int64_t i, const char *left, const char *right)
{
    gp_merge_text one = m->list[i];
    const char *text = m->text.data;
    for (int64_t k = 0; k < i; k++)
        text += m->list[k].length;
    assert_int_equal(one.line, !right);
    assert_int_equal(one.left, strlen(left));
    assert_int_equal(one.length, strlen(left) + (right ? strlen(right) : 0));
    assert_memory_equal(text, left, one.left);
    if (right)
        assert_memory_equal(text + one.left, right, strlen(right));
}

static void escapes_and_both_forms_of_merges_are_read_exactly(void **state)
{
    (void)state;
    static const char text[] =
        "\n{ \"a\\\"}\" : [\"model\", {\"vocab\": 1}], \"model\" : { \"type\":\"BPE\",\r\n\"vocab\" : {\"x\": 0,"
        " \"\\u0120y\":\t17 , \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\":123456789,\"\xf0\x9f\x98\x80\" : 3,\"\":4} ,"
        "\"merges\": [\"x \\u0120y\" , [ \"\xc3\xa9\",\"\"] ,\"\"]}, \"z\":null }\n";
    for (int jansson = 0; jansson < 2; jansson++) {
        gp_model_json m;
        if (jansson)
            assert_int_equal(gp_model_json_load(&m, text, sizeof text - 1, "here"), 0);
        else
            assert_true(gp_model_json_cut(&m, text, sizeof text - 1));
        assert_int_equal(m.vocab.names.size, 5);
        assert_word(&m.vocab, "x", 0);
        assert_word(&m.vocab, "\xc4\xa0y", 17);
        assert_word(&m.vocab, "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac", 123456789);
        assert_word(&m.vocab, "\xf0\x9f\x98\x80", 3);
        assert_word(&m.vocab, "", 4);
        assert_int_equal(gp_words_find(&m.vocab, "y"), -1);
        assert_int_equal(m.merges.count, 3);
        assert_merge(&m.merges, 0, "x \xc4\xa0y", NULL);
        assert_merge(&m.merges, 1, "\xc3\xa9", "");
        assert_merge(&m.merges, 2, "", NULL);
        assert_true(json_is_null(json_object_get(m.root, "z")));
        assert_int_equal(json_array_size(json_object_get(m.root, "a\"}")), 2);
        assert_string_equal(json_string_value(json_object_get(json_object_get(m.root, "model"), "type")), "BPE");
        gp_model_json_release(&m);
    }
}

/* What jansson refuses, or reads otherwise than by copying; each has to reach it. */
static void what_is_unusual_is_left_to_jansson(void **state)
{
    (void)state;
    static const struct {
        const char *vocab;
        bool accepted; /* by jansson */
    } cases[] = {
        {"{\"a\":1,\"a\":2}", false},
        {"{\"a\":1,\"\\u0061\":2}", false},
        {"{\"a\":01}", false},
        {"{\"a\":-1}", true},
        {"{\"a\":1.0}", true},
        {"{\"a\":1e3}", true},
        {"{\"a\":1234567890}", true},
        {"{\"a\":1,}", false},
        {"{\"a\":1", false},
        {"{\"a\":1]", false},
        {"{\"a\" 1}", false},
        {"{\"a\":}", false},
        {"{\"a\":\"1\"}", true},
        {"{\"a\":1}}", false},
        {"{a:1}", false},
        {"{\"\\ud83d\\ude00\":1}", true},
        {"{\"\\ud83d\":1}", false},
        {"{\"\\u0000\":1}", false},
        {"{\"\\u12\":1}", false},
        {"{\"\\u12g4\":1}", false},
        {"{\"\\x\":1}", false},
        {"{\"a\tb\":1}", false},
        {"{\"\xff\":1}", false},
        {"{\"\xc0\x80\":1}", false},
        {"{\"\xed\xa0\x80\":1}", false},
        {"{\"a\":1}, \"vocab\":{\"b\":2}", false},
        {"{\"a\":1}, \"merges\":[\"a b\",1]", true},
        {"{\"a\":1}, \"merges\":[[\"a\",\"b\",\"c\"]]", true},
        {"{\"a\":1}, \"merges\":[[\"a\"]]", true},
        {"{\"a\":1}, \"merges\":[\"a\",]", false},
        {"1}, \"mode\\u006c\":{\"vocab\":{\"b\":2}", false},
        {"1, \"voca\\u0062\":{\"b\":2}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_model_json m;
        char *text = gp_format("{\"model\":{\"vocab\":%s}}", cases[i].vocab);
        if (gp_model_json_cut(&m, text, strlen(text)))
            fail_msg("%s was read without jansson", text);
        bool accepted = !gp_model_json_load(&m, text, strlen(text), "here");
        if (accepted != cases[i].accepted)
            fail_msg("%s: %s", text, accepted ? "accepted" : gp_error());
        gp_model_json_release(&m);
        free(text);
    }
}

static void a_model_by_another_spelling_is_not_overlooked(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"mode\\u006c\":{\"vocab\":{\"b\":2},\"merges\":[]}}",
                                        "{\"model\":{\"\\u0076ocab\":{\"b\":2},\"merges\":[]}}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        gp_model_json m;
        assert_int_equal(gp_model_json_parse(&m, texts[i], strlen(texts[i]), "here"), 0);
        assert_word(&m.vocab, "b", 2);
        gp_model_json_release(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_and_both_forms_of_merges_are_read_exactly),
        cmocka_unit_test(what_is_unusual_is_left_to_jansson),
        cmocka_unit_test(a_model_by_another_spelling_is_not_overlooked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
