/* A YAML file of options, as --config and --resume read it. */
#include "fuzz.h"

#include "gptpipe/options.h"

typedef struct args {
    const char *out;
    enum { RANDOM, SHUFFLE } order;
    int64_t steps, limit;
    double lr, decay, time;
    gp_list data;
    bool echo, quiet;
} args;

static const gp_option table[] = {
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE", "where the result goes"},
    {"Training", .type = GP_OPT_GROUP},
    {"steps", 's', GP_OPT_INT, offsetof(args, steps), "N", "optimizer steps", .min = 0, .max = 1e9},
    {"limit", 0, GP_OPT_INT, offsetof(args, limit), "N", "any number at all"},
    {"lr", 0, GP_OPT_FLOAT, offsetof(args, lr), "X", "peak learning rate", .min = 0, .max = 10},
    {"decay", 0, GP_OPT_FLOAT, offsetof(args, decay), "X", "any number at all"},
    {"time", 0, GP_OPT_TIME, offsetof(args, time), "TIME", "how long", .min = 0, .max = 1e9},
    {"order", 0, GP_OPT_CHOICE, offsetof(args, order), "WHICH", "data order",
     .choices = (const char *const[]){"random", "shuffle", NULL}},
    {"data", 'd', GP_OPT_LIST, offsetof(args, data), "FILE", "token streams"},
    {"echo", 'e', GP_OPT_FLAG, offsetof(args, echo), NULL, "print the prompt too"},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "no progress", .unlogged = true},
    {0},
};

static const gp_tool tool = {.name = "fuzz", .summary = "reads", .usage = "[OPTION]...", .options = table};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    args a = {.steps = 1000, .lr = 6e-4, .echo = true};
    fuzz_begin();
    if (gp_options_load(&tool, &a, fuzz_file("config.yaml", data, size))) {
        fuzz_refused();
        return 0;
    }
    BUG_ON(a.steps < 0 || a.steps > 1000000000 || !(a.lr >= 0 && a.lr <= 10) || !(a.time >= 0 && a.time <= 1e9));
    BUG_ON(a.order != RANDOM && a.order != SHUFFLE);

    /* what is printed reads back as the same */
    char *text = NULL, *text2 = NULL;
    size_t n, n2;
    args b = {.order = RANDOM};
    FILE *f = open_memstream(&text, &n);
    BUG_ON(!f || gp_options_print(&tool, &a, f));
    fclose(f);
    if (gp_options_load(&tool, &b, fuzz_file("again.yaml", (const uint8_t *)text, n))) {
        fprintf(stderr, "%s\n%s\n", text, gp_error());
        abort();
    }
    f = open_memstream(&text2, &n2);
    BUG_ON(!f || gp_options_print(&tool, &b, f));
    fclose(f);
    if (n != n2 || memcmp(text, text2, n)) {
        fprintf(stderr, "%s\n--\n%s\n", text, text2);
        abort();
    }
    free(text);
    free(text2);
    return 0;
}
