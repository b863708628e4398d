/* A catalog of data sets, listed, each name looked up, and each set that is not built in printed both ways: the others
 * take most of the time, and are the same again and again. */
#include "fuzz.h"

#include "gptpipe/fetch.h"

static bool is_built_in(const char *name)
{
    static gp_catalog *built_in;
    if (!built_in)
        built_in = gp_catalog_open(NULL);
    for (int i = 0; i < gp_catalog_count(built_in); i++)
        if (!strcmp(gp_catalog_get(built_in, i)->name, name))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    gp_catalog *c = gp_catalog_open(fuzz_file("catalog.json", data, size));
    if (!c) {
        fuzz_refused();
        return 0;
    }
    for (int i = 0; i < gp_catalog_count(c); i++) {
        const char *name = gp_catalog_get(c, i)->name;
        BUG_ON(!gp_catalog_find(c, name));
        if (!is_built_in(name))
            BUG_ON(gp_catalog_print(c, name, false, fuzz_nowhere()) || gp_catalog_print(c, name, true, fuzz_nowhere()));
    }
    BUG_ON(gp_catalog_print(c, NULL, false, fuzz_nowhere()));
    gp_catalog_close(c);
    return 0;
}
