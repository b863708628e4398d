/* A GPU that is missing, too old, too small, or lost while it works: each is one line that says what and why. A case is
 * a process of its own, since the simulated GPU (cusim/gpu.h) is chosen when it starts, and a lost one ends it. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/wait.h>

#include "backend/backend.h"
#include "gptpipe/train.h"

typedef void scene(void);

/* Before AddressSanitizer looks for leaks: what a process leaves that die() ends is none. */
static void leave(void)
{
    _exit(1);
}

/* What a process wrote to stderr when it did this on such a GPU, and how it ended. The caller frees. */
static char *play(const char *gpu, scene *scene, int *code)
{
    int ends[2], status;
    gp_buf text = {0};
    char part[512];
    ssize_t n;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        dup2(ends[1], STDERR_FILENO);
        setenv("CUSIM_GPU", gpu, 1);
        atexit(leave);
        scene();
        _exit(0);
    }
    close(ends[1]);
    gp_buf_puts(&text, "");
    while ((n = read(ends[0], part, sizeof part)) > 0)
        gp_buf_add(&text, part, (size_t)n);
    close(ends[0]);
    waitpid(child, &status, 0);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return text.data;
}

static void says(const char *gpu, scene *scene, int code, const char *expected)
{
    int ended;
    char *text = play(gpu, scene, &ended);
    assert_string_equal(text, expected);
    assert_int_equal(ended, code);
    free(text);
}

static void open_cuda(void)
{
    gp_backend *be = gp_backend_open("cuda", "auto", 1);
    fprintf(stderr, "%s\n", be ? gp_backend_device(be) : gp_error());
    if (be)
        fprintf(stderr, "%s\n", gp_backend_dtype(be));
    gp_backend_close(be);
}

static void a_gpu_is_named_with_what_it_can_do(void **state)
{
    (void)state;
    says("sm=90", open_cuda, 0, "simulated, sm_90\nbf16\n");
    says("sm=75", open_cuda, 0, "simulated, sm_75\nfp32\n");
    says("count=4", open_cuda, 0, "simulated, sm_90, GPU 1 of 4\nbf16\n");
}

static void a_missing_driver_is_not_one_that_is_too_old(void **state)
{
    (void)state;
    says("driver=0", open_cuda, 0, "backend cuda: no NVIDIA driver found\n");
    says("driver=12040", open_cuda, 0,
         "backend cuda: the NVIDIA driver supports CUDA 12.4, this build requires 13.0; update the driver, or build "
         "with an older toolkit\n");
}

static void a_driver_without_a_gpu_is_told(void **state)
{
    (void)state;
    unsetenv("CUDA_VISIBLE_DEVICES");
    says("count=0", open_cuda, 0, "backend cuda: the NVIDIA driver finds no GPU\n");
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    says("count=0", open_cuda, 0, "backend cuda: the NVIDIA driver finds no GPU; CUDA_VISIBLE_DEVICES is 7\n");
    unsetenv("CUDA_VISIBLE_DEVICES");
}

static void a_gpu_that_the_build_has_no_code_for_is_told(void **state)
{
    (void)state;
    says("sm=75,image=0", open_cuda, 0,
         "backend cuda: this build is for the simulator, which simulated, sm_75 cannot run; build with "
         "GPTPIPE_CUDA_ARCHS=75\n");
}

static void open_cuda_in_bf16(void)
{
    gp_backend *be = gp_backend_open("cuda", "bf16", 1);
    fprintf(stderr, "%s\n", be ? "opened" : gp_error());
}

static void a_gpu_without_bf16_says_so(void **state)
{
    (void)state;
    says("sm=75", open_cuda_in_bf16, 0,
         "backend cuda: simulated, sm_75 does not support bf16 (sm_80 or later required); use --dtype fp32\n");
}

static void open_auto(void)
{
    gp_backend *be = gp_backend_open("auto", "fp32", 1);
    fprintf(stderr, "%s: %s\n", strcmp(gp_backend_name(be), "cuda") ? "a processor" : "cuda",
            gp_backend_warning(be) ? gp_backend_warning(be) : "nothing to say");
    gp_backend_close(be);
}

static void auto_takes_a_gpu_or_says_why_not(void **state)
{
    (void)state;
    says("sm=90", open_auto, 0, "cuda: nothing to say\n");
    says("driver=0", open_auto, 0, "a processor: backend cuda: no NVIDIA driver found\n");
    setenv("CUDA_VISIBLE_DEVICES", "", 1); /* hidden by someone who knows */
    says("sm=90", open_auto, 0, "a processor: nothing to say\n");
    unsetenv("CUDA_VISIBLE_DEVICES");
}

static void upload_what_changes(void)
{
    gp_backend *be = gp_backend_open("cuda", "fp32", 1);
    enum { N = 64 };
    int32_t numbers[N], back[N];
    int32_t *memory = be->ops->alloc(be, sizeof numbers);
    for (int i = 0; i < N; i++)
        numbers[i] = i;
    be->ops->upload(be, memory, numbers, sizeof numbers);
    memset(numbers, 0, sizeof numbers);
    be->ops->download(be, back, memory, sizeof back);
    fprintf(stderr, "%d\n", back[N - 1]);
    be->ops->free(be, memory, sizeof numbers);
    gp_backend_close(be);
}

