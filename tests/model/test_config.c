/* config.json and generation_config.json: what transformers 5.24 makes of a key is what comes of it here, or the key is
 * refused by name. */
#include "test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gptpipe/checkpoint.h"
#include "model/config.h"

static char folder[] = "/tmp/gptpipe-config.XXXXXX";

static const char *in(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *golden_of(gp_family f)
{
    return f == GP_GPT2   ? "tests/golden/gpt2-tiny/config.json"
           : f == GP_BERT ? "tests/golden/bert-tiny/config.json"
                          : "tests/golden/roberta-tiny/config.json";
}

/* A golden's config.json without the members in `less` ("a b c") and with those of `more` (JSON). */
static char *changed(gp_family f, const char *less, const char *more)
{
    json_t *root = json_load_file(golden_of(f), 0, NULL), *members = json_loads(more, 0, NULL);
    char *names = gp_strdup(less), *save;
    assert_non_null(root);
    assert_non_null(members);
    for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
        json_object_del(root, name);
    json_object_update(root, members);
    char *text = json_dumps(root, 0);
    json_decref(root);
    json_decref(members);
    free(names);
    return text;
}

static int read_changed(gp_config *c, gp_family f, const char *less, const char *more)
{
    char *text = changed(f, less, more);
    int rc = gp_config_from_json(c, text, strlen(text), "config.json");
    free(text);
    return rc;
}

static gp_config config_of(gp_family f, const char *less, const char *more)
{
    gp_config c;
    if (read_changed(&c, f, less, more))
        fail_msg("without %s, with %s: %s", less, more, gp_error());
    return c;
}

static void assert_same(const gp_config *a, const gp_config *b)
{
    gp_buf text = {0};
    bool sizes;
    if (gp_config_differ(a, b, &sizes, &text))
        fail_msg("%s", text.data);
}

static void assert_refused(gp_family f, const char *less, const char *more, const char *message)
{
    gp_config c;
    if (!read_changed(&c, f, less, more))
        fail_msg("%s is accepted", more);
    if (!strstr(gp_error(), message))
        fail_msg("%s: '%s' does not say '%s'", more, gp_error(), message);
}

static void assert_harmless(gp_family f, const char *less, const char *more)
{
    gp_config plain = config_of(f, "", "{}"), c = config_of(f, less, more);
    assert_same(&c, &plain);
}

static void gpt2_is_read_under_transformers_aliases(void **state)
{
    (void)state;
    assert_harmless(GP_GPT2, "n_embd n_layer n_head n_positions",
                    "{\"hidden_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
                    "\"max_position_embeddings\": 32}");
    /* where both are there, GPT2Config.from_pretrained takes the alias, in whatever order */
    assert_int_equal(config_of(GP_GPT2, "", "{\"num_attention_heads\": 4}").heads, 4);
    assert_refused(GP_GPT2, "n_head", "{}", "\"n_head\" is missing");
    assert_refused(GP_BERT, "num_attention_heads", "{\"n_head\": 2}", "\"num_attention_heads\" is missing");
}

static void a_missing_model_type_is_that_of_its_architecture(void **state)
{
    (void)state;
    for (int f = GP_GPT2; f <= GP_ROBERTA; f++)
        assert_harmless((gp_family)f, "model_type", "{}");
    assert_harmless(GP_GPT2, "model_type architectures", "{}");
    assert_harmless(GP_GPT2, "model_type architectures", "{\"model_type\": null}");
    assert_refused(GP_BERT, "model_type architectures", "{}", "\"model_type\" is missing");
    assert_refused(GP_GPT2, "", "{\"model_type\": 3}", "model_type is 3; supported are gpt2, bert and roberta");
    assert_refused(GP_GPT2, "model_type", "{\"architectures\": [\"GPTNeoForCausalLM\"]}", "\"model_type\" is missing");
}

static void assert_ends(const gp_config *c, int count, int32_t first, int32_t last)
{
    assert_int_equal(c->end_count, count);
    assert_false(c->no_end);
    if (count) {
        assert_int_equal(c->ends[0], first);
        assert_int_equal(c->ends[count - 1], last);
    }
}

static void one_or_several_ids_end_samples(void **state)
{
    (void)state;
    gp_config c = config_of(GP_GPT2, "", "{}");
    assert_ends(&c, 1, 95, 95);
    c = config_of(GP_GPT2, "", "{\"eos_token_id\": [3, 50256, 0, -1]}"); /* of 96 ids */
    assert_ends(&c, 2, 3, 0);
    c = config_of(GP_GPT2, "", "{\"eos_token_id\": null}");
    assert_ends(&c, 0, 0, 0);
    c = config_of(GP_GPT2, "eos_token_id", "{}"); /* GPT2Config's 50256, which a model of 96 ids never draws */
    assert_ends(&c, 0, 0, 0);
    c = config_of(GP_GPT2, "eos_token_id", "{\"vocab_size\": 50304}");
    assert_ends(&c, 1, 50256, 50256);
    static const char *const wrong[] = {"\"95\"", "true", "95.5", "[1, \"2\"]", "{}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char *more = gp_format("{\"eos_token_id\": %s}", wrong[i]);
        assert_refused(GP_GPT2, "", more, "\"eos_token_id\" is");
        free(more);
    }
}

static void generation_config_decides_what_ends_samples(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int rc, count;
        bool no_end;
    } cases[] = {
        {"{\"eos_token_id\": [7, 8]}", 0, 2, false},
        {"{\"eos_token_id\": 7}", 0, 1, false},
        {"{\"eos_token_id\": null}", 0, 0, true}, /* transformers then asks no other file */
        {"{\"_from_model_config\": true}", 0, 0, true},
        {"{\"eos_token_id\": -1}", 0, 0, true},
        {"{\"eos_token_id\": \"7\"}", -1, 0, false},
        {"{nope", 1, 1, false}, /* passed over, as there */
        {"[]", 1, 1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_config c = config_of(GP_GPT2, "", "{}");
        assert_int_equal(gp_config_ends_from_json(&c, cases[i].json, strlen(cases[i].json), "x"), cases[i].rc);
        if (cases[i].rc < 0)
            continue;
        assert_int_equal(c.end_count, cases[i].count);
        assert_int_equal(c.no_end, cases[i].no_end);
    }
}

static void a_padding_id_counts_where_it_is_computed_with(void **state)
{
    (void)state;
    static const char *const anywhere[] = {"{\"pad_token_id\": 96}", "{\"pad_token_id\": -5}",
                                           "{\"pad_token_id\": 33}"};
    for (size_t i = 0; i < ARRAY_LEN(anywhere); i++) {
        gp_config c = config_of(GP_GPT2, "", anywhere[i]);
        assert_int_equal(gp_config_padding(&c), -1);
    }
    gp_config c = config_of(GP_BERT, "", "{\"pad_token_id\": null}");
    assert_int_equal(gp_config_padding(&c), -1);
    c = config_of(GP_BERT, "pad_token_id", "{}");
    assert_int_equal(gp_config_padding(&c), 0);
    c = config_of(GP_ROBERTA, "", "{\"pad_token_id\": 3}");
    assert_int_equal(c.position_offset, 4);
    assert_refused(GP_BERT, "", "{\"pad_token_id\": 96}", "padding id is 96, expected -1 to 95");
    assert_refused(GP_BERT, "", "{\"pad_token_id\": -1}", "\"pad_token_id\" is negative");
    assert_refused(GP_ROBERTA, "", "{\"pad_token_id\": null}", "\"pad_token_id\" is null");
}

static void what_would_change_numbers_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        gp_family family;
        const char *more, *message;
    } cases[] = {
        {GP_GPT2, "{\"add_cross_attention\": true}", "add_cross_attention is true, which is not supported"},
        {GP_GPT2, "{\"is_encoder_decoder\": true}", "is_encoder_decoder is true"},
        {GP_GPT2, "{\"is_causal\": false}", "is_causal is false"},
        {GP_GPT2, "{\"sliding_window\": 2}", "sliding_window is 2"}, /* transformers 5.24 obeys it in GPT-2 */
        {GP_GPT2, "{\"attention_chunk_size\": 8}", "attention_chunk_size is 8"},
        {GP_GPT2, "{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}", "layer_types is"},
        {GP_GPT2, "{\"pruned_heads\": {\"0\": [1]}}", "pruned_heads is"},
        {GP_GPT2, "{\"quantization_config\": {\"load_in_8bit\": true}}", "quantization_config is"},
        {GP_GPT2, "{\"activation_function\": \"silu\"}", "activation_function is \"silu\""},
        {GP_GPT2, "{\"activation_function\": \"\"}", "activation_function is \"\""},
        {GP_GPT2, "{\"activation_function\": null}", "activation_function is null"},
        {GP_GPT2, "{\"activation_function\": \"quick_gelu\"}", "activation_function is \"quick_gelu\""},
        {GP_GPT2, "{\"layer_norm_epsilon\": null}", "\"layer_norm_epsilon\" is not a number"},
        {GP_GPT2, "{\"layer_norm_epsilon\": \"1e-5\"}", "\"layer_norm_epsilon\" is not a number"},
        {GP_GPT2, "{\"n_inner\": 0}", "MLP width is 0"},
        {GP_GPT2, "{\"n_head\": \"2\"}", "\"n_head\" is not a whole number"},
        {GP_GPT2, "{\"scale_attn_weights\": 0}", "scale_attn_weights is 0, expected true or false"},
        {GP_GPT2, "{\"scale_attn_by_inverse_layer_idx\": null}", "scale_attn_by_inverse_layer_idx is null"},
        {GP_GPT2, "{\"tie_word_embeddings\": \"no\"}", "tie_word_embeddings is \"no\""},
        {GP_BERT, "{\"is_decoder\": true}", "is_decoder is true"},
        {GP_BERT, "{\"add_cross_attention\": true}", "add_cross_attention is true"},
        {GP_BERT, "{\"is_causal\": true}", "is_causal is true"},
        {GP_BERT, "{\"position_embedding_type\": \"relative_key\"}", "position_embedding_type is \"relative_key\""},
        {GP_BERT, "{\"hidden_act\": \"silu\"}", "hidden_act is \"silu\""},
        {GP_ROBERTA, "{\"is_decoder\": true}", "is_decoder is true"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_refused(cases[i].family, "", cases[i].more, cases[i].message);
}

static void what_changes_none_is_passed_over(void **state)
{
    (void)state;
    static const char *const gpt2[] = {
        "{\"reorder_and_upcast_attn\": true}",
        "{\"is_decoder\": true}",
        "{\"n_ctx\": \"x\"}",
        "{\"chunk_size_feed_forward\": 3}",
        "{\"use_cache\": false}",
        "{\"summary_type\": \"x\"}",
        "{\"hidden_act\": \"relu\", \"layer_norm_eps\": 0.5, \"intermediate_size\": 10}",
        "{\"rope_scaling\": {\"type\": \"linear\"}, \"alibi\": true}",
        "{\"sliding_window\": null}",
        "{\"is_causal\": true}",
        "{\"pruned_heads\": {}}",
        "{\"layer_types\": []}",
        "{\"layer_types\": [\"full_attention\", \"full_attention\"]}", /* transformers 5.24: the same logits */
        "{\"scale_attn_weights\": true}",
        "{\"torch_dtype\": \"float16\"}",
        "{\"position_embedding_type\": \"absolute\"}",
        "{\"task_specific_params\": {\"a\": [1, null]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(gpt2); i++)
        assert_harmless(GP_GPT2, "", gpt2[i]);
    assert_harmless(GP_GPT2, "activation_function", "{\"activation_function\": \"gelu_fast\"}");
    assert_harmless(GP_GPT2, "activation_function", "{}");
    assert_harmless(GP_BERT, "hidden_act", "{\"hidden_act\": \"gelu_python\"}");
    assert_harmless(GP_BERT, "", "{\"scale_attn_weights\": false, \"is_causal\": false}");
}

static void an_activation_is_read_and_written_by_its_name(void **state)
{
    (void)state;
    static const struct {
        gp_family family;
        const char *json;
        gp_act act;
        const char *written;
    } cases[] = {
        {GP_GPT2, "{\"activation_function\": \"gelu_new\"}", GP_ACT_GELU_TANH, "\"activation_function\": \"gelu_new\""},
        {GP_GPT2, "{\"activation_function\": \"gelu\"}", GP_ACT_GELU_ERF, "\"activation_function\": \"gelu\""},
        {GP_GPT2, "{\"activation_function\": \"relu\"}", GP_ACT_RELU, "\"activation_function\": \"relu\""},
        {GP_BERT, "{\"hidden_act\": \"gelu\"}", GP_ACT_GELU_ERF, "\"hidden_act\": \"gelu\""},
        {GP_BERT, "{\"hidden_act\": \"gelu_pytorch_tanh\"}", GP_ACT_GELU_TANH, "\"hidden_act\": \"gelu_new\""},
        {GP_BERT, "{\"hidden_act\": \"relu\"}", GP_ACT_RELU, "\"hidden_act\": \"relu\""},
        {GP_ROBERTA, "{\"hidden_act\": \"relu\"}", GP_ACT_RELU, "\"hidden_act\": \"relu\""},
        {GP_BERT, "{\"hidden_act\": \"tanh\"}", GP_ACT_TANH, "\"hidden_act\": \"tanh\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_config c = config_of(cases[i].family, "", cases[i].json), again;
        char *text = gp_config_to_json(&c);
        assert_int_equal(c.activation, cases[i].act);
        assert_non_null(strstr(text, cases[i].written));
        assert_int_equal(gp_config_from_json(&again, text, strlen(text), "again"), 0);
        assert_int_equal(again.activation, cases[i].act);
        free(text);
    }
    gp_config c = config_of(GP_GPT2, "", "{}");
    c.activation = GP_ACT_NONE;
    assert_int_equal(gp_config_check(&c, "test"), -1);
    assert_non_null(strstr(gp_error(), "the MLP has no activation"));
}

static void what_is_read_is_written_again(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",
        "{\"scale_attn_weights\": false}",
        "{\"scale_attn_by_inverse_layer_idx\": true}",
        "{\"eos_token_id\": [1, 2, 3]}",
        "{\"eos_token_id\": null}",
        "{\"tie_word_embeddings\": false}",
        "{\"gptpipe_bias\": false}",
        "{\"eos_token_id\": null, \"gptpipe_no_end\": true}",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gp_config c = config_of(GP_GPT2, "", cases[i]), again;
        char *text = gp_config_to_json(&c);
        assert_int_equal(gp_config_from_json(&again, text, strlen(text), "again"), 0);
        assert_same(&c, &again);
        free(text);
    }
    gp_config a = config_of(GP_GPT2, "", "{\"gptpipe_no_end\": true, \"eos_token_id\": null}");
    assert_true(a.no_end);
}

/* ---- in a folder ----------------------------------------------------------------------------------------- */

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "other.safetensors", "config.json",
                                        "generation_config.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(in(names[i]));
    return rmdir(folder);
}

static void put(const char *name, const char *text)
{
    assert_int_equal(gp_file_write(in(name), text, strlen(text)), 0);
}

static gp_checkpoint *opened(const char *path)
{
    gp_checkpoint *c = gp_checkpoint_open(path);
    if (!c)
        fail_msg("%s", gp_error());
    return c;
}

/* golden -> folder/NAME, whose metadata hold its configuration */
static void export_golden(const char *name)
{
    gp_checkpoint *c = opened("tests/golden/gpt2-tiny");
    unlink(in(name));
    if (gp_checkpoint_write(c, in(name), NULL))
        fail_msg("%s", gp_error());
    gp_checkpoint_close(c);
}

static void assert_opens(const char *path, double eps, const char *warning)
{
    gp_checkpoint *c = opened(path);
    const char *told = gp_checkpoint_warning(c);
    assert_true(gp_checkpoint_config(c)->norm_eps == eps);
    if (warning ? !told || !strstr(told, warning) : told != NULL)
        fail_msg("%s: the remark is '%s', expected '%s'", path, told ? told : "", warning ? warning : "");
    gp_checkpoint_close(c);
}

static void config_json_counts_beside_its_own_file(void **state)
{
    (void)state;
    char *edited = changed(GP_GPT2, "", "{\"layer_norm_epsilon\": 0.5}"), *same = changed(GP_GPT2, "", "{}");
    char *larger = changed(GP_GPT2, "", "{\"n_layer\": 3, \"layer_norm_epsilon\": 0.5}");
    export_golden("model.safetensors");
    export_golden("other.safetensors");
    put("config.json", same);
    assert_opens(folder, 1e-5, NULL);
    put("config.json", edited);
    assert_opens(folder, 0.5, "layer_norm_epsilon is 0.5 and 1e-");
    assert_opens(in("model.safetensors"), 0.5, "config.json counts");
    assert_opens(in("other.safetensors"), 1e-5, "its metadata count"); /* transformers loads no such name */
    put("config.json", larger);                                        /* another model's */
    assert_opens(in("other.safetensors"), 1e-5, NULL);
    put("config.json", "{nope");
    assert_opens(in("other.safetensors"), 1e-5, NULL);
    assert_null(gp_checkpoint_open(folder));
    free(edited);
    free(same);
    free(larger);
}

static void generation_config_counts_in_a_folder(void **state)
{
    (void)state;
    char *same = changed(GP_GPT2, "", "{}");
    export_golden("model.safetensors");
    put("config.json", same);
    put("generation_config.json", "{\"eos_token_id\": [4, 5]}");
    gp_checkpoint *c = opened(folder);
    assert_ends(gp_checkpoint_config(c), 2, 4, 5);
    unlink(in("other.safetensors"));
    assert_int_equal(gp_checkpoint_write(c, in("other.safetensors"), NULL), 0);
    gp_checkpoint_close(c);
    c = opened(in("other.safetensors")); /* which carries the ids along */
    assert_ends(gp_checkpoint_config(c), 2, 4, 5);
    gp_checkpoint_close(c);
    put("generation_config.json", "{}");
    c = opened(folder);
    assert_true(gp_checkpoint_config(c)->no_end);
    gp_checkpoint_close(c);
    put("generation_config.json", "{\"eos_token_id\": \"</s>\"}");
    assert_null(gp_checkpoint_open(folder));
    assert_non_null(strstr(gp_error(), "generation_config.json: \"eos_token_id\" is \"</s>\""));
    unlink(in("generation_config.json"));
    free(same);
}

static const char classify_gpt2[] = "\"architectures\": [\"GPT2ForSequenceClassification\"]",
                  classify_bert[] = "\"architectures\": [\"BertForSequenceClassification\"]";

static gp_config classifier(gp_family f, const char *architecture, const char *more)
{
    char *members = gp_format("{%s%s%s}", architecture, *more ? ", " : "", more);
    gp_config c = config_of(f, "id2label label2id", members);
    free(members);
    return c;
}

static void the_head_is_that_of_the_architecture(void **state)
{
    (void)state;
    static const struct {
        gp_family family;
        const char *name;
        gp_head head;
    } cases[] = {
        {GP_GPT2, "GPT2LMHeadModel", GP_HEAD_LM},
        {GP_GPT2, "GPT2ForSequenceClassification", GP_HEAD_CLASSIFY},
        {GP_GPT2, "GPT2Model", GP_HEAD_LM}, /* tied */
        {GP_BERT, "BertForMaskedLM", GP_HEAD_MLM},
        {GP_BERT, "BertForPreTraining", GP_HEAD_MLM},
        {GP_BERT, "BertForSequenceClassification", GP_HEAD_CLASSIFY},
        {GP_BERT, "BertModel", GP_HEAD_NONE},
        {GP_ROBERTA, "RobertaForSequenceClassification", GP_HEAD_CLASSIFY},
        {GP_ROBERTA, "RobertaModel", GP_HEAD_NONE},
        {GP_ROBERTA, "BertModel", GP_HEAD_MLM}, /* of another family */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *more = gp_format("{\"architectures\": [\"%s\"]}", cases[i].name);
        gp_config c = config_of(cases[i].family, "", more), again;
        assert_int_equal(c.head, cases[i].head);
        char *text = gp_config_to_json(&c);
        assert_int_equal(gp_config_from_json(&again, text, strlen(text), "config.json"), 0);
        assert_int_equal(again.head, cases[i].head);
        assert_same(&c, &again);
        free(text);
        free(more);
    }
    gp_config untied = config_of(GP_GPT2, "", "{\"architectures\": [\"GPT2Model\"], \"tie_word_embeddings\": false}");
    assert_int_equal(untied.head, GP_HEAD_NONE);
}

/* As transformers' PreTrainedConfig does. */
static void labels_are_counted_by_id2label_then_num_labels(void **state)
{
    (void)state;
    gp_config c = classifier(GP_BERT, classify_bert, "");
    assert_int_equal(c.labels, 2);
    assert_string_equal(gp_config_label(&c, 1), "LABEL_1");
    c = classifier(GP_BERT, classify_bert, "\"num_labels\": 11, \"problem_type\": null");
    assert_int_equal(c.labels, 11);
    assert_string_equal(gp_config_label(&c, 10), "LABEL_10");
    c = classifier(GP_GPT2, classify_gpt2,
                   "\"id2label\": {\"1\": \"good\", \"0\": \"bad, or \\u00e9\", \"2\": \"\"}, "
                   "\"label2id\": {\"LABEL_0\": 0}, \"problem_type\": \"single_label_classification\"");
    assert_int_equal(c.labels, 3);
    assert_string_equal(gp_config_label(&c, 0), "bad, or \u00e9");
    assert_string_equal(gp_config_label(&c, 1), "good");
    assert_string_equal(gp_config_label(&c, 2), "");
    char *text = gp_config_to_json(&c);
    json_t *root = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "label2id"), "good")), 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "id2label"), "1")), "good");
    assert_null(json_object_get(root, "classifier_dropout"));
    json_decref(root);
    gp_config again;
    assert_int_equal(gp_config_from_json(&again, text, strlen(text), "config.json"), 0);
    assert_int_equal(again.labels, 3);
    assert_memory_equal(again.label_names, c.label_names, GP_LABEL_NAMES);
    assert_same(&c, &again);
    free(text);
}

