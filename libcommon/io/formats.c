/* formats.c: the table of formats. Others (pytorch_model.bin, OpenAI's TensorFlow files, nanoGPT, llm.c,
 * GGUF) are one file each, which fills in a gp_checkpoint, and one line here. */
#include "io/checkpoint.h"
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const gp_file_format *const formats[] = {
    &gp_hf_format,
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

static const gp_file_format *recognise(const char *path)
{
    gp_buf known = {0};
    if (strcmp(path, "-") && access(path, R_OK))
        return fail("%s: %s", path, strerror(errno)), NULL;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (formats[i]->recognise(path))
            return formats[i];
        gp_buf_printf(&known, "%s%s (%s)", i ? ", " : "", formats[i]->name, formats[i]->what);
    }
    fail("%s: is a checkpoint in no format that is known here: %s", path, known.data);
    gp_buf_release(&known);
    return NULL;
}

gp_checkpoint *gp_checkpoint_open(const char *path)
{
    const gp_file_format *format = recognise(path);
    if (!format)
        return NULL;
    gp_checkpoint *c = gp_calloc(1, sizeof *c);
    c->path = gp_strdup(strcmp(path, "-") ? path : "stdin");
    c->format = format->name;
    if (format->open(c, path)) {
        gp_checkpoint_close(c);
        return NULL;
    }
    return c;
}

int gp_checkpoint_write(const gp_checkpoint *c, const char *path, const char *format, gp_dtype dtype)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i]->name, format) && formats[i]->write)
            return formats[i]->write(c, path, dtype);
    return fail("checkpoints cannot be written as %s; known are: %s", format, gp_checkpoint_formats(true));
}
