/* hf_write.c: a checkpoint as Hugging Face keeps it: one safetensors file that carries configuration and
 * tokenizer along, or a folder for transformers' from_pretrained. */
#include "gptpipe/tokenizer.h"
#include "base/atomic_folder.h"
#include "checkpoint/hf/hf.h"
#include "checkpoint/hf/hf_tensors.h"
#include "checkpoint/pieces.h"
#include "text/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"

static char *dumped(json_t *root)
{
    char *text = gp_json_dump(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    return text;
}

/* The token that pads a batch, or -1. A GPT-2 has none, but transformers' GPT2ForSequenceClassification finds the last
 * token of each text by it, and refuses batches without it: by convention it is then the end-of-text. */
static int32_t padding(const gp_checkpoint *c, const gp_tokenizer *t)
{
    const gp_config *config = &c->config;
    int32_t pad = t ? gp_tokenizer_pad(t) : -1;
    if (config->family != GP_GPT2 || config->head != GP_HEAD_CLASSIFY)
        return pad;
    if (config->pad_id >= 0 && config->pad_id < config->vocab_size)
        return (int32_t)config->pad_id;
    if (pad < 0 || pad >= config->vocab_size)
        pad = config->end_count ? config->ends[0] : t ? gp_tokenizer_end_of_text(t) : -1;
    return pad < config->vocab_size ? pad : -1;
}

static gp_tokenizer *open_tokenizer(const gp_checkpoint *c)
{
    return c->tokenizer ? gp_tokenizer_from_json(c->tokenizer, c->tokenizer_length, c->path) : NULL;
}

/* config.json, saying in which dtype the numbers are. */
static char *config_text(const gp_checkpoint *c, gp_store store)
{
    gp_config config = c->config;
    if (config.family == GP_GPT2 && config.head == GP_HEAD_CLASSIFY) {
        gp_tokenizer *t = open_tokenizer(c);
        config.pad_id = padding(c, t);
        gp_tokenizer_close(t);
    }
    char *text = gp_config_to_json(&config);
    if (store == GP_STORE_F32)
        return text;
    json_t *root = gp_json_load(text, strlen(text), 0, NULL);
    free(text);
    BUG_ON(!root);
    json_object_set_new(root, "dtype", json_string(store == GP_STORE_BF16 ? "bfloat16" : "float16"));
    return dumped(root);
}

/* Tensors that are carried have no row; their numbers are read and written whole. */
static int write_carried(gp_tensor_writer *w, const gp_carried *t, const char *where)
{
    int64_t count = t->file->tensors[t->index].elements;
    float *x = gp_malloc((size_t)count * sizeof *x);
    int rc = gp_container_check(t->file, t->index, NULL) || gp_container_read(t->file, t->index, 0, count, x) ||
             gp_check_finite(where, t->name, x, 0, count, w->largest);
    rc = rc ? -1 : 0;
    if (!rc && count)
        rc = w->write(w->self, x, count);
    free(x);
    return rc;
}

int gp_hf_write_tensors(gp_tensor_writer *w, const gp_checkpoint *c)
{
    const gp_naming *n = gp_hf_naming(&c->config);
    gp_biased b = gp_biased_of(c);
    int rc = gp_pieces_declare(w, &b.params, n);
    for (int i = 0; !rc && i < c->carried_count; i++) {
        const gp_stored *t = &c->carried[i].file->tensors[c->carried[i].index];
        rc = w->declare(w->self, c->carried[i].name, t->ndim, t->dim);
    }
    if (!rc)
        rc = gp_pieces_write(w, &b.params, n, c->path, gp_biased_read, &b);
    for (int i = 0; !rc && i < c->carried_count; i++)
        rc = write_carried(w, &c->carried[i], c->path);
    gp_biased_release(&b);
    return rc;
}

/* ---- a safetensors file ---------------------------------------------------------------------------------- */

typedef struct weights_out {
    const gp_checkpoint *c;
    gp_dtype dtype;
    char *config; /* which the file carries, with the tokenizer, so that it is whole; NULL: a shard, which lies beside
                     both */
    gp_safetensors_writer *w;
} weights_out;

static int add_metadata(const weights_out *o)
{
    const gp_checkpoint *c = o->c;
    char fingerprint[33];
    int rc = gp_safetensors_add_metadata(o->w, "format", "pt", 2);
    if (!o->config)
        return rc;
    rc |= gp_safetensors_add_metadata(o->w, "gptpipe.config", o->config, strlen(o->config));
    if (c->tokenizer)
        rc |= gp_safetensors_add_metadata(o->w, "gptpipe.tokenizer", c->tokenizer, c->tokenizer_length);
    if (c->has_fingerprint) {
        gp_hex(fingerprint, c->fingerprint, sizeof c->fingerprint);
        rc |= gp_safetensors_add_metadata(o->w, "gptpipe.fingerprint", fingerprint, strlen(fingerprint));
    }
    return rc;
}

static int declare(void *self, const char *name, int ndim, const int64_t *dim)
{
    const weights_out *o = self;
    gp_tensor t = {.dtype = o->dtype, .ndim = ndim};
    memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    return gp_safetensors_declare(o->w, name, &t);
}

static int put(void *self, const void *data, size_t bytes)
{
    return gp_safetensors_write(self, data, (int64_t)bytes);
}

static int write_numbers(void *self, const float *x, int64_t count)
{
    const weights_out *o = self;
    return gp_put_numbers(o->dtype, x, count, put, o->w);
}

static int open_file(void *self, const char *path, gp_tensor_writer *w)
{
    weights_out *o = self;
    o->w = gp_safetensors_create(path);
    *w = (gp_tensor_writer){.self = o, .declare = declare, .write = write_numbers};
    return o->w ? add_metadata(o) : -1;
}

static int close_file(void *self, bool failed)
{
    weights_out *o = self;
    gp_safetensors_writer *w = o->w;
    o->w = NULL;
    if (w && failed)
        gp_safetensors_abort(w);
    return w && !failed ? gp_safetensors_finish(w) : 0;
}

static int write_weights(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    static const gp_hf_file_type safetensors = {"model", ".safetensors", open_file, close_file};
    weights_out out = {.c = c, .dtype = gp_store_dtype(o->store)};
    gp_tensor_writer w;
    if (!o->shard_bytes)
        out.config = config_text(c, o->store);
    gp_hf_out *files = gp_hf_out_open(&w, path, o->store, o->shard_bytes, &safetensors, &out);
    int rc = gp_hf_write_tensors(&w, c);
    rc = gp_hf_out_close(files, rc != 0);
    free(out.config);
    return rc;
}

/* ---- a folder -------------------------------------------------------------------------------------------- */

/* What AutoTokenizer has to know beside tokenizer.json: without it, it takes GPT-2's own class for any
 * tokenizer, and one of characters then loses its spaces. NULL for tokenizers that are carried, not
 * understood. */
static char *tokenizer_config_text(const gp_checkpoint *c)
{
    gp_tokenizer *t = open_tokenizer(c);
    if (!t)
        return NULL;
    json_t *root =
        json_pack("{s:s, s:I, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "model_max_length",
                  (json_int_t)gp_config_context(&c->config), "clean_up_tokenization_spaces", t->wordpiece.cleans_text);
    int64_t before, after;
    const int32_t *cls = gp_tokenizer_prefix(t, &before), *sep = gp_tokenizer_suffix(t, &after);
    bool masks = gp_tokenizer_mask(t) >= 0, around = masks && before == 1 && after == 1;
    const struct {
        const char *key;
        int32_t id;
    } named[] = {{"eos_token", masks ? -1 : gp_tokenizer_end_of_text(t)},
                 {"unk_token", masks ? gp_tokenizer_unknown(t) : -1},
                 {"sep_token", around ? *sep : -1},
                 {"pad_token", padding(c, t)},
                 {"cls_token", around ? *cls : -1},
                 {"mask_token", gp_tokenizer_mask(t)}};
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        size_t length;
        const char *name = gp_tokenizer_bytes(t, named[i].id, &length);
        if (name)
            json_object_set_new(root, named[i].key, json_stringn(name, length));
    }
    /* Version 4 of transformers gives token types by default, and its GPT-2 adds the embedding of id 0 for them. */
    json_t *inputs = json_pack("[s,s]", "input_ids", "attention_mask");
    if (c->config.types > 1)
        json_array_insert_new(inputs, 1, json_string("token_type_ids"));
    json_object_set_new(root, "model_input_names", inputs);
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

int gp_hf_write_beside(const gp_checkpoint *c, const char *folder, gp_store store)
{
    char *config = config_text(c, store), *tokenizer_config = NULL;
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

int gp_hf_write_folder(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o, const char *name,
                       gp_hf_weights_fn *write)
{
    gp_folder f;
    if (gp_folder_open(&f, path))
        return -1;
    char *weights = o->shard_bytes ? gp_strdup(f.temporary) : gp_path_join(f.temporary, name);
    int rc = gp_hf_write_beside(c, f.temporary, o->store);
    if (!rc)
        rc = write(c, weights, o);
    free(weights);
    return gp_folder_end(&f, rc);
}

int gp_hf_is_folder(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    bool folder = n && path[n - 1] == '/';
    int there = strcmp(path, "-") ? gp_stat(path, &st) : 0;
    char **names;
    int64_t count = 0;
    if (there <= 0)
        return there < 0 ? -1 : folder;
    if (!S_ISDIR(st.st_mode))
        return folder ? fail("%s: is a file, not a folder", path) : 0;
    if (gp_folder_list(path, &names, &count))
        return -1;
    gp_folder_list_free(names, count);
    return count ? fail("%s: is not empty; choose another folder, or name a file in it", path) : 1;
}

int gp_hf_write(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *o)
{
    int folder = gp_hf_is_folder(path);
    if (folder < 0)
        return -1;
    if (o->store == GP_STORE_Q8_0)
        return fail("%s: safetensors files hold fp32, bf16 and fp16 numbers, not q8_0", path);
    if (o->shard_bytes && !folder)
        return fail("%s: shards are written into a folder: end the name in /", path);
    return folder ? gp_hf_write_folder(c, path, o, "model.safetensors", write_weights) : write_weights(c, path, o);
}
