/* tensorflow_format.c: OpenAI's GPT-2 as a checkpoint: the bundle that the file `checkpoint` names, hparams.json beside
 * it, encoder.json and vocab.bpe. In its code (src/model.py) GELU has the tanh form, norms an eps of 1e-5, and the head
 * is tied. */
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/folder.h"
#include "checkpoint/tensorflow/table.h"
#include "checkpoint/tensorflow/tensorflow.h"
#include "checkpoint/weights.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TEXT = 1 << 20 };

/* An index ends in a table's magic. A pipe has no files beside it, and is not looked at. */
static int recognise(const gp_checkpoint_input *in)
{
    char last[8];
    struct stat st;
    if (in->fd < 0)
        return gp_exists_in(in->path, "checkpoint");
    if (in->consumed || fstat(in->fd, &st) || st.st_size < GP_TABLE_FOOTER)
        return 0;
    ssize_t n = pread(in->fd, last, sizeof last, st.st_size - (off_t)sizeof last);
    return n == (ssize_t)sizeof last && gp_table_recognise(last, sizeof last);
}

/* ---- the index ------------------------------------------------------------------------------------------- */

/* The prefix in the text of a CheckpointState, fresh; NULL: there is none, or it is not written plainly. */
static char *prefix_in(const char *text)
{
    static const char key[] = "model_checkpoint_path:";
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, " \t\r\n");
        if (strncmp(line, key, strlen(key)))
            continue;
        line += strlen(key);
        line += strspn(line, " \t");
        const char *end = *line == '"' || *line == '\'' ? strchr(line + 1, *line) : NULL;
        char *prefix = end ? gp_strndup(line + 1, (size_t)(end - line) - 1) : NULL;
        if (prefix && *prefix && !strpbrk(prefix, "\\\n"))
            return prefix;
        free(prefix);
        return NULL;
    }
    return NULL;
}

/* The index of the bundle that a folder's file `checkpoint` names, fresh, or NULL. Where that is an absolute path, the
 * folder that it was trained in perhaps, the bundle is here under its last name. */
static char *index_in(const char *folder)
{
    gp_buf text = {0};
    char *index = NULL, *where = gp_path_join(folder, "checkpoint");
    if (!gp_folder_read(&text, folder, "checkpoint", MAX_TEXT)) {
        char *prefix = text.data ? prefix_in(text.data) : NULL;
        const char *name = prefix && *prefix == '/' ? strrchr(prefix, '/') + 1 : prefix;
        if (!name || !gp_path_is_contained(name))
            fail("%s: names no checkpoint of this folder in a model_checkpoint_path", where);
        else
            index = gp_format("%s/%s.index", folder, name);
        free(prefix);
    }
    gp_buf_release(&text);
    free(where);
    return index;
}

char *gp_tensorflow_prefix(const char *path)
{
    struct stat st;
    char *index = gp_format("%s.index", path);
    if (strcmp(path, "-") && stat(path, &st) && !stat(index, &st))
        return index;
    free(index);
    return NULL;
}

/* ---- the configuration ----------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    size_t offset;
} hparams[] = {
    {"n_vocab", offsetof(gp_config, vocab_size)}, {"n_ctx", offsetof(gp_config, positions)},
    {"n_embd", offsetof(gp_config, channels)},    {"n_head", offsetof(gp_config, heads)},
    {"n_layer", offsetof(gp_config, layers)},
};

static bool is_known(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(hparams); i++)
        if (!strcmp(hparams[i].key, key))
            return true;
    return false;
}

static int read_hparams(gp_config *c, json_t *root, const char *where)
{
    const char *key;
    json_t *v;
    if (!json_is_object(root))
        return fail("%s: is not a JSON object", where);
    json_object_foreach (root, key, v)
        if (!is_known(key))
            return fail("%s: \"%s\" is not a setting of OpenAI's GPT-2", where, key);
    *c = gp_config_defaults(GP_GPT2);
    for (size_t i = 0; i < ARRAY_LEN(hparams); i++) {
        v = json_object_get(root, hparams[i].key);
        if (!json_is_integer(v))
            return fail("%s: \"%s\" is %s", where, hparams[i].key, v ? "not a whole number" : "missing");
        *(int64_t *)((char *)c + hparams[i].offset) = json_integer_value(v);
    }
    if (c->channels > 0 && c->channels < INT32_MAX)
        c->inner = 4 * c->channels;
    return gp_config_check(c, where);
}

/* A tensor of two dims, a 1 before them left out; NULL: there is none. */
static const int64_t *find_matrix(const gp_checkpoint *c, const char *name)
{
    const gp_container *k = c->files[0];
    int64_t i = gp_container_find(k, name);
    const gp_stored *t = i < 0 ? NULL : &k->tensors[i];
    bool one = t && t->ndim == 3 && t->dim[0] == 1;
    return t && (one || t->ndim == 2) ? t->dim + one : NULL;
}

