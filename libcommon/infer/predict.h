/* predict.h: shared by the files that predict for texts.
 *
 * Lines are read in chunks (predict.c, predict_lines.c), a chunk's texts run through the model in passes
 * (predict_pass.c), and what the model computed becomes JSON (predict_result.c), which is written in the order of the
 * lines. */
#ifndef GP_INFER_PREDICT_H
#define GP_INFER_PREDICT_H

#include "base/base.h"
#include "data/spool.h"
#include "gptpipe/predict.h"

/* One text, or a pair. */
typedef struct gp_predict_text {
    int64_t number;   /* of its line, from 1 */
    char *id;         /* JSON, or NULL */
    int32_t *ids;     /* (count) what the model reads */
    int32_t *types;   /* (count) their token types */
    int64_t count;    /* with special tokens */
    int32_t *places;  /* (reads) positions whose logits are needed, ascending */
    int64_t reads;    /* 0: hidden states, or the label's logits */
    int64_t T, slots; /* the shape of its pass: tokens of a row with padding; logits of a row, at least reads */
    gp_buf result;    /* JSON */
    float *embedding; /* (C), or NULL */
    char *problem;    /* why it has no result, or NULL */
} gp_predict_text;

typedef struct gp_predictor {
    gp_model *m;
    const gp_tokenizer *t;
    gp_predict_options o;
    gp_predict_task task;   /* never GP_PREDICT_BY_HEAD */
    int32_t mask, pad;      /* ids, or -1 */
    int64_t top_k;          /* of tokens or labels */
    bool json;              /* results are JSON; else embeddings alone */
    gp_predict_text *texts; /* (count) the chunk */
    int64_t count;
} gp_predictor;

/* ---- predict_lines.c ------------------------------------------------------------------------------------- */

/* Lines of a file or a pipe. */
typedef struct gp_line_reader {
    gp_input in;
    gp_buf text;         /* read, of which [at, len) is not used yet */
    size_t at, searched; /* [at, searched) has no end of a line */
    bool ended;          /* of the file: all is in text */
    int64_t number;      /* of lines returned */
    int64_t done, size;  /* bytes returned; of the file, or 0 */
} gp_line_reader;

int gp_line_reader_open(gp_line_reader *r, const char *path);
void gp_line_reader_close(gp_line_reader *r);

/* The next line without its end (\n or \r\n), valid until the next call. wait: also if none can be read at once. 1; 0:
 * there is none; -1: reading failed. */
int gp_line_reader_next(gp_line_reader *r, bool wait, const char **line, size_t *length);

/* ---- predict_pass.c -------------------------------------------------------------------------------------- */

/* Sets T and slots of each text from its count and reads, runs the model over all of them, and calls
 * gp_predict_result. 0, or -1 if the model refuses a batch. */
int gp_predict_run(gp_predictor *p, gp_predict_text *texts, int64_t count);

/* ---- predict_result.c ------------------------------------------------------------------------------------ */

/* Sets places and reads. -1 if the task cannot be done for this text. */
int gp_predict_prepare(const gp_predictor *p, gp_predict_text *text);

/* Sets text->result, and embedding or problem. numbers: logits (reads,V) or (labels), or hidden states (count,C). */
void gp_predict_result(const gp_predictor *p, gp_predict_text *text, const float *numbers);

#endif
