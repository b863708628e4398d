/* A file of torch.save: what is opened has tensors inside the file, each found by its name, and numbers in any order. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/torch/torch.h"

/* Tensors of up to this many numbers are read; a deflated file may have many more than bytes. */
enum { MAX_READ = 1 << 12 };

static void use_tensor(const gp_container *k, int64_t i)
{
    static float x[MAX_READ], y[MAX_READ];
    const gp_stored *t = &k->tensors[i];
    int64_t n = gp_min(t->elements, MAX_READ), half = n / 2;
    BUG_ON(gp_container_find(k, t->name) != i);
    if (!t->is_float)
        return;
    fuzz_begin();
    if (gp_container_read(k, i, 0, n, x)) {
        fuzz_refused();
        return;
    }
    BUG_ON(gp_container_read(k, i, half, n - half, y + half) || gp_container_read(k, i, 0, half, y));
    BUG_ON(memcmp(x, y, (size_t)n * sizeof *x));
    fuzz_begin();
    if (n == t->elements && gp_container_check(k, i, NULL))
        fuzz_refused();
    gp_container_forget(k, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_map map;
    const char *path = fuzz_file("a.pt", data, size);
    BUG_ON(gp_map_open(&map, path));
    fuzz_begin();
    gp_container *k = gp_torch_read(&map, path);
    if (!k) {
        fuzz_refused();
        return 0;
    }
    const gp_torch_extras *e = gp_torch_extras_of(k);
    for (int64_t i = 0; i < e->arg_count; i++)
        fprintf(fuzz_nowhere(), "%s %s\n", e->args[i].name, e->args[i].text ? e->args[i].text : "");
    fprintf(fuzz_nowhere(), "%s %s\n", e->member ? e->member : "", e->ignored ? e->ignored : "");
    for (int64_t i = 0; i < k->count; i++)
        use_tensor(k, i);
    gp_container_close(k);
    return 0;
}
