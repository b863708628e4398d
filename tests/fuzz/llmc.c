/* llm.c's model file: what is opened has its numbers inside the file, each tensor found by its name. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/llmc/llmc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_map map;
    fuzz_begin();
    const char *path = fuzz_file("model.bin", data, size);
    gp_container *k = gp_map_open(&map, path) ? NULL : gp_llmc_read(&map, path);
    if (k)
        fuzz_use_container(k);
    else
        fuzz_refused();
    return 0;
}
