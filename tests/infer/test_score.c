/* How likely given tokens are, beside transformers on tests/golden/gpt2-tiny (tests/reference/score.py), and how lines
 * of JSON become questions. */
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/sampler.h"
#include "infer/score.h"
#include "infer/cloze.h"
#include "model/model.h"
#include "reference/pairs.h"
#include "reference/score.h"
#include "small_bpe.h"

static int32_t ids[100];

static gp_model *tiny(const char *backend, gp_backend **be)
{
    for (int i = 0; i < 100; i++)
        ids[i] = (7 * i * i + 3 * i) % 96;
    *be = gp_backend_open(backend, "fp32", 2);
    gp_checkpoint *c = gp_checkpoint_open(TEST_DIR "/golden/gpt2-tiny");
    assert_non_null(c);
    gp_model *m = gp_checkpoint_model(c, *be, false);
    assert_non_null(m);
    gp_checkpoint_close(c);
    return m;
}

static void assert_close(double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * fabs(expected)))
        fail_msg("got %.10g, expected %.10g", got, expected);
}

static void perplexity_by_windows_is_that_of_transformers_guide(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = tiny(backends[k], &be);
        for (size_t i = 0; i < ARRAY_LEN(score_strides); i++) {
            gp_text_score s;
            gp_score_options o = {.stride = score_strides[i], .quiet = true};
            assert_int_equal(gp_score_ids(m, NULL, ids, 100, &o, &s), 0);
            assert_int_equal(s.tokens, 100);
            assert_int_equal(s.scored, score_scored[i]);
            assert_close(-s.log_p, score_nll[i], 1e-6);
        }
        gp_model_free(m);
        gp_backend_close(be);
    }
}

static void passages_of_any_lengths_score_as_alone(void **state)
{
    (void)state;
    enum { N = ARRAY_LEN(score_span_log_p), MANY = 200 };
    gp_passage passages[MANY];
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = tiny(backends[k], &be);
        for (int i = 0; i < MANY; i++) {
            const int *s = &score_spans[i % N * 3];
            passages[i] = (gp_passage){.ids = ids + s[0], .count = s[1], .first = s[2]};
        }
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, passages, MANY, true, NULL, NULL), 0);
        for (int i = 0; i < MANY; i++) {
            assert_ptr_equal(passages[i].ids, ids + score_spans[i % N * 3]); /* in the order given */
            assert_close(passages[i].log_p, score_span_log_p[i % N], 1e-6);
            assert_false(passages[i].greedy);
        }
        gp_model_free(m);
        gp_backend_close(be);
    }
}

typedef struct watch {
    int64_t times, last;
} watch;

static void note(void *self, int64_t scored)
{
    watch *w = self;
    assert_true(scored > w->last);
    w->times++;
    w->last = scored;
}

/* A pass reads 2048 tokens at most, so that whoever waits hears of each of them. */
static void every_pass_is_told(void **state)
{
    (void)state;
    enum { MANY = 200, LONG = 32, PASSES = (MANY * LONG + 2047) / 2048 };
    gp_passage passages[MANY];
    gp_backend *be;
    gp_model *m = tiny("ref", &be);
    watch w = {0};
    for (int i = 0; i < MANY; i++)
        passages[i] = (gp_passage){.ids = ids, .count = LONG + 1, .first = LONG};
    assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, passages, MANY, false, note, &w), 0);
    assert_true(w.times >= PASSES);
    assert_int_equal(w.last, MANY);
    gp_model_free(m);
    gp_backend_close(be);
}

static void a_greedy_continuation_is_known_as_such(void **state)
{
    (void)state;
    int32_t text[ARRAY_LEN(score_greedy)], other[ARRAY_LEN(score_greedy)];
    for (size_t i = 0; i < ARRAY_LEN(score_greedy); i++)
        text[i] = other[i] = score_greedy[i];
    other[ARRAY_LEN(score_greedy) - 1]++;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = tiny(backends[k], &be);
        gp_passage p[2] = {{.ids = text, .count = ARRAY_LEN(text), .first = 6},
                           {.ids = other, .count = ARRAY_LEN(other), .first = 6}};
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, p, 2, true, NULL, NULL), 0);
        assert_true(p[0].greedy);
        assert_false(p[1].greedy);
        gp_model_free(m);
        gp_backend_close(be);
    }
}

