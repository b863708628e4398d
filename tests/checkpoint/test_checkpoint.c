/* Checkpoints: the goldens of transformers in and out, every way to store them that is accepted, and every
 * refusal by name. */
#include "chars.h"
#include "test.h"

#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/tokenizer.h"
#include "gptpipe/trace.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "checkpoint/checkpoint.h"
#include "base/atomic_folder.h"

static const char *const goldens[] = {"tests/golden/gpt2-tiny", "tests/golden/bert-tiny", "tests/golden/roberta-tiny"};
static char folder[] = "/tmp/gptpipe-test.XXXXXX";
static gp_backend *be;

static int set_up(void **state)
{
    (void)state;
    be = gp_backend_open("ref", "fp32", 1);
    return mkdtemp(folder) && be ? 0 : -1;
}

static int empty_folder(void **state)
{
    (void)state;
    char **names;
    int64_t count;
    if (gp_folder_list(folder, &names, &count))
        return -1;
    for (int64_t i = 0; i < count; i++) {
        char *path = gp_path_join(folder, names[i]);
        if (unlink(path))
            gp_folder_remove(path);
        free(path);
    }
    gp_folder_list_free(names, count);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gp_backend_close(be);
    return rmdir(folder);
}

/* folder/name; valid until the next but two. */
static const char *in(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static char *read_text(const char *path)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, path, 1 << 20), 0);
    return b.data;
}

/* ---- a checkpoint with something changed ----------------------------------------------------------------- */

/* Sees each tensor of a golden on its way into a new file: may change it, rename it (into name, 128 bytes), or
 * return false to leave it out. */
typedef bool edit_fn(void *self, char *name, gp_tensor *t);

typedef struct item {
    char name[128];
    gp_tensor t; /* owns t.data */
} item;

/* Copies golden's tensors through edit, with `count` more, to a file that carries its configuration along. */
static void write_edited(const char *golden, edit_fn *edit, void *self, const item *more, int count, const char *path)
{
    char *file = gp_path_join(golden, "model.safetensors"), *json = gp_path_join(golden, "config.json");
    char *config = read_text(json);
    gp_safetensors *s = gp_safetensors_open(file);
    gp_safetensors_writer *w = gp_safetensors_create(path);
    assert_non_null(s);
    item items[128];
    int n = 0;
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        item *it = &items[n];
        snprintf(it->name, sizeof it->name, "%s", gp_safetensors_get(s, i, &it->t));
        size_t bytes = (size_t)gp_tensor_bytes(&it->t);
        void *copy = gp_malloc(2 * bytes); /* room to grow */
        memcpy(copy, it->t.data, bytes);
        it->t.data = copy;
        if (!edit || edit(self, it->name, &it->t))
            n++;
        else
            free(copy);
    }
    gp_safetensors_add_metadata(w, "gptpipe.config", config, strlen(config));
    for (int i = 0; i < n; i++)
        gp_safetensors_declare(w, items[i].name, &items[i].t);
    for (int i = 0; i < count; i++)
        gp_safetensors_declare(w, more[i].name, &more[i].t);
    for (int i = 0; i < n; i++) {
        gp_safetensors_write(w, items[i].t.data, gp_tensor_bytes(&items[i].t));
        free(items[i].t.data);
    }
    for (int i = 0; i < count; i++)
        gp_safetensors_write(w, more[i].t.data, gp_tensor_bytes(&more[i].t));
    assert_int_equal(gp_safetensors_finish(w), 0);
    gp_safetensors_close(s);
    free(config);
    free(json);
    free(file);
}

/* ---- comparing ------------------------------------------------------------------------------------------- */

typedef struct comparison {
    gp_safetensors *golden;
    int64_t seen;
    double tolerance; /* relative, of numbers above 1e-4 */
} comparison;

static void compare_tensor(void *self, const char *name, const gp_tensor *t)
{
    comparison *c = self;
    gp_tensor g;
    if (!gp_safetensors_find(c->golden, name, &g))
        fail_msg("%s is not in the golden", name);
    assert_int_equal(g.ndim, t->ndim);
    for (int i = 0; i < g.ndim; i++)
        assert_int_equal(g.dim[i], t->dim[i]);
    for (int64_t i = 0; i < gp_tensor_count(t); i++) {
        float ours = ((float *)t->data)[i], theirs;
        memcpy(&theirs, (char *)g.data + 4 * i, 4);
        if (!(fabs((double)ours - (double)theirs) <= c->tolerance * (fabs((double)theirs) + 1e-4)))
            fail_msg("%s[%lld] is %g, in the golden %g", name, (long long)i, (double)ours, (double)theirs);
    }
    c->seen++;
}

