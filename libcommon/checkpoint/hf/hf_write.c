/* hf_write.c: a checkpoint as Hugging Face keeps it: one safetensors file that carries configuration and
 * tokenizer along, or a folder for transformers' from_pretrained. */
#include "gptpipe/tokenizer.h"
#include "base/atomic_folder.h"
#include "checkpoint/hf/hf.h"
#include "checkpoint/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"

static char *dumped(json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (!text)
        die("out of memory");
    return text;
}

/* config.json, saying in which dtype the numbers are. */
static char *config_text(const gp_checkpoint *c, gp_dtype dtype)
{
    char *text = gp_config_to_json(&c->config);
    if (dtype == GP_F32)
        return text;
    json_t *root = gp_json_load(text, strlen(text), 0, NULL);
    free(text);
    BUG_ON(!root);
    json_object_set_new(root, "dtype", json_string("bfloat16"));
    return dumped(root);
}

/* transformers' GPT2 always has biases: a model without any is stored with zeros in their place, which add nothing. */
typedef struct with_biases {
    const gp_checkpoint *c;
    gp_params params;
} with_biases;

static int read_with_biases(void *self, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    with_biases *b = self;
    const gp_param *own = gp_params_row(&b->c->params, row->role, row->index);
    if (own)
        return b->c->read(b->c->self, own, first, lines, data);
    memset(data, 0, (size_t)(lines * row->dim[1]) * sizeof *data);
    return 0;
}

static int write_weights(gp_safetensors_writer *w, const gp_checkpoint *c, gp_dtype dtype)
{
    const gp_naming *n = gp_hf_naming(&c->config);
    with_biases b = {.c = c};
    gp_config whole = c->config;
    if (c->config.bias) {
        int rc = gp_pieces_declare(w, &c->params, n, dtype);
        return rc ? rc : gp_pieces_write(w, &c->params, n, c->path, c->read, c->self, dtype);
    }
    whole.bias = true;
    gp_params_list(&b.params, &whole);
    int rc = gp_pieces_declare(w, &b.params, n, dtype);
    if (!rc)
        rc = gp_pieces_write(w, &b.params, n, c->path, read_with_biases, &b, dtype);
    gp_params_release(&b.params);
    return rc;
}

static int write_file(const gp_checkpoint *c, const char *path, gp_dtype dtype)
{
    char *config = config_text(c, dtype), fingerprint[33];
    gp_safetensors_writer *w = gp_safetensors_create(path);
    int rc = w ? 0 : -1;
    if (rc)
        goto out;
    rc |= gp_safetensors_add_metadata(w, "format", "pt", 2);
    rc |= gp_safetensors_add_metadata(w, "gptpipe.config", config, strlen(config));
    if (c->tokenizer)
        rc |= gp_safetensors_add_metadata(w, "gptpipe.tokenizer", c->tokenizer, c->tokenizer_length);
    if (c->has_fingerprint) {
        gp_hex(fingerprint, c->fingerprint, sizeof c->fingerprint);
        rc |= gp_safetensors_add_metadata(w, "gptpipe.fingerprint", fingerprint, strlen(fingerprint));
    }
    if (!rc)
        rc = write_weights(w, c, dtype);
    if (rc)
        gp_safetensors_abort(w);
    else
        rc = gp_safetensors_finish(w);
out:
    free(config);
    return rc;
}

/* What AutoTokenizer has to know beside tokenizer.json: without it, it takes GPT-2's own class for any
 * tokenizer, and one of characters then loses its spaces. NULL for tokenizers that are carried, not
 * understood. */
static char *tokenizer_config_text(const gp_checkpoint *c)
{
    gp_tokenizer *t = gp_tokenizer_from_json(c->tokenizer, c->tokenizer_length, c->path);
    if (!t)
        return NULL;
    json_t *root = json_pack("{s:s, s:I, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "model_max_length",
                             (json_int_t)gp_config_context(&c->config), "clean_up_tokenization_spaces", 0);
    size_t length;
    const char *end = gp_tokenizer_bytes(t, gp_tokenizer_end_of_text(t), &length);
    if (end)
        json_object_set_new(root, "eos_token", json_stringn(end, length));
    gp_tokenizer_close(t);
    return dumped(root);
}

static int write_text(const char *folder, const char *name, const char *text, size_t length)
{
    char *path = gp_path_join(folder, name);
    int rc = gp_file_replace(path, text, length);
    free(path);
    return rc;
}

int gp_hf_write_beside(const gp_checkpoint *c, const char *folder, gp_dtype dtype)
{
    char *config = config_text(c, dtype), *tokenizer_config = NULL;
    int rc = write_text(folder, "config.json", config, strlen(config));
    if (!rc && c->tokenizer) {
        rc = write_text(folder, "tokenizer.json", c->tokenizer, c->tokenizer_length);
        tokenizer_config = tokenizer_config_text(c);
    }
    if (!rc && tokenizer_config)
        rc = write_text(folder, "tokenizer_config.json", tokenizer_config, strlen(tokenizer_config));
    free(tokenizer_config);
    free(config);
    return rc;
}

static int write_folder(const gp_checkpoint *c, const char *path, gp_dtype dtype)
{
    gp_folder f;
    if (gp_folder_open(&f, path))
        return -1;
    char *weights = gp_path_join(f.temporary, "model.safetensors");
    int rc = gp_hf_write_beside(c, f.temporary, dtype);
    if (!rc)
        rc = write_file(c, weights, dtype);
    free(weights);
    if (!rc)
        return gp_folder_commit(&f);
    gp_folder_abandon(&f);
    return -1;
}

int gp_hf_write(const gp_checkpoint *c, const char *path, gp_dtype dtype)
{
    struct stat st;
    size_t n = strlen(path);
    bool folder = n && path[n - 1] == '/';
    int there = strcmp(path, "-") ? gp_look(path, &st) : 0;
    if (there < 0)
        return -1;
    if (there) {
        char **names;
        int64_t count = 0;
        if (!S_ISDIR(st.st_mode) && folder)
            return fail("%s: is a file, not a folder", path);
        folder = S_ISDIR(st.st_mode);
        if (folder && gp_folder_list(path, &names, &count))
            return -1;
        if (folder)
            gp_folder_list_free(names, count);
        if (count)
            return fail("%s: is not empty; choose another folder, or name a file in it", path);
    }
    return folder ? write_folder(c, path, dtype) : write_file(c, path, dtype);
}