static int64_t count_layers(const gp_checkpoint *c)
{
    char name[GP_TENSOR_NAME];
    int64_t layers = 0;
    for (bool there = true; there; layers += there) {
        snprintf(name, sizeof name, "model/h%lld/ln_1/g", (long long)layers);
        there = gp_container_find(c->files[0], name) >= 0;
    }
    return layers;
}

/* What the tensors' shapes tell, and the number of heads from the options. */
static int read_shapes(gp_checkpoint *c)
{
    const int64_t *wte = find_matrix(c, "model/wte"), *wpe = find_matrix(c, "model/wpe"),
                  *fc = find_matrix(c, "model/h0/mlp/c_fc/w");
    if (!wte || !wpe || !fc)
        return fail("%s: has no hparams.json beside it, and its tensors are not those of OpenAI's GPT-2", c->path);
    if (c->options.heads <= 0)
        return fail("%s: has no hparams.json beside it, and shapes do not tell the number of heads: give --heads",
                    c->path);
    c->config = gp_config_defaults(GP_GPT2);
    c->config.vocab_size = wte[0];
    c->config.channels = wte[1];
    c->config.positions = wpe[0];
    c->config.layers = count_layers(c);
    c->config.heads = c->options.heads;
    c->config.inner = fc[1];
    return gp_config_check(&c->config, c->path);
}

/* hparams.json; of those who have stored a model of theirs so, config.json; or from shapes. */
static int find_config(gp_checkpoint *c, const char *folder)
{
    gp_buf text = {0};
    json_error_t error;
    int rc = gp_folder_read(&text, folder, "hparams.json", MAX_TEXT);
    if (rc > 0) {
        rc = gp_folder_config(c, NULL, 0, folder, true);
        return rc > 0 ? read_shapes(c) : rc;
    }
    char *where = gp_path_join(folder, "hparams.json");
    json_t *root = rc ? NULL : gp_json_load(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (!rc && !root)
        rc = fail("%s: is not JSON: line %d: %s", where, error.line, error.text);
    if (!rc)
        rc = read_hparams(&c->config, root, where);
    json_decref(root);
    free(where);
    gp_buf_release(&text);
    return rc;
}

static int open_bundle(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    char *folder = gp_folder_of_input(in), *index = in->fd < 0 ? index_in(folder) : gp_strdup(in->path);
    int rc = index ? gp_checkpoint_add_file(c, gp_tensorflow_read(index)) : -1;
    if (!rc)
        rc = find_config(c, folder);
    if (!rc)
        rc = gp_folder_tokenizer(c, NULL, 0, folder, true);
    if (!rc)
        gp_checkpoint_end_by_tokenizer(c);
    if (!rc)
        rc = gp_weights_attach(c, gp_tensorflow_naming());
    free(index);
    free(folder);
    return rc;
}

const gp_file_format gp_tensorflow_format = {
    .name = "tensorflow",
    .what = "OpenAI's: a folder with checkpoint and PREFIX.index, that file, or PREFIX",
    .recognise = recognise,
    .open = open_bundle,
};