/* Whether the model in `path` has exactly the golden's weights under transformers' names. */
static void assert_same_model(const char *path, const char *golden, double tolerance)
{
    gp_checkpoint *c = gp_checkpoint_open(path);
    if (!c)
        fail_msg("%s", gp_error());
    gp_model *m = gp_checkpoint_model(c, be, false);
    if (!m)
        fail_msg("%s", gp_error());
    gp_checkpoint_close(c);
    char *file = gp_path_join(golden, "model.safetensors");
    comparison k = {.golden = gp_safetensors_open(file), .tolerance = tolerance};
    gp_trace_parameters(m, false, compare_tensor, &k);
    assert_int_equal(k.seen, gp_safetensors_count(k.golden));
    gp_safetensors_close(k.golden);
    gp_model_free(m);
    free(file);
}

/* Whether opening or loading `path` fails with a line that has `expected` in it. */
static void assert_refused(const char *path, const char *expected)
{
    gp_checkpoint *c = gp_checkpoint_open(path);
    gp_model *m = c ? gp_checkpoint_model(c, be, false) : NULL;
    gp_checkpoint_close(c);
    if (m)
        fail_msg("was loaded, expected: %s", expected);
    if (!strstr(gp_error(), expected))
        fail_msg("refused with \"%s\", expected \"%s\"", gp_error(), expected);
}

static void convert(const char *from, const char *to, gp_store store)
{
    gp_checkpoint *c = gp_checkpoint_open(from);
    if (!c || gp_checkpoint_write(c, to, &(gp_checkpoint_output){.format = "safetensors", .store = store}))
        fail_msg("%s", gp_error());
    gp_checkpoint_close(c);
}

/* ---- what is accepted ------------------------------------------------------------------------------------ */

static void test_loads_transformers_folders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++)
        assert_same_model(goldens[i], goldens[i], 0);
}

static void test_loads_a_file_with_its_config_beside_it(void **state)
{
    (void)state;
    assert_same_model("tests/golden/gpt2-tiny/model.safetensors", goldens[0], 0);
}

static void test_knows_configuration_and_tensors(void **state)
{
    (void)state;
    gp_checkpoint *c = gp_checkpoint_open(goldens[2]);
    const gp_config *config = gp_checkpoint_config(c);
    assert_int_equal(config->family, GP_ROBERTA);
    assert_int_equal(config->layers * 100 + config->heads, 202);
    assert_string_equal(c->format, "safetensors");
    assert_null(gp_checkpoint_tokenizer(c, NULL));
    /* 42 tensors in the golden's header; in 2 layers query, key and value are one row, weights and biases */
    assert_int_equal(c->params.count, 42 - 2 * 2 * 2);
    gp_checkpoint_close(c);
}

static void test_round_trip_keeps_every_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
        convert(goldens[i], in("a.safetensors"), GP_STORE_F32);
        assert_same_model(in("a.safetensors"), goldens[i], 0);
        convert(in("a.safetensors"), in("b.safetensors"), GP_STORE_F32);
        char *a = read_text(in("a.safetensors")), *b = read_text(in("b.safetensors"));
        struct stat sa, sb;
        assert_int_equal(stat(in("a.safetensors"), &sa) || stat(in("b.safetensors"), &sb), 0);
        assert_int_equal(sa.st_size, sb.st_size);
        assert_memory_equal(a, b, (size_t)sa.st_size);
        free(a);
        free(b);
    }
}

static void test_model_in_memory_can_be_written(void **state)
{
    (void)state;
    gp_checkpoint *c = gp_checkpoint_open(goldens[1]);
    gp_model *m = gp_checkpoint_model(c, be, false);
    gp_checkpoint_close(c);
    c = gp_checkpoint_of_model(m, NULL, 0);
    assert_int_equal(gp_checkpoint_write(c, in("m.safetensors"), NULL), 0);
    gp_checkpoint_close(c);
    gp_model_free(m);
    assert_same_model(in("m.safetensors"), goldens[1], 0);
}

