/* suffix.c: what the suffix of an output's name promises. */
#include "checkpoint/checkpoint.h"
#include "gptpipe/checkpoint.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Files with these suffixes are expected to be what they say: of one of the formats, if there is one. */
static const struct suffix {
    const char *text, *owner;
    const char *formats[2];
} suffixes[] = {
    {".safetensors", "safetensors", {"safetensors"}},
    {".gguf", "GGUF", {"gguf"}},
    {".bin", "PyTorch and llm.c", {"torch", "llmc"}},
    {".pt", "PyTorch", {"torch", "nanogpt"}},
    {".pth", "PyTorch", {"torch", "nanogpt"}},
    {".ckpt", "PyTorch and TensorFlow", {"torch", "nanogpt"}},
    {".ggml", "GGML", {NULL}},
    {".pkl", "pickle", {NULL}},
    {".pickle", "pickle", {NULL}},
    {".onnx", "ONNX", {NULL}},
    {".h5", "Keras", {NULL}},
    {".hdf5", "HDF5", {NULL}},
    {".keras", "Keras", {NULL}},
    {".tflite", "TensorFlow", {NULL}},
    {".pb", "TensorFlow", {NULL}},
    {".msgpack", "Flax", {NULL}},
    {".npz", "NumPy", {NULL}},
    {".npy", "NumPy", {NULL}},
    {".mlmodel", "Core ML", {NULL}},
    {".mlpackage", "Core ML", {NULL}},
    {".nemo", "NeMo", {NULL}},
};

/* The suffix of a file's name, or NULL: of a folder, whose files have names of their own, or of a device too. */
static const struct suffix *suffix_of(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        size_t length = strlen(suffixes[i].text);
        if (n > length && !strcasecmp(path + n - length, suffixes[i].text))
            return &suffixes[i];
    }
    return NULL;
}

const char *gp_checkpoint_format_of_name(const char *path)
{
    const struct suffix *s = suffix_of(path);
    if (s && s->formats[0] && s->formats[1]) {
        fail("%s: files that end in %s may be of several formats: choose %s or %s with --to", path, s->text,
             s->formats[0], s->formats[1]);
        return NULL;
    }
    return s && s->formats[0] ? s->formats[0] : "safetensors";
}

int gp_checkpoint_check_name(const char *path, const char *format)
{
    const struct suffix *s = suffix_of(path);
    for (size_t i = 0; s && i < ARRAY_LEN(s->formats); i++)
        if (s->formats[i] && !strcmp(s->formats[i], format))
            return 0;
    return s ? fail("%s: %s is a suffix of %s, and the output is %s; supported: %s", path,
                    path + strlen(path) - strlen(s->text), s->owner, format, gp_checkpoint_formats(true))
             : 0;
}
