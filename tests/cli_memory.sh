# train --dry-run says how much memory the run will have at its peak: as the system counts it, within 5% or 32 MB, with
# evaluations and checkpoints, and also when it is resumed.
. "$(dirname "$0")/cli.sh"
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "the sanitizers keep memory of their own"
    exit 77
fi

# near PREDICTED WHAT: the last run's peak
near() {
    local peak
    peak=$(cat peak)
    checks=$((checks + 1))
    awk -v p="$1" -v x="$peak" 'BEGIN { d = p - x; if (d < 0) d = -d; exit !(d <= 0.05 * x || d <= 32 * 1048576) }' ||
        problem "$2: --dry-run predicted $(($1 / 1048576)) MB, it took $((peak / 1048576)) MB"
}

predicted() { printf '%s\n' "$out" | sed -n 's/.*"memory": {[^}]*"total": \([0-9]*\)}.*/\1/p'; }

# measured WHAT OPTION...: a run of 2 steps, each followed by an evaluation and a checkpoint; then a third one
measured() {
    local what=$1 total
    shift
    expect 0 train -q zeros.bin --format raw16 "$@" --steps 2 --save-every 1 --eval-batches 2 --dry-run --json -o none
    total=$(predicted)
    rm -rf run
    expect 0 peak_memory peak train -q zeros.bin --format raw16 "$@" --steps 2 --save-every 1 --eval-batches 2 -o run
    near "$total" "$what"
    expect 0 peak_memory peak train -q --resume run --steps 3
    near "$total" "$what, resumed"
}

head -c 300000 /dev/zero > zeros.bin
measured 'nano' --vocab-size 256 --preset nano --batch-size 4 --dtype fp32
large="--vocab-size 50257 --layers 2 --heads 6 --channels 384 --seq-len 32 --batch-size 1"
measured '23M' $large --dtype fp32
if train -q zeros.bin --format raw16 $large --dtype bf16 --steps 1 --dry-run --json -o none > /dev/null 2>&1; then
    measured '23M in bf16' $large --dtype bf16
else
    echo "skipped: the memory of bf16, which nothing here computes in"
fi
finish
