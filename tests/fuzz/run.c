/* A run directory: its log, its links, its state. */
#include "fuzz.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "gptpipe/checkpoint.h"
#include "run/run.h"
#include "train/state.h"

static gp_model *small_model(void)
{
    static gp_model *m;
    if (!m) {
        gp_config c;
        BUG_ON(gp_config_preset(&c, "nano"));
        c.layers = c.heads = 1;
        c.channels = 4;
        c.inner = 8;
        c.positions = 4;
        c.vocab_size = 5;
        m = gp_model_create(&c, gp_backend_open("ref", "fp32", 1), true);
    }
    return m;
}

static void load_state(const char *path)
{
    static gp_optimizer o;
    static bool open;
    gp_state s = {0};
    if (!open)
        gp_optimizer_open(&o, small_model(), 0.9, 0.95, 1e-8, 0.1);
    open = true;
    fuzz_begin();
    gp_safetensors *file = gp_safetensors_open(path);
    bool good = file && !gp_state_read(&s, file, 2) && !gp_state_check(file, small_model()) &&
                !gp_state_load(file, &o, small_model());
    gp_safetensors_close(file);
    if (!good) {
        fuzz_refused();
        return;
    }
    BUG_ON(s.step < 0 || s.best_step < -1 || s.best_step > s.step || s.samples < 0);
    BUG_ON(s.losses.count < 0 || s.losses.count > GP_WINDOW || s.norms.count < 0 || s.norms.count > GP_WINDOW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *warning = NULL;
    int64_t step;
    const char *folder = fuzz_bundle(data, size);
    fuzz_begin();
    gp_run *r = gp_run_open_readonly(folder);
    if (r) {
        for (int n = 0; n < 3; n++) {
            char *path;
            gp_run_checkpoint(r, n, &path);
            free(path);
        }
        gp_run_log_ends(r, 2, "val_loss");
        gp_run_close(r);
    } else {
        fuzz_refused();
    }
    fuzz_begin();
    char *last = gp_run_last(folder, gp_run_weights_open, &warning);
    if (last) {
        char *state = gp_path_join(last, "state.safetensors");
        load_state(state);
        free(gp_run_locate(last, &step));
        free(state);
    } else {
        fuzz_refused();
    }
    free(last);
    free(warning);
    r = gp_run_open(folder); /* now it may change it */
    if (r) {
        char *aside;
        fuzz_begin();
        if (gp_run_cut_log(r, 2, &aside))
            fuzz_refused();
        free(aside);
        gp_run_close(r);
    }
    return 0;
}