/* Of each token on its own: they add up to transformers' sums, and its greedy tokens are the likeliest in their
 * places. */
static void each_token_has_its_probability_and_the_likeliest_in_its_place(void **state)
{
    (void)state;
    enum { N = ARRAY_LEN(score_span_log_p), TOPS = 3, LENGTH = ARRAY_LEN(score_greedy) };
    static double log_ps[N][100];
    int32_t text[LENGTH];
    for (size_t i = 0; i < LENGTH; i++)
        text[i] = score_greedy[i];
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = tiny(backends[k], &be);
        gp_passage spans[N + 1];
        gp_token_logprob top[LENGTH - 6][TOPS];
        double greedy[LENGTH - 6];
        for (int i = 0; i < N; i++) {
            const int *s = &score_spans[i * 3];
            assert_true(s[1] - s[2] <= 100);
            spans[i] = (gp_passage){.ids = ids + s[0], .count = s[1], .first = s[2], .log_ps = log_ps[i]};
        }
        spans[N] =
            (gp_passage){.ids = text, .count = LENGTH, .first = 6, .log_ps = greedy, .top = top[0], .tops = TOPS};
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, spans, N + 1, false, NULL, NULL), 0);
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int64_t t = 0; t < spans[i].count - spans[i].first; t++)
                sum += log_ps[i][t];
            assert_close(sum, score_span_log_p[i], 1e-6);
        }
        for (int i = 0; i < (int)LENGTH - 6; i++) {
            assert_int_equal(top[i][0].id, text[6 + i]);
            assert_close(top[i][0].log_p, greedy[i], 1e-5);
            assert_true(top[i][0].log_p >= top[i][1].log_p && top[i][1].log_p >= top[i][2].log_p);
        }
        gp_model_free(m);
        gp_backend_close(be);
    }
}

static void multiply(gp_model *m, gp_role role, int64_t layer, float by)
{
    const gp_param *row = gp_params_row(&m->params, role, layer);
    float *w = gp_malloc((size_t)row->count * sizeof *w);
    gp_model_row_download(m, row, w);
    for (int64_t k = 0; k < row->count; k++)
        w[k] *= by;
    gp_model_row_upload(m, row, w);
    free(w);
    if (m->slots_open)
        gp_model_weights_changed(m);
}

/* Finite weights whose products overflow in the MLP of layer 1. */
static void overflow(gp_model *m)
{
    multiply(m, GP_FC_W, 1, 1e25f);
    multiply(m, GP_OUT_W, 1, 1e25f);
}

static void assert_told(const char *position)
{
    if (!strstr(gp_error(), position) || !strstr(gp_error(), "the first that is not: layer.1.out, "))
        fail_msg("'%s'", gp_error());
}

/* No score and no token comes of logits that are not finite, but their place and the first tensor that is not. */
static void logits_that_are_not_finite_are_told_with_their_place(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be;
        gp_model *m = tiny(backends[k], &be);
        overflow(m);
        gp_passage spans[] = {{.ids = ids, .first = 3, .count = 9}, {.ids = ids, .first = 2, .count = 4}};
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, spans, 2, false, NULL, NULL), -1);
        assert_told("logits at position 2 are not finite");
        assert_true(spans[0].log_p == 0 && isnan(spans[1].log_p)); /* the shorter one comes first */
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, spans, 1, true, NULL, NULL), -1);
        assert_told("logits at position 3 are not finite");
        gp_text_score s;
        assert_int_equal(gp_score_ids(m, NULL, ids, 100, &(gp_score_options){.quiet = true}, &s), -1);
        assert_told("the window from token 80 on: the model's logits at position 16 are not finite");
        gp_model_free(m);
        gp_backend_close(be);
    }
}

