/* config.h: what the configuration's files share. */
#ifndef GP_MODEL_CONFIG_H
#define GP_MODEL_CONFIG_H

#include "base/base.h"
#include "gptpipe/config.h"

/* What a family has where nothing is said; the sizes are 0. */
gp_config gp_config_defaults(gp_family family);

/* The id whose embedding row gets no gradient from the lookup (PyTorch's padding_idx) and begins at zero; -1: none.
 * GPT-2 has none, whatever its pad_token_id is. */
int64_t gp_config_padding(const gp_config *c);

/* The activation of the masked-LM head: RoBERTa's is GELU whatever hidden_act is. */
gp_act gp_config_head_activation(const gp_config *c);

/* "gelu_new", "gelu", ...: as config.json names it. */
const char *gp_act_name(gp_act act);

/* The settings in which two configurations differ, "layer_norm_epsilon is 0.5 and 1e-05", by config.json's names; at
 * most as many as text holds. false: they are the same. *sizes: the tensors' shapes differ too, so they are of two
 * models. */
bool gp_config_differ(const gp_config *a, const gp_config *b, bool *sizes, gp_buf *text);

/* generation_config.json decides which ids end a sample, and that none does. 0 or -1; 1 where it is no JSON object: it
 * is passed over then, as by transformers. */
int gp_config_ends_from_json(gp_config *c, const char *json, size_t length, const char *where);

#endif
