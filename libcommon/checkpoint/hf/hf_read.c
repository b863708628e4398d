/* hf_read.c: opens Hugging Face's safetensors: one file, a folder, a sharded model, a pipe. */
#include "base/file.h"
#include "gptpipe/tokenizer.h"
#include "checkpoint/hf/hf.h"
#include "checkpoint/pieces.h"
#include "data/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENIZER = 1 << 28 };

typedef struct tensor_source {
    gp_hf_files files;
    const gp_param *rows; /* of the checkpoint's table */
    gp_hf_tensor **match; /* (rows, GP_PIECES) */
    const gp_naming *naming;
} tensor_source;

static gp_hf_tensor **match_of(const tensor_source *s, const gp_param *row)
{
    return &s->match[GP_PIECES * (row - s->rows)];
}

static int read_row(void *self, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    const tensor_source *s = self;
    gp_hf_tensor **match = match_of(s, row);
    gp_piece piece[GP_PIECES];
    int count = gp_naming_pieces(s->naming, row, piece);
    for (int k = 0; k < count; k++) {
        if (!first && gp_safetensors_check(match[k]->file, match[k]->index, true))
            return -1;
        gp_piece_read(&match[k]->t, row, &piece[k], first, lines, data);
        gp_safetensors_forget(match[k]->file, match[k]->index);
    }
    return 0;
}

static gp_dtype dtype_of(const void *self, const gp_param *row, int piece)
{
    return match_of(self, row)[piece]->t.dtype;
}

static void close_source(void *self)
{
    tensor_source *s = self;
    gp_hf_files_close(&s->files);
    free(s->match);
    free(s);
}

/* 1, 0 or -1, as gp_exists. */
static int has(const char *folder, const char *name)
{
    char *path = gp_path_join(folder, name);
    int there = gp_exists(path);
    free(path);
    return there;
}

int gp_hf_read_beside(gp_buf *b, const char *folder, const char *name, size_t most)
{
    int there = folder ? has(folder, name) : 0;
    if (there <= 0)
        return there ? -1 : 1;
    char *path = gp_path_join(folder, name);
    int rc = gp_file_read_regular(b, path, most);
    free(path);
    return rc;
}

/* Vocabulary files beside the weights become the text of a tokenizer.json. */
static int build_tokenizer(gp_checkpoint *c, const char *folder)
{
    gp_tokenizer *t = gp_tokenizer_open(folder);
    if (!t && gp_error_is_io())
        return -1;
    if (!t) {
        c->tokenizer_problem = gp_strdup(gp_error());
        return 0;
    }
    char *text = gp_tokenizer_to_json(t);
    gp_checkpoint_warning_tokenizer(c, t);
    gp_tokenizer_close(t);
    gp_checkpoint_set_tokenizer(c, text, strlen(text), NULL);
    return 0;
}

static int has_both(const char *folder, const char *a, const char *b)
{
    int there = has(folder, a);
    return there > 0 ? has(folder, b) : there;
}

/* Whether two texts are of the same tokenizer. */
static bool same_tokenizer(const char *a, size_t n, const char *b, size_t m)
{
    if (n == m && !memcmp(a, b, n))
        return true;
    gp_tokenizer *first = gp_tokenizer_from_json(a, n, "one"), *second = gp_tokenizer_from_json(b, m, "other");
    char *x = first ? gp_tokenizer_to_json(first) : NULL, *y = second ? gp_tokenizer_to_json(second) : NULL;
    bool same = x && y && !strcmp(x, y);
    gp_tokenizer_close(first);
    gp_tokenizer_close(second);
    free(x);
    free(y);
    return same;
}

