# The evaluation scripts on random models, a small one with GPT-2's vocabulary and one of GPT-2's very shape: the numbers of
# tests/reference/cloze.py (transformers 5.23 and 5.24, tokenizers) of the same weights and files, in fp32 everywhere: where
# a processor has bf16, `auto` would take it.
. "$(dirname "$0")/../cli.sh"
export GPTPIPE_DATA=${GPTPIPE_DATA:-$repo/data} FETCH_DATA_MIRROR=${FETCH_DATA_MIRROR:-$repo/../shared/mirror} BIN=$GPTPIPE_BIN
if [ ! -e "$GPTPIPE_DATA/gpt2/vocab.bpe" ] && [ ! -d "$FETCH_DATA_MIRROR" ]; then
    echo "cli/sample/score.sh: skipped: GPT-2's vocabulary is neither in $GPTPIPE_DATA nor in $FETCH_DATA_MIRROR"
    exit 77
fi
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "cli/sample/score.sh: skipped: a head of 50,257 is slow under sanitizers"
    exit 77
fi

# A model as it is before its first step: weights by (seed, shape).
fetch-data stories --seed 1 --stories 50 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer gpt2 text.txt -o text.tok --quiet || problem "no tokens"
expect 0 train text.tok --layers 2 --heads 4 --channels 64 --seq-len 64 --batch-size 2 --init-std 0.15 --lr 0 --min-lr 0 \
    --steps 1 --seed 3 --quiet -o random

near() { # NAME EXPECTED: a member of the last line
    checks=$((checks + 1))
    printf '%s\n' "$out" | tail -n 1 | awk -v name="\"$1\": " -v expected="$2" '
        { at = index($0, name); got = substr($0, at + length(name)) + 0; off = got - expected
          exit !(at && off * off <= (2e-5 * expected) ^ 2) }' || problem "$1 is not $2: $(tail -n 1 <<< "$out")"
}

FILE=$repo/tests/cloze/lambada.jsonl expect 0 "$repo/pipelines/eval-lambada.sh" random --json --quiet --dtype fp32
near items 12
near acc 0
near perplexity 132310.9453

export FILE=$repo/tests/cloze/hellaswag.jsonl
expect 0 "$repo/pipelines/eval-hellaswag.sh" random --json --quiet --dtype fp32
near items 10
near acc 0
near acc_norm 0.4
near acc_token 0.5
TASK=hellaswag-raw expect 0 "$repo/pipelines/eval-hellaswag.sh" random --json --quiet --dtype fp32
near acc_norm 0.5
near acc_token 0.5

# every ending's log P, summed
sum() { printf '%s\n' "$out" | sed -n 's/.*"logprobs": \[\([^]]*\)\].*/\1/p' | tr ',' '\n' | awk '{ s += $1 } END { printf "%.6f", s }'; }
out="\"log_p\": $(sum)"
near log_p -3205.8686
expect 0 "$repo/pipelines/eval-hellaswag.sh" random --json --quiet --dtype fp32
out="\"log_p\": $(sum)"
near log_p -3085.3216

# GPT-2's 124 million parameters: 498 MB of disk for a while
expect 0 train text.tok --preset gpt2 --batch-size 1 --val-fraction 0 --init-std 0.1 --steps 0 --seed 3 --quiet -o gpt2
FILE=$repo/tests/cloze/lambada.jsonl expect 0 "$repo/pipelines/eval-lambada.sh" gpt2 --json --quiet --dtype fp32
near items 12
near acc 0
near perplexity 3060794.6307
expect 0 "$repo/pipelines/eval-hellaswag.sh" gpt2 --json --quiet --dtype fp32
near acc 0
near acc_norm 0.2
near acc_token 0.2
out="\"log_p\": $(sum)"
near log_p -3966.5302
rm -r gpt2

expect 2 "$repo/pipelines/eval-lambada.sh"
finish