/* A model of zeros finds all ids alike; the one that decoding takes is the lowest. */
static void of_equal_logits_the_lowest_id_is_the_greedy_one(void **state)
{
    (void)state;
    int32_t lowest[] = {5, 0, 0}, other[] = {5, 0, 95};
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.vocab_size = 96;
    c.init_std = 0;
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        gp_backend *be = gp_backend_open(backends[k], "fp32", 2);
        gp_model *m = gp_model_create(&c, be, false);
        gp_model_init(m, 1);
        gp_passage p[2] = {{.ids = lowest, .count = 3, .first = 1}, {.ids = other, .count = 3, .first = 1}};
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, p, 2, true, NULL, NULL), 0);
        assert_true(p[0].greedy);
        assert_false(p[1].greedy);
        assert_close(p[0].log_p, -2 * log(96), 1e-6);
        gp_model_free(m);
        gp_backend_close(be);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    gp_backend *be;
    gp_model *m = tiny("ref", &be);
    int32_t far[2] = {1, 96};
    gp_text_score s;
    assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, &(gp_passage){.ids = ids, .count = 34, .first = 1}, 1,
                                       false, NULL, NULL),
                     -1);
    assert_non_null(strstr(gp_error(), "context of 32"));
    assert_int_equal(
        gp_score_passages(m, GP_ATTENTION_OWN, &(gp_passage){.ids = far, .count = 2, .first = 1}, 1, false, NULL, NULL),
        -1);
    assert_non_null(strstr(gp_error(), "token id 96"));
    assert_int_equal(gp_score_ids(m, NULL, ids, 100, &(gp_score_options){.stride = 33, .quiet = true}, &s), -1);
    assert_non_null(strstr(gp_error(), "stride"));
    assert_int_equal(gp_score_ids(m, NULL, ids, 1, &(gp_score_options){.quiet = true}, &s), 0);
    assert_int_equal(s.scored, 0);
    gp_model_free(m);
    gp_backend_close(be);
}

/* ---- questions ------------------------------------------------------------------------------------------- */

static int read_line(gp_score_kind task, const char *line, gp_question *q)
{
    json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_non_null(o);
    int rc = gp_cloze_tasks[task].read(q, o, "a.jsonl", 3);
    json_decref(o);
    return rc;
}

/* Expected: utils.py of lm-evaluation-harness 0.4's hellaswag, run on the same lines. */
static void hellaswag_becomes_what_the_harness_makes_of_it(void **state)
{
    (void)state;
    gp_question q;
    assert_int_equal(
        read_line(GP_TASK_HELLASWAG,
                  "{\"activity_label\": \"Roof [x] work\", \"ctx_a\": \" A man  is [header] on a [title] roof.\", "
                  "\"ctx_b\": \"\\u00c9LAN he [sic] Says\", \"endings\": [\" starts   [step] up. \", "
                  "\"\\u00e9t\\u00e9 [a\", "
                  "\"x [title] y] z\", \"\\u00a0ok\"], \"label\": 2}",
                  &q),
        0);
    assert_string_equal(q.context.data, "Roof work: A man is on a. roof. \u00c9lan he says");
    assert_int_equal(q.endings, 4);
    assert_string_equal(q.ending[0].data, " starts  up.");
    assert_string_equal(q.ending[1].data, " \u00e9t\u00e9 [a");
    assert_string_equal(q.ending[2].data, " x. y] z");
    assert_string_equal(q.ending[3].data, " ok");
    assert_true(q.characters[0] == 11 && q.characters[1] == 6);
    assert_int_equal(q.label, 2);
    gp_question_release(&q);
}

/* acc_norm divides by what process_results of lm-evaluation-harness 0.4.13 (api/task.py) counts, which are code points
 * of the choice alone: no bytes, and not the target_delimiter, " " unless a task says otherwise, that is put before it:
 *
 *     choices = self.doc_to_choice(doc)
 *     completion_len = np.array([float(len(i)) for i in choices])
 *     pred_norm = np.argmax(lls / completion_len)
 *     arguments = [(ctx, f"{target_delimiter}{cont}") for cont in choices]
 *
 * hellaswag's choice may begin with a blank that preprocess left of a bracket. The endings of "choices" are
 * the arguments' second parts: the white space that they begin with is the delimiter (" ", "\n" and "\n\n" occur). */
