/* A catalog of data sets, printed both ways, and each name looked up. */
#include "fuzz.h"

#include "gptpipe/fetch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    gp_catalog *c = gp_catalog_open(fuzz_file("catalog.json", data, size));
    if (!c) {
        fuzz_refused();
        return 0;
    }
    for (int i = 0; i < gp_catalog_count(c); i++)
        BUG_ON(!gp_catalog_find(c, gp_catalog_get(c, i)->name));
    BUG_ON(gp_catalog_print(c, NULL, false, fuzz_nowhere()) ||
           gp_catalog_print(c, NULL, true, fuzz_nowhere()));
    gp_catalog_close(c);
    return 0;
}
