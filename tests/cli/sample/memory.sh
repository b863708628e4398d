# A model that is sampled takes its weights once: the peak of resident memory is at most that of the weights and
# 60 MB, whatever the format of the file. Another copy of these weights would be 91 MB.
. "$(dirname "$0")/../cli.sh"
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "the sanitizers keep memory of their own"
    exit 77
fi

# at_most BYTES WHAT COMMAND...: the least peak of three, since a run may take some MB more than the same one before it
at_most() {
    local bytes=$1 what=$2 least=
    shift 2
    for _ in 1 2 3; do
        expect 0 peak_memory peak "$@"
        [ -n "$least" ] && [ "$least" -le "$(cat peak)" ] || least=$(cat peak)
    done
    checks=$((checks + 1))
    [ "$least" -le "$bytes" ] || problem "$what: $least bytes resident, expected at most $bytes"
}

head -c 300000 /dev/zero > zeros.bin
expect 0 train -q zeros.bin --format raw16 --vocab-size 50257 --layers 2 --heads 6 --channels 384 --seq-len 64 \
    --batch-size 1 --dtype fp32 --steps 1 -o run
model=run/model.safetensors
weights=$(stat -L -c %s $model)
bound=$((weights + 60 * 1000 * 1000))
checks=$((checks + 1))
[ "$weights" -gt 90000000 ] || problem "the model is too small to tell: $weights bytes"
expect 0 convert-gpt2 $model -o bf16.safetensors --dtype bf16 --no-verify
expect 0 convert-gpt2 $model -o model.gguf --no-verify
common=(--prompt-ids 1,2,3 --max-tokens 8 --dtype fp32 --quiet)
at_most $bound 'safetensors in fp32' sample $model "${common[@]}"
at_most $bound 'safetensors in bf16' sample bf16.safetensors "${common[@]}"
at_most $bound 'GGUF' sample model.gguf "${common[@]}"
at_most $bound 'a pipe' sh -c 'cat "$1" | { shift; exec sample - "$@"; }' - $model "${common[@]}"
finish
