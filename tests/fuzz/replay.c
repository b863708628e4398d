/* replay.c: runs the committed corpora through the fuzz targets, so that what was found once stays found under every
 * compiler.
 *
 *     fuzz-replay tests/fuzz/corpus            all of them
 *     fuzz-replay tokens FILE...               some files through one target, as to look into a finding
 */
#include "fuzz.h"

#include "base/file.h"
#include "base/atomic_folder.h"

typedef int target_fn(const uint8_t *data, size_t size);

#define TARGET(name) target_fn fuzz_##name;
#include "targets.h"
#undef TARGET

static const struct {
    const char *name;
    target_fn *run;
} targets[] = {
#define TARGET(name) {#name, fuzz_##name},
#include "targets.h"
#undef TARGET
};

static void replay(target_fn *run, const char *path)
{
    gp_buf b = {0};
    if (gp_file_read(&b, path, 1 << 24)) {
        fprintf(stderr, "fuzz-replay: %s\n", gp_error());
        exit(1);
    }
    uint8_t *data = gp_malloc(b.len); /* exactly so large, for AddressSanitizer */
    if (b.len)
        memcpy(data, b.data, b.len);
    if (getenv("FUZZ_VERBOSE"))
        fprintf(stderr, "%s\n", path);
    run(data, b.len);
    free(data);
    gp_buf_release(&b);
}

static int64_t replay_folder(target_fn *run, const char *folder)
{
    char **names;
    int64_t count;
    if (gp_folder_list(folder, &names, &count) || !count) {
        fprintf(stderr, "fuzz-replay: %s: has no corpus\n", folder);
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        char *path = gp_path_join(folder, names[i]);
        replay(run, path);
        free(path);
    }
    gp_folder_list_free(names, count);
    return count;
}

int main(int argc, char **argv)
{
    int64_t files = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: fuzz-replay CORPUS, or fuzz-replay TARGET FILE...\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        if (argc > 2 && strcmp(argv[1], targets[i].name))
            continue;
        char *folder = gp_path_join(argv[1], targets[i].name);
        if (argc == 2)
            files += replay_folder(targets[i].run, folder);
        for (int k = 2; k < argc; k++, files++)
            replay(targets[i].run, argv[k]);
        free(folder);
    }
    printf("fuzz-replay: %lld files\n", (long long)files);
    return files ? 0 : 1;
}