static void the_heads_dropout_is_that_of_hidden_states_unless_given(void **state)
{
    (void)state;
    gp_config c = classifier(GP_BERT, classify_bert, "\"hidden_dropout_prob\": 0.25");
    assert_true(c.dropout_head == 0.25);
    c = classifier(GP_BERT, classify_bert, "\"hidden_dropout_prob\": 0.25, \"classifier_dropout\": null");
    assert_true(c.dropout_head == 0.25);
    c = classifier(GP_BERT, classify_bert, "\"hidden_dropout_prob\": 0.25, \"classifier_dropout\": 0");
    assert_true(c.dropout_head == 0);
    c = classifier(GP_GPT2, classify_gpt2, "\"resid_pdrop\": 0.25, \"classifier_dropout\": 0.5");
    assert_true(c.dropout_head == 0); /* its head has none */
}

static void classifiers_that_are_no_single_choice_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more, *message;
    } cases[] = {
        {"\"problem_type\": \"regression\"", "problem_type is \"regression\", which is not supported"},
        {"\"problem_type\": \"multi_label_classification\"", "problem_type is \"multi_label_classification\""},
        {"\"problem_type\": 3", "problem_type is 3, which is not supported"},
        {"\"num_labels\": 1", "has one label: a regression, which is not supported"},
        {"\"id2label\": {\"0\": \"score\"}", "has one label: a regression"},
        {"\"num_labels\": 0", "num_labels is 0, expected the number of labels"},
        {"\"num_labels\": \"2\"", "num_labels is \"2\""},
        {"\"num_labels\": 1000000000000", "take more than 16384 bytes"},
        {"\"id2label\": {}", "0 labels, expected at least 2"},
        {"\"id2label\": [\"a\", \"b\"]", "id2label is [\"a\",\"b\"], expected an object"},
        {"\"id2label\": {\"0\": \"a\", \"2\": \"b\"}", "id2label has nothing for \"1\""},
        {"\"id2label\": {\"0\": \"a\", \"1\": 7}", "id2label has no text for \"1\""},
        {"\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"num_labels\": 3", "num_labels is 3, and id2label has 2 names"},
        {"\"classifier_dropout\": \"0.1\"", "classifier_dropout is \"0.1\", expected a number"},
        {"\"classifier_dropout\": 1.5", "dropout is 1.5, expected 0 <= p < 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *more = gp_format("{%s, %s}", classify_bert, cases[i].more), *alone = gp_format("{%s}", cases[i].more);
        assert_refused(GP_BERT, "id2label label2id", more, cases[i].message);
        config_of(GP_BERT, "id2label label2id", alone); /* of no effect with another head, as in transformers */
        free(more);
        free(alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_is_that_of_the_architecture),
        cmocka_unit_test(labels_are_counted_by_id2label_then_num_labels),
        cmocka_unit_test(the_heads_dropout_is_that_of_hidden_states_unless_given),
        cmocka_unit_test(classifiers_that_are_no_single_choice_are_refused),
        cmocka_unit_test(gpt2_is_read_under_transformers_aliases),
        cmocka_unit_test(a_missing_model_type_is_that_of_its_architecture),
        cmocka_unit_test(one_or_several_ids_end_samples),
        cmocka_unit_test(generation_config_decides_what_ends_samples),
        cmocka_unit_test(a_padding_id_counts_where_it_is_computed_with),
        cmocka_unit_test(what_would_change_numbers_is_refused_by_name),
        cmocka_unit_test(what_changes_none_is_passed_over),
        cmocka_unit_test(an_activation_is_read_and_written_by_its_name),
        cmocka_unit_test(what_is_read_is_written_again),
        cmocka_unit_test(config_json_counts_beside_its_own_file),
        cmocka_unit_test(generation_config_counts_in_a_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