static void characters_are_counted_as_in_the_harness(void **state)
{
    (void)state;
    static const struct {
        gp_score_kind task;
        const char *context, *ending, *text;
        double characters;
    } cases[] = {
        {GP_TASK_HELLASWAG, "\"activity_label\": \"A\", \"ctx_a\": \"b\", \"ctx_b\": \"c\"", " [header] Up.", "  Up.",
         4},
        {GP_TASK_HELLASWAG, "\"activity_label\": \"A\", \"ctx_a\": \"b\", \"ctx_b\": \"c\"", "Up\\u00e9\\ud83d\\ude00",
         " Up\u00e9\U0001f600", 4},
        {GP_TASK_HELLASWAG_RAW, "\"ctx\": \"A\"", "up", " up", 2},
        {GP_TASK_HELLASWAG_RAW, "\"ctx\": \"A\"", " up ", "  up ", 4},
        {GP_TASK_CHOICES, "\"context\": \"A\"", "up", "up", 2},
        {GP_TASK_CHOICES, "\"context\": \"A\"", " up ", " up ", 3},
        {GP_TASK_CHOICES, "\"context\": \"A\"", "\\n\\nup", "\n\nup", 2},
        {GP_TASK_CHOICES, "\"context\": \"A\"", " \u4e2d\u6587", " \u4e2d\u6587", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_question q;
        char *line = gp_format("{%s, \"endings\": [\"%s\"], \"label\": 0}", cases[i].context, cases[i].ending);
        assert_int_equal(read_line(cases[i].task, line, &q), 0);
        assert_string_equal(q.ending[0].data, cases[i].text);
        if (q.characters[0] != cases[i].characters)
            fail_msg("task %d: '%s' has %g characters, expected %g", cases[i].task, cases[i].text, q.characters[0],
                     cases[i].characters);
        gp_question_release(&q);
        free(line);
    }
}

/* Each "[" of a long line looked for its "]" in all that follows: 400,000 of them took minutes. */
static void many_brackets_are_read_in_one_pass(void **state)
{
    (void)state;
    enum { OPEN = 1 << 20 };
    gp_question q;
    char *open = gp_malloc(OPEN + 1);
    memset(open, '[', OPEN);
    open[OPEN] = 0;
    char *line = gp_format("{\"activity_label\": \"A\", \"ctx_a\": \"%s\\n[x] [y]\", \"ctx_b\": \"c\", "
                           "\"endings\": [\"d\"], \"label\": 0}",
                           open);
    alarm(60);
    assert_int_equal(read_line(GP_TASK_HELLASWAG, line, &q), 0);
    alarm(0);
    assert_int_equal(q.context.len, OPEN + 6);
    assert_memory_equal(q.context.data, "A: [[", 5);
    assert_string_equal(q.context.data + 3 + OPEN, "\n C"); /* of two blanks one stays */
    gp_question_release(&q);
    free(line);
    free(open);
}

static void the_raw_question_is_as_it_stands(void **state)
{
    (void)state;
    gp_question q;
    assert_int_equal(
        read_line(GP_TASK_HELLASWAG_RAW, "{\"ctx\": \"A [b]\", \"endings\": [\"c  d\", \"e\"], \"label\": \"1\"}", &q),
        0);
    assert_string_equal(q.context.data, "A [b]");
    assert_string_equal(q.ending[0].data, " c  d");
    assert_int_equal(q.label, 1);
    gp_question_release(&q);
}

static void lambada_asks_for_the_last_word(void **state)
{
    (void)state;
    gp_question q;
    assert_int_equal(read_line(GP_TASK_LAMBADA, "{\"text\": \"one two\\nthree  four\"}", &q), 0);
    assert_string_equal(q.context.data, "one two\nthree ");
    assert_string_equal(q.ending[0].data, " four");
    gp_question_release(&q);
    assert_int_equal(read_line(GP_TASK_LAMBADA, "{\"text\": \"alone\"}", &q), -1);
    assert_non_null(strstr(gp_error(), "line 3"));
}

/* U+0000 is a character like others, and white space is Python's; what str.capitalize does is
 * tests/text/test_casing.c's. */
static void questions_are_python_strings(void **state)
{
    (void)state;
    gp_question q;
    assert_int_equal(read_line(GP_TASK_CHOICES,
                               "{\"context\": \"a\\u0000b\", \"endings\": [\" c\\u0000d\", \"\\u00a0\\u001ce\", "
                               "\"\\u3000\\u00df\\u0000\"], \"label\": 0}",
                               &q),
                     0);
    assert_int_equal(q.context.len, 3);
    assert_memory_equal(q.context.data, "a\0b", 3);
    assert_int_equal(q.ending[0].len, 4);
    assert_memory_equal(q.ending[0].data, " c\0d", 4);
    assert_true(q.characters[0] == 3 && q.characters[1] == 1 && q.characters[2] == 2);
    gp_question_release(&q);
    assert_int_equal(read_line(GP_TASK_HELLASWAG,
                               "{\"activity_label\": \"\\u001c\\u2003A\", \"ctx_a\": \"b [x\\u0000]\", \"ctx_b\": "
                               "\"\\ufb01N\\u0000\\u0085\", \"endings\": [\"\\u001fc\\u0000 [title]d\\u3000\"], "
                               "\"label\": \"0\"}",
                               &q),
                     0);
    assert_int_equal(q.context.len, sizeof "A: b Fin\0" - 1);
    assert_memory_equal(q.context.data, "A: b Fin\0", q.context.len);
    assert_int_equal(q.ending[0].len, sizeof " c\0. d" - 1);
    assert_memory_equal(q.ending[0].data, " c\0. d", q.ending[0].len);
    gp_question_release(&q);
    assert_int_equal(read_line(GP_TASK_LAMBADA, "{\"text\": \"a b\\u0000 c\\u0000d\"}", &q), 0);
    assert_int_equal(q.context.len, 4);
    assert_int_equal(q.ending[0].len, 4);
    gp_question_release(&q);
    assert_int_equal(
        read_line(GP_TASK_CHOICES, "{\"context\": \"a\", \"endings\": [\"b\"], \"label\": \"0\\u00001\"}", &q), -1);
}

static void questions_without_an_answer_are_refused(void **state)
{
    (void)state;
    gp_question q;
    const char *const lines[] = {"{\"context\": \"a\", \"endings\": [\"b\"], \"label\": 1}",
                                 "{\"context\": \"a\", \"endings\": [\"b\"], \"label\": \"0x\"}",
                                 "{\"context\": \"a\", \"endings\": [\"b\"]}",
                                 "{\"context\": \"a\", \"endings\": [], \"label\": 0}",
                                 "{\"context\": \"a\", \"endings\": [3], \"label\": 0}",
                                 "{\"endings\": [\"b\"], \"label\": 0}"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_int_equal(read_line(GP_TASK_CHOICES, lines[i], &q), -1);
        assert_non_null(strstr(gp_error(), "a.jsonl: line 3"));
    }
}

/* ---- questions become ids -------------------------------------------------------------------------------- */

static gp_tokenizer *pair_tokenizer(bool template)
{
    static const char end[] = "\"added_tokens\":[{\"id\":256,\"content\":\"<|endoftext|>\",\"special\":true}],",
                      post[] = "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
                               "{\"id\":\"e\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                               "\"special_tokens\":{\"e\":{\"id\":\"e\",\"ids\":[256],\"tokens\":[\"e\"]}}},";
    char *more = gp_format("%s%s", end, template ? post : ""), *json = make_json("", "[]", more);
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "pairs");
    assert_non_null(t);
    free(json);
    free(more);
    return t;
}

