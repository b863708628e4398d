/* llm.c's model file: read as its own train_gpt2.py wrote it, written byte for byte the same (golden/formats/README.md:
 * hf has the same weights as Hugging Face names and stores them). */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/llmc/llmc.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/safetensors.h"

#define GOLDEN TEST_DIR "/golden/formats"
enum { V = 272, VP = 384, T = 16, C = 16, L = 2, HEADER = 1024 };

static char path[] = "/tmp/gptpipe-llmc.XXXXXX";
static gp_safetensors *hf;

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    hf = gp_safetensors_open(GOLDEN "/hf/model.safetensors");
    return fd >= 0 && !close(fd) && hf ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gp_safetensors_close(hf);
    return unlink(path);
}

static gp_container *open_at(const char *file)
{
    gp_map map;
    return gp_map_open(&map, file) ? NULL : gp_llmc_read(&map, file);
}

static gp_buf bytes_of(const char *file)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, file, 1 << 20), 0);
    return b;
}

/* The file at path is refused with this in the message. */
static void refused(const gp_buf *b, const char *why)
{
    assert_int_equal(gp_file_write(path, b->data, b->len), 0);
    assert_null(open_at(path));
    if (!strstr(gp_error(), why))
        fail_msg("\"%s\" does not say \"%s\"", gp_error(), why);
    assert_non_null(strstr(gp_error(), path));
}

/* Hugging Face's tensor, (in,out), as llm.c's (out,in) where it is a linear's weight. */
static float *expected(const char *name, bool transposed, int64_t *count)
{
    gp_tensor t;
    assert_true(gp_safetensors_find(hf, name, &t));
    *count = gp_tensor_count(&t);
    float *x = gp_malloc((size_t)*count * sizeof *x), *y = gp_malloc((size_t)*count * sizeof *y);
    gp_to_f32(x, t.data, t.dtype, *count);
    int64_t rows = t.ndim == 2 ? t.dim[0] : 1, columns = *count / rows;
    for (int64_t i = 0; i < *count; i++)
        y[transposed ? i % columns * rows + i / columns : i] = x[i];
    free(x);
    return y;
}

/* In llm.c's order. */
static const struct {
    const char *ours, *theirs;
    bool transposed;
} tensors[] = {
    {"wte", "transformer.wte.weight", false},
    {"wpe", "transformer.wpe.weight", false},
    {"ln1w", "ln_1.weight", false},
    {"ln1b", "ln_1.bias", false},
    {"qkvw", "attn.c_attn.weight", true},
    {"qkvb", "attn.c_attn.bias", false},
    {"attprojw", "attn.c_proj.weight", true},
    {"attprojb", "attn.c_proj.bias", false},
    {"ln2w", "ln_2.weight", false},
    {"ln2b", "ln_2.bias", false},
    {"fcw", "mlp.c_fc.weight", true},
    {"fcb", "mlp.c_fc.bias", false},
    {"fcprojw", "mlp.c_proj.weight", true},
    {"fcprojb", "mlp.c_proj.bias", false},
    {"lnfw", "transformer.ln_f.weight", false},
    {"lnfb", "transformer.ln_f.bias", false},
};

static bool in_layer(size_t i)
{
    return strncmp(tensors[i].theirs, "transformer.", 12) != 0;
}

enum { NAME = 64 };

static void names_of(size_t i, int layer, char ours[NAME], char theirs[NAME])
{
    snprintf(ours, NAME, "%s", tensors[i].ours);
    snprintf(theirs, NAME, "%s", tensors[i].theirs);
    if (in_layer(i)) {
        snprintf(ours, NAME, "h.%d.%s", layer, tensors[i].ours);
        snprintf(theirs, NAME, "transformer.h.%d.%s", layer, tensors[i].theirs);
    }
}

static void compare(const gp_container *k, size_t i, int layer, float tolerance)
{
    char ours[NAME], theirs[NAME];
    names_of(i, layer, ours, theirs);
    int64_t at = gp_container_find(k, ours), count;
    assert_true(at >= 0);
    float *x = expected(theirs, tensors[i].transposed, &count);
    float *y = gp_malloc((size_t)count * sizeof *y);
    assert_int_equal(gp_container_read(k, at, 0, count, y), 0);
    for (int64_t j = 0; j < count; j++)
        assert_true(fabsf(x[j] - y[j]) <= tolerance * fabsf(x[j]));
    float last;
    assert_int_equal(gp_container_read(k, at, count - 1, 1, &last), 0);
    assert_true(last == y[count - 1]);
    gp_container_forget(k, at);
    free(x);
    free(y);
}

