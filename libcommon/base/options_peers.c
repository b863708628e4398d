/* options_peers.c: what other programs call an option, for "did you mean": transformers, nanoGPT, llama.cpp, llm.c. */
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

/* ours: names in the order in which a tool's table is asked for them. */
static const struct {
    const char *theirs, *ours;
} peers[] = {
    {"m", "checkpoint|init|tokenizer"},
    {"model", "checkpoint|init|tokenizer"},
    {"model-path", "checkpoint|init"},
    {"model-name", "checkpoint|init"},
    {"model-name-or-path", "checkpoint|init"},
    {"pretrained", "checkpoint|init"},
    {"weights", "checkpoint|init"},
    {"load", "checkpoint|init"},
    {"ckpt", "checkpoint|init"},
    {"init-from", "init"},
    {"resume-from", "resume"},
    {"resume-from-checkpoint", "resume"},
    {"continue", "resume"},
    {"b", "batch-size"},
    {"bs", "batch-size"},
    {"batch", "batch-size"},
    {"micro-batch-size", "batch-size"},
    {"device-batch-size", "batch-size"},
    {"per-device-train-batch-size", "batch-size"},
    {"gradient-accumulation-steps", "grad-accum"},
    {"gradient-accumulation", "grad-accum"},
    {"accumulate", "grad-accum"},
    {"block-size", "seq-len"},
    {"context", "seq-len"},
    {"context-length", "seq-len"},
    {"ctx-size", "seq-len"},
    {"n-ctx", "seq-len"},
    {"n-positions", "seq-len"},
    {"max-seq-len", "seq-len"},
    {"max-seq-length", "seq-len"},
    {"sequence-length", "seq-len"},
    {"n-layer", "layers"},
    {"n-layers", "layers"},
    {"num-layers", "layers"},
    {"num-hidden-layers", "layers"},
    {"depth", "layers"},
    {"n-head", "heads"},
    {"n-heads", "heads"},
    {"num-heads", "heads"},
    {"num-attention-heads", "heads"},
    {"n-embd", "channels"},
    {"d-model", "channels"},
    {"hidden-size", "channels"},
    {"dim", "channels"},
    {"width", "channels"},
    {"l", "lr"},
    {"learning-rate", "lr"},
    {"max-lr", "lr"},
    {"min-learning-rate", "min-lr"},
    {"lr-min", "min-lr"},
    {"final-lr", "min-lr"},
    {"iters", "steps"},
    {"iterations", "steps"},
    {"num-iterations", "steps"},
    {"max-iters", "steps"},
    {"max-steps", "steps"},
    {"train-steps", "steps"},
    {"num-epochs", "epochs"},
    {"num-train-epochs", "epochs"},
    {"warmup-iters", "warmup"},
    {"warmup-steps", "warmup"},
    {"lr-warmup-steps", "warmup"},
    {"lr-decay-iters", "decay-steps"},
    {"lr-scheduler", "schedule"},
    {"lr-scheduler-type", "schedule"},
    {"max-grad-norm", "grad-clip"},
    {"gradient-clip", "grad-clip"},
    {"clip", "grad-clip"},
    {"adam-beta1", "beta1"},
    {"adam-beta2", "beta2"},
    {"adam-epsilon", "eps"},
    {"wd", "weight-decay"},
    {"eval-interval", "eval-every"},
    {"eval-steps", "eval-every"},
    {"eval-iters", "eval-batches"},
    {"save-interval", "save-every"},
    {"save-steps", "save-every"},
    {"save-total-limit", "keep"},
    {"log-interval", "log-every"},
    {"logging-steps", "log-every"},
    {"output", "out"},
    {"output-dir", "out"},
    {"output-path", "out"},
    {"output-file", "out"},
    {"outfile", "out"},
    {"out-dir", "out"},
    {"local-dir", "out"},
    {"train-data", "data"},
    {"train-file", "data"},
    {"dataset", "data"},
    {"validation", "val"},
    {"val-data", "val"},
    {"eval-data", "val"},
    {"validation-file", "val"},
    {"device", "backend"},
    {"gpu", "backend"},
    {"precision", "dtype"},
    {"outtype", "dtype"},
    {"torch-dtype", "dtype"},
    {"bf16", "dtype"},
    {"fp16", "dtype"},
    {"nthreads", "threads"},
    {"n-threads", "threads"},
    {"num-threads", "threads"},
    {"gradient-checkpointing", "recompute"},
    {"activation-checkpointing", "recompute"},
    {"temp", "temperature"},
    {"topk", "top-k"},
    {"topp", "top-p"},
    {"repeat-penalty", "repetition-penalty"},
    {"n-predict", "max-tokens"},
    {"max-length", "max-tokens"},
    {"max-new-tokens", "max-tokens"},
    {"length", "max-tokens"},
    {"num-tokens", "max-tokens"},
    {"tokens", "max-tokens"},
    {"n-samples", "num-samples"},
    {"num-return-sequences", "num-samples"},
    {"start", "prompt"},
    {"input", "prompt"},
    {"text", "prompt"},
    {"file", "prompts"},
    {"chat", "interactive"},
    {"perplexity", "score"},
    {"ppl", "score"},
    {"logprobs", "top-logprobs"},
    {"stop-sequence", "stop"},
    {"reverse-prompt", "stop"},
    {"ignore-eos", "ignore-end"},
    {"n-vocab", "vocab-size"},
    {"vocab", "tokenizer|vocab-size"},
    {"encoding", "tokenizer"},
    {"detokenize", "decode"},
    {"output-format", "to"},
    {"ls", "list"},
};

static const gp_option *first_of(const gp_tool *tool, const char *names)
{
    for (const char *at = names; *at; at += *at == '|') {
        size_t n = strcspn(at, "|");
        const gp_option *o = gp_option_find(tool->options, at, n);
        if (o)
            return o;
        at += n;
    }
    return NULL;
}

const char *gp_option_of_peer(const gp_tool *tool, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        const gp_option *o = strcmp(peers[i].theirs, word) ? NULL : first_of(tool, peers[i].ours);
        if (o)
            return o->name;
    }
    return NULL;
}