static void test_bf16_is_half_the_size_and_close(void **state)
{
    (void)state;
    convert(goldens[0], in("h.safetensors"), GP_STORE_BF16);
    gp_checkpoint *c = gp_checkpoint_open(in("h.safetensors"));
    assert_int_equal(c->file_count, 1);
    for (int64_t i = 0; i < c->files[0]->count; i++)
        assert_string_equal(c->files[0]->tensors[i].type, "BF16");
    gp_checkpoint_close(c);
    assert_same_model(in("h.safetensors"), goldens[0], 0x1p-8); /* 8 significant bits, rounded */
}

static void test_folder_has_what_from_pretrained_wants(void **state)
{
    (void)state;
    convert(goldens[0], in("hf/"), GP_STORE_BF16);
    char *config = read_text(in("hf/config.json"));
    assert_non_null(strstr(config, "\"GPT2LMHeadModel\""));
    assert_non_null(strstr(config, "\"dtype\": \"bfloat16\""));
    free(config);
    assert_same_model(in("hf"), goldens[0], 0x1p-8);
}

static void test_folder_with_something_in_it_is_not_written_over(void **state)
{
    (void)state;
    gp_checkpoint *c = gp_checkpoint_open(goldens[0]);
    assert_int_equal(mkdir(in("full"), 0777), 0);
    assert_int_equal(gp_checkpoint_write(c, in("full"), NULL), 0); /* empty is fine */
    assert_int_equal(gp_checkpoint_write(c, in("full"), NULL), -1);
    assert_non_null(strstr(gp_error(), "full: is not empty"));
    gp_checkpoint_close(c);
}

static void test_unknown_output_format_lists_the_known(void **state)
{
    (void)state;
    gp_checkpoint *c = gp_checkpoint_open(goldens[0]);
    assert_int_equal(gp_checkpoint_write(c, in("x"), &(gp_checkpoint_output){.format = "onnx"}), -1);
    assert_ptr_equal(strstr(gp_error(), "checkpoints cannot be written as onnx; known are: safetensors|"), gp_error());
    gp_checkpoint_close(c);
}

static bool without_prefix(void *self, char *name, gp_tensor *t)
{
    (void)t;
    size_t n = strlen(self);
    if (!strncmp(name, self, n))
        memmove(name, name + n, strlen(name + n) + 1);
    return true;
}

static void test_names_without_prefix_are_found(void **state)
{
    (void)state;
    char *prefixes[] = {"transformer.", "bert.", "roberta."};
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
        write_edited(goldens[i], without_prefix, prefixes[i], NULL, 0, in("bare.safetensors"));
        assert_same_model(in("bare.safetensors"), goldens[i], 0);
    }
}

static bool old_norm_names(void *self, char *name, gp_tensor *t)
{
    (void)self, (void)t;
    char *weight = strstr(name, "LayerNorm.weight"), *bias = strstr(name, "LayerNorm.bias");
    if (weight)
        strcpy(weight, "LayerNorm.gamma");
    if (bias)
        strcpy(bias, "LayerNorm.beta");
    return true;
}

static void test_oldest_names_of_norms_are_found(void **state)
{
    (void)state;
    write_edited(goldens[1], old_norm_names, NULL, NULL, 0, in("old.safetensors"));
    assert_same_model(in("old.safetensors"), goldens[1], 0);
}

static bool to_half(void *self, char *name, gp_tensor *t)
{
    (void)name;
    gp_from_f32(t->data, *(gp_dtype *)self, t->data, gp_tensor_count(t)); /* forwards, so in place is fine */
    t->dtype = *(gp_dtype *)self;
    return true;
}

static void test_16_bit_numbers_are_read(void **state)
{
    (void)state;
    gp_dtype f16 = GP_F16, bf16 = GP_BF16;
    write_edited(goldens[1], to_half, &f16, NULL, 0, in("f16.safetensors"));
    assert_same_model(in("f16.safetensors"), goldens[1], 0x1p-11);
    write_edited(goldens[1], to_half, &bf16, NULL, 0, in("bf16.safetensors"));
    assert_same_model(in("bf16.safetensors"), goldens[1], 0x1p-8);
}

