# Tools and scripts for a GPU on a machine that shows none: what they say, and that the scripts of make gpu-check work, with
# the processor in the GPU's place.
. "$(dirname "$0")/../cli.sh"
folder=$(cd "$GPTPIPE_BIN/.." && pwd)
tiny=(eval-mfu --preset nano --layers 1 --seq-len 8 --passes forward --seconds 0.01)

# asked for by name, cuda is one line and no result
expect 1 "${tiny[@]}" --backend cuda
says "eval-mfu: backend cuda"
expect 77 env PARTS=ops "$repo/tests/gpu_check.sh" "$folder"
checks=$((checks + 1))
case $out in
*"nothing can be checked here: eval-mfu: backend cuda"*) ;;
*) problem "gpu_check.sh said: $out" ;;
esac
expect 77 env BIN="$GPTPIPE_BIN" OUT="$here/results" "$repo/bench/gpu.sh"
absent "$here/results"

# auto says why it passes over a GPU that is here, and of none where there is none or who asks has hidden it
expect 0 "${tiny[@]}" --backend auto
checks=$((checks + 1))
[ -z "$err" ] || problem "with hidden devices: $err"
expect 0 "${tiny[@]}" --backend ref # asked for by name, ref is what was wanted
checks=$((checks + 1))
[ -z "$err" ] || problem "ref by name: $err"
if [ ! -e /dev/nvidia0 ] && [ ! -e /proc/driver/nvidia ] && ! grep -qs 0x10de /sys/bus/pci/devices/*/vendor; then
    expect 0 env -u CUDA_VISIBLE_DEVICES "${tiny[@]}" --backend auto
    checks=$((checks + 1))
    [ -z "$err" ] || problem "without a GPU: $err"
    expect 1 env -u CUDA_VISIBLE_DEVICES sample nowhere Once --quiet # an error is the one line
    says "sample: nowhere: "
else
    echo "skipped: what is told on a machine without an NVIDIA GPU: this one has one"
fi

# all parts but the device's own; bf16 where this processor has it
expect 0 env LIMIT=9000 BENCH_LIMIT=9000 BACKEND=auto PARTS="curve resume text bench" MODELS="nano:2 nano:1" CONTEXT=8 DECODE="1 2" SECONDS_EACH=0.01 \
    OUT="$here/results" PYTHON=false "$repo/tests/gpu_check.sh" "$folder"
checks=$((checks + 1))
bf16=$("${tiny[@]}" --dtype bf16 > /dev/null 2>&1 && echo "ok +[0-9]+ s" || echo "skipped +0 s")
grep -qE "^ +$bf16  30 steps in bf16" <<< "$out" && grep -q ", 0 failed" <<< "$out" &&
    grep -qE "^ +ok +[0-9]+ s  a resumed run has the bits" <<< "$out" &&
    grep -qE "^ +ok +[0-9]+ s  text in fp32 is the same in batches" <<< "$out" &&
    [ "$(grep -cE "^ +ok +[0-9]+ s  text by --.* is ref's" <<< "$out")" = 4 ] || problem "gpu_check.sh said: $out"
checks=$((checks + 5))
grep -qE '^Measured here, on random numbers: [0-9.]+ TFLOP/s' "$here"/results/*.md || problem "no peak: $(cat "$here"/results/*.md)"
[ "$(grep -c '^| --temperature .* | [12] | [0-9]* |' "$here"/results/*.md)" = 10 ] || problem "not five ways to draw: $(cat "$here"/results/*.md)"
grep -q '^- --products measure: eval-mfu: products: backend' "$here"/results/*.md || problem "products were not to be measured"
[ "$(grep -c '^| nano |' "$here"/results/*.md)" = 5 ] || problem "not five measurements: $(cat "$here"/results/*.md)"
[ "$(grep -o '"preset": "nano"' "$here"/results/*.json | wc -l)" = 5 ] || problem "not five objects in the .json"

# llm.c beside it, where its binary is named: it gets a shard that it can read, and its line is of the steps' own times
cat > "$here/llmc" << 'STUB'
#!/usr/bin/env bash
# as llm.c's train_gpt2cu reads its options and prints its steps
while [ $# -gt 1 ]; do
    case $1 in
    -i) shard=$2 ;;
    -b) batch=$2 ;;
    -t) context=$2 ;;
    -x) steps=$2 ;;
    -v) [ "$2" != 0 ] || exit 136 ;; # it divides by it
    esac
    shift 2
done
read -r magic version count < <(od -An -td4 -N 12 "$shard")
[ $magic = 20240520 ] && [ $version = 1 ] && [ $(stat -c %s "$shard") = $((1024 + 2 * count)) ] &&
    [ $count -gt $((batch * context)) ] || exit 1
[ "$(od -An -v -tu2 -w2 -j 1024 "$shard" | sort -n | tail -n 1)" -lt 50257 ] || exit 1
for ((i = 1; i <= steps; i++)); do
    printf 'step %4d/%d | loss 10.9 (+nanz)| norm 1.0 (+nanz)| lr 3.00e-04 | %d.00 ms | 60.0%% bf16 MFU | 7 tok/s\n' $i $steps \
        $((i < 5 ? 900 : 16 + i % 2 * 4))
done
STUB
chmod +x "$here/llmc"
expect 0 env BACKEND=ref MODELS=nano:2 CONTEXT=8 DECODE=1 SECONDS_EACH=0.01 LLMC="$here/llmc" LLMC_PRESET=nano \
    BIN="$GPTPIPE_BIN" OUT="$here/beside" PYTHON=false "$repo/bench/gpu.sh"
checks=$((checks + 1))
grep -qF '{"peer": "llm.c", "preset": "gpt2", "batch": 2, "context": 8, "runs": 20, "tok_s": 800, "tok_s_10": 800, "tok_s_90": 1000}' \
    "$here"/beside/*.md || problem "llm.c's line: $(cat "$here"/beside/*.md)"
expect 0 env BACKEND=ref MODELS=nano:2 CONTEXT=8 DECODE=1 SECONDS_EACH=0.01 LLMC=/bin/false LLMC_PRESET=nano \
    BIN="$GPTPIPE_BIN" OUT="$here/beside" PYTHON=false "$repo/bench/gpu.sh"
checks=$((checks + 1))
grep -q '^- llm.c: ' "$here"/beside/*.md || problem "of an llm.c that fails nothing is said: $(cat "$here"/beside/*.md)"

# a part that fails is told, and is the exit status
expect 1 env BACKEND=auto PARTS=resume PATH="$PATH" bash -c '
    mkdir -p broken/bin && ln -s "$1"/* broken/bin/ && rm broken/bin/train &&
        printf "#!/bin/sh\nexit 1\n" > broken/bin/train && chmod +x broken/bin/train &&
        "$2/tests/gpu_check.sh" broken' bash "$GPTPIPE_BIN" "$repo"
finish
