/* bench.h: the passes that eval-mfu measures and the roofline counts: the model's own, on random ids.
 *
 *     gp_bench b;
 *     if (!gp_bench_open(&b, m, GP_PASS_TRAIN, 8, 256))
 *         b.run(&b);                     // processes b.tokens tokens; may be repeated
 *     gp_bench_close(&b);                // also after a failure
 */
#ifndef GP_PERF_BENCH_H
#define GP_PERF_BENCH_H

#include "gptpipe/mfu.h"
#include "model/model.h"
#include "train/optimizer.h"

enum { GP_PASSES = 4 };  /* the bits of gp_pass */
enum { GP_DECODED = 8 }; /* tokens that one run of the decode pass generates in each row */

typedef struct gp_bench gp_bench;
struct gp_bench {
    gp_model *m;
    int (*run)(gp_bench *b);
    double tokens; /* in one run */
    int steps;     /* passes through the model in one run: GP_DECODED when decoding, else 1 */
    gp_optimizer optimizer;
    gp_batch batch;
    int32_t *inputs, *targets, *labels;
    int64_t decoded;
};

/* Plans the memory that the pass needs. */
int gp_bench_open(gp_bench *b, gp_model *m, gp_pass pass, int64_t B, int64_t T);
void gp_bench_close(gp_bench *b);

/* Whether the plan has pass number i (1 << i) and the model can run it; then sets *pass and its batch size and sequence
 * length. */
bool gp_bench_plan(const gp_mfu_plan *plan, const gp_config *c, int i, gp_pass *pass, int64_t *B, int64_t *T);

/* Targets of a batch of forward and train: 15% of the tokens where the model predicts masked ones, else all; and the
 * FLOPs of a token then, in a forward pass. */
int64_t gp_bench_targets(const gp_config *c, int64_t B, int64_t T);
double gp_bench_flops(const gp_config *c, int64_t B, int64_t T);

/* Sets FLOPs and bytes per token; size: bytes of a cached number; weight_size: of a number of a weight as decoding
 * reads it, with its share of scales. */
void gp_bench_describe(const gp_config *c, gp_pass pass, int64_t B, int64_t T, double weight_size, int size,
                       gp_speed *s);

#endif
