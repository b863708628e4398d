/* verify.c: reads all of a checkpoint's files, or all of a run's, to see whether they are what was written. */
#include "base/file.h"
#include "gptpipe/safetensors.h"
#include "gptpipe/tokens.h"
#include "checkpoint/checkpoint.h"
#include "run/run.h"
#include "run/checkpoint_names.h"

#include <stdlib.h>
#include <string.h>

typedef struct damage_search {
    gp_verified *seen;
    gp_verify_fn *tell;
    void *self;
} damage_search;

/* The first damage of a file; then the others are looked at all the same. */
static void count_file(damage_search *s, int rc)
{
    s->seen->files++;
    s->seen->damaged += rc != 0;
    if (rc)
        s->tell(s->self, gp_error());
}

static int read_all(const gp_safetensors *file, bool finite, gp_verified *seen)
{
    uint32_t crc;
    for (int64_t i = 0; i < gp_safetensors_count(file); i++) {
        seen->tensors++;
        seen->sums += gp_safetensors_crc(file, i, &crc);
        if (gp_safetensors_check(file, i, finite))
            return -1;
        gp_safetensors_forget(file, i);
    }
    return 0;
}

static int read_container(const gp_container *k, gp_verified *seen)
{
    for (int64_t i = 0; i < k->count; i++) {
        bool summed = false;
        int rc = gp_container_check(k, i, &summed);
        seen->tensors++;
        seen->sums += summed;
        if (rc)
            return -1;
        gp_container_forget(k, i);
    }
    return 0;
}

/* A run that is at work removes old checkpoints: one whose folder is gone is not damaged. */
static void verify_file(damage_search *s, const char *folder, const char *name, bool finite)
{
    char *path = gp_path_join(folder, name);
    gp_safetensors *file = gp_safetensors_open(path);
    if (file || gp_exists(folder))
        count_file(s, file ? read_all(file, finite, s->seen) : -1);
    gp_safetensors_close(file);
    free(path);
}

static int verify_run(damage_search *s, const char *path)
{
    int64_t *steps, count;
    char *data = gp_path_join(path, "data.tok"); /* what came through a pipe */
    int rc = gp_run_steps(path, &steps, &count);
    for (int64_t i = 0; !rc && i < count; i++) {
        char *name = gp_run_name(steps[i]), *folder = gp_path_join(path, name);
        verify_file(s, folder, "model.safetensors", true);
        verify_file(s, folder, "state.safetensors", false);
        free(folder);
        free(name);
    }
    if (!rc && gp_exists(data)) {
        gp_tokens *tokens = gp_tokens_open(data, NULL);
        count_file(s, tokens ? gp_tokens_verify(tokens) : -1);
        gp_tokens_close(tokens);
    }
    free(steps);
    free(data);
    return rc;
}

int gp_checkpoint_verify(const gp_checkpoint *c, gp_verified *seen, gp_verify_fn *tell, void *self)
{
    damage_search s = {seen, tell, self};
    *seen = (gp_verified){0};
    char *state = gp_path_join(c->path, "state.safetensors"); /* of one checkpoint of a run */
    int rc = 0;
    bool stream = c->file_count && !strcmp(c->files[0]->path, "stdin");
    if (c->is_run) {
        rc = verify_run(&s, c->path);
    } else {
        for (int i = 0; i < c->file_count; i++)
            count_file(&s, read_container(c->files[i], seen));
        if (!stream && gp_exists(state))
            verify_file(&s, c->path, "state.safetensors", false);
    }
    free(state);
    if (!rc && seen->damaged)
        return fail("%s: %lld of %lld files are damaged", c->path, (long long)seen->damaged, (long long)seen->files);
    return rc;
}