static void compare_all(const char *file, const char *type, float tolerance)
{
    gp_container *k = open_at(file);
    assert_non_null(k);
    assert_int_equal(k->count, 12 * L + 4);
    for (size_t i = 0; i < ARRAY_LEN(tensors); i++)
        for (int layer = 0; layer < (in_layer(i) ? L : 1); layer++)
            compare(k, i, layer, tolerance);
    for (int64_t i = 0; i < k->count; i++) {
        assert_string_equal(k->tensors[i].type, type);
        assert_int_equal(gp_container_check(k, i, NULL), 0);
    }
    gp_container_close(k);
}

static void fp32_has_the_weights(void **state)
{
    (void)state;
    compare_all(GOLDEN "/llmc/gpt2.bin", "F32", 0);
}

static void bf16_has_the_weights_rounded(void **state)
{
    (void)state;
    compare_all(GOLDEN "/llmc/gpt2_bf16.bin", "BF16", 0x1p-8f);
}

static void shapes_are_llmcs_and_the_vocabulary_is_padded(void **state)
{
    (void)state;
    char text[64];
    float padding[(VP - V) * C];
    gp_container *k = open_at(GOLDEN "/llmc/gpt2.bin");
    assert_non_null(k);
    assert_string_equal(gp_stored_format(&k->tensors[0], text, sizeof text), "F32 [384,16]");
    int64_t i = gp_container_find(k, "h.1.qkvw");
    assert_string_equal(gp_stored_format(&k->tensors[i], text, sizeof text), "F32 [48,16]");
    i = gp_container_find(k, "h.0.fcprojw");
    assert_string_equal(gp_stored_format(&k->tensors[i], text, sizeof text), "F32 [16,64]");
    assert_int_equal(gp_container_read(k, 0, V * C, ARRAY_LEN(padding), padding), 0);
    for (size_t j = 0; j < ARRAY_LEN(padding); j++)
        assert_true(padding[j] == 0);
    gp_container_close(k);
}

static void the_file_has_the_size_that_its_header_says(void **state)
{
    (void)state;
    gp_buf b = bytes_of(GOLDEN "/llmc/gpt2_bf16.bin");
    gp_buf_add(&b, "", 1);
    refused(&b, "has something after its last tensor");
    for (off_t size = (off_t)b.len - 2; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_null(open_at(path));
        assert_non_null(strstr(gp_error(), "is truncated"));
    }
    gp_buf_release(&b);
}

static void a_header_that_lies_is_refused(void **state)
{
    (void)state;
    static const struct {
        int word, value;
        const char *why;
    } lies[] = {
        {0, 20240520, "magic 20240520, expected 20240326"},
        {1, 1, "version 1"},
        {1, 2, "version 2"},
        {1, -3, "version -3"},
        {2, 0, "max_seq_len is 0"},
        {3, -1, "vocab_size is -1"},
        {3, VP + 1, "padded_vocab_size is 384"},
        {4, 0, "num_layers is 0"},
        {4, 3, "is truncated"},
        {4, 1, "has something after its last tensor"},
        {5, 0, "num_heads is 0"},
        {6, INT32_MAX, "overflow"},
        {7, INT32_MAX, "is truncated"},
    };
    gp_buf whole = bytes_of(GOLDEN "/llmc/gpt2.bin"), b = {0};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        b.len = 0;
        gp_buf_add(&b, whole.data, whole.len);
        memcpy(b.data + 4 * lies[i].word, &lies[i].value, 4);
        refused(&b, lies[i].why);
    }
    b.len = HEADER; /* all sizes at their largest */
    for (int i = 2; i < 8; i++)
        memcpy(b.data + (size_t)(4 * i), &(int){INT32_MAX}, 4);
    refused(&b, "overflow");
    gp_buf_release(&b);
    gp_buf_release(&whole);
}

static gp_config config(void)
{
    gp_config c = gp_config_of_preset(GP_PRESET_NANO);
    c.vocab_size = V;
    c.positions = T;
    c.layers = c.heads = L;
    c.channels = C;
    c.inner = 4 * C;
    return c;
}

/* What golden/formats/hf holds, in calls of at most 256 numbers. */
static void write_tensor(const gp_tensor_writer *w, size_t i, int layer)
{
    char ours[NAME], theirs[NAME];
    int64_t count;
    names_of(i, layer, ours, theirs);
    float *x = expected(theirs, tensors[i].transposed, &count);
    for (int64_t at = 0; at < count; at += 256)
        assert_int_equal(w->write(w->self, x + at, gp_min(256, count - at)), 0);
    free(x);
}

static void declare_tensor(const gp_tensor_writer *w, const gp_llmc_header *h, size_t i, int layer)
{
    char ours[NAME], theirs[NAME];
    names_of(i, layer, ours, theirs);
    gp_llmc_tensor t = gp_llmc_tensor_of(h, (int)i);
    if (!i)
        t.dim[0] = V;
    assert_int_equal(w->declare(w->self, ours, t.ndim, t.dim), 0);
}