/* What gp_score_task gives and prints as JSON of a file with this text. */
static int score_file(gp_model *m, const gp_tokenizer *t, gp_score_kind task, const char *text, char **printed)
{
    char path[] = "/tmp/pairs-XXXXXX";
    int fd = mkstemp(path);
    size_t n = strlen(text);
    assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n && !close(fd));
    FILE *out = open_memstream(printed, &n);
    gp_score_options o = {.json = true, .quiet = true};
    int rc = gp_score_task(m, t, task, path, &o, out);
    fclose(out);
    remove(path);
    return rc;
}

/* What gp_score_task prints of one question with this context and ending; NULL where it fails. The caller frees. */
static json_t *ask(gp_model *m, const gp_tokenizer *t, const char *context, const char *ending)
{
    json_t *line = json_pack("{s:s, s:[s], s:i}", "context", context, "endings", ending, "label", 0);
    char *text = json_dumps(line, 0), *printed;
    int rc = score_file(m, t, GP_TASK_CHOICES, text, &printed);
    json_t *answer = rc ? NULL : json_loads(printed, JSON_DISABLE_EOF_CHECK, NULL);
    assert_true(rc || answer);
    json_decref(line);
    free(printed);
    free(text);
    return answer;
}

static gp_model *pair_model(gp_backend *be)
{
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = 2;
    c.heads = 2;
    c.channels = 16;
    c.inner = 64;
    c.positions = 40;
    c.vocab_size = 257;
    c.init_std = 0.3;
    gp_model *m = gp_model_create(&c, be, false);
    gp_model_init(m, 7);
    return m;
}

