/* Which tensors may be missing, left over, or padded, and what is carried through a conversion. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "gptpipe/safetensors.h"

static char folder[] = "/tmp/gptpipe-match.XXXXXX";
static char in_path[64], out_path[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(in_path, sizeof in_path, "%s/in.safetensors", folder);
    snprintf(out_path, sizeof out_path, "%s/out.safetensors", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(in_path);
    unlink(out_path);
    return rmdir(folder);
}

/* What is done to a golden's tensors. */
typedef struct edit {
    const char *golden;
    const char *without; /* left out, or NULL */
    const char *extra;   /* one more tensor, of 3 x 5 numbers 0, 1, 2, ..., or NULL */
    const char *padded;  /* has `rows` rows more, of 7.0, or NULL */
    int64_t rows;
    const char *from, *to; /* text of the configuration that is replaced, or NULL */
    bool tokenizer;
} edit;

static char *text_of(const char *golden, const char *name)
{
    gp_buf b = {0};
    char *path = gp_format("%s/golden/%s/%s", TEST_DIR, golden, name);
    assert_int_equal(gp_file_read(&b, path, 1 << 24), 0);
    free(path);
    return b.data;
}

static char *replaced(char *text, const char *from, const char *to)
{
    char *at = from ? strstr(text, from) : NULL;
    if (!from)
        return text;
    assert_non_null(at);
    char *out = gp_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
    return out;
}

static void add_texts(const edit *e, gp_safetensors_writer *w)
{
    char *config = replaced(text_of(e->golden, "config.json"), e->from, e->to);
    gp_safetensors_add_metadata(w, "gptpipe.config", config, strlen(config));
    free(config);
    if (!e->tokenizer)
        return;
    char *tokenizer = text_of(e->golden, "tokenizer.json");
    gp_safetensors_add_metadata(w, "gptpipe.tokenizer", tokenizer, strlen(tokenizer));
    free(tokenizer);
}

static void write_edited(const edit *e)
{
    char *path = gp_format("%s/golden/%s/model.safetensors", TEST_DIR, e->golden);
    gp_safetensors *s = gp_safetensors_open(path);
    gp_safetensors_writer *w = gp_safetensors_create(in_path);
    float extra[15], padding[4096];
    gp_tensor t, more = gp_tensor_view(extra, GP_F32, 2, 3, 5);
    const char *name;
    assert_non_null(s);
    for (int i = 0; i < 15; i++)
        extra[i] = (float)i;
    for (size_t i = 0; i < ARRAY_LEN(padding); i++)
        padding[i] = 7;
    add_texts(e, w);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
            name = gp_safetensors_get(s, i, &t);
            bool pads = e->padded && !strcmp(name, e->padded);
            int64_t bytes = gp_tensor_bytes(&t), added = pads ? e->rows * (t.ndim > 1 ? t.dim[1] : 1) : 0;
            assert_true(added <= (int64_t)ARRAY_LEN(padding));
            if (e->without && !strcmp(name, e->without))
                continue;
            t.dim[0] += pads ? e->rows : 0;
            if (!pass)
                gp_safetensors_declare(w, name, &t);
            else if (!gp_safetensors_write(w, t.data, bytes))
                gp_safetensors_write(w, padding, added * (int64_t)sizeof *padding);
        }
        if (e->extra && !pass)
            gp_safetensors_declare(w, e->extra, &more);
        else if (e->extra)
            gp_safetensors_write(w, extra, sizeof extra);
    }
    assert_int_equal(gp_safetensors_finish(w), 0);
    gp_safetensors_close(s);
    free(path);
}

static void refused(const edit *e, const gp_checkpoint_options *o, const char *expected)
{
    write_edited(e);
    gp_checkpoint *c = gp_checkpoint_open_with(in_path, o);
    gp_checkpoint_close(c);
    if (c)
        fail_msg("opened, expected: %s", expected);
    if (!strstr(gp_error(), expected))
        fail_msg("refused with \"%s\", expected \"%s\"", gp_error(), expected);
}

static gp_checkpoint *opened(const edit *e, const gp_checkpoint_options *o, const char *warning)
{
    write_edited(e);
    gp_checkpoint *c = gp_checkpoint_open_with(in_path, o);
    if (!c)
        fail_msg("%s", gp_error());
    const char *found = gp_checkpoint_warning(c);
    if (warning ? !found || !strstr(found, warning) : found != NULL)
        fail_msg("warns of \"%s\", expected \"%s\"", found ? found : "nothing", warning ? warning : "nothing");
    return c;
}

