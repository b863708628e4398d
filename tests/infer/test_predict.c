/* What predict prints, beside transformers' pipelines on the tiny models of tests/golden/predict (make.py there), and
 * that a line's result does not depend on the other lines. */
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backends.h"
#include "base/file.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/predict.h"
#include "gptpipe/safetensors.h"

#define TOLERANCE 1e-5

/* ---- a model, its cases ---------------------------------------------------------------------------------- */

typedef struct tiny {
    gp_backend *be;
    gp_model *m;
    gp_tokenizer *t;
    json_t **cases; /* (count) */
    size_t count;
} tiny;

static void read_cases(tiny *g, const char *path)
{
    gp_buf text = {0};
    assert_int_equal(gp_file_read(&text, path, 1 << 20), 0);
    g->cases = gp_calloc(text.len, sizeof(json_t *));
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        g->cases[g->count] = json_loads(line, 0, NULL);
        assert_non_null(g->cases[g->count++]);
    }
    assert_true(g->count > 10);
    gp_buf_release(&text);
}

static tiny open_tiny(const char *name, const char *backend, int threads)
{
    tiny g = {.be = gp_backend_open(backend, "fp32", threads)};
    char path[300];
    snprintf(path, sizeof path, TEST_DIR "/golden/predict/%s", name);
    gp_checkpoint *c = gp_checkpoint_open(path);
    if (!c || gp_checkpoint_open_tokenizer(c, &g.t))
        fail_msg("%s", gp_error());
    g.m = gp_checkpoint_model(c, g.be, false);
    assert_non_null(g.m);
    gp_checkpoint_close(c);
    snprintf(path, sizeof path, TEST_DIR "/golden/predict/%s/cases.jsonl", name);
    read_cases(&g, path);
    return g;
}

static void close_tiny(tiny *g)
{
    for (size_t i = 0; i < g->count; i++)
        json_decref(g->cases[i]);
    free(g->cases);
    gp_tokenizer_close(g->t);
    gp_model_free(g->m);
    gp_backend_close(g->be);
}

/* ---- running --------------------------------------------------------------------------------------------- */

static char input_path[] = "/tmp/test_predict_XXXXXX";

/* Predicts for an input; *rc: what gp_predict_file returned. The caller frees. */
static char *predict_rc(const tiny *g, const char *input, const gp_predict_options *o, int *rc)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    assert_int_equal(gp_file_write(input_path, input, strlen(input)), 0);
    *rc = gp_predict_file(g->m, g->t, input_path, o, out, NULL);
    fclose(out);
    return text;
}

static char *predict(const tiny *g, const char *input, const gp_predict_options *o)
{
    int rc;
    char *text = predict_rc(g, input, o, &rc);
    if (rc)
        fail_msg("%s", gp_error());
    return text;
}

static gp_predict_options options_of(const tiny *g, const json_t *c, int32_t **targets)
{
    static const char *const tasks[] = {GP_PREDICT_TASKS(GP_CHOICE_NAME)}, *const pools[] = {
                                                                               GP_POOLINGS(GP_CHOICE_NAME)};
    const json_t *given = json_object_get(c, "options"), *names = json_object_get(given, "targets");
    const char *pooling = json_string_value(json_object_get(given, "pooling")), *items[8];
    gp_predict_options o = {.quiet = true, .jsonl = "text"};
    int task = gp_find_name(tasks, ARRAY_LEN(tasks), json_string_value(json_object_get(c, "task")));
    o.task = (gp_predict_task)task;
    o.pooling = pooling ? (gp_pooling)gp_find_name(pools, ARRAY_LEN(pools), pooling) : GP_POOL_MEAN;
    o.normalize = json_is_true(json_object_get(given, "normalize"));
    o.top_k = json_integer_value(json_object_get(given, "top_k"));
    *targets = NULL;
    if (names) {
        gp_list list = {.items = items, .count = (int)json_array_size(names)};
        char *warning;
        for (int i = 0; i < list.count; i++)
            items[i] = json_string_value(json_array_get(names, (size_t)i));
        assert_int_equal(gp_predict_targets(g->t, &list, targets, &o.target_count, &warning), 0);
        free(warning);
        o.targets = *targets;
    }
    return o;
}

/* ---- beside transformers --------------------------------------------------------------------------------- */

static bool is_close(const json_t *got, const json_t *expected)
{
    if (json_is_real(expected) || json_is_real(got))
        return json_is_number(got) && fabs(json_number_value(got) - json_number_value(expected)) <= TOLERANCE;
    if (json_typeof(got) != json_typeof(expected))
        return false;
    if (json_is_array(expected)) {
        bool close = json_array_size(got) == json_array_size(expected);
        for (size_t i = 0; i < json_array_size(expected) && close; i++)
            close = is_close(json_array_get(got, i), json_array_get(expected, i));
        return close;
    }
    if (json_is_object(expected)) {
        bool close = json_object_size(got) == json_object_size(expected);
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)(uintptr_t)expected, key, value) {
            const json_t *own = json_object_get(got, key);
            close = close && own && is_close(own, value);
        }
        return close;
    }
    return json_equal(got, expected);
}