static void test_unaligned_data_is_read(void **state)
{
    (void)state;
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, "tests/golden/gpt2-tiny/model.safetensors", 1 << 20), 0);
    gp_buf out = {0};
    gp_buf_add(&out, b.data, 8);
    uint64_t n;
    memcpy(&n, b.data, 8);
    gp_buf_add(&out, b.data + 8, n);
    gp_buf_puts(&out, " "); /* one more space: the data begins at an odd place */
    gp_buf_add(&out, b.data + 8 + n, b.len - 8 - n);
    n++;
    memcpy(out.data, &n, 8);
    assert_int_equal(mkdir(in("odd"), 0777), 0);
    assert_int_equal(gp_file_write(in("odd/model.safetensors"), out.data, out.len), 0);
    char *config = read_text("tests/golden/gpt2-tiny/config.json");
    assert_int_equal(gp_file_write(in("odd/config.json"), config, strlen(config)), 0);
    assert_same_model(in("odd"), goldens[0], 0);
    free(config);
    gp_buf_release(&b);
    gp_buf_release(&out);
}

static item extra(const char *name, void *data, gp_dtype dtype, int ndim, int64_t d0, int64_t d1, int64_t d2,
                  int64_t d3)
{
    item it = {.t = {.data = data, .dtype = dtype, .ndim = ndim, .dim = {d0, d1, d2, d3}}};
    snprintf(it.name, sizeof it.name, "%s", name);
    return it;
}

static void test_harmless_extras_of_gpt2_are_accepted(void **state)
{
    (void)state;
    static unsigned char mask[32 * 32];
    static float floats[32 * 32], minus = -10000;
    gp_safetensors *s = gp_safetensors_open("tests/golden/gpt2-tiny/model.safetensors");
    gp_tensor wte;
    assert_true(gp_safetensors_find(s, "transformer.wte.weight", &wte));
    item more[] = {
        extra("lm_head.weight", wte.data, GP_F32, 2, 96, 32, 0, 0),
        extra("h.0.attn.bias", floats, GP_F32, 4, 1, 1, 32, 32),
        extra("transformer.h.0.attn.masked_bias", &minus, GP_F32, 0, 0, 0, 0, 0),
        extra("transformer.h.1.attn.bias", mask, GP_U8, 4, 1, 1, 32, 32),
    };
    write_edited(goldens[0], NULL, NULL, more, ARRAY_LEN(more), in("more.safetensors"));
    gp_safetensors_close(s);
    assert_same_model(in("more.safetensors"), goldens[0], 0);
}

static void test_harmless_extras_of_bert_are_accepted(void **state)
{
    (void)state;
    static int64_t ids[32];
    static float pooler[32 * 32];
    gp_safetensors *s = gp_safetensors_open("tests/golden/bert-tiny/model.safetensors");
    gp_tensor words, bias;
    assert_true(gp_safetensors_find(s, "bert.embeddings.word_embeddings.weight", &words));
    assert_true(gp_safetensors_find(s, "cls.predictions.bias", &bias));
    item more[] = {
        extra("cls.predictions.decoder.weight", words.data, GP_F32, 2, 96, 32, 0, 0),
        extra("cls.predictions.decoder.bias", bias.data, GP_F32, 1, 96, 0, 0, 0),
        extra("bert.pooler.dense.weight", pooler, GP_F32, 2, 32, 32, 0, 0),
        extra("cls.seq_relationship.bias", pooler, GP_F32, 1, 2, 0, 0, 0),
        /* not aligned to 8, which only our writer minds */
        extra("bert.embeddings.position_ids", ids, GP_I32, 2, 1, 32, 0, 0),
    };
    write_edited(goldens[1], NULL, NULL, more, ARRAY_LEN(more), in("more.safetensors"));
    gp_safetensors_close(s);
    assert_same_model(in("more.safetensors"), goldens[1], 0);
}

static void test_tokenizer_is_carried_along(void **state)
{
    (void)state;
    static const char text[] = "{\"model\": {\"vocab\": {\"\\u0000\": 0, \"ü\": 1}}}";
    size_t length;
    gp_checkpoint *c = gp_checkpoint_open(goldens[0]);
    gp_model *m = gp_checkpoint_model(c, be, false);
    gp_checkpoint_close(c);
    c = gp_checkpoint_of_model(m, text, strlen(text));
    assert_int_equal(gp_checkpoint_write(c, in("t.safetensors"), NULL), 0);
    gp_checkpoint_close(c);
    gp_model_free(m);
    convert(in("t.safetensors"), in("t/"), GP_STORE_F32); /* metadata to tokenizer.json */
    assert_int_equal(gp_file_write(in("t/x"), "", 0), 0);
    char *file = read_text(in("t/tokenizer.json"));
    assert_string_equal(file, text);
    free(file);
    c = gp_checkpoint_open(in("t"));
    assert_string_equal(gp_checkpoint_tokenizer(c, &length), text);
    assert_int_equal(length, strlen(text));
    gp_checkpoint_close(c);
}

