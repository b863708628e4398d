/* activation.h: the activations of an MLP, by their names in config.json. The backends compute each and its derivative.
 *
 *     gelu_new   x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))      GPT-2
 *     gelu       x Phi(x), Phi by erf                               BERT, RoBERTa
 *     relu       max(x, 0)
 *     tanh       tanh(x)                                            BERT's and RoBERTa's heads
 */
#ifndef GPTPIPE_ACTIVATION_H
#define GPTPIPE_ACTIVATION_H

#include "gptpipe/choice.h"

#define GP_ACTIVATIONS(X)                                                                                              \
    X(GP_ACT_NONE, "")                                                                                                 \
    X(GP_ACT_GELU_TANH, "gelu_new")                                                                                    \
    X(GP_ACT_GELU_ERF, "gelu")                                                                                         \
    X(GP_ACT_RELU, "relu")                                                                                             \
    X(GP_ACT_TANH, "tanh")
typedef enum gp_act { GP_ACTIVATIONS(GP_CHOICE_VALUE) } gp_act;

#endif
