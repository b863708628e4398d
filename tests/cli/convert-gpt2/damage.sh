# One bit that flipped on a disk: every tool that reads weights says so, and none goes on with it.
. "$(dirname "$0")/../cli.sh"

# flip FILE BYTE: the lowest bit of that byte; a BYTE below 0 counts from the end
flip() {
    local at=$2 byte
    [ "$at" -ge 0 ] || at=$(($(stat -c %s "$1") + at))
    byte=$(od -An -tu1 -j "$at" -N1 "$1")
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

# damaged COMMAND...: exits with 1 and says of what the CRC is not right
damaged() {
    expect 1 "$@"
    says 'is damaged: '
}

for i in 1 2 3 4 5 6 7 8; do echo "the quick brown fox jumps over the lazy dog $i times and once more"; done > text
tokenize -q --tokenizer char text -o text.tok
tiny="--layers 1 --heads 1 --channels 16 --seq-len 8 --batch-size 2 --eval-batches 1 --backend ref"
expect 0 train -q text.tok $tiny --steps 2 --save-every 1 --keep 2 --skip-loss-z 3 -o run

# weights: the lowest bit of the last number's mantissa
cp run/model.safetensors bad.safetensors
flip bad.safetensors -4
damaged sample -q --checkpoint bad.safetensors --prompt a -n 1
damaged convert-gpt2 -q bad.safetensors -o new
absent new
damaged eval-mfu -q --checkpoint bad.safetensors --passes forward --seconds 0.01 --backend ref
damaged train -q text.tok --init bad.safetensors --seq-len 8 --batch-size 2 --steps 1 --backend ref -o new
says 'tensor transformer.ln_f.bias is damaged: its CRC-32C is '

# what goes into the run is another number than what is written; 16 bits have CRCs of their own
expect 0 convert-gpt2 -q run --dtype bf16 -o half.safetensors
expect 0 sample -q --checkpoint half.safetensors --prompt a -n 1
flip half.safetensors -2
damaged sample -q --checkpoint half.safetensors --prompt a -n 1
flip half.safetensors -2

# metadata: the model's configuration
cp run/model.safetensors bad.safetensors
at=$(grep -abo '\\"n_layer' bad.safetensors | head -1 | cut -d: -f1)
flip bad.safetensors $((at + 3))
damaged sample -q --checkpoint bad.safetensors --prompt a -n 1
says 'gptpipe.config in its metadata has the CRC-32C '

# the other half of a checkpoint: a moment, the window of losses, the step
for what in moment window step; do
    rm -rf again
    cp -a run again
    rm -r again/ckpt-00000001
    state=again/ckpt-00000002/state.safetensors
    header=$(($(od -An -tu8 -N8 $state) + 8))
    case $what in
    moment) flip $state -1 ;;
    window) flip $state $header ;; # tensors of 8 bytes go first
    step) flip $state $(($(grep -abo '"step":"2"' $state | head -1 | cut -d: -f1) + 8)) ;;
    esac
    expect 1 train -q --resume again --steps 4
    checks=$((checks + 1))
    case $err in
    *'is damaged: '*) ;;
    *) problem "a flipped bit of $what: $err" ;;
    esac
done

# --verify reads all of a run, and of a checkpoint what is not needed to load it
expect 0 convert-gpt2 --info --verify run
has 'verified    4 files, 100 tensors, 100 of them by their CRC-32C' # 2 checkpoints of 16 weights, 16 x 2 moments, 2 windows
for file in ckpt-00000001/model ckpt-00000001/state ckpt-00000002/state; do
    rm -rf again
    cp -a run again
    flip again/$file.safetensors -1
    expect 1 convert-gpt2 --info --verify again
    checks=$((checks + 1))
    case $err in
    "convert-gpt2: again/$file.safetensors: tensor "*'is damaged: '*'
convert-gpt2: again: 1 of 4 files are damaged') ;;
    *) problem "$file: $err" ;;
    esac
done
flip again/ckpt-00000001/state.safetensors -1
expect 1 convert-gpt2 --info --verify again
checks=$((checks + 1))
[ "$(printf '%s\n' "$err" | wc -l)" = 3 ] || problem "two damaged files: $err"
expect 0 convert-gpt2 --info --verify --json half.safetensors # undamaged again
has '"verified": {"files": 1, "tensors": 16, "crc32c": 16}'
expect 0 convert-gpt2 --info --verify "$repo/tests/golden/bert-tiny"
has 'verified    1 files, 42 tensors, 0 of them by their CRC-32C'
expect 0 sh -c 'convert-gpt2 -q run | convert-gpt2 --info --verify'
has 'verified    1 files, 16 tensors, 0 of them by their CRC-32C'
expect 0 convert-gpt2 --verify run -o new

# a token, which is another good one afterwards: of what is trained on, of what is evaluated, and when a run is resumed
for i in $(seq 300); do cat text; done > long
expect 0 tokenize -q --tokenizer char long -o long.tok
size=$(stat -c %s long.tok)
flip_token() { flip "$1" $(((size - 1000) / 2 * 2)); } # the tokens take nearly all of the file
expect 0 train -q long.tok $tiny --steps 1 -o good-run
cp long.tok bad.tok
flip_token bad.tok
expect 1 train -q bad.tok $tiny --steps 1000000 --save-every 1 -o bad-run
says 'bad.tok: is corrupt: the CRC of its tokens is '
absent bad-run/last
expect 1 train -q long.tok --val bad.tok $tiny --steps 0 -o bad-val
says 'bad.tok: is corrupt: the CRC of its tokens is '
absent bad-val/last
cp bad.tok long.tok
expect 1 train -q --resume good-run --steps 1000000 --save-every 1
says 'long.tok: is corrupt: the CRC of its tokens is '
checks=$((checks + 1))
[ "$(ls -d good-run/ckpt-*)" = good-run/ckpt-00000001 ] || problem "a checkpoint was saved from damaged data"

# a file without CRCs is read as before: into a pipe they do not go
convert-gpt2 -q run | cat > plain.safetensors
flip plain.safetensors -4
expect 0 sample -q --checkpoint plain.safetensors --prompt a -n 1
finish
