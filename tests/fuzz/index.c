/* A model.safetensors.index.json beside its shards. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/hf/hf.h"
#include "checkpoint/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_checkpoint *c = gp_calloc(1, sizeof *c);
    char *path = gp_path_join(fuzz_bundle(data, size), "model.safetensors.index.json");
    fuzz_begin();
    if (gp_checkpoint_add_shards(c, path, gp_hf_open_file))
        fuzz_refused();
    for (int f = 0; f < c->file_count; f++)
        for (int64_t i = 0; i < c->files[f]->count; i++)
            BUG_ON(gp_container_find(c->files[f], c->files[f]->tensors[i].name) != i);
    gp_checkpoint_close(c);
    free(path);
    return 0;
}