static void check_case(const tiny *g, const json_t *c)
{
    int32_t *targets;
    gp_predict_options o = options_of(g, c, &targets);
    char *input = json_dumps(json_object_get(c, "input"), 0), *text = predict(g, input, &o);
    json_t *got = json_loads(text, 0, NULL);
    if (!got || !is_close(got, json_object_get(c, "result"))) {
        char *expected = json_dumps(c, 0);
        fail_msg("printed %s\nfor %s", text, expected);
    }
    json_decref(got);
    free(text);
    free(input);
    free(targets);
}

static void compare(const char *name)
{
    for (size_t k = 0; k < ARRAY_LEN(backends); k++) {
        tiny g = open_tiny(name, backends[k], 2);
        for (size_t i = 0; i < g.count; i++)
            check_case(&g, g.cases[i]);
        close_tiny(&g);
    }
}

static void roberta_fills_masks_and_embeds_as_transformers_does(void **state)
{
    (void)state;
    compare("roberta");
}

static void bert_fills_masks_and_embeds_as_transformers_does(void **state)
{
    (void)state;
    compare("bert");
}

static void gpt2_gives_the_next_token_and_embeds_as_transformers_does(void **state)
{
    (void)state;
    compare("gpt2");
}

static void classifiers_give_labels_as_transformers_does(void **state)
{
    (void)state;
    compare("bert-classify");
    compare("roberta-classify");
    compare("gpt2-classify");
}

/* ---- alone and among others ------------------------------------------------------------------------------ */

/* Lines of many lengths, in an order that is not that of the passes. */
static void put_lines(gp_buf *b, const char *mask, int count)
{
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < (i * 7) % 23; k++)
            gp_buf_printf(b, "word%d ", k * i % 11);
        for (int k = 0; k <= i % 3; k++)
            gp_buf_printf(b, "x%s%d", mask, i);
        gp_buf_puts(b, "\n");
    }
}

/* A backend whose products depend on their number of rows, as those of oneDNN and cuBLASLt may, which choose a kernel
 * by it. At the size of these models none does. */
static const gp_backend_ops *products;

static void linear_by_rows(gp_backend *be, const gp_linear_op *op)
{
    products->linear_forward(be, op);
    int64_t count = gp_tensor_count(op->y), rows = count / op->y->dim[op->y->ndim - 1];
    float *y = op->y->data;
    for (int64_t i = 0; i < count; i++)
        y[i] *= 1 + 1e-4F * (float)rows;
}

static void check_alone(const char *name, gp_predict_task task, int threads, bool by_rows)
{
    enum { LINES = 60 };
    tiny g = open_tiny(name, "cpu", threads);
    products = g.be->ops;
    gp_backend_ops shaped = *products;
    shaped.linear_forward = linear_by_rows;
    if (by_rows)
        g.be->ops = &shaped;
    gp_predict_options o = {.task = task, .quiet = true, .top_k = 3};
    gp_buf lines = {0}, alone = {0};
    put_lines(&lines, task == GP_PREDICT_FILL_MASK ? "<mask>" : "", LINES);
    char *all = predict(&g, lines.data, &o);
    int count = 0;
    for (char *line = strtok(lines.data, "\n"); line; line = strtok(NULL, "\n"), count++) {
        char *one = predict(&g, line, &o);
        gp_buf_puts(&alone, one);
        free(one);
    }
    assert_int_equal(count, LINES);
    assert_string_equal(alone.data, all);
    gp_buf_release(&lines);
    gp_buf_release(&alone);
    free(all);
    g.be->ops = products;
    close_tiny(&g);
}

static void a_line_has_the_same_bits_alone_and_among_others(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        int threads = 1 + k % 2;
        check_alone("roberta", GP_PREDICT_FILL_MASK, threads, k == 2);
        check_alone("roberta", GP_PREDICT_EMBED, threads, k == 2);
        check_alone("gpt2", GP_PREDICT_NEXT, threads, k == 2);
        check_alone("roberta-classify", GP_PREDICT_CLASSIFY, threads, k == 2);
        check_alone("gpt2-classify", GP_PREDICT_CLASSIFY, threads, k == 2);
    }
}

/* ---- lines ----------------------------------------------------------------------------------------------- */

static void ids_are_repeated_and_blank_lines_skipped(void **state)
{
    (void)state;
    tiny g = open_tiny("gpt2", "cpu", 1);
    gp_predict_options o = {.quiet = true, .top_k = 1};
    char *text = predict(&g, "{\"text\": \"good\", \"id\": {\"a\": [1, 2.5]}}\n\n{\"text\": \"good\"}\r\n", &o);
    char *second = strchr(text, '\n') + 1;
    assert_true(!strncmp(text, "{\"id\": {\"a\":[1,2.5]}, \"result\": [{\"score\": ", 42));
    assert_true(!strncmp(second, "[{\"score\": ", 11));
    assert_null(strchr(strchr(second, '\n') + 1, '\n'));
    free(text);
    o.lines = true; /* now the object is a text, and so is the empty line: which has no token */
    int rc;
    text = predict_rc(&g, "{\"text\": \"good\"}\n\n", &o, &rc);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(gp_error(), ": line 2: the text is empty: at least one token is needed"));
    assert_true(!strncmp(text, "[{\"score\": ", 11));
    free(text);
    close_tiny(&g);
}

