/* cloze.h: questions whose answer is one of several endings, out of lines of JSON. */
#ifndef GP_INFER_CLOZE_H
#define GP_INFER_CLOZE_H

#include <jansson.h>

#include "base/base.h"
#include "gptpipe/score.h"

enum { GP_MAX_ENDINGS = 16 };

typedef struct gp_question {
    gp_buf context, ending[GP_MAX_ENDINGS]; /* an ending with the blank before it */
    double characters[GP_MAX_ENDINGS];      /* of the ending without that blank */
    int64_t endings, label;
    int64_t line; /* of the file */
} gp_question;

/* One kind of task. read makes a question of line `number` of `file`; 0 or -1, and then there is nothing to release. */
typedef struct gp_cloze_task {
    int (*read)(gp_question *q, const json_t *line, const char *file, int64_t number);
    bool greedy; /* there is one ending, and the answer is right when it is what the model would write */
} gp_cloze_task;

extern const gp_cloze_task gp_cloze_tasks[]; /* by gp_score_kind; text has none */

void gp_question_release(gp_question *q);

#endif
