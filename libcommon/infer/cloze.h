/* cloze.h: questions read from lines of JSON; the answer is one of several endings of a context. */
#ifndef GP_INFER_CLOZE_H
#define GP_INFER_CLOZE_H

#include <jansson.h>

#include "base/base.h"
#include "gptpipe/score.h"

enum { GP_MAX_ENDINGS = 16 };

typedef struct gp_question {
    gp_buf context, ending[GP_MAX_ENDINGS]; /* an ending includes the space before it */
    double characters[GP_MAX_ENDINGS];      /* of the ending without that space */
    int64_t endings, label;                 /* how many; the correct one */
    int64_t line;                           /* of the file */
} gp_question;

/* read makes a question from line `number` of `file`. 0; or -1, and then there is nothing to release. */
typedef struct gp_cloze_task {
    int (*read)(gp_question *q, const json_t *line, const char *file, int64_t number);
    bool greedy; /* there is one ending, and the answer is correct if greedy decoding would produce it */
} gp_cloze_task;

extern const gp_cloze_task gp_cloze_tasks[]; /* by gp_score_kind; text has none */

void gp_question_release(gp_question *q);

#endif
