/* config.h: the configuration of a model. Variants are settings of these fields:
 *
 *              causal  post_norm  activation        types  position_offset  head
 *     GPT-2     yes      no      GP_ACT_GELU_TANH     0          0          GP_HEAD_LM
 *     BERT      no       yes     GP_ACT_GELU_ERF      2          0          GP_HEAD_MLM
 *     RoBERTa   no       yes     GP_ACT_GELU_ERF      1      pad_id + 1     GP_HEAD_MLM
 *
 * and of GP_HEAD_CLASSIFY, logits = W dropout(tanh(dense(dropout(x)))) + b, where x is one row of the last norm:
 *
 *              x                  dense   dropout            b
 *     GPT-2    of the last token   no     none               no
 *     BERT     of the first token  yes    after tanh         yes
 *     RoBERTa  of the first token  yes    before and after   yes
 *
 *     gp_config c;
 *     gp_config_preset(&c, "nano");
 *     c.vocab_size = 65;
 *     if (gp_config_check(&c, "my model")) ...gp_error()...
 *
 * (Radford et al. 2019; Devlin et al. 2018; Liu et al. 2019.)
 */
#ifndef GPTPIPE_CONFIG_H
#define GPTPIPE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gptpipe/activation.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Determines the format of config.json and the names of tensors. */
typedef enum gp_family { GP_GPT2, GP_BERT, GP_ROBERTA } gp_family;

/* What is computed from the output of the last norm (B,T,C). */
typedef enum gp_head {
    GP_HEAD_LM,      /* logits of the next token (B,T,V) */
    GP_HEAD_MLM,     /* logits of masked tokens (B,T,V): dense, activation, norm, and the product with the embedding */
    GP_HEAD_NONE,    /* nothing: BertModel, RobertaModel, GPT2Model; gp_model_hidden */
    GP_HEAD_CLASSIFY /* logits of labels (B,labels) */
} gp_head;

enum { GP_MAX_ENDS = 64, GP_LABEL_NAMES = 1 << 14 };

typedef struct gp_config {
    gp_family family;
    int64_t vocab_size;        /* V */
    int64_t layers;            /* L */
    int64_t heads;             /* H, divides channels */
    int64_t channels;          /* C */
    int64_t inner;             /* width of the MLP, 4C by default */
    int64_t positions;         /* rows of the position table; the context is positions - position_offset */
    int64_t types;             /* rows of the token type table; 0 = none */
    int64_t position_offset;   /* position of the first token */
    bool pad_positions;        /* padding has position pad_id, and positions count only other tokens (RoBERTa) */
    int64_t pad_id;            /* BERT, RoBERTa: its embedding row gets no gradient from the lookup; -1 = none */
    int64_t bos_id;            /* -1 = none */
    int32_t ends[GP_MAX_ENDS]; /* (end_count) ids that end a sample; if there are none, the tokenizer's end-of-text */
    int end_count;
    bool no_end;          /* end-of-text does not end a sample either */
    bool causal;          /* a token attends to itself and earlier tokens */
    bool post_norm;       /* x = norm(x + f(x)), with a norm after the embedding, instead of x + f(norm(x)) */
    gp_act activation;    /* of the MLP */
    bool bias;            /* linear layers and norms have biases (nanoGPT's bias) */
    bool tied;            /* the head's weight is the token embedding */
    bool scores_unscaled; /* attention's scores are not divided by sqrt(C/H) (scale_attn_weights: false) */
    bool scores_by_layer; /* they are divided by layer + 1 (scale_attn_by_inverse_layer_idx: true) */
    gp_head head;
    int64_t labels;                   /* of GP_HEAD_CLASSIFY; 0: another head */
    char label_names[GP_LABEL_NAMES]; /* (labels) names one after another, each ended by NUL: gp_config_label */
    /* of GP_HEAD_CLASSIFY, by family; of no effect with another head */
    bool head_last;        /* it reads the row of the last token before padding, otherwise of the first */
    bool head_dense;       /* through a dense layer and tanh */
    bool head_dense_drops; /* and dropout before the dense layer too */
    bool head_bias;        /* the product has a bias */
    double norm_eps;
    double dropout_embd, dropout_attn, dropout_resid;
    double dropout_head; /* before and after the dense layer of GP_HEAD_CLASSIFY (classifier_dropout) */
    double init_std;     /* 0.02 */
} gp_config;

