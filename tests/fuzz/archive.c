/* An archive, read to its end and as a tree: paths stay below, and what is read is bounded. */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "fetch/archive.h"
#include "fetch/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char block[1 << 16];
    const char *path = fuzz_file("a.archive", data, size);
    gp_archive_file f;
    int rc = 0;
    int64_t n = 0;
    fuzz_begin();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gp_archive *a = gp_archive_open_fd(fd, "a.archive", -1);
    while (a && n >= 0 && (rc = gp_archive_next(a, &f)) > 0) {
        BUG_ON(!gp_path_is_contained(f.path));
        while ((n = gp_archive_read(a, block, sizeof block)) > 0)
            ;
    }
    if (!a || rc < 0 || n < 0)
        fuzz_refused();
    gp_archive_close(a);
    gp_tree t;
    fuzz_begin();
    if (gp_tree_open_archive(&t, fd, "a.archive", -1, "")) {
        fuzz_refused();
    } else {
        for (int64_t i = 0; i < t.count; i++)
            BUG_ON(!gp_tree_has(&t, t.files[i].path));
        gp_tree_close(&t);
    }
    close(fd);
    return 0;
}
