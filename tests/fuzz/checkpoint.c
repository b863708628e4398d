/* A folder with config.json, weights and a tokenizer: a model that loads has only finite numbers, and is written and
 * read back with the same configuration. */
#include "fuzz.h"

#include <math.h>

#include "base/file.h"
#include "gptpipe/checkpoint.h"

static void use(const gp_checkpoint *c, const char *folder)
{
    static gp_backend *be;
    gp_tokenizer *t = NULL;
    if (!be)
        be = gp_backend_open("ref", "fp32", 1);
    BUG_ON(!be);
    BUG_ON(gp_config_check(gp_checkpoint_config(c), "an open checkpoint"));
    fuzz_begin();
    if (gp_checkpoint_open_tokenizer(c, &t))
        fuzz_refused();
    gp_tokenizer_close(t);
    fuzz_begin();
    gp_model *m = gp_checkpoint_model(c, be, false);
    if (!m) {
        fuzz_refused();
        return;
    }
    char *path = gp_path_join(folder, "out.safetensors");
    gp_checkpoint *of_model = gp_checkpoint_of_model(m, NULL, 0);
    BUG_ON(gp_checkpoint_write(of_model, path, NULL));
    gp_checkpoint *again = gp_checkpoint_open(path);
    BUG_ON(!again ||
           gp_config_parameters(gp_checkpoint_config(again)) != gp_config_parameters(gp_checkpoint_config(c)));
    gp_checkpoint_close(again);
    gp_checkpoint_close(of_model);
    gp_model_free(m);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *folder = fuzz_bundle(data, size);
    fuzz_begin();
    gp_checkpoint *c = gp_checkpoint_open(folder);
    if (c)
        use(c, folder);
    else
        fuzz_refused();
    gp_checkpoint_close(c);
    return 0;
}
