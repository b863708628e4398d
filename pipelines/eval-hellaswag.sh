#!/usr/bin/env bash
# HellaSwag's validation set of a checkpoint with GPT-2's tokenizer: which of four endings is the likeliest, by log P
# (acc), by log P a character (acc_norm) and by log P a token (acc_token).
#
#     pipelines/eval-hellaswag.sh CHECKPOINT [SAMPLE'S OPTIONS]
#
# TASK    hellaswag: questions as lm-evaluation-harness makes them; hellaswag-raw: as llm.c does, whose number is acc_token
# FILE    lines of JSON, in place of the 10,042 questions
# DATA    folder where they are kept (default: data)
. "$(dirname "$0")/eval.sh"
evaluate "${TASK:-hellaswag}" hellaswag hellaswag_val.jsonl "$@"