static void written_as_llmc_writes(gp_store store, const char *golden)
{
    gp_config c = config();
    gp_llmc_header h = {GP_F32, T, V, L, L, C, VP};
    gp_llmc_writer *w = gp_llmc_create(path, &c, store);
    assert_non_null(w);
    gp_tensor_writer to = gp_llmc_tensors(w);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < ARRAY_LEN(tensors); i++)
            for (int layer = 0; layer < (in_layer(i) ? L : 1); layer++) {
                if (pass)
                    write_tensor(&to, i, layer);
                else
                    declare_tensor(&to, &h, i, layer);
            }
    assert_int_equal(gp_llmc_finish(w), 0);
    gp_buf found = bytes_of(path), wanted = bytes_of(golden);
    assert_int_equal(found.len, wanted.len);
    assert_memory_equal(found.data, wanted.data, wanted.len);
    gp_buf_release(&found);
    gp_buf_release(&wanted);
}

static void fp32_is_written_as_llmc_writes_it(void **state)
{
    (void)state;
    written_as_llmc_writes(GP_STORE_F32, GOLDEN "/llmc/gpt2.bin");
}

static void bf16_is_written_as_llmc_writes_it(void **state)
{
    (void)state;
    written_as_llmc_writes(GP_STORE_BF16, GOLDEN "/llmc/gpt2_bf16.bin");
}

static void not_written(const gp_config *c, const char *why)
{
    assert_null(gp_llmc_create("/nonexistent/model.bin", c, GP_STORE_F32));
    if (!strstr(gp_error(), why))
        fail_msg("\"%s\" does not say \"%s\"", gp_error(), why);
}

static void what_llmc_computes_otherwise_is_not_written(void **state)
{
    (void)state;
    gp_config c = config();
#define REFUSES(field, value, why)                                                                                     \
    do {                                                                                                               \
        gp_config other = c;                                                                                           \
        other.field = value;                                                                                           \
        not_written(&other, why);                                                                                      \
    } while (0)
    REFUSES(family, GP_BERT, "llm.c computes with model_type gpt2, this model has bert");
    REFUSES(post_norm, true, "blocks that are causal and pre-norm");
    REFUSES(activation, GP_ACT_GELU_ERF, "activation_function gelu_new, this model has gelu: ");
    REFUSES(activation, GP_ACT_RELU, "activation_function gelu_new, this model has relu: ");
    REFUSES(tied, false, "tie_word_embeddings true, this model has false");
    REFUSES(inner, 3 * C, "n_inner");
    REFUSES(scores_unscaled, true, "scale_attn_weights");
    REFUSES(scores_by_layer, true, "scale_attn_by_inverse_layer_idx");
    REFUSES(norm_eps, 1e-6, "layer_norm_epsilon 1e-05, this model has 1e-06");
}

/* nanoGPT's bias=False. */
static void absent_biases_are_written_as_zeros(void **state)
{
    (void)state;
    gp_config c = config();
    c.bias = false;
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    gp_model *m = gp_model_create(&c, be, false);
    gp_checkpoint *from = gp_checkpoint_of_model(m, NULL, 0);
    assert_int_equal(gp_checkpoint_write(from, path, &(gp_checkpoint_output){.format = "llmc"}), 0);
    gp_container *k = open_at(path);
    assert_non_null(k);
    assert_int_equal(k->count, 12 * L + 4);
    for (int64_t i = 0; i < k->count; i++) {
        const gp_stored *t = &k->tensors[i];
        float x[4 * C];
        if (t->name[strlen(t->name) - 1] != 'b')
            continue;
        assert_int_equal(gp_container_read(k, i, 0, t->elements, x), 0);
        for (int64_t j = 0; j < t->elements; j++)
            assert_true(x[j] == 0);
    }
    gp_container_close(k);
    gp_checkpoint_close(from);
    gp_model_free(m);
    gp_backend_close(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_has_the_weights),
        cmocka_unit_test(bf16_has_the_weights_rounded),
        cmocka_unit_test(shapes_are_llmcs_and_the_vocabulary_is_padded),
        cmocka_unit_test(the_file_has_the_size_that_its_header_says),
        cmocka_unit_test(a_header_that_lies_is_refused),
        cmocka_unit_test(fp32_is_written_as_llmc_writes_it),
        cmocka_unit_test(bf16_is_written_as_llmc_writes_it),
        cmocka_unit_test(absent_biases_are_written_as_zeros),
        cmocka_unit_test(what_llmc_computes_otherwise_is_not_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
