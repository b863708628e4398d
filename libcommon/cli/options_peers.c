/* options_peers.c: names of options in other programs (transformers, nanoGPT, llama.cpp, llm.c), for "did you mean". */
#include "cli/options.h"

#include <string.h>

/* ours: the first of these that the tool has. */
static const struct {
    const char *ours, *theirs;
} peers[] = {
    {"checkpoint|init|tokenizer", "m|model"},
    {"checkpoint|init", "model-path|model-name|model-name-or-path|pretrained|weights|load|ckpt"},
    {"init", "init-from"},
    {"resume", "resume-from|resume-from-checkpoint|continue"},
    {"batch-size", "b|bs|batch|micro-batch-size|device-batch-size|per-device-train-batch-size"},
    {"grad-accum", "gradient-accumulation-steps|gradient-accumulation|accumulate"},
    {"seq-len",
     "block-size|context|context-length|ctx-size|n-ctx|n-positions|max-seq-len|max-seq-length|sequence-length"},
    {"layers", "n-layer|n-layers|num-layers|num-hidden-layers|depth"},
    {"heads", "n-head|n-heads|num-heads|num-attention-heads"},
    {"channels", "n-embd|d-model|hidden-size|dim|width"},
    {"lr", "l|learning-rate|max-lr"},
    {"min-lr", "min-learning-rate|lr-min|final-lr"},
    {"steps", "iters|iterations|num-iterations|max-iters|max-steps|train-steps"},
    {"epochs", "num-epochs|num-train-epochs"},
    {"warmup", "warmup-iters|warmup-steps|lr-warmup-steps"},
    {"decay-steps", "lr-decay-iters"},
    {"schedule", "lr-scheduler|lr-scheduler-type"},
    {"grad-clip", "max-grad-norm|gradient-clip|clip"},
    {"beta1", "adam-beta1"},
    {"beta2", "adam-beta2"},
    {"eps", "adam-epsilon"},
    {"weight-decay", "wd"},
    {"eval-every", "eval-interval|eval-steps"},
    {"eval-batches", "eval-iters"},
    {"save-every", "save-interval|save-steps"},
    {"keep", "save-total-limit"},
    {"log-every", "log-interval|logging-steps"},
    {"out", "output|output-dir|output-path|output-file|outfile|out-dir|local-dir"},
    {"data", "train-data|train-file|dataset"},
    {"val", "validation|val-data|eval-data|validation-file"},
    {"backend", "device|gpu"},
    {"dtype", "precision|outtype|torch-dtype|bf16|fp16"},
    {"cache-dtype", "cache-type-k|cache-type-v|ctk|ctv|kv-cache-dtype"},
    {"threads", "nthreads|n-threads|num-threads"},
    {"recompute", "gradient-checkpointing|activation-checkpointing"},
    {"temperature", "temp"},
    {"top-k", "topk"},
    {"top-p", "topp"},
    {"repetition-penalty", "repeat-penalty"},
    {"max-tokens", "n-predict|predict|max-length|max-new-tokens|length|num-tokens|tokens"},
    {"num-samples", "n-samples|samples|num-return-sequences"},
    {"prompt", "start|input|text"},
    {"prompts", "file"},
    {"interactive", "chat"},
    {"score", "perplexity|ppl"},
    {"top-logprobs", "logprobs"},
    {"stop", "stop-sequence|reverse-prompt"},
    {"ignore-end", "ignore-eos"},
    {"vocab-size", "n-vocab"},
    {"tokenizer|vocab-size", "vocab"},
    {"tokenizer", "encoding"},
    {"decode", "detokenize"},
    {"to", "output-format"},
    {"list", "ls"},
};

/* Whether the list "a|b|c" has the word. */
static bool is_in_list(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strcspn(at, "|") == n && !memcmp(at, word, n))
            return true;
    }
    return false;
}

const char *gp_option_find_peer(const gp_tool *tool, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        size_t n;
        for (const char *at = peers[i].ours; *at && is_in_list(peers[i].theirs, word); at += n + (at[n] == '|')) {
            n = strcspn(at, "|");
            const gp_option *o = gp_option_find(tool->options, at, n);
            if (o)
                return o->name;
        }
    }
    return NULL;
}
