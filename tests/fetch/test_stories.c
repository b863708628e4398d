/* The stories: one derivation each, an exact probability, good English, the same bytes everywhere. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <jansson.h>
#include <unistd.h>

#include "fetch/embedded.h"
#include "grammar_check.h"
#include "gptpipe/stories.h"

enum { SOME = 400, MANY = 20000, SEPARATOR = 2 };
static const uint64_t seeds[] = {1, 2, (UINT64_C(1) << 32) + 1};
static gp_grammar grammar;

static int set_up(void **state)
{
    (void)state;
    return gp_grammar_parse(&grammar, (const char *)gp_stories_grammar, "stories.grammar");
}

static int tear_down(void **state)
{
    (void)state;
    gp_grammar_release(&grammar);
    return 0;
}

static gp_story story_of(uint64_t seed, int64_t i)
{
    gp_story story;
    gp_stories *s = gp_stories_open(seed);
    assert_non_null(s);
    assert_int_equal(gp_stories_get(s, i, &story), 0);
    gp_stories_close(s);
    return story;
}

static void every_story_has_one_derivation_and_its_probability(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(seeds); k++) {
        gp_stories *s = gp_stories_open(seeds[k]);
        for (int64_t i = 0; i < SOME; i++) {
            gp_story story;
            reading r = {0};
            assert_int_equal(gp_stories_get(s, i, &story), 0);
            assert_int_equal(count_derivations(&r, &grammar, story.text), 1);
            assert_true(fabs(r.nats - story.nats) < 1e-9);
        }
        gp_stories_close(s);
    }
}

static void no_text_of_an_alternative_begins_one_of_another(void **state)
{
    (void)state;
    for (int r = 0; r < grammar.rule_count; r++) {
        const gp_alternative *a = grammar.alternatives + grammar.rules[r].first;
        for (int i = 0; i < grammar.rules[r].count; i++)
            for (int j = 0; j < i; j++)
                if (alternatives_clash(&grammar, a + i, a + j))
                    fail_msg("stories.grammar: rule %s: lines %d and %d clash", grammar.rules[r].name, a[j].line,
                             a[i].line);
    }
}

static void a_grammar_with_two_readings_is_found_out(void **state)
{
    (void)state;
    gp_grammar g;
    reading r = {0};
    const char *text = "start\n  1 <x> <y>\nx\n  1 a\n  1 a b\ny\n  1 b c\n  1 c\n";
    assert_int_equal(gp_grammar_parse(&g, text, "test"), 0);
    assert_int_equal(count_derivations(&r, &g, "a b c"), 2);
    assert_true(alternatives_clash(&g, g.alternatives + 1, g.alternatives + 2));
    assert_false(alternatives_clash(&g, g.alternatives + 3, g.alternatives + 4));
    gp_grammar_release(&g);
}

static void the_weights_of_each_rule_add_up(void **state)
{
    (void)state;
    for (int r = 0; r < grammar.rule_count; r++) {
        const gp_rule *rule = grammar.rules + r;
        double p = 0;
        for (int a = rule->first; a < rule->first + rule->count; a++)
            p += (double)grammar.alternatives[a].weight[0] / (double)rule->total_weight[0];
        assert_true(fabs(p - 1) < 1e-12);
    }
}

static void every_name_is_filled_before_it_returns(void **state)
{
    (void)state;
    assert_false(total_rule(&grammar, 0, 0).unfilled);
}

static void no_story_can_be_too_long(void **state)
{
    (void)state;
    assert_true(total_rule(&grammar, 0, 0).longest <= GP_STORY_MAX);
    assert_true(SEPARATOR + GP_STORY_MAX + SEPARATOR <= 256);
}

/* The mean of many against the sum over the grammar; 4 standard errors, with a fixed seed. */
static void the_mean_of_the_nats_is_the_entropy(void **state)
{
    (void)state;
    double sum = 0, squares = 0, entropy = total_rule(&grammar, 0, 0).nats;
    gp_stories *s = gp_stories_open(1);
    for (int64_t i = 0; i < MANY; i++) {
        gp_story story;
        assert_int_equal(gp_stories_get(s, i, &story), 0);
        sum += story.nats;
        squares += story.nats * story.nats;
    }
    gp_stories_close(s);
    double mean = sum / MANY, error = sqrt((squares / MANY - mean * mean) / MANY);
    assert_true(error < 0.1);
    assert_true(fabs(mean - entropy) < 4 * error);
}