static void what_was_uploaded_may_change_at_once(void **state)
{
    (void)state;
    says("pages=0", upload_what_changes, 0, "63\n");
    says("pages=1", upload_what_changes, 0, "63\n");
    says("pages=2", upload_what_changes, 0, "63\n");
}

static void take_too_much(void)
{
    gp_backend *be = gp_backend_open("cuda", "fp32", 1);
    gp_arena arena = {.name = "activations", .size = 20u << 20};
    gp_arena_allocate(&arena, gp_backend_memory(be));
    arena.base = NULL;
    arena.size = 50u << 20;
    gp_arena_allocate(&arena, gp_backend_memory(be));
}

static void memory_that_does_not_fit_is_told_in_numbers(void **state)
{
    (void)state;
    says("memory=64", take_too_much, 1,
         "cusim_gpu: out of GPU memory: 0.05 GB are needed for activations, 0.05 GB of 0.07 GB are free; use a "
         "smaller batch size\n");
}

static void work(void *self, char *text, size_t size)
{
    snprintf(text, size, "; %s", (const char *)self);
}

static void norm_some_rows(void)
{
    gp_backend *be = gp_backend_open("cuda", "fp32", 1);
    enum { N = 4, C = 64 };
    float *memory = be->ops->alloc(be, (3 * N * C + 2 * C + 2 * N) * sizeof(float)), *p = memory;
    gp_tensor x = {.data = p, .ndim = 3, .dim = {1, N, C}}, y = x, gamma = {.ndim = 1, .dim = {C}}, rows = gamma;
    char job[] = "it was row 3";
    y.data = p + N * C;
    gamma.data = p + 3 * N * C;
    rows.dim[0] = N;
    rows.data = p + 3 * N * C + 2 * C;
    gp_backend_plan(be, &(gp_shape){.B = 1, .T = N, .C = C, .H = 1, .V = 1, .inner = C});
    gp_die_set_context(work, job);
    for (int i = 0; i < 3; i++)
        be->ops->norm_forward(be,
                              &(gp_norm_op){.residual = &x, .y = &y, .gamma = &gamma, .mean = &rows, .rstd = &rows});
    be->ops->sync(be);
    fputs("it goes on\n", stderr);
}

