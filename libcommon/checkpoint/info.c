/* info.c: what is in a checkpoint, for people and as JSON. */
#include "base/file.h"
#include "base/json_write.h"
#include "checkpoint/checkpoint.h"

#include <stdlib.h>
#include <string.h>

static void print_text(const gp_checkpoint *c, const gp_tokenizer *t, const char *fingerprint, const gp_verified *v,
                       FILE *out)
{
    const gp_config *k = gp_checkpoint_config(c);
    fprintf(out, "format      %s\n", gp_checkpoint_format(c));
    fprintf(out, "model       %s, %lld layers, %lld heads, %lld channels, context %lld, vocabulary %lld\n",
            gp_family_name(k->family), (long long)k->layers, (long long)k->heads, (long long)k->channels,
            (long long)gp_config_context(k), (long long)k->vocab_size);
    fprintf(out, "parameters  %lld\n", (long long)gp_config_parameters(k));
    if (t)
        fprintf(out, "tokenizer   %s, %lld ids, fingerprint %s\n", gp_tokenizer_kind(t),
                (long long)gp_tokenizer_vocab_size(t), fingerprint);
    else
        fprintf(out, "tokenizer   %s\n",
                gp_checkpoint_tokenizer(c, NULL) ? "of an unsupported type; copied unchanged" : "none");
    if (v)
        fprintf(out, "verified    %lld files, %lld tensors, %lld of them by their CRC-32C\n", (long long)v->files,
                (long long)v->tensors, (long long)v->sums);
    fprintf(out, "tensors\n");
    const char *name;
    char shape[96];
    gp_tensor tensor;
    for (int64_t i = 0; (name = gp_checkpoint_tensor(c, i, &tensor)); i++)
        fprintf(out, "  %-56s %s\n", gp_printable(name), gp_tensor_format(&tensor, shape, sizeof shape));
}

static void print_json(const gp_checkpoint *c, const gp_tokenizer *t, const char *fingerprint, const gp_verified *v,
                       FILE *out)
{
    gp_buf b = {0};
    const char *name;
    gp_tensor tensor;
    char *config = gp_config_to_json(gp_checkpoint_config(c));
    gp_json_open(&b, NULL, '{');
    gp_json_put(&b, MEMBER("format", gp_checkpoint_format(c)),
                MEMBER("parameters", gp_config_parameters(gp_checkpoint_config(c))), RAW("config", config));
    free(config);
    if (t) {
        gp_json_open(&b, "tokenizer", '{');
        gp_json_put(&b, MEMBER("kind", gp_tokenizer_kind(t)), MEMBER("vocab_size", gp_tokenizer_vocab_size(t)),
                    MEMBER("fingerprint", fingerprint));
        gp_json_close(&b, '}');
    } else {
        gp_json_put(&b, RAW("tokenizer", gp_checkpoint_tokenizer(c, NULL) ? "{}" : "null"));
    }
    if (v) {
        gp_json_open(&b, "verified", '{');
        gp_json_put(&b, MEMBER("files", v->files), MEMBER("tensors", v->tensors), MEMBER("crc32c", v->sums));
        gp_json_close(&b, '}');
    }
    gp_json_open(&b, "tensors", '[');
    for (int64_t i = 0; (name = gp_checkpoint_tensor(c, i, &tensor)); i++) {
        gp_buf_puts(&b, i ? ",\n" : "\n");
        gp_json_open(&b, NULL, '{');
        gp_json_put(&b, MEMBER("name", name), MEMBER("dtype", gp_dtype_name(tensor.dtype)));
        gp_json_open(&b, "shape", '[');
        for (int d = 0; d < tensor.ndim; d++)
            gp_json_put(&b, MEMBER(NULL, tensor.dim[d]));
        gp_json_close(&b, ']');
        gp_json_close(&b, '}');
    }
    gp_json_close(&b, ']');
    gp_json_close(&b, '}');
    gp_json_write(&b, out, "\n");
}

void gp_checkpoint_print(const gp_checkpoint *c, const gp_verified *v, bool json, FILE *out)
{
    size_t length;
    uint8_t print[16];
    char fingerprint[33] = "";
    const char *tokenizer = gp_checkpoint_tokenizer(c, &length);
    gp_tokenizer *t = tokenizer ? gp_tokenizer_from_json(tokenizer, length, "the checkpoint's tokenizer") : NULL;
    if (gp_checkpoint_fingerprint(c, print))
        gp_hex(fingerprint, print, sizeof print);
    (json ? print_json : print_text)(c, t, fingerprint, v, out);
    gp_tokenizer_close(t);
}
