/* formats.c: the table of formats. Others (pytorch_model.bin, OpenAI's TensorFlow files, nanoGPT, llm.c,
 * GGUF) are one file each, which fills in a gp_checkpoint, and one line here. */
#include "checkpoint/checkpoint.h"
#include "base/base.h"
#include "checkpoint/hf/hf.h"
#include "checkpoint/tensorflow/tensorflow.h"
#include "cli/progress.h"
#include "data/spool.h"
#include "model/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const gp_file_format *const formats[] = {
    &gp_run_format,        &gp_hf_format,    &gp_gguf_format,    &gp_llmc_format,
    &gp_tensorflow_format, &gp_torch_format, &gp_nanogpt_format,
};

const char *gp_checkpoint_formats(bool written)
{
    static _Thread_local char text[256];
    size_t n = 0;
    text[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i]->write || !written)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "|" : "", formats[i]->name);
    return text;
}

/* Opens a file and reads its head: of one that can be read again without moving in it. */
static int look_at(gp_checkpoint_input *in, const char *path)
{
    bool std = !strcmp(path, "-");
    struct stat st;
    ssize_t n = 1;
    *in = (gp_checkpoint_input){.path = path, .fd = -1};
    if (!std && (stat(path, &st) || access(path, R_OK)))
        return fail_errno("%s", path);
    if (!std && S_ISDIR(st.st_mode))
        return 0;
    in->fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0 || fstat(in->fd, &st))
        return fail_errno("%s", path);
    in->consumed = !S_ISREG(st.st_mode) || lseek(in->fd, 0, SEEK_CUR);
    while (n && in->head_size < sizeof in->head) {
        char *to = in->head + in->head_size;
        size_t room = sizeof in->head - in->head_size;
        n = gp_read(in->fd, to, room, in->consumed ? -1 : (int64_t)in->head_size);
        if (n < 0)
            return fail_errno("%s: cannot be read", std ? "stdin" : path);
        in->head_size += (size_t)n;
    }
    return 0;
}

int gp_checkpoint_input_map(const gp_checkpoint_input *in, const char *name, gp_map *map)
{
    if (!in->consumed)
        return gp_map_fd(map, in->fd, name);
    gp_out spool;
    char *label = gp_strdup(name);
    gp_input rest = {.fd = in->fd, .name = label};
    int rc = gp_out_open_spool(&spool);
    if (!rc) {
        rc = gp_out_write(&spool, in->head, in->head_size) || gp_input_spool_to(&rest, INT64_MAX, &spool, map, name)
                 ? -1
                 : 0;
        gp_out_abandon(&spool);
    }
    free(label);
    return rc;
}

static const gp_file_format *recognise(const gp_checkpoint_input *in, const char *name)
{
    gp_buf supported = {0};
    if (in->fd >= 0 && !in->head_size)
        return fail("%s: is empty", name), NULL;
    if (gp_refuse_lfs_pointer(in->head, in->head_size, name))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        int is = formats[i]->recognise(in);
        if (is) {
            gp_buf_release(&supported);
            return is > 0 ? formats[i] : NULL;
        }
        gp_buf_printf(&supported, "%s%s (%s)", i ? ", " : "", formats[i]->name, formats[i]->what);
    }
    if (in->fd < 0 && gp_exists_in(in->path, "adapter_config.json") > 0)
        fail("%s: has a PEFT adapter without the model that it changes; merge the two first", name);
    else
        fail("%s: unrecognised checkpoint format; supported: %s", name, supported.data);
    gp_buf_release(&supported);
    return NULL;
}

/* What the user says of a file must not be otherwise in its configuration. */
static int check_options(const gp_checkpoint *c)
{
    const gp_checkpoint_options *o = &c->options;
    if (o->heads && o->heads != c->config.heads)
        return fail("%s: has %lld heads by its configuration, --heads is %lld", c->path, (long long)c->config.heads,
                    (long long)o->heads);
    if (o->activation && o->activation != c->config.activation)
        return fail("%s: its activation is %s by its configuration, --activation is %s", c->path,
                    gp_act_name(c->config.activation), gp_act_name(o->activation));
    return 0;
}

gp_checkpoint *gp_checkpoint_open(const char *path)
{
    return gp_checkpoint_open_with(path, &(gp_checkpoint_options){0});
}

gp_checkpoint *gp_checkpoint_open_with(const char *path, const gp_checkpoint_options *options)
{
    gp_checkpoint_input in;
    gp_checkpoint *c = NULL;
    char *index = gp_tensorflow_prefix(path);
    path = index ? index : path;
    const char *name = strcmp(path, "-") ? path : "stdin";
    const gp_file_format *format = look_at(&in, path) ? NULL : recognise(&in, name);
    if (format) {
        c = gp_calloc(1, sizeof *c);
        c->path = gp_strdup(name);
        c->format = format->name;
        c->options = *options;
        int rc = format->open(c, &in) || check_options(c) ? -1 : 0;
        if (rc && options->listing && c->file_count) {
            c->problem = gp_strdup(gp_error());
        } else if (rc) {
            gp_checkpoint_close(c);
            c = NULL;
        }
    }
    if (in.fd > STDIN_FILENO)
        close(in.fd);
    free(index);
    return c;
}

/* A checkpoint whose reading is counted. */
typedef struct counted {
    const gp_checkpoint *c;
    gp_progress progress;
    int64_t bytes;
} counted;

static int read_counted(void *self, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    counted *n = self;
    n->bytes += lines * row->dim[1] * (int64_t)sizeof *data;
    gp_progress_set(&n->progress, n->bytes, NULL);
    return n->c->read(n->c->self, row, first, lines, data);
}

static int write_counted(const gp_file_format *format, const gp_checkpoint *c, const char *path,
                         const gp_checkpoint_output *o)
{
    counted n = {.c = c};
    if (c->carried_count && !format->carries)
        return fail("%s: tensor %s has no place in the format %s; --ignore leaves it out", c->path, c->carried[0].name,
                    format->name);
    gp_checkpoint copy = *c;
    copy.self = &n;
    copy.read = read_counted;
    gp_progress_begin(&n.progress, path, GP_PROGRESS_BYTES, 0, c->params.parameters * (int64_t)sizeof(float),
                      !o->progress);
    bool drops = format->tokenizer == GP_DROPS_TOKENIZER ||
                 (format->tokenizer == GP_KEEPS_IT_IN_FOLDERS && !gp_hf_is_folder(path));
    int rc = format->write(&copy, path, o);
    gp_progress_end(&n.progress);
    if (!rc && drops && c->tokenizer && o->warning)
        gp_warning_add(o->warning,
                       gp_format("%s: a file of the format %s has no place for the tokenizer", path, format->name));
    return rc;
}

int gp_checkpoint_write(const gp_checkpoint *c, const char *path, const gp_checkpoint_output *output)
{
    static const gp_checkpoint_output plain = {.format = "safetensors"};
    const gp_checkpoint_output *o = output ? output : &plain;
    if (gp_checkpoint_check_name(path, o->format))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i]->name, o->format) && formats[i]->write)
            return write_counted(formats[i], c, path, o);
    return fail("checkpoints cannot be written as %s; known are: %s", o->format, gp_checkpoint_formats(true));
}
