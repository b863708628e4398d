/* config_head.c: the head in Hugging Face's config.json. transformers reads it from the class that is opened; a file
 * says which class wrote it in `architectures`. Of a class without an entry here the family's head for tokens is
 * opened, and tensors of other heads are carried (checkpoint/names.c). label2id is the inverse of id2label, which names
 * a classifier's output, and is not read. */
#include "base/json_python.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

/* A GPT2Model's head is its embedding, if that is tied: it is opened as a language model. */
static const struct class
{
    gp_family family;
    const char *name;
    gp_head head;
} classes[] = {
    {GP_GPT2, "GPT2LMHeadModel", GP_HEAD_LM},
    {GP_GPT2, "GPT2ForSequenceClassification", GP_HEAD_CLASSIFY},
    {GP_GPT2, "GPT2Model", GP_HEAD_NONE},
    {GP_BERT, "BertForMaskedLM", GP_HEAD_MLM},
    {GP_BERT, "BertForSequenceClassification", GP_HEAD_CLASSIFY},
    {GP_BERT, "BertModel", GP_HEAD_NONE},
    {GP_ROBERTA, "RobertaForMaskedLM", GP_HEAD_MLM},
    {GP_ROBERTA, "RobertaForSequenceClassification", GP_HEAD_CLASSIFY},
    {GP_ROBERTA, "RobertaModel", GP_HEAD_NONE},
};

/* ---- reading --------------------------------------------------------------------------------------------- */

static gp_head head_of_class(const gp_config *c, const json_t *root)
{
    const char *name = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    for (size_t i = 0; name && i < ARRAY_LEN(classes); i++)
        if (classes[i].family == c->family && !strcmp(classes[i].name, name))
            return c->tied && c->head == GP_HEAD_LM && classes[i].head == GP_HEAD_NONE ? c->head : classes[i].head;
    return c->head;
}

/* A classifier whose logits are not compared by softmax computes another loss and other scores. */
static int read_problem(const gp_config *c, const json_t *root, const char *where)
{
    const json_t *v = json_object_get(root, "problem_type");
    const char *type = json_string_value(v);
    char text[64];
    if (c->labels == 1)
        return fail("%s: has one label: a regression, which is not supported; expected at least 2 labels", where);
    if (v && !json_is_null(v) && (!type || strcmp(type, "single_label_classification")))
        return fail("%s: problem_type is %s, which is not supported; expected \"single_label_classification\"", where,
                    gp_config_shown(v, text));
    return 0;
}

/* The name of each label 0 .. n - 1, from an object like {"0": "negative", "1": "positive"}. */
static int read_names(gp_config *c, const json_t *map, int64_t n, const char *where)
{
    const char **names = gp_calloc((size_t)n, sizeof *names);
    int rc = 0;
    for (int64_t i = 0; !rc && i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "%lld", (long long)i);
        const json_t *v = json_object_get(map, key);
        names[i] = json_string_value(v);
        if (!names[i])
            rc = fail("%s: id2label has %s for \"%s\", expected the name of each label from 0 to %lld", where,
                      v ? "no text" : "nothing", key, (long long)n - 1);
        else if (strlen(names[i]) != json_string_length(v))
            rc = fail("%s: id2label has a NUL byte in the name of label %lld", where, (long long)i);
    }
    if (!rc)
        rc = gp_config_classify(c, n, names, where);
    free(names);
    return rc;
}

/* As in transformers, id2label counts the labels, without it num_labels does, and without both there are two. */
static int read_labels(gp_config *c, const json_t *root, const char *where)
{
    const json_t *map = json_object_get(root, "id2label"), *count = json_object_get(root, "num_labels");
    char text[64];
    bool named = map && !json_is_null(map), counted = count && !json_is_null(count);
    if (named && !json_is_object(map))
        return fail("%s: id2label is %s, expected an object with a name for each label", where,
                    gp_config_shown(map, text));
    if (counted && (!json_is_integer(count) || json_integer_value(count) < 1))
        return fail("%s: num_labels is %s, expected the number of labels", where, gp_config_shown(count, text));
    int64_t n = named ? (int64_t)json_object_size(map) : counted ? json_integer_value(count) : 2;
    if (named && counted && n != json_integer_value(count))
        return fail("%s: num_labels is %lld, and id2label has %lld names", where, (long long)json_integer_value(count),
                    (long long)n);
    c->labels = n;
    if (read_problem(c, root, where))
        return -1;
    return named ? read_names(c, map, n, where) : gp_config_classify(c, n, NULL, where);
}

int gp_config_read_head(gp_config *c, const json_t *root, const char *where)
{
    const json_t *v = json_object_get(root, "classifier_dropout");
    char text[64];
    c->head = head_of_class(c, root);
    if (c->head != GP_HEAD_CLASSIFY)
        return 0;
    if (v && !json_is_null(v) && !json_is_number(v))
        return fail("%s: classifier_dropout is %s, expected a number", where, gp_config_shown(v, text));
    if (c->head_dense)
        c->dropout_head = json_is_number(v) ? json_number_value(v) : c->dropout_resid;
    return read_labels(c, root, where);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static void write_labels(const gp_config *c, json_t *root)
{
    json_t *names = json_object(), *ids = json_object();
    for (int64_t i = 0; i < c->labels; i++) {
        char key[32];
        const char *name = gp_config_label(c, i);
        snprintf(key, sizeof key, "%lld", (long long)i);
        json_object_set_new(names, key, json_string(name));
        json_object_set_new(ids, name, json_integer(i));
    }
    json_object_set_new(root, "id2label", names);
    json_object_set_new(root, "label2id", ids);
    json_object_set_new(root, "problem_type", json_string("single_label_classification"));
    if (c->head_dense)
        json_object_set_new(root, "classifier_dropout", json_real(c->dropout_head));
}

void gp_config_write_head(const gp_config *c, json_t *root)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (classes[i].family == c->family && classes[i].head == c->head)
            json_object_set_new(root, "architectures", json_pack("[s]", classes[i].name));
    if (c->head == GP_HEAD_CLASSIFY)
        write_labels(c, root);
}