static void test_character_tokenizer_is_named_for_autotokenizer(void **state)
{
    (void)state;
    gp_tokenizer *t = chars_of("a b", 3);
    uint8_t expected[16], found[16];
    char *text = gp_tokenizer_to_json(t);
    gp_tokenizer_fingerprint(t, expected);
    gp_tokenizer_close(t);
    gp_checkpoint *c = gp_checkpoint_open(goldens[0]);
    gp_model *m = gp_checkpoint_model(c, be, false);
    assert_false(gp_checkpoint_fingerprint(c, found));
    gp_checkpoint_close(c);
    c = gp_checkpoint_of_model(m, text, strlen(text));
    assert_int_equal(gp_checkpoint_write(c, in("chars/"), NULL), 0);
    gp_checkpoint_close(c);
    gp_model_free(m);
    free(text);
    text = read_text(in("chars/tokenizer_config.json"));
    assert_non_null(strstr(text, "\"tokenizer_class\": \"PreTrainedTokenizerFast\""));
    free(text);
    c = gp_checkpoint_open(in("chars/model.safetensors"));
    assert_true(gp_checkpoint_fingerprint(c, found));
    assert_memory_equal(found, expected, 16);
    gp_checkpoint_close(c);
}

/* ---- shards ---------------------------------------------------------------------------------------------- */

static bool in_second_shard(void *self, char *name, gp_tensor *t)
{
    (void)t;
    return (strstr(name, ".h.1.") != NULL) == *(bool *)self;
}

static void write_index(const char *override, const char *file)
{
    gp_buf b = {0};
    gp_safetensors *s = gp_safetensors_open("tests/golden/gpt2-tiny/model.safetensors");
    /* transformers passes over what this holds, if it is what Python's json reads */
    gp_buf_puts(&b, "{\"metadata\": {\"total_size\": 9223372036854775808, \"loss\": NaN}, \"weight_map\": {");
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        const char *name = gp_safetensors_get(s, i, NULL);
        bool second = strstr(name, ".h.1.") != NULL;
        gp_buf_printf(&b, "%s\"%s\": \"%s\"", i ? ", " : "", name,
                      override && !strcmp(name, override) ? file
                      : second                            ? "2.safetensors"
                                                          : "1.safetensors");
    }
    gp_buf_puts(&b, "}}");
    assert_int_equal(gp_file_write(in("shards/model.safetensors.index.json"), b.data, b.len), 0);
    gp_safetensors_close(s);
    gp_buf_release(&b);
}

static void write_shards(void)
{
    assert_int_equal(mkdir(in("shards"), 0777), 0);
    write_edited(goldens[0], in_second_shard, &(bool){false}, NULL, 0, in("shards/1.safetensors"));
    write_edited(goldens[0], in_second_shard, &(bool){true}, NULL, 0, in("shards/2.safetensors"));
    write_index(NULL, NULL);
}

static void test_shards_are_joined(void **state)
{
    (void)state;
    write_shards();
    assert_same_model(in("shards"), goldens[0], 0);
}

static void test_missing_shard_is_refused(void **state)
{
    (void)state;
    write_shards();
    unlink(in("shards/2.safetensors"));
    assert_refused(in("shards"), "shards/2.safetensors: No such file or directory");
}

/* To open a pipe is to wait for a writer. */
static void test_pipes_that_an_index_or_a_folder_names_are_refused(void **state)
{
    (void)state;
    write_shards();
    unlink(in("shards/2.safetensors"));
    assert_int_equal(mkfifo(in("shards/2.safetensors"), 0666), 0);
    alarm(20);
    assert_refused(in("shards"), "shards/2.safetensors: is not a regular file");
    unlink(in("shards/model.safetensors.index.json"));
    assert_int_equal(mkfifo(in("shards/model.safetensors.index.json"), 0666), 0);
    assert_refused(in("shards"), "shards/model.safetensors.index.json: is not a regular file");
    assert_int_equal(mkfifo(in("shards/model.safetensors"), 0666), 0);
    assert_refused(in("shards"), "shards/model.safetensors: is not a regular file");
    alarm(0);
}