static float number_at(const gp_checkpoint *c, gp_role role, int64_t layer, int64_t line, int64_t column)
{
    const gp_param *row = gp_params_row(&c->params, role, layer);
    float *x = gp_malloc((size_t)row->count * sizeof *x);
    assert_int_equal(c->read(c->self, row, 0, row->dim[0], x), 0);
    float value = x[line * row->dim[1] + column];
    free(x);
    return value;
}

static void a_missing_tensor_is_refused_unless_it_is_named(void **state)
{
    (void)state;
    const char *const other[] = {"*.ln_1.weight"}, *const both[] = {"*.ln_2.weight", "*.c_attn.bias"};
    gp_checkpoint_options none = {0}, wrong = {.allow_missing = other, .allow_missing_count = 1},
                          right = {.allow_missing = both, .allow_missing_count = 2};
    edit gain = {.golden = "gpt2-tiny", .without = "transformer.h.1.ln_2.weight"},
         bias = {.golden = "gpt2-tiny", .without = "transformer.h.0.attn.c_attn.bias"};
    refused(&gain, &none, "tensor transformer.h.1.ln_2.weight is missing, expected F32 [32]");
    refused(&gain, &wrong, "tensor transformer.h.1.ln_2.weight is missing, expected F32 [32]");
    gp_checkpoint *c = opened(&gain, &right, "tensor transformer.h.1.ln_2.weight is missing and filled with ones");
    assert_true(number_at(c, GP_NORM2_GAMMA, 1, 31, 0) == 1);
    gp_checkpoint_close(c);
    c = opened(&bias, &right, "tensor transformer.h.0.attn.c_attn.bias is missing and filled with zeros");
    assert_true(number_at(c, GP_QKV_B, 0, 95, 0) == 0);
    gp_checkpoint_close(c);
}

static void a_tensor_too_many_is_refused_unless_it_is_named(void **state)
{
    (void)state;
    const char *const names[] = {"transformer.h.?.adapter"};
    gp_checkpoint_options none = {0}, named = {.ignore = names, .ignore_count = 1};
    edit e = {.golden = "gpt2-tiny", .extra = "transformer.h.1.adapter"};
    refused(&e, &none, "tensor transformer.h.1.adapter is F32 [3,5], expected no such tensor");
    gp_checkpoint_close(opened(&e, &named, "tensor transformer.h.1.adapter is ignored"));
    const char *const scores[] = {"score.*"};
    edit head = {.golden = "gpt2-tiny", .extra = "score.weight"};
    named.ignore = scores; /* what would be carried too */
    gp_checkpoint *c = opened(&head, &named, "tensor score.weight is ignored");
    assert_int_equal(c->carried_count, 0);
    gp_checkpoint_close(c);
}

static void heads_that_are_not_computed_are_carried(void **state)
{
    (void)state;
    static const struct {
        const char *golden, *name, *stored;
    } cases[] = {
        {"gpt2-tiny", "score.weight", "score.weight"},
        {"bert-tiny", "bert.pooler.dense.weight", "bert.pooler.dense.weight"},
        {"bert-tiny", "pooler.dense.weight", "bert.pooler.dense.weight"},
        {"roberta-tiny", "classifier.out_proj.weight", "classifier.out_proj.weight"},
    };
    gp_checkpoint_options none = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        edit e = {.golden = cases[i].golden, .extra = cases[i].name};
        gp_checkpoint *c = opened(&e, &none, NULL);
        char line[256];
        assert_int_equal(gp_checkpoint_write(c, out_path, NULL), 0);
        assert_int_equal(gp_checkpoint_prove(c, out_path, GP_STORE_F32, line), 0);
        char *bare = gp_format("%s/golden/%s/model.safetensors", TEST_DIR, cases[i].golden);
        assert_int_equal(gp_checkpoint_prove(c, bare, GP_STORE_F32, line), -1);
        assert_non_null(strstr(gp_error(), "is missing when it is read back"));
        free(bare);
        gp_checkpoint_close(c);
        gp_tensor t;
        gp_safetensors *s = gp_safetensors_open(out_path);
        assert_non_null(s);
        assert_true(gp_safetensors_find(s, cases[i].stored, &t));
        assert_int_equal(t.ndim, 2);
        assert_int_equal(t.dim[0], 3);
        assert_int_equal(t.dim[1], 5);
        for (int k = 0; k < 15; k++)
            assert_true(((const float *)t.data)[k] == (float)k);
        gp_safetensors_close(s);
    }
}

