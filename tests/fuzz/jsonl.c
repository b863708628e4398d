/* JSON Lines: as the text of tokenize, as a data set, and as prompts. */
#include "fuzz.h"

#include "gptpipe/dataset.h"
#include "gptpipe/prompts.h"
#include "gptpipe/text.h"

static void as_text(const char *path)
{
    gp_list list = {.items = &path, .count = 1};
    gp_text_part part;
    int rc = 0;
    fuzz_begin();
    gp_text *t = gp_text_open(&list, &(gp_text_options){.jsonl = "text"});
    while (t && (rc = gp_text_next(t, NULL, 0, &part)) > 0)
        BUG_ON(part.end < part.begin || (part.length && !part.data));
    if (!t || rc < 0)
        fuzz_refused();
    gp_text_close(t);
}

static void as_items(const char *path)
{
    gp_data_item item = {0};
    fuzz_begin();
    gp_dataset *d = gp_dataset_open(path, &(gp_dataset_options){.kind = "jsonl", .label = "label"});
    if (!d)
        fuzz_refused();
    for (int64_t i = 0; d && i < gp_dataset_length(d); i++) {
        fuzz_begin();
        if (gp_dataset_get(d, i, &item))
            fuzz_refused();
        else
            BUG_ON(item.label < -1 || (item.length && !item.text));
    }
    gp_data_item_release(&item);
    gp_dataset_close(d);
}

static void as_prompts(const char *path)
{
    static gp_tokenizer *bytes;
    gp_prompts p = {0};
    if (!bytes)
        bytes = gp_tokenizer_open("bytes");
    fuzz_begin();
    if (gp_prompts_add_file(&p, bytes, path, "text", 256))
        fuzz_refused();
    gp_prompts_release(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("a.jsonl", data, size);
    as_text(path);
    as_items(path);
    as_prompts(path);
    return 0;
}
