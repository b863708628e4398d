/* config.h: internal functions on configurations. */
#ifndef GP_MODEL_CONFIG_H
#define GP_MODEL_CONFIG_H

#include "base/base.h"
#include "base/json.h"
#include "gptpipe/config.h"

/* The defaults of a family; sizes are 0. */
gp_config gp_config_defaults(gp_family family);

/* The id whose embedding row is initialized to zero and gets no gradient from the lookup (PyTorch's padding_idx); -1:
 * none. GPT-2 has none, whatever its pad_token_id is. */
int64_t gp_config_padding(const gp_config *c);

/* The activation of the masked-LM head: RoBERTa's is GELU whatever hidden_act is. */
gp_act gp_config_head_activation(const gp_config *c);

/* "gelu_new", "gelu", ...: as config.json names it. */
const char *gp_act_name(gp_act act);

/* What transformers calls a label that nobody has named: LABEL_0, LABEL_1, ... Returns text. */
enum { GP_LABEL_UNNAMED = 32 };
const char *gp_label_unnamed(int64_t label, char text[GP_LABEL_UNNAMED]);

/* Whether the head has logits over the vocabulary: GP_HEAD_LM and GP_HEAD_MLM. */
bool gp_config_predicts_tokens(const gp_config *c);

/* config_head.c: the head in Hugging Face's config.json: the class in `architectures`, and the labels of a
 * classification. Reading needs c->family, and c->dropout_resid for the default of classifier_dropout. 0 or -1. */
int gp_config_read_head(gp_config *c, const json_t *root, const char *where);
void gp_config_write_head(const gp_config *c, json_t *root);

/* A value as a message shows it, in at most 63 bytes; returns text. */
const char *gp_config_shown(const json_t *v, char text[64]);

/* Whether two configurations differ; appends the differing settings to text, "layer_norm_epsilon is 0.5 and 1e-05", by
 * their names in config.json, up to a limit. *sizes: shapes of tensors differ too. */
bool gp_config_differ(const gp_config *a, const gp_config *b, bool *sizes, gp_buf *text);

/* Reads from generation_config.json which ids, if any, end a sample. 0 or -1; 1 if it is not a JSON object, which
 * transformers ignores too. */
int gp_config_ends_from_json(gp_config *c, const char *json, size_t length, const char *where);

#endif