static void padding_is_named_and_cut(void **state)
{
    (void)state;
    gp_checkpoint_options keep = {0}, cut = {.cut_padding = true};
    edit e = {.golden = "formats/hf",
              .padded = "transformer.wte.weight",
              .rows = 16,
              .from = "\"vocab_size\": 272",
              .to = "\"vocab_size\": 288",
              .tokenizer = true};
    gp_checkpoint *c = opened(&e, &keep, NULL);
    assert_int_equal(gp_checkpoint_config(c)->vocab_size, 288);
    assert_true(number_at(c, GP_WTE, 0, 287, 3) == 7);
    gp_checkpoint_close(c);
    c = opened(&e, &cut, "its vocabulary of 288 is padded from 272: rows 272 to 287 are left out");
    assert_int_equal(gp_checkpoint_config(c)->vocab_size, 272);
    assert_int_equal(gp_params_row(&c->params, GP_WTE, 0)->dim[0], 272);
    assert_int_equal(gp_checkpoint_write(c, out_path, NULL), 0);
    gp_checkpoint_close(c);
    e.padded = e.from = NULL; /* what was cut is the model as it was */
    c = opened(&e, &keep, NULL);
    gp_checkpoint *again = gp_checkpoint_open(out_path);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_int_equal(gp_checkpoint_diff(c, again, false, nowhere), 0);
    fclose(nowhere);
    gp_checkpoint_close(again);
    gp_checkpoint_close(c);
}

/* A proof that finds nothing proves nothing: numbers, a setting, a tokenizer that differ. */
static void a_wrong_conversion_is_found(void **state)
{
    (void)state;
    static const struct {
        edit e;
        gp_store store;
        const char *expected;
    } cases[] = {
        {{.golden = "formats/hf", .tokenizer = true}, GP_STORE_F32, NULL},
        {{.golden = "formats/hf", .tokenizer = true, .from = "1e-05", .to = "1e-06"},
         GP_STORE_F32,
         "its configuration is read back as that of another model: logits differ by"},
        {{.golden = "formats/hf", .tokenizer = true, .from = "1e-05", .to = "1e-04"},
         GP_STORE_BF16,
         "its configuration is read back as that of another model: logits differ by"},
        {{.golden = "formats/hf", .tokenizer = true, .from = "gelu_new", .to = "gelu"},
         GP_STORE_F32,
         "its activation is gelu by its configuration"},
        {{.golden = "formats/hf-untied", .from = "\"gelu\"", .to = "\"gelu_new\""},
         GP_STORE_F32,
         "numbers of wte.weight are read back otherwise than fp32 rounds them"},
        {{.golden = "formats/hf-untied", .from = "\"gelu\"", .to = "\"gelu_new\""},
         GP_STORE_Q8_0,
         "numbers of wte.weight are read back otherwise than q8_0 rounds them"},
    };
    char *path = gp_format("%s/golden/formats/hf", TEST_DIR), line[256];
    gp_checkpoint *c = gp_checkpoint_open(path);
    assert_non_null(c);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_edited(&cases[i].e);
        int rc = gp_checkpoint_prove(c, in_path, cases[i].store, line);
        if (rc != (cases[i].expected ? -1 : 0))
            fail_msg("case %zu: %s", i, rc ? gp_error() : "was proven");
        if (rc && !strstr(gp_error(), cases[i].expected))
            fail_msg("case %zu: refused with \"%s\", expected \"%s\"", i, gp_error(), cases[i].expected);
    }
    gp_checkpoint_close(c);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_tensor_is_refused_unless_it_is_named),
        cmocka_unit_test(a_tensor_too_many_is_refused_unless_it_is_named),
        cmocka_unit_test(heads_that_are_not_computed_are_carried),
        cmocka_unit_test(padding_is_named_and_cut),
        cmocka_unit_test(a_wrong_conversion_is_found),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