static void a_lost_gpu_ends_the_process_with_the_kernel_and_the_work(void **state)
{
    int code;
    (void)state;
    char *text = play("lost=2", norm_some_rows, &code); /* the first launch is that of opening */
    assert_non_null(strstr(text, "cusim_gpu: the GPU failed: unspecified launch failure (reported by norm_forward"));
    assert_non_null(strstr(text, "); it was row 3\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    assert_int_equal(code, 1);
    free(text);
}

/* The same rows in a recorded pass, until the device is lost in one that is issued again. */
static void norm_recorded_rows(void)
{
    gp_backend *be = gp_backend_open("cuda", "fp32", 1);
    enum { N = 4, C = 8 };
    float *memory = be->ops->alloc(be, (2 * N * C + 2 * C + 2 * N) * sizeof *memory);
    gp_tensor x = {.data = memory, .ndim = 2, .dim = {N, C}}, y = {.data = memory + N * C, .ndim = 2, .dim = {N, C}},
              gamma = {.data = memory + 2 * N * C, .ndim = 1, .dim = {C}},
              beta = {.data = memory + 2 * N * C + C, .ndim = 1, .dim = {C}},
              mean = {.data = memory + 2 * N * C + 2 * C, .ndim = 1, .dim = {N}},
              rstd = {.data = memory + 2 * N * C + 2 * C + N, .ndim = 1, .dim = {N}};
    gp_recording *r = NULL;
    for (int pass = 0; pass < 6; pass++) {
        if (be->ops->record_begin(be, &r))
            do
                be->ops->norm_forward(be, &(gp_norm_op){.residual = &x,
                                                        .gamma = &gamma,
                                                        .beta = &beta,
                                                        .eps = 1e-5f,
                                                        .y = &y,
                                                        .mean = &mean,
                                                        .rstd = &rstd});
            while (!be->ops->record_end(be, &r));
        be->ops->sync(be);
    }
    fputs("it goes on\n", stderr);
}

static void a_failure_in_a_recorded_pass_is_named_so(void **state)
{
    int code;
    (void)state;
    char *text = play("lost=4", norm_recorded_rows, &code);
    assert_non_null(strstr(text, "; the last launch was a CUDA graph)"));
    assert_null(strstr(text, "norm"));
    assert_int_equal(code, 1);
    free(text);
    text = play("lost=1", norm_recorded_rows, &code); /* as it came */
    assert_non_null(strstr(text, "norm_forward"));
    free(text);
}

/* ---- a run that loses its GPU ---------------------------------------------------------------------------- */

static char folder[] = "/tmp/gptpipe-gpu-XXXXXX";
static const char *out, *resume; /* of the next run; it inherits them */
static int64_t rows = 2;         /* a micro-batch of it */

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    char *path = gp_path_join(folder, "ids.bin");
    FILE *f = fopen(path, "wb");
    for (uint16_t i = 0; f && i < 1000; i++)
        fwrite(&(uint16_t){(uint16_t)(i * i % 31)}, 2, 1, f);
    free(path);
    return f ? fclose(f) : -1;
}

static void forget(const char *what)
{
    char *command = gp_format("rm -rf '%s'", what);
    assert_int_equal(system(command), 0);
    free(command);
}

static int remove_folder(void **state)
{
    (void)state;
    forget(folder);
    return 0;
}

/* Six steps, saved after every second. */
static void train(void)
{
    gp_train_options o = gp_train_defaults();
    char *path = gp_path_join(folder, "ids.bin");
    o.data = (gp_list){.items = (const char *[]){path}, .count = 1};
    o.format = GP_STREAM_RAW16;
    o.vocab_size = 32;
    o.layers = 1;
    o.heads = 2;
    o.channels = 16;
    o.seq_len = 8;
    o.batch_size = rows;
    o.steps = 6;
    o.save_every = 2;
    o.eval_batches = o.eval_every = 0;
    o.dropout = 0.1;
    o.backend = GP_BACKEND_CUDA;
    o.dtype = GP_COMPUTE_FP32;
    o.quiet = true;
    o.out = resume ? NULL : out;
    o.resume = resume;
    if (gp_train(&o))
        fprintf(stderr, "%s\n", gp_error());
    free(path);
}

static void a_run_whose_gpu_was_lost_goes_on_from_its_last_checkpoint(void **state)
{
    (void)state;
    int code = 1;
    char *text = NULL, *lost = gp_path_join(folder, "lost"), *whole = gp_path_join(folder, "whole");
    char *kept = gp_format("/ckpt-00000002 is kept, to continue: train --resume %s\n", lost);
    out = lost;
    for (int launches = 40; !text || !strstr(text, kept); launches += 10) { /* until it is step 3 or 4 */
        assert_in_range(launches, 0, 2000);
        free(text);
        forget(lost);
        char *gpu = gp_format("lost=%d", launches);
        text = play(gpu, train, &code);
        free(gpu);
    }
    assert_ptr_equal(strstr(text, "cusim_gpu: the GPU failed: "), text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    assert_int_equal(code, 1);

    resume = lost;
    says("sm=90", train, 0, "");
    resume = NULL;
    out = whole;
    says("sm=90", train, 0, "");
    gp_buf models[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        char *path = gp_path_join(i ? whole : lost, "ckpt-00000006/model.safetensors");
        assert_int_equal(gp_file_read(&models[i], path, 1 << 24), 0);
        free(path);
    }
    assert_int_equal(models[0].len, models[1].len);
    assert_memory_equal(models[0].data, models[1].data, models[0].len);
    for (int i = 0; i < 2; i++)
        gp_buf_release(&models[i]);
    free(text);
    free(lost);
    free(whole);
    free(kept);
}

static void a_batch_that_is_too_large_is_refused_with_one_that_fits(void **state)
{
    (void)state;
    int code;
    long long fits = 0, recomputed = 0;
    char *path = gp_path_join(folder, "large");
    out = path;
    rows = 120;
    char *text = play("memory=2", train, &code);
    const char *says_which = strstr(text, "--batch-size ");
    assert_ptr_equal(strstr(text, "batches of 120 x 8 tokens need "), text);
    assert_non_null(says_which);
    assert_int_equal(sscanf(says_which, "--batch-size %lld fits, with --recompute %*s %lld;", &fits, &recomputed), 2);
    assert_in_range(fits, 1, 119);
    assert_true(recomputed >= fits);
    free(text);
    forget(path);
    free(path);
    rows = 2;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_is_named_with_what_it_can_do),
        cmocka_unit_test(a_missing_driver_is_not_one_that_is_too_old),
        cmocka_unit_test(a_driver_without_a_gpu_is_told),
        cmocka_unit_test(a_gpu_that_the_build_has_no_code_for_is_told),
        cmocka_unit_test(a_gpu_without_bf16_says_so),
        cmocka_unit_test(auto_takes_a_gpu_or_says_why_not),
        cmocka_unit_test(what_was_uploaded_may_change_at_once),
        cmocka_unit_test(memory_that_does_not_fit_is_told_in_numbers),
        cmocka_unit_test(a_lost_gpu_ends_the_process_with_the_kernel_and_the_work),
        cmocka_unit_test(a_failure_in_a_recorded_pass_is_named_so),
        cmocka_unit_test(a_batch_that_is_too_large_is_refused_with_one_that_fits),
        cmocka_unit_test(a_run_whose_gpu_was_lost_goes_on_from_its_last_checkpoint),
    };
    return cmocka_run_group_tests_name("a GPU that is not there, too small, or lost", tests, make_folder,
                                       remove_folder);
}
