/* llmc.c: the tensors of llm.c's model file. */
#include "checkpoint/llmc/llmc.h"

/* A dim as a multiple of one of the header's sizes. */
typedef enum extent { ONE, C1, C3, C4, ROWS, POSITIONS } extent;

static const struct {
    const char *name;
    bool in_layer;
    extent dim[2]; /* ONE: no second dim */
} tensors[GP_LLMC_TENSORS] = {
    {"wte", false, {ROWS, C1}},   {"wpe", false, {POSITIONS, C1}}, {"ln1w", true, {C1}},
    {"ln1b", true, {C1}},         {"qkvw", true, {C3, C1}},        {"qkvb", true, {C3}},
    {"attprojw", true, {C1, C1}}, {"attprojb", true, {C1}},        {"ln2w", true, {C1}},
    {"ln2b", true, {C1}},         {"fcw", true, {C4, C1}},         {"fcb", true, {C4}},
    {"fcprojw", true, {C1, C4}},  {"fcprojb", true, {C1}},         {"lnfw", false, {C1}},
    {"lnfb", false, {C1}},
};

gp_llmc_tensor gp_llmc_tensor_of(const gp_llmc_header *h, int i)
{
    const int64_t sizes[] = {
        [ONE] = 1,
        [C1] = h->channels,
        [C3] = 3 * h->channels,
        [C4] = 4 * h->channels,
        [ROWS] = h->padded_vocab_size,
        [POSITIONS] = h->positions,
    };
    return (gp_llmc_tensor){
        .name = tensors[i].name,
        .in_layer = tensors[i].in_layer,
        .ndim = tensors[i].dim[1] == ONE ? 1 : 2,
        .dim = {sizes[tensors[i].dim[0]], sizes[tensors[i].dim[1]]},
    };
}

const char *gp_llmc_name(const gp_llmc_tensor *t, int64_t layer, char text[GP_LLMC_NAME])
{
    if (!t->in_layer)
        return t->name;
    snprintf(text, GP_LLMC_NAME, "h.%lld.%s", (long long)layer, t->name);
    return text;
}