static void a_question_becomes_the_ids_that_the_harness_makes_of_it(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    gp_model *m = pair_model(be);
    gp_tokenizer *tokenizers[] = {pair_tokenizer(false), pair_tokenizer(true)};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct pair *p = &pairs[i];
        gp_passage want = {.ids = p->ids, .count = p->count, .first = p->first};
        json_t *answer = ask(m, tokenizers[p->template], p->context, p->ending);
        if (!p->first) {
            if (answer || !strstr(gp_error(), "line 1: its context is only white space"))
                fail_msg("pair %zu: %s", i, answer ? "taken" : gp_error());
            continue;
        }
        assert_non_null(answer);
        assert_int_equal(gp_score_passages(m, GP_ATTENTION_OWN, &want, 1, false, NULL, NULL), 0);
        double log_p = json_real_value(json_array_get(json_object_get(answer, "logprobs"), 0));
        if (json_integer_value(json_array_get(json_object_get(answer, "tokens"), 0)) != p->count - p->first ||
            !(fabs(log_p - want.log_p) <= 1e-5))
            fail_msg("pair %zu: %.6f, expected %.6f of %d tokens", i, log_p, want.log_p, p->count - p->first);
        json_decref(answer);
    }
    gp_tokenizer_close(tokenizers[0]);
    gp_tokenizer_close(tokenizers[1]);
    gp_model_free(m);
    gp_backend_close(be);
}

static void a_question_whose_logits_are_not_finite_is_named(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    gp_model *m = pair_model(be);
    gp_tokenizer *t = pair_tokenizer(false);
    char *printed;
    overflow(m);
    assert_int_equal(score_file(m, t, GP_TASK_CHOICES,
                                "{\"context\": \"abc\", \"endings\": [\"defg\", \"hij\"], \"label\": 0}\n"
                                "{\"context\": \"ab\", \"endings\": [\"cdef\", \"c\"], \"label\": 0}\n",
                                &printed),
                     -1);
    assert_told(": line 2: ending 2: the model's logits at position 2 are not finite"); /* the shortest comes first */
    assert_string_equal(printed, "");
    free(printed);
    gp_tokenizer_close(t);
    gp_model_free(m);
    gp_backend_close(be);
}

/* Finite logits of some ten thousand: e to the power of that is no number, nor is it one of JSON's. */
static void a_perplexity_beyond_all_numbers_is_null(void **state)
{
    (void)state;
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    gp_model *m = pair_model(be);
    gp_tokenizer *t = pair_tokenizer(false);
    char *printed;
    multiply(m, GP_FINAL_NORM_GAMMA, 0, 1e4f);
    assert_int_equal(score_file(m, t, GP_TASK_TEXT, "abcdefgh", &printed), 0);
    json_t *answer = json_loads(printed, 0, NULL), *total = json_object_get(answer, "total");
    assert_true(json_is_null(json_object_get(total, "perplexity")));
    assert_true(json_real_value(json_object_get(total, "logprob")) < -7 * 710);
    json_decref(answer);
    free(printed);
    gp_tokenizer_close(t);
    gp_model_free(m);
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perplexity_by_windows_is_that_of_transformers_guide),
        cmocka_unit_test(passages_of_any_lengths_score_as_alone),
        cmocka_unit_test(every_pass_is_told),
        cmocka_unit_test(a_greedy_continuation_is_known_as_such),
        cmocka_unit_test(each_token_has_its_probability_and_the_likeliest_in_its_place),
        cmocka_unit_test(logits_that_are_not_finite_are_told_with_their_place),
        cmocka_unit_test(of_equal_logits_the_lowest_id_is_the_greedy_one),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(hellaswag_becomes_what_the_harness_makes_of_it),
        cmocka_unit_test(characters_are_counted_as_in_the_harness),
        cmocka_unit_test(many_brackets_are_read_in_one_pass),
        cmocka_unit_test(the_raw_question_is_as_it_stands),
        cmocka_unit_test(lambada_asks_for_the_last_word),
        cmocka_unit_test(questions_are_python_strings),
        cmocka_unit_test(questions_without_an_answer_are_refused),
        cmocka_unit_test(a_question_becomes_the_ids_that_the_harness_makes_of_it),
        cmocka_unit_test(a_question_whose_logits_are_not_finite_is_named),
        cmocka_unit_test(a_perplexity_beyond_all_numbers_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
