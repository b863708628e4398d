/* formats.c: the table of formats. Others (pytorch_model.bin, OpenAI's TensorFlow files, nanoGPT, llm.c,
 * GGUF) are one file each, which fills in a gp_checkpoint, and one line here. */
#include "checkpoint/checkpoint.h"
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
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
        return fail_errno("%s", path), NULL;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        int is = formats[i]->recognise(path);
        if (is) {
            gp_buf_release(&known);
            return is > 0 ? formats[i] : NULL;
        }
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

/* Suffixes of files that others write and expect to be what they say. A format that is written here leaves this
 * table. */
static const struct {
    const char *suffix, *format;
} foreign[] = {
    {".gguf", "GGUF"},         {".ggml", "GGML"},     {".bin", "PyTorch or llm.c"},
    {".pt", "PyTorch"},        {".pth", "PyTorch"},   {".ckpt", "PyTorch or TensorFlow"},
    {".pkl", "pickle"},        {".pickle", "pickle"}, {".onnx", "ONNX"},
    {".h5", "Keras"},          {".hdf5", "HDF5"},     {".keras", "Keras"},
    {".tflite", "TensorFlow"}, {".pb", "TensorFlow"}, {".msgpack", "Flax"},
    {".npz", "NumPy"},         {".npy", "NumPy"},     {".mlmodel", "Core ML"},
    {".mlpackage", "Core ML"}, {".nemo", "NeMo"},
};

int gp_checkpoint_check_name(const char *path, const char *format)
{
    struct stat st;
    size_t n = strlen(path);
    if (!stat(path, &st) && !S_ISREG(st.st_mode)) /* a folder, whose files have names of their own, or a device */
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        size_t length = strlen(foreign[i].suffix);
        if (n > length && !strcasecmp(path + n - length, foreign[i].suffix))
            return fail("%s: %s is a suffix of %s, and the result is %s; known are: %s", path, path + n - length,
                        foreign[i].format, format, gp_checkpoint_formats(true));
    }
    return 0;
}

int gp_checkpoint_write(const gp_checkpoint *c, const char *path, const char *format, gp_dtype dtype)
{
    if (gp_checkpoint_check_name(path, format))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i]->name, format) && formats[i]->write)
            return formats[i]->write(c, path, dtype);
    return fail("checkpoints cannot be written as %s; known are: %s", format, gp_checkpoint_formats(true));
}
