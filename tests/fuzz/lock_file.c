/* A lock file: what it knows is of the right form, and adding a file to it leaves one that reads back. */
#include "fuzz.h"

#include "fetch/lock_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const char *path = fuzz_file("data.lock", data, size), *hex;
    int64_t bytes;
    fuzz_begin();
    gp_lock_file *l = gp_lock_file_open(path);
    if (!l) {
        fuzz_refused();
        return 0;
    }
    if (gp_lock_file_find(l, "set", "set/file", &hex, &bytes))
        BUG_ON(strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64 || bytes < -1);
    fuzz_begin();
    if (gp_lock_file_add(l, "set", "set/file", digest, 5)) {
        fuzz_refused();
    } else {
        gp_lock_file *again = gp_lock_file_open(path);
        BUG_ON(!again || !gp_lock_file_find(again, "set", "set/file", &hex, &bytes));
        gp_lock_file_close(again);
    }
    gp_lock_file_close(l);
    return 0;
}