static void every_alternative_is_told(void **state)
{
    (void)state;
    bool *used = gp_calloc((size_t)grammar.alternative_count, sizeof *used);
    gp_stories *s = gp_stories_open(1);
    for (int64_t i = 0; i < 4000; i++) {
        gp_story story;
        reading r = {.used = used};
        assert_int_equal(gp_stories_get(s, i, &story), 0);
        count_derivations(&r, &grammar, story.text);
    }
    gp_stories_close(s);
    for (int a = 0; a < grammar.alternative_count; a++)
        if (!used[a])
            fail_msg("stories.grammar:%d: never told", grammar.alternatives[a].line);
    free(used);
}

static void seeds_give_their_own_stories(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 50; i++)
        for (size_t a = 0; a < ARRAY_LEN(seeds); a++)
            for (size_t b = 0; b < a; b++)
                assert_string_not_equal(story_of(seeds[a], i).text, story_of(seeds[b], i).text);
    assert_string_not_equal(story_of(1, 0).text, story_of(1, 1).text);
    assert_string_equal(story_of(1, 7).text, story_of(1, 7).text);
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += n)
        if ((at == text || !isalpha((unsigned char)at[-1])) && !isalpha((unsigned char)at[n]))
            return true;
    return false;
}

static void stories_are_plain_text_without_a_blank_line(void **state)
{
    (void)state;
    gp_stories *s = gp_stories_open(2);
    for (int64_t i = 0; i < MANY; i++) {
        gp_story story;
        assert_int_equal(gp_stories_get(s, i, &story), 0);
        assert_int_equal(strlen(story.text), story.length);
        assert_in_range(story.length, 40, GP_STORY_MAX);
        for (const char *c = story.text; *c; c++)
            assert_true(isalpha((unsigned char)*c) || strchr(" ,.!?'\"", *c));
        assert_true(isupper((unsigned char)story.text[0]));
        assert_non_null(strchr(".!?\"", story.text[story.length - 1]));
        assert_null(strstr(story.text, "  "));
    }
    gp_stories_close(s);
}

static void articles_and_pronouns_agree(void **state)
{
    (void)state;
    static const char *const female[] = {"she", "She", "her", "Her", "girl"}, *const male[] = {"he",  "He",  "his",
                                                                                               "His", "him", "boy"};
    gp_stories *s = gp_stories_open(1);
    int girls = 0;
    for (int64_t i = 0; i < SOME; i++) {
        gp_story story;
        reading r = {0};
        assert_int_equal(gp_stories_get(s, i, &story), 0);
        for (const char *t = story.text; (t = strchr(t, ' ')); t++) {
            if (!strncmp(t, " a ", 3) || !strncmp(t, " A ", 3))
                assert_null(strchr("aeiou", t[3]));
            if (!strncmp(t, " an ", 4))
                assert_non_null(strchr("aeiou", t[4]));
        }
        assert_string_equal(grammar.slots[0].name, "hero");
        count_derivations(&r, &grammar, story.text);
        gp_form girl = r.hero->form[grammar.rules[grammar.slots[0].rule].forms - 1];
        bool is_girl = !strncmp(grammar.pieces[girl.first].text, "girl", 4);
        girls += is_girl;
        for (size_t w = 0; w < (is_girl ? ARRAY_LEN(male) : ARRAY_LEN(female)); w++)
            assert_false(has_word(story.text, is_girl ? male[w] : female[w]));
    }
    assert_in_range(girls, SOME / 4, 3 * SOME / 4);
    gp_stories_close(s);
}

/* Of the first 1000 stories of seed 1, as this grammar told them when it was written. A change of the grammar changes
 * it, and the losses that the manual prints with it. */
static const char *const known = "ca335792498917b2e69764b161017e54e310818741675ccfdce882dc0cbb02dc";

