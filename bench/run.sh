#!/usr/bin/env bash
# What this build does on this machine: the ops, whole models beside the machine's matrix-multiply rate, tokenizing.
# Every figure stands beside a limit or a peer measured in the same run; on a shared machine only the ratios hold.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/${BIN:-build/bin}:$PATH
seconds=${SECONDS_EACH:-3}

printf '== %s, %s cores, %s\n' "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //')" "$(nproc)" \
    "$(date -u +%Y-%m-%d)"
printf '\n== nanoGPT'"'"'s CPU setting: 4 layers, 4 heads, 128 channels, 12 x 64 tokens\n'
eval-mfu --preset nano --vocab-size 65 --batch-size 12 --seq-len 64 --seconds "$seconds" --quiet
printf '\n== the nano preset: 16 x 256 tokens\n'
eval-mfu --preset nano --vocab-size 65 --batch-size 16 --seq-len 256 --seconds "$seconds" --quiet
printf '\n== GPT-2 124M, 4 x 64 tokens\n'
eval-mfu --preset gpt2 --batch-size 4 --seq-len 64 --seconds "$seconds" --quiet
if command -v bench-ops > /dev/null; then
    printf '\n== ops\n'
    bench-ops
fi

text=$(mktemp)
trap 'rm -f "$text"' EXIT
fetch-data stories --quiet -o - > "$text"
printf '\n== tokenizing %s bytes of stories, whole process\n' "$(stat -c %s "$text")"
for tokenizer in char bytes; do
    tokenize --tokenizer $tokenizer "$text" -o - --quiet > /dev/null # once to warm up
    begin=$(date +%s.%N)
    tokenize --tokenizer $tokenizer "$text" -o - --quiet > /dev/null
    end=$(date +%s.%N)
    awk -v t="$tokenizer" -v n="$(stat -c %s "$text")" -v b="$begin" -v e="$end" \
        'BEGIN { printf "%-8s %6.1f MB/s\n", t, n / (e - b) / 1e6 }'
done