static void lines_before_one_that_fails_are_printed(void **state)
{
    (void)state;
    char too_long[400] = "<mask>";
    for (size_t i = 0; i < 190; i++)
        memcpy(too_long + 6 + 2 * i, " x", 3);
    const struct {
        const char *line, *why;
    } bad[] = {
        {"no mask here", ": line 3: no <mask> in the text"},
        {too_long, ": line 3: the text does not fit the model: 383 tokens, more than 128"},
    };
    tiny g = open_tiny("roberta", "cpu", 1);
    gp_predict_options o = {.quiet = true};
    char *good = predict(&g, "a <mask>\n<mask> b c <mask>\n", &o);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int rc;
        char *input = gp_format("a <mask>\n<mask> b c <mask>\n%s\n<mask>\n", bad[i].line);
        char *text = predict_rc(&g, input, &o, &rc);
        assert_int_equal(rc, -1);
        assert_non_null(strstr(gp_error(), bad[i].why));
        assert_string_equal(text, good);
        free(text);
        free(input);
    }
    free(good);
    close_tiny(&g);
}

static void embeddings_are_a_tensor_with_the_same_numbers(void **state)
{
    (void)state;
    tiny g = open_tiny("roberta", "cpu", 1);
    gp_predict_options o = {.task = GP_PREDICT_EMBED, .normalize = true, .quiet = true};
    char *text = predict(&g, "{\"text\": \"good film\", \"id\": 7}\n{\"text\": \"bad\"}\n", &o), out[300];
    snprintf(out, sizeof out, "%s.safetensors", input_path);
    if (gp_predict_embeddings(g.m, g.t, input_path, &o, out, NULL))
        fail_msg("%s", gp_error());
    gp_safetensors *s = gp_safetensors_open(out);
    gp_tensor x;
    size_t length;
    assert_non_null(s);
    assert_true(gp_safetensors_find(s, "embeddings", &x));
    assert_int_equal(x.ndim, 2);
    assert_int_equal(x.dim[0], 2);
    assert_int_equal(x.dim[1], 32);
    assert_string_equal(gp_safetensors_metadata(s, "ids", &length), "[7, null]");
    json_t *object = json_loads(strtok(text, "\n"), 0, NULL), *first = json_object_get(object, "result");
    json_t *second = json_loads(strtok(NULL, "\n"), 0, NULL);
    for (size_t c = 0; c < 32; c++) {
        float stored[2];
        memcpy(&stored[0], (const char *)x.data + 4 * c, 4);
        memcpy(&stored[1], (const char *)x.data + 4 * (32 + c), 4);
        assert_true(stored[0] == (float)json_real_value(json_array_get(first, c)));
        assert_true(stored[1] == (float)json_real_value(json_array_get(second, c)));
    }
    json_decref(object);
    json_decref(second);
    gp_safetensors_close(s);
    unlink(out);
    free(text);
    close_tiny(&g);
}

static void targets_are_named_as_in_the_vocabulary(void **state)
{
    (void)state;
    tiny g = open_tiny("roberta", "cpu", 1);
    const char *names[] = {"\u0120film", "<mask>", "\u0120film", " film", "Paris"};
    gp_list list = {.items = names, .count = 5};
    int32_t *ids;
    int64_t count;
    char *warning;
    size_t n;
    assert_int_equal(gp_predict_targets(g.t, &list, &ids, &count, &warning), 0);
    assert_int_equal(count, 3);
    assert_memory_equal(gp_tokenizer_bytes(g.t, ids[0], &n), " film", 5);
    assert_int_equal(n, 5);
    assert_string_equal(warning, "' film' is not a token of the vocabulary: its first token ' film' is taken; "
                                 "'Paris' is not a token of the vocabulary: its first token 'Pa' is taken");
    free(ids);
    free(warning);
    names[0] = "";
    list.count = 1;
    assert_int_equal(gp_predict_targets(g.t, &list, &ids, &count, &warning), -1);
    assert_string_equal(gp_error(), "'' has no token");
    close_tiny(&g);
}

int main(void)
{
    int fd = mkstemp(input_path);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roberta_fills_masks_and_embeds_as_transformers_does),
        cmocka_unit_test(bert_fills_masks_and_embeds_as_transformers_does),
        cmocka_unit_test(gpt2_gives_the_next_token_and_embeds_as_transformers_does),
        cmocka_unit_test(classifiers_give_labels_as_transformers_does),
        cmocka_unit_test(a_line_has_the_same_bits_alone_and_among_others),
        cmocka_unit_test(ids_are_repeated_and_blank_lines_skipped),
        cmocka_unit_test(lines_before_one_that_fails_are_printed),
        cmocka_unit_test(embeddings_are_a_tensor_with_the_same_numbers),
        cmocka_unit_test(targets_are_named_as_in_the_vocabulary),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(input_path);
    return failed;
}
