/* target.h: what the readers of a format compute, whatever a file says. A model that would give other logits there
 * loads without a warning, so it is refused before anything is written. */
#ifndef GP_CHECKPOINT_TARGET_H
#define GP_CHECKPOINT_TARGET_H

#include "gptpipe/config.h"

/* A program that computes a causal pre-norm GPT-2 whose scores are divided by the root of the head's size alone. */
typedef struct gp_target {
    const char *name; /* "llm.c" */
    gp_act activation;
    double norm_eps; /* 0: read from the file */
    bool tied;       /* the head is always the token embedding */
    bool inner_4c;   /* the MLP is always 4 C wide */
} gp_target;

/* 0, or -1: names the first setting that t computes otherwise. path: the output. */
int gp_target_check(const gp_target *t, const gp_config *c, const char *path);

#endif