static void test_index_that_lies_is_refused(void **state)
{
    (void)state;
    write_shards();
    write_index("transformer.h.1.ln_1.bias", "1.safetensors");
    assert_refused(in("shards"), "tensor transformer.h.1.ln_1.bias should be in 1.safetensors, it is in ");
    write_index("transformer.h.1.ln_1.bias", "../2.safetensors");
    assert_refused(in("shards"),
                   "tensor transformer.h.1.ln_1.bias: expected the name of a file in the directory of the index");
    assert_int_equal(gp_file_write(in("shards/model.safetensors.index.json"), "{}", 2), 0);
    assert_refused(in("shards"), "index.json: \"weight_map\" is missing or empty");
}

static void test_tensor_in_two_shards_is_refused(void **state)
{
    (void)state;
    float x[32] = {0};
    item more = extra("transformer.ln_f.bias", x, GP_F32, 1, 32, 0, 0, 0);
    write_shards();
    write_edited(goldens[0], in_second_shard, &(bool){true}, &more, 1, in("shards/2.safetensors"));
    assert_refused(in("shards"), "tensor transformer.ln_f.bias is in ");
}

/* ---- what is refused ------------------------------------------------------------------------------------- */

static bool leave_out(void *self, char *name, gp_tensor *t)
{
    (void)t;
    return strcmp(name, self);
}

static void test_missing_tensor_is_refused(void **state)
{
    (void)state;
    write_edited(goldens[0], leave_out, "transformer.h.1.mlp.c_fc.weight", NULL, 0, in("x.safetensors"));
    assert_refused(in("x.safetensors"),
                   "x.safetensors: tensor transformer.h.1.mlp.c_fc.weight is missing, expected F32 [32,128]");
    write_edited(goldens[1], leave_out, "bert.encoder.layer.0.attention.self.key.weight", NULL, 0, in("x.safetensors"));
    assert_refused(in("x.safetensors"), "tensor bert.encoder.layer.0.attention.self.key.weight is missing");
}

static void test_extra_tensor_is_refused(void **state)
{
    (void)state;
    float x[32] = {0};
    item more = extra("transformer.h.2.ln_1.bias", x, GP_F32, 1, 32, 0, 0, 0);
    write_edited(goldens[0], NULL, NULL, &more, 1, in("x.safetensors"));
    assert_refused(in("x.safetensors"), "tensor transformer.h.2.ln_1.bias is F32 [32], expected no such tensor in a "
                                        "gpt2 of 2 layers");
    more = extra("transformer.h.0.attn.bias", x, GP_F32, 1, 32, 0, 0, 0); /* a mask has four dims */
    write_edited(goldens[0], NULL, NULL, &more, 1, in("x.safetensors"));
    assert_refused(in("x.safetensors"), "tensor transformer.h.0.attn.bias is F32 [32], expected no such tensor");
}

typedef struct change {
    const char *name;
    int64_t rows;   /* 0: as they are */
    float value;    /* of element `at` */
    int64_t at;     /* -1: none */
    gp_dtype dtype; /* GP_DTYPES: as it is */
} change;

static bool apply(void *self, char *name, gp_tensor *t)
{
    const change *c = self;
    if (strcmp(name, c->name))
        return true;
    if (c->rows)
        t->dim[0] = c->rows;
    if (c->at >= 0)
        ((float *)t->data)[c->at] = c->value;
    if (c->dtype != GP_DTYPES)
        t->dtype = c->dtype;
    return true;
}

static void test_misshapen_tensor_is_refused(void **state)
{
    (void)state;
    change c = {"transformer.wpe.weight", 31, 0, -1, GP_DTYPES};
    write_edited(goldens[0], apply, &c, NULL, 0, in("x.safetensors"));
    assert_refused(in("x.safetensors"), "x.safetensors: tensor transformer.wpe.weight is F32 [31,32], expected F32 "
                                        "[32,32] by its configuration");
}

static void test_tensor_of_integers_is_refused(void **state)
{
    (void)state;
    change c = {"transformer.wpe.weight", 0, 0, -1, GP_I32};
    write_edited(goldens[0], apply, &c, NULL, 0, in("x.safetensors"));
    assert_refused(in("x.safetensors"), "tensor transformer.wpe.weight is I32 [32,32], expected F32, F16 or BF16");
}

