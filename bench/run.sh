#!/usr/bin/env bash
# What this build does on this machine: whole models and their ops beside the machine's matrix-multiply rate and
# bandwidth, batches and threads, tokenizing. Every figure has its spread and stands beside a limit or a peer measured
# in the same run; on a shared machine only the ratios hold.
#
# SECONDS_EACH: for each measurement (3); OUT: where the drawings go (out)
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/${BIN:-build/bin}:$PATH
seconds=${SECONDS_EACH:-3}
out=${OUT:-out}
mkdir -p "$out"

title() { printf '\n== %s\n' "$*"; }

printf '== %s, %s cores, %s\n' "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //')" "$(nproc)" \
    "$(date -u +%Y-%m-%d)"
title "nanoGPT's CPU setting: 4 layers, 4 heads, 128 channels, 12 x 64 tokens"
eval-mfu --preset nano --vocab-size 65 --batch-size 12 --seq-len 64 --seconds "$seconds" --quiet
title 'the nano preset: 16 x 256 tokens, op by op'
eval-mfu --preset nano --vocab-size 65 --batch-size 16 --seq-len 256 --seconds "$seconds" --ops
title 'GPT-2 124M, 4 x 64 tokens; training and decoding op by op'
eval-mfu --preset gpt2 --batch-size 4 --seq-len 64 --passes train,decode --seconds "$seconds" --ops --quiet
title 'the nano preset, by batch'
eval-mfu --preset nano --vocab-size 65 --seq-len 64 --passes train,decode --sweep batch=1,2,4,8,16 --quiet \
    --seconds "$seconds" --plot "$out/bench-batch.svg" | sed -n '/^batch/,$p'
title 'the nano preset, by threads'
threads=$(for ((n = 1; n < $(nproc); n *= 2)); do printf '%d,' $n; done)$(nproc)
eval-mfu --preset nano --vocab-size 65 --batch-size 12 --seq-len 64 --passes train,decode --sweep "threads=$threads" \
    --seconds "$seconds" --plot "$out/bench-threads.svg" --quiet | sed -n '/^threads/,$p'
printf 'drawings: %s %s\n' "$out/bench-batch.svg" "$out/bench-threads.svg"
if command -v bench-ops > /dev/null; then
    title 'ops alone'
    bench-ops
    title 'products of decoding, by weight format'
    bench-decode
fi

text=$(mktemp)
trap 'rm -f "$text"' EXIT
fetch-data stories --quiet -o - > "$text"
bytes=$(stat -c %s "$text")
title "tokenizing $bytes bytes of stories, whole process, median of 9 (least .. most)"
for tokenizer in char bytes; do
    for ((i = 0; i < 9; i++)); do
        begin=$(date +%s%N)
        tokenize --tokenizer $tokenizer "$text" -o - --quiet > /dev/null
        echo $(($(date +%s%N) - begin))
    done | sort -n | awk -v t="$tokenizer" -v n="$bytes" '{ took[NR] = $1 }
        END { printf "%-8s %6.1f MB/s (%.1f .. %.1f)\n", t, n / took[5] * 1e3, n / took[9] * 1e3, n / took[1] * 1e3 }'
done
