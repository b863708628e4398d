/* torch_files.h: files of torch.save made by hand, at `path`: a pickle and one storage; and what opening them gives. */
#ifndef GPTPIPE_TORCH_FILES_H
#define GPTPIPE_TORCH_FILES_H

#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/torch/torch.h"
#include "checkpoint/torch/zip.h"
#include "checkpoint/torch/zip_write.h"

static char path[] = "/tmp/gptpipe-torch.XXXXXX";

static inline int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd >= 0 && !close(fd) ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static inline gp_container *open_file(const char *file)
{
    gp_map map;
    assert_int_equal(gp_map_open(&map, file), 0);
    return gp_torch_read(&map, file);
}

static inline void write_file(const void *data, size_t n)
{
    int fd = open(path, O_WRONLY); /* gp_file_write, or O_TRUNC, would wait for the disk a few thousand times */
    assert_true(fd >= 0 && !gp_write_all(fd, data, n, path) && !ftruncate(fd, (off_t)n) && !close(fd));
}

/* Its numbers, in two calls; the caller frees. */
static inline float *numbers(const gp_container *k, int64_t i)
{
    int64_t n = k->tensors[i].elements, half = n / 2;
    float *x = gp_malloc((size_t)n * sizeof *x);
    assert_int_equal(gp_container_read(k, i, half, n - half, x + half), 0);
    assert_int_equal(gp_container_read(k, i, 0, half, x), 0);
    return x;
}

/* A file of torch.save with this pickle, and 24 bytes of storage: the floats 0 to 5. */
static inline void write_pickle(const char *pickle, size_t n)
{
    static const float x[] = {0, 1, 2, 3, 4, 5};
    gp_out out;
    assert_int_equal(gp_out_open(&out, path), 0);
    gp_zip_writer w = {.out = &out};
    gp_zip_add(&w, "data.pkl", pickle, n);
    gp_zip_add(&w, "data/0", x, sizeof x);
    assert_int_equal(gp_zip_finish(&w), 0);
    gp_zip_abandon(&w);
    assert_int_equal(gp_out_commit(&out), 0);
}

#define PICKLE(text) write_pickle(text, sizeof(text) - 1)
#define STORAGE(count)                                                                                                 \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                                 \
    "0X\3\0\0\0cpuK" count "tQ"
#define TENSOR(storage, shape)                                                                                         \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage shape "\x89"                                                        \
    "ccollections\nOrderedDict\n)RtR"
#define WHOLE         "K\0K\6\x85K\1\x85" /* its shape: x */
#define STATE(tensor) "\x80\2}X\1\0\0\0w" tensor "s."

static inline void assert_refused(const char *why)
{
    gp_container *k = open_file(path);
    if (k || !strstr(gp_error(), why))
        print_error("expected \"%s\", found \"%s\"\n", why, k ? "a file that opens" : gp_error());
    assert_true(!k && strstr(gp_error(), why));
    assert_null(strchr(gp_error(), '\n'));
}

static inline void assert_opens(const char *shape)
{
    char text[64];
    gp_container *k = open_file(path);
    if (!k)
        print_error("%s\n", gp_error());
    assert_non_null(k);
    assert_int_equal(k->count, 1);
    assert_string_equal(k->tensors[0].name, "w");
    assert_string_equal(gp_stored_format(&k->tensors[0], text, sizeof text), shape);
    assert_int_equal(gp_container_check(k, 0, NULL), 0);
    gp_container_close(k);
}

#endif