static void test_nan_and_infinity_are_refused(void **state)
{
    (void)state;
    change c = {"transformer.h.1.attn.c_proj.weight", 0, NAN, 33, GP_DTYPES};
    write_edited(goldens[0], apply, &c, NULL, 0, in("x.safetensors"));
    assert_refused(in("x.safetensors"), "x.safetensors: tensor transformer.h.1.attn.c_proj.weight has nan at element "
                                        "33, expected finite numbers");
    change b = {"bert.encoder.layer.1.attention.self.value.weight", 0, -INFINITY, 5, GP_DTYPES};
    write_edited(goldens[1], apply, &b, NULL, 0, in("x.safetensors"));
    assert_refused(in("x.safetensors"),
                   "tensor bert.encoder.layer.1.attention.self.value.weight has -inf at element 5");
}

static void test_number_too_large_for_bf16_is_refused(void **state)
{
    (void)state;
    change c = {"transformer.ln_f.bias", 0, 3.4e38f, 7, GP_DTYPES};
    write_edited(goldens[0], apply, &c, NULL, 0, in("x.safetensors"));
    gp_checkpoint *k = gp_checkpoint_open(in("x.safetensors"));
    assert_int_equal(
        gp_checkpoint_write(k, in("y.safetensors"), &(gp_checkpoint_output){"safetensors", GP_STORE_BF16, 0}), -1);
    assert_non_null(strstr(gp_error(), "tensor transformer.ln_f.bias has 3.4e+38 at element 7"));
    assert_false(gp_exists(in("y.safetensors")));
    assert_int_equal(gp_checkpoint_write(k, in("y.safetensors"), NULL), 0);
    gp_checkpoint_close(k);
}

static void test_checkpoint_without_configuration_is_refused(void **state)
{
    (void)state;
    char *model = read_text("tests/golden/gpt2-tiny/model.safetensors");
    struct stat st;
    assert_int_equal(stat("tests/golden/gpt2-tiny/model.safetensors", &st), 0);
    assert_int_equal(gp_file_write(in("alone.safetensors"), model, (size_t)st.st_size), 0);
    assert_refused(in("alone.safetensors"), "has no gptpipe.config in its metadata and no config.json beside it");
    free(model);
}

static void test_bad_configuration_beside_it_is_named(void **state)
{
    (void)state;
    write_edited(goldens[0], NULL, NULL, NULL, 0, in("x.safetensors"));
    gp_safetensors_writer *w = gp_safetensors_create(in("y.safetensors"));
    assert_int_equal(gp_safetensors_finish(w), 0);
    assert_int_equal(gp_file_write(in("config.json"), "{\"model_type\": \"t5\"}", 20), 0);
    assert_refused(in("y.safetensors"), "/config.json: model_type is \"t5\"; supported are gpt2, bert and roberta");
    assert_same_model(in("x.safetensors"), goldens[0], 0); /* which has its own */
}

static void test_unknown_format_lists_the_known(void **state)
{
    (void)state;
    assert_int_equal(gp_file_write(in("notes.txt"), "hello, world\n", 13), 0);
    assert_refused(in("notes.txt"),
                   "notes.txt: unrecognised checkpoint format; supported: run (a run directory), safetensors (");
    assert_refused(folder, ": unrecognised checkpoint format; supported: run (a run directory), safetensors (");
    assert_refused("/nonexistent", "/nonexistent: No such file or directory");
}

static void test_model_of_other_sizes_is_not_filled(void **state)
{
    (void)state;
    gp_checkpoint *c = gp_checkpoint_open(goldens[0]);
    gp_config config = *gp_checkpoint_config(c);
    config.positions = 64;
    gp_model *m = gp_model_create(&config, be, false);
    assert_int_equal(gp_checkpoint_load(c, m), -1);
    assert_non_null(strstr(gp_error(), "wpe.weight is 32 x 32, 64 x 32 in the model"));
    gp_model_free(m);
    config.positions = 32;
    config.layers = 1;
    m = gp_model_create(&config, be, false);
    assert_int_equal(gp_checkpoint_load(c, m), -1);
    gp_model_free(m);
    gp_checkpoint_close(c);
}

