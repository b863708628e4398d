/* A model.safetensors.index.json beside its shards. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/hf/hf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_hf_files f;
    char *path = gp_path_join(fuzz_bundle(data, size), "model.safetensors.index.json");
    fuzz_begin();
    if (gp_hf_files_open_index(&f, path)) {
        fuzz_refused();
    } else {
        for (int64_t i = 0; i < f.tensor_count; i++)
            BUG_ON(gp_hf_files_find(&f, f.tensors[i].name) != &f.tensors[i]);
        gp_hf_files_close(&f);
    }
    free(path);
    return 0;
}
