/* target.c: see target.h. */
#include "checkpoint/target.h"
#include "base/base.h"
#include "model/config.h"

#include <float.h>
#include <math.h>

static int refuse(const gp_target *t, const char *path, const char *setting, const char *theirs, const char *ours)
{
    return fail("%s: %s computes with %s %s, this model has %s: it would give other logits there", path, t->name,
                setting, theirs, ours);
}

static int refuse_number(const gp_target *t, const char *path, const char *setting, double theirs, double ours)
{
    char expected[32], found[32];
    snprintf(expected, sizeof expected, "%g", theirs);
    snprintf(found, sizeof found, "%g", ours);
    return refuse(t, path, setting, expected, found);
}

int gp_target_check(const gp_target *t, const gp_config *c, const char *path)
{
    if (c->family != GP_GPT2)
        return refuse(t, path, "model_type", gp_family_name(GP_GPT2), gp_family_name(c->family));
    if (c->head != GP_HEAD_LM)
        return refuse(t, path, "a head for", "next tokens", c->head == GP_HEAD_NONE ? "none" : "one for labels");
    if (c->post_norm || !c->causal || c->types || c->position_offset)
        return refuse(t, path, "blocks that are", "causal and pre-norm", "others");
    if (c->activation != t->activation)
        return refuse(t, path, "activation_function", gp_act_name(t->activation), gp_act_name(c->activation));
    if (t->norm_eps > 0 && fabs(c->norm_eps - t->norm_eps) > t->norm_eps * FLT_EPSILON)
        return refuse_number(t, path, "layer_norm_epsilon", t->norm_eps, c->norm_eps);
    if (t->tied && !c->tied)
        return refuse(t, path, "tie_word_embeddings", "true", "false");
    if (t->inner_4c && c->inner != 4 * c->channels)
        return refuse_number(t, path, "n_inner", 4 * (double)c->channels, (double)c->inner);
    if (c->scores_unscaled)
        return refuse(t, path, "scale_attn_weights", "true", "false");
    if (c->scores_by_layer)
        return refuse(t, path, "scale_attn_by_inverse_layer_idx", "false", "true");
    return 0;
}
