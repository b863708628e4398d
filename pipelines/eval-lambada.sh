#!/usr/bin/env bash
# LAMBADA, OpenAI's variant, of a checkpoint with GPT-2's tokenizer: the accuracy of the last word written greedily, and
# its perplexity, as EleutherAI's lm-evaluation-harness defines lambada_openai.
#
#     pipelines/eval-lambada.sh CHECKPOINT [SAMPLE'S OPTIONS]
#
# FILE    lines of JSON with "text", in place of the test set of 5,153 passages (head -n 200 of it, say)
# DATA    folder where the test set is kept (default: data)
. "$(dirname "$0")/eval.sh"
evaluate lambada lambada lambada_test.jsonl "$@"
