/* resume.h: where a run continues: its newest good checkpoint, or the one that --resume names. */
#ifndef GP_TRAIN_RESUME_H
#define GP_TRAIN_RESUME_H

#include "run/run.h"
#include "train/report/report.h"
#include "train/state.h"
#include "train/trainer.h"

/* A checkpoint that was passed over, and why. */
typedef struct gp_damaged {
    int64_t step;
    char *why;
} gp_damaged;

typedef struct gp_resumed {
    gp_recorded_choices recorded;
    int64_t from;         /* the step whose checkpoint --resume names; -1: the newest good one */
    gp_model *m;          /* with its weights, the caller's; NULL: the run has no checkpoint yet, so it begins again */
    gp_state state;       /* of that checkpoint; without one, that of a new run */
    gp_safetensors *file; /* of the state, which has the moments too */
    gp_damaged *damaged;  /* (damaged_count) newer checkpoints than that one */
    int damaged_count;
} gp_resumed;

/* Finds and reads the checkpoint; r->from is set, and t has its backend and its data. Nothing in the run changes. 0 or
 * -1; gp_resumed_release in both cases. */
int gp_resume_find(gp_resumed *r, const gp_run *run, gp_trainer *t);

/* Makes the run what it was at the checkpoint: removes later checkpoints where --resume named an older one, lines of
 * the log and samples; what is damaged gets another name. */
int gp_resume_clean(const gp_resumed *r, gp_run *run, gp_report *report);

/* All but the model. */
void gp_resumed_release(gp_resumed *r);

#endif