GP_API const char *gp_family_name(gp_family family); /* "gpt2", "bert", "roberta": model_type in config.json */

#define GP_PRESETS(X)                                                                                                  \
    X(GP_PRESET_NONE, "")                                                                                              \
    X(GP_PRESET_NANO, "nano")                                                                                          \
    X(GP_PRESET_GPT2, "gpt2")                                                                                          \
    X(GP_PRESET_GPT2_MEDIUM, "gpt2-medium")                                                                            \
    X(GP_PRESET_GPT2_LARGE, "gpt2-large")                                                                              \
    X(GP_PRESET_GPT2_XL, "gpt2-xl")                                                                                    \
    X(GP_PRESET_BERT_NANO, "bert-nano")                                                                                \
    X(GP_PRESET_BERT_BASE, "bert-base")                                                                                \
    X(GP_PRESET_ROBERTA_NANO, "roberta-nano")                                                                          \
    X(GP_PRESET_ROBERTA_BASE, "roberta-base")
typedef enum gp_preset { GP_PRESETS(GP_CHOICE_VALUE) } gp_preset;

/* nano (4 layers, 4 heads, 128 channels, context 256), gpt2, gpt2-medium, gpt2-large, gpt2-xl; bert-nano and
 * roberta-nano (2 layers, 4 heads, 128 channels, context 128), bert-base and roberta-base (12 layers, 12 heads, 768
 * channels, context 512), with heads for masked tokens. */
GP_API gp_config gp_config_of_preset(gp_preset preset);
GP_API int gp_config_preset(gp_config *c, const char *name); /* the same by name: 0, or -1 for an unknown name */

/* Reads the text of a Hugging Face config.json (gpt2, bert, roberta), also one written by gp_config_to_json. `where`
 * names it in messages. Settings that are not supported are refused, not ignored. */
GP_API int gp_config_from_json(gp_config *c, const char *json, size_t length, const char *where);

/* A Hugging Face config.json, with a few additional keys. The caller frees. */
GP_API char *gp_config_to_json(const gp_config *c);

/* Checks that sizes are in range, heads divide channels, and products do not overflow. 0 or -1. */
GP_API int gp_config_check(const gp_config *c, const char *where);

/* The name of a label of GP_HEAD_CLASSIFY, 0 <= label < c->labels. */
GP_API const char *gp_config_label(const gp_config *c, int64_t label);

/* Sets the head to GP_HEAD_CLASSIFY with these labels; names NULL: LABEL_0, LABEL_1, ... 0, or -1 where there are fewer
 * than 2 or the names take more than GP_LABEL_NAMES bytes. */
GP_API int gp_config_classify(gp_config *c, int64_t labels, const char *const *names, const char *where);

GP_API int64_t gp_config_context(const gp_config *c);    /* maximum sequence length */
GP_API int64_t gp_config_parameters(const gp_config *c); /* number of parameters; a tied head counts once */

/* Matrix-multiply FLOPs of one token in a forward pass over T tokens, exactly by op; attention is counted in full,
 * including what a causal mask hides. Training costs 3 x this. */
GP_API double gp_config_flops(const gp_config *c, int64_t T);

/* The same where only a fraction of the tokens are masked, so that the head of a GP_HEAD_MLM is computed for no others;
 * of other heads gp_config_flops. */
GP_API double gp_config_flops_masked(const gp_config *c, int64_t T, double fraction);

#ifdef __cplusplus
}
#endif
#endif
