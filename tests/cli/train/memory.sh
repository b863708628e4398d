# train --dry-run says how much memory the run will have at its peak: as the system counts it, within 5% or 32 MB, with
# evaluations and checkpoints, and also when it is resumed.
. "$(dirname "$0")/../cli.sh"
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "the sanitizers keep memory of their own"
    exit 77
fi

# Whether a number of bytes is within 5% or 32 MB of what was predicted.
within() { # PREDICTED BYTES
    awk -v p="$1" -v x="$2" 'BEGIN { d = p - x; if (d < 0) d = -d; exit !(d <= 0.05 * x || d <= 32 * 1048576) }'
}

# near PREDICTED WHAT COMMAND...: the peak of the command, or the median of three, since a run may take some 30 MB more than
# the same one before it.
near() {
    local predicted=$1 what=$2 peaks
    shift 2
    begin
    expect 0 peak_memory peak "$@"
    peaks=$(cat peak)
    checks=$((checks + 1))
    within "$predicted" "$peaks" && return
    for _ in 1 2; do
        begin
        expect 0 peak_memory peak "$@"
        peaks+=" $(cat peak)"
    done
    within "$predicted" "$(tr ' ' '\n' <<< "$peaks" | sort -n | sed -n 2p)" ||
        problem "$what: --dry-run predicted $predicted bytes, it took $peaks"
}

predicted() { printf '%s\n' "$out" | sed -n 's/.*"memory": {[^}]*"total": \([0-9]*\)}.*/\1/p'; }

# measured WHAT OPTION...: a run of 2 steps, each followed by an evaluation and a checkpoint; then a third one
measured() {
    local what=$1 total
    shift
    expect 0 train -q zeros.bin --format raw16 "$@" --steps 2 --save-every 1 --eval-batches 2 --dry-run --json -o none
    total=$(predicted)
    begin() { rm -rf run; }
    near "$total" "$what" train -q zeros.bin --format raw16 "$@" --steps 2 --save-every 1 --eval-batches 2 -o run
    rm -rf fresh
    cp -r run fresh
    begin() { rm -rf run && cp -r fresh run; }
    near "$total" "$what, resumed" train -q --resume run --steps 3
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