static void the_file_is_the_same_on_every_machine(void **state)
{
    (void)state;
    char path[] = "/tmp/gptpipe-stories-XXXXXX/s.txt", hex[65];
    uint8_t digest[32];
    gp_map text;
    gp_sha256 h;
    path[strlen(path) - 6] = 0;
    assert_non_null(mkdtemp(path));
    path[strlen(path)] = '/';
    gp_stories *s = gp_stories_open(1);
    assert_int_equal(gp_stories_write(s, 1000, path), 0);
    assert_int_equal(gp_map_open(&text, path), 0);
    gp_sha256_begin(&h);
    gp_sha256_add(&h, text.data, text.size);
    gp_sha256_end(&h, digest);
    gp_hex(hex, digest, sizeof digest);
    assert_string_equal(hex, known);

    /* The sidecar says what is in the text. */
    char *sidecar = gp_format("%s.json", path);
    json_t *j = json_load_file(sidecar, 0, NULL), *source = json_object_get(j, "source");
    json_t *entropy = json_object_get(j, "entropy");
    assert_string_equal(json_string_value(json_object_get(j, "separator")), "\n\n");
    assert_string_equal(json_string_value(json_object_get(source, "sha256")), hex);
    assert_int_equal(json_integer_value(json_object_get(source, "bytes")), text.size);
    assert_int_equal(json_integer_value(json_object_get(source, "seed")), 1);
    assert_int_equal(json_array_size(json_object_get(entropy, "nats")), 1000);
    const char *at = text.data;
    for (size_t i = 0; i < 1000; i++) {
        gp_story story;
        json_int_t chars = json_integer_value(json_array_get(json_object_get(entropy, "chars"), i));
        gp_stories_get(s, (int64_t)i, &story);
        assert_int_equal(chars, story.length + SEPARATOR);
        assert_memory_equal(at, story.text, (size_t)story.length);
        assert_memory_equal(at + story.length, "\n\n", SEPARATOR);
        assert_true(fabs(json_real_value(json_array_get(json_object_get(entropy, "nats"), i)) - story.nats) < 1e-9);
        at += chars;
    }
    assert_ptr_equal(at, text.data + text.size);
    json_decref(j);
    gp_map_close(&text);
    gp_stories_close(s);
    unlink(sidecar);
    unlink(path);
    free(sidecar);
    *strrchr(path, '/') = 0;
    assert_int_equal(rmdir(path), 0); /* nothing else was left */
}

static void a_broken_grammar_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "test: no rules found"},
        {"  1 a\n", "test:1: an alternative before the first rule"},
        {"x\n  a\n", "test:2: found \"a\", expected a weight from 1 to 1000000 and a text"},
        {"x\n  0 a\n", "test:2: found \"0 a\", expected a weight from 1 to 1000000 and a text"},
        {"x\n  1 a\nx\n", "test:3: rule x is defined twice"},
        {"x\n  1/0 a\n", "test:2: found \"1/0 a\", expected a weight from 1 to 1000000 and a text"},
        {"x\n  1/2/3 a\n", "test:2: found \"1/2/3 a\", expected a weight from 1 to 1000000 and a text"},
        {"x\n", "test: rule x has no alternatives"},
        {"x\n  1 <y\n", "test:2: a < is never closed"},
        {"x\n  1 <y>\n", "test:2: <y> is neither a rule nor a remembered name"},
        {"x\n  1 <y=z>\n", "test:2: <y=z>: there is no rule z"},
        {"x\n  1 <n=y> <n.b>\ny: a\n  1 t\n", "test:2: <n.b>: rule y has no such form"},
        {"x: a b\n  1 t\n", "test:2: found 1 forms, rule x has 2"},
        {"x\n  1 <y=y>\ny\n  1 t\n", "test:2: <y=y>: y is a rule's name"},
        {"x\n  1 <n=y>\ny\n  1 <z>\nz\n  1 t\n", "test:4: <z>: what is recalled cannot draw anew"},
        {"x\n  1 <y>\ny\n  1 <x>\n", "test: rule x is recursive"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_grammar g;
        assert_int_equal(gp_grammar_parse(&g, cases[i].text, "test"), -1);
        assert_string_equal(gp_error(), cases[i].message);
        gp_grammar_release(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_story_has_one_derivation_and_its_probability),
        cmocka_unit_test(no_text_of_an_alternative_begins_one_of_another),
        cmocka_unit_test(a_grammar_with_two_readings_is_found_out),
        cmocka_unit_test(the_weights_of_each_rule_add_up),
        cmocka_unit_test(every_name_is_filled_before_it_returns),
        cmocka_unit_test(no_story_can_be_too_long),
        cmocka_unit_test(the_mean_of_the_nats_is_the_entropy),
        cmocka_unit_test(every_alternative_is_told),
        cmocka_unit_test(seeds_give_their_own_stories),
        cmocka_unit_test(stories_are_plain_text_without_a_blank_line),
        cmocka_unit_test(articles_and_pronouns_agree),
        cmocka_unit_test(the_file_is_the_same_on_every_machine),
        cmocka_unit_test(a_broken_grammar_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
