/* reference_run.h: whole runs, whose logs are compared with what PyTorch computes from the same weights and tokens. */
#ifndef REFERENCE_RUN_H
#define REFERENCE_RUN_H

#include "backends.h"
#include "checkpoint/names.h"
#include "gptpipe/checkpoint.h"
#include "gptpipe/tokenizer.h"
#include "gptpipe/tokens.h"
#include "gptpipe/train.h"
#include "model/model.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the same weights and tokens as train.py's ----------------------------------------------------------- */

/* splitmix64's output function (Steele et al. 2014) */
static inline uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static inline float number(const char *name, uint64_t i, float spread)
{
    uint64_t seed = 0xCBF29CE484222325u;
    for (const char *c = name; *c; c++)
        seed = (seed ^ (uint8_t)*c) * 0x100000001B3u;
    return spread * ((float)(mix(seed ^ i) >> 40) * 0x1p-23f - 1);
}

static inline void make_stream(int32_t *ids, int64_t count, int64_t vocab)
{
    ids[0] = 0;
    for (int64_t i = 1; i < count; i++) {
        uint64_t b = mix((uint64_t)i);
        uint64_t id = b >> 60 ? (uint64_t)ids[i - 1] + 1 + b % 3 : b >> 8;
        ids[i] = (int32_t)(id % (uint64_t)vocab);
    }
}

/* ---- one run --------------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/gptpipe-reference.XXXXXX", *data, *weights, *run;

static inline void remove_run(void)
{
    char *command = gp_format("rm -rf '%s'", run);
    assert_int_equal(system(command), 0);
    free(command);
}

static inline int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    data = gp_path_join(dir, "data.tok");
    weights = gp_path_join(dir, "model.safetensors");
    run = gp_path_join(dir, "run");
    return 0;
}

static inline int remove_dir(void **state)
{
    (void)state;
    remove_run();
    unlink(data);
    unlink(weights);
    free(data);
    free(weights);
    free(run);
    return rmdir(dir);
}

static inline void take_fingerprint(const char *json, uint8_t fingerprint[16])
{
    gp_tokenizer *t = gp_tokenizer_from_json(json, strlen(json), "test");
    assert_non_null(t);
    gp_tokenizer_fingerprint(t, fingerprint);
    gp_tokenizer_close(t);
}

/* tokenizer: a tokenizer.json, or NULL. */
static inline void write_stream(int64_t count, int64_t vocab, const char *tokenizer)
{
    int32_t *ids = gp_malloc((size_t)count * sizeof *ids);
    make_stream(ids, count, vocab);
    char *metadata = tokenizer ? gp_tokens_describe(&(gp_tokens_description){.tokenizer = tokenizer}) : NULL;
    gp_tokens_info info = {.vocab_size = vocab, .metadata = metadata};
    if (tokenizer)
        take_fingerprint(tokenizer, info.fingerprint);
    gp_tokens_writer *w = gp_tokens_create(data, &info);
    assert_non_null(w);
    assert_int_equal(gp_tokens_write(w, ids, count), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    free(metadata);
    free(ids);
}

/* Tensor by tensor in transformers' names and layouts. */
static inline void fill_row(const gp_param *row, const gp_naming *naming, float *data)
{
    gp_piece piece[GP_PIECES];
    int pieces = gp_naming_pieces(naming, row, piece);
    int64_t columns = row->dim[1] > 0 && row->ndim == 2 ? row->dim[1] : 0;
    assert_true(pieces > 0);
    for (int i = 0; i < pieces; i++) {
        int64_t dim[2], n = gp_piece_shape(row, &piece[i], dim);
        int64_t count = dim[0] * (n == 2 ? dim[1] : 1);
        for (int64_t k = 0; k < count; k++) {
            int64_t r = n == 1 ? 0 : piece[i].transposed ? k % dim[1] : k / dim[1];
            int64_t c = n == 1 ? k : piece[i].transposed ? k / dim[1] : k % dim[1];
            data[r * columns + piece[i].first + c] =
                number(piece[i].name, (uint64_t)k, 0.1F) + (row->init == GP_INIT_ONE ? 1.0F : 0.0F);
        }
    }
}

static inline void write_weights(const gp_config *c)
{
    gp_backend *be = gp_backend_open("ref", "fp32", 1);
    gp_model *m = gp_model_create(c, be, true);
    for (int i = 0; i < m->params.count; i++) {
        const gp_param *row = &m->params.rows[i];
        float *data = gp_malloc((size_t)row->count * sizeof *data);
        fill_row(row, gp_hf_naming(c), data);
        gp_model_row_upload(m, row, data);
        free(data);
    }
    gp_checkpoint *ckpt = gp_checkpoint_of_model(m, NULL, 0);
    if (gp_checkpoint_write(ckpt, weights, NULL))
        fail_msg("%s", gp_error());
    gp_checkpoint_close(ckpt);
    gp_model_free(m);
    gp_backend_close(be);
}

typedef struct lesson {
    gp_config c;
    gp_train_options o;
} lesson;

/* Trains and gives what the log says of each step. */
static inline void learn(lesson *l, const char *backend, double *loss, double *norm, double *lr)
{
    static const char *const kinds[] = {GP_BACKENDS(GP_CHOICE_NAME)};
    gp_buf log = {0};
    char *path = gp_path_join(run, "log.jsonl");
    int step = 0;
    remove_run();
    l->o.backend = (gp_backend_kind)gp_find_name(kinds, ARRAY_LEN(kinds), backend);
    l->o.data = (gp_list){.items = (const char *[]){data}, .count = 1};
    if (gp_train(&l->o))
        fail_msg("%s", gp_error());
    assert_int_equal(gp_file_read(&log, path, 1 << 22), 0);
    for (char *save, *line = strtok_r(log.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL);
        if (json_object_get(o, "loss")) {
            assert_in_range(step, 0, l->o.steps - 1);
            loss[step] = json_number_value(json_object_get(o, "loss"));
            norm[step] = json_number_value(json_object_get(o, "grad_norm"));
            lr[step++] = json_number_value(json_object_get(o, "lr"));
        }
        json_decref(o);
    }
    assert_int_equal(step, l->o.steps);
    gp_buf_release(&log);
    free(path);
}

static inline void assert_learns(lesson *l, const double *want_loss, const double *want_norm, const double *want_lr)
{
    enum { MAX = 50 };
    double loss[MAX], norm[MAX], lr[MAX];
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        learn(l, backends[b], loss, norm, lr);
        for (int s = 0; s < l->o.steps; s++) {
            if (!(fabs(loss[s] - want_loss[s]) <= 1e-4))
                fail_msg("%s: step %d: loss %.7f, PyTorch has %.7f", backends[b], s + 1, loss[s], want_loss[s]);
            if (!(fabs(norm[s] - want_norm[s]) <= 1e-3 * want_norm[s]))
                fail_msg("%s: step %d: norm %.7f, PyTorch has %.7f", backends[b], s + 1, norm[s], want_norm[s]);
            if (!(fabs(lr[s] - want_lr[s]) <= 1e-6 * want_lr[s]))
                fail_msg("%s: step %d: rate %.9f, PyTorch has %.9f", backends[b], s + 1, lr[s], want_lr[s]);
        }
    }
}

#endif