/* beside: the folder's tokenizer.json is right, as its config.json is. */
static int find_tokenizer(gp_checkpoint *c, const gp_safetensors *s, const char *folder, bool beside)
{
    size_t length;
    const char *text = gp_safetensors_metadata(s, "gptpipe.tokenizer", &length);
    gp_buf b = {0};
    int rc = text && !beside ? 1 : gp_hf_read_beside(&b, folder, "tokenizer.json", MAX_TOKENIZER);
    if (!rc && b.len) {
        bool same = !text || same_tokenizer(text, length, b.data, b.len);
        gp_checkpoint_set_tokenizer(c, b.data, b.len, folder);
        if (!same)
            gp_checkpoint_add_tokenizer_warning(c, gp_strdup("tokenizer.json and the tokenizer in the weights' "
                                                             "file disagree; tokenizer.json is taken"));
        return 0;
    }
    gp_buf_release(&b);
    if (rc >= 0 && text) {
        gp_checkpoint_set_tokenizer(c, gp_strndup(text, length), length, NULL);
        return 0;
    }
    if (rc <= 0)
        return rc;
    if (!folder || c->config.family != GP_GPT2) /* BERT's and RoBERTa's are only carried */
        return 0;
    int pair = has_both(folder, "vocab.json", "merges.txt");
    if (!pair)
        pair = has_both(folder, "encoder.json", "vocab.bpe");
    return pair > 0 ? build_tokenizer(c, folder) : pair;
}

/* Of a file: a header length below 2^32, then '{'. */
static int recognise(const gp_checkpoint_input *in)
{
    const char *h = in->head;
    if (in->fd >= 0)
        return in->head_size > 8 && !h[4] && !h[5] && !h[6] && !h[7] && h[8] == '{';
    int is = has(in->path, "model.safetensors");
    return is ? is : has(in->path, "model.safetensors.index.json");
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!strcmp(path, "-"))
        return NULL;
    return slash ? gp_strndup(path, (size_t)(slash - path) + 1) : gp_strdup(".");
}

static int open_folder(tensor_source *s, const char *folder)
{
    int whole = has(folder, "model.safetensors");
    if (whole < 0)
        return -1;
    char *file = gp_path_join(folder, whole ? "model.safetensors" : "model.safetensors.index.json");
    int rc = whole ? gp_hf_files_open(&s->files, gp_safetensors_open_regular(file))
                   : gp_hf_files_open_index(&s->files, file);
    free(file);
    return rc;
}

/* Whether transformers' from_pretrained takes what is opened, with the config.json beside it. */
static bool is_loadable(const gp_checkpoint_input *in)
{
    const char *slash = strrchr(in->path, '/');
    return in->fd < 0 || !strcmp(slash ? slash + 1 : in->path, "model.safetensors");
}

int gp_hf_open(gp_checkpoint *c, const gp_checkpoint_input *in)
{
    char *folder =
        in->fd < 0 ? gp_strdup(in->path) : folder_of(in->path); /* where other files are looked for, or NULL */
    tensor_source *s = gp_calloc(1, sizeof *s);
    c->self = s;
    c->read = read_row;
    c->dtype = dtype_of;
    c->close = close_source;
    int rc = in->fd < 0 ? open_folder(s, folder)
                        : gp_hf_files_open(&s->files, gp_safetensors_open_fd(in->fd, c->path, in->head,
                                                                             in->consumed ? in->head_size : 0));
    c->files = s->files.files;
    c->file_count = s->files.count;
    if (!rc)
        rc = gp_hf_find_config(c, s->files.files[0], folder, is_loadable(in));
    if (!rc)
        rc = find_tokenizer(c, s->files.files[0], folder, is_loadable(in));
    if (!rc) {
        gp_hf_fit(&s->files, c);
        gp_params_list(&c->params, &c->config);
        s->rows = c->params.rows;
        s->naming = gp_hf_naming(&c->config);
        s->match = gp_calloc((size_t)c->params.count * GP_PIECES, sizeof(gp_hf_tensor *));
        rc = gp_hf_match(&s->files, c, s->match);
    }
    free(folder);
    return rc;
}

const gp_file_format gp_hf_format = {
    .name = "safetensors",
    .what = "a file, or a folder with model.safetensors or model.safetensors.index.json",
    .recognise = recognise,
    .open = gp_hf_open,
    .write = gp_hf_write,
};
