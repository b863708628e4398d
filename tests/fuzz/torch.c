/* A file of torch.save: what is opened has tensors inside the file, each found by its name, and numbers in any order. A
 * pickle by itself is put into a zip with ten storages of 24 bytes, so that mutations come past the zip's checks. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/torch/zip_write.h"

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

/* The map of a spool, as of a pipe that was read. */
static void put_into_zip(const uint8_t *pickle, size_t size, gp_map *map)
{
    enum { STORAGES = 10 };
    static const char storage[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    gp_out out;
    BUG_ON(gp_out_open_spool(&out));
    gp_zip_writer w = {.out = &out};
    gp_zip_add(&w, "data.pkl", pickle, size);
    for (int i = 0; i < STORAGES; i++) {
        char name[] = "data/0";
        name[sizeof name - 2] = (char)('0' + i);
        gp_zip_add(&w, name, storage, sizeof storage);
    }
    BUG_ON(gp_zip_finish(&w) || gp_out_map(&out, map, "a.pt"));
    gp_zip_abandon(&w);
    gp_out_abandon(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_map map;
    const char *path = "a.pt";
    if (size && data[0] == 0x80 && !gp_torch_is_legacy((const char *)data, size)) {
        put_into_zip(data, size, &map);
    } else {
        path = fuzz_file("a.pt", data, size);
        BUG_ON(gp_map_open(&map, path));
    }
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
