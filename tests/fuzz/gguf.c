/* A GGUF file: what is opened has its tensors inside the file, metadata that can be printed, a tokenizer.json that is
 * read or refused with a reason; and a model that loads. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "gptpipe/checkpoint.h"

static void use_tokenizer(const gp_gguf *g)
{
    size_t length = 0;
    char *json;
    fuzz_begin();
    if (gp_gguf_tokenizer(g, &json, &length))
        fuzz_refused();
    else if (json) {
        fuzz_begin();
        gp_tokenizer *t = gp_tokenizer_from_json(json, length, "a.gguf");
        if (t)
            fuzz_use_tokenizer(t);
        else
            fuzz_refused();
        gp_tokenizer_close(t);
    }
    free(json);
}

static void use_metadata(gp_container *k)
{
    gp_config config;
    gp_buf value = {0};
    const char *key;
    for (int64_t i = 0; k->ops->metadata(k->self, i, &key, &value); i++)
        BUG_ON(!gp_gguf_find(gp_gguf_of(k), key));
    gp_buf_release(&value);
    fuzz_begin();
    if (gp_gguf_config(&config, k))
        fuzz_refused();
}

static void load(const char *path)
{
    static gp_backend *be;
    if (!be)
        be = gp_backend_open("ref", "fp32", 1);
    fuzz_begin();
    gp_checkpoint *c = gp_checkpoint_open(path);
    gp_model *m = c ? gp_checkpoint_model(c, be, false) : NULL;
    if (!m)
        fuzz_refused();
    gp_model_free(m);
    gp_checkpoint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_map map;
    fuzz_begin();
    const char *path = fuzz_file("a.gguf", data, size);
    gp_container *k = gp_map_open(&map, path) ? NULL : gp_gguf_read(&map, path);
    if (!k) {
        fuzz_refused();
        return 0;
    }
    use_metadata(k);
    use_tokenizer(gp_gguf_of(k));
    fuzz_use_container(k);
    load(path);
    return 0;
}