/* A causal model's token sees what is before it alone, so the first positions give the same logits without the rest. */
static void test_model_of_fewer_positions_takes_the_first(void **state)
{
    (void)state;
    enum { T = 16, V = 96 };
    gp_checkpoint *c = gp_checkpoint_open(goldens[0]);
    gp_config config = *gp_checkpoint_config(c);
    config.positions = T;
    gp_model *models[] = {gp_checkpoint_model(c, be, false), gp_model_create(&config, be, false)};
    static float logits[2][T * V];
    int32_t tokens[T];
    for (int t = 0; t < T; t++)
        tokens[t] = 5 * t;
    assert_int_equal(gp_checkpoint_load(c, models[1]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gp_model_plan(models[i], 1, T), 0);
        assert_int_equal(gp_model_logits(models[i], &(gp_batch){.B = 1, .T = T, .inputs = tokens}, logits[i]), 0);
        gp_model_free(models[i]);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    gp_checkpoint_close(c);
}

/* A header's name may be lost and the rest be sound; but what loads is what was written. */
static void test_random_damage_is_noticed_or_does_no_harm(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    gp_buf sound = {0};
    uint64_t header;
    int loaded = 0, refused = 0;
    convert(goldens[1], in("x.safetensors"), GP_STORE_F32);
    assert_int_equal(gp_file_read(&sound, in("x.safetensors"), 1 << 20), 0);
    memcpy(&header, sound.data, 8);
    int fd = open(in("x.safetensors"), O_RDWR);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t at = gp_random_below(round, 99, 0, 0, round % 4 ? header : sound.len);
        char damage = (char)gp_random_below(round, 99, 0, 1, round % 2 ? 256 : 10);
        damage = (char)(round % 2 ? damage : '0' + damage);
        assert_int_equal(pwrite(fd, &damage, 1, (off_t)at), 1);
        gp_checkpoint *c = gp_checkpoint_open(in("x.safetensors"));
        gp_model *m = c ? gp_checkpoint_model(c, be, false) : NULL;
        loaded += m != NULL;
        refused += !m;
        if (m) {
            comparison k = {.golden = gp_safetensors_open("tests/golden/bert-tiny/model.safetensors")};
            gp_trace_parameters(m, false, compare_tensor, &k);
            gp_safetensors_close(k.golden);
        }
        gp_model_free(m);
        gp_checkpoint_close(c);
        assert_int_equal(pwrite(fd, sound.data + at, 1, (off_t)at), 1);
    }
    close(fd);
    gp_buf_release(&sound);
    assert_true(loaded && refused > ROUNDS / 2); /* a byte may be what it was */
}

#define TEST(f) cmocka_unit_test_teardown(f, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_loads_transformers_folders),
        TEST(test_loads_a_file_with_its_config_beside_it),
        TEST(test_knows_configuration_and_tensors),
        TEST(test_round_trip_keeps_every_bit),
        TEST(test_model_in_memory_can_be_written),
        TEST(test_bf16_is_half_the_size_and_close),
        TEST(test_folder_has_what_from_pretrained_wants),
        TEST(test_folder_with_something_in_it_is_not_written_over),
        TEST(test_unknown_output_format_lists_the_known),
        TEST(test_names_without_prefix_are_found),
        TEST(test_oldest_names_of_norms_are_found),
        TEST(test_16_bit_numbers_are_read),
        TEST(test_unaligned_data_is_read),
        TEST(test_harmless_extras_of_gpt2_are_accepted),
        TEST(test_harmless_extras_of_bert_are_accepted),
        TEST(test_tokenizer_is_carried_along),
        TEST(test_character_tokenizer_is_named_for_autotokenizer),
        TEST(test_shards_are_joined),
        TEST(test_missing_shard_is_refused),
        TEST(test_pipes_that_an_index_or_a_folder_names_are_refused),
        TEST(test_index_that_lies_is_refused),
        TEST(test_tensor_in_two_shards_is_refused),
        TEST(test_missing_tensor_is_refused),
        TEST(test_extra_tensor_is_refused),
        TEST(test_misshapen_tensor_is_refused),
        TEST(test_tensor_of_integers_is_refused),
        TEST(test_nan_and_infinity_are_refused),
        TEST(test_number_too_large_for_bf16_is_refused),
        TEST(test_checkpoint_without_configuration_is_refused),
        TEST(test_bad_configuration_beside_it_is_named),
        TEST(test_unknown_format_lists_the_known),
        TEST(test_model_of_other_sizes_is_not_filled),
        TEST(test_model_of_fewer_positions_takes_the_first),
        TEST(test_random_damage_is_noticed_or_does_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
