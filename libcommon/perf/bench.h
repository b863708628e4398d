/* bench.h: the passes that are measured, or counted on paper: each the model's own, on random ids.
 *
 *     gp_bench b;
 *     if (!gp_bench_open(&b, m, GP_PASS_TRAIN, 8, 256))
 *         b.run(&b);                     // b.tokens of them; as often as one likes
 *     gp_bench_close(&b);                // after a failure too
 */
#ifndef GP_PERF_BENCH_H
#define GP_PERF_BENCH_H

#include "gptpipe/mfu.h"
#include "model/model.h"
#include "train/optimizer.h"

enum { GP_PASSES = 4 };  /* the bits of gp_pass */
enum { GP_DECODED = 8 }; /* tokens of a row that one run of the decode pass reads and draws */

typedef struct gp_bench gp_bench;
struct gp_bench {
    gp_model *m;
    int (*run)(gp_bench *b);
    double tokens; /* of one run */
    int steps;     /* tokens of a row that a run decodes one after another; else 1 */
    gp_optimizer optimizer;
    gp_batch batch;
    int32_t *inputs, *targets;
    int64_t decoded;
};

/* Plans what the pass needs. */
int gp_bench_open(gp_bench *b, gp_model *m, gp_pass pass, int64_t B, int64_t T);
void gp_bench_close(gp_bench *b);

/* Of the plan, the sequences of a pass: batch_size, or decode_batch, or a prefill's one. */
int64_t gp_pass_batch(const gp_mfu_plan *plan, gp_pass pass);

/* FLOPs and bytes of a token; number: bytes of an activation, and of a weight as decoding reads it. */
void gp_bench_describe(const gp_config *c, gp_pass pass, int64_t B, int64_t T, int number, gp_speed *s);

#endif
