# Tools and scripts for a GPU on a machine that shows none: what they say, and that the scripts of make gpu-check work, with
# the processor in the GPU's place.
. "$(dirname "$0")/cli.sh"
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
expect 0 env BACKEND=auto PARTS="curve resume text bench" MODELS="nano:2 nano:1" CONTEXT=8 DECODE="1 2" SECONDS_EACH=0.01 \
    OUT="$here/results" PYTHON=false "$repo/tests/gpu_check.sh" "$folder"
checks=$((checks + 1))
bf16=$("${tiny[@]}" --dtype bf16 > /dev/null 2>&1 && echo "ok +[0-9]+ s" || echo "skipped +0 s")
grep -qE "^ +$bf16  30 steps in bf16" <<< "$out" && grep -q ", 0 failed" <<< "$out" &&
    grep -qE "^ +ok +[0-9]+ s  a resumed run has the bits" <<< "$out" &&
    grep -qE "^ +ok +[0-9]+ s  text in fp32 is the same in batches" <<< "$out" &&
    [ "$(grep -cE "^ +ok +[0-9]+ s  text by --.* is ref's" <<< "$out")" = 4 ] || problem "gpu_check.sh said: $out"
checks=$((checks + 4))
grep -qE '^Measured here, on random numbers: [0-9.]+ TFLOP/s' "$here"/results/*.md || problem "no peak: $(cat "$here"/results/*.md)"
[ "$(grep -c '^| --temperature .* | [12] | [0-9]* |' "$here"/results/*.md)" = 10 ] || problem "not five ways to draw: $(cat "$here"/results/*.md)"
[ "$(grep -c '^| nano |' "$here"/results/*.md)" = 5 ] || problem "not five measurements: $(cat "$here"/results/*.md)"
[ "$(grep -o '"preset": "nano"' "$here"/results/*.json | wc -l)" = 5 ] || problem "not five objects in the .json"

# a part that fails is told, and is the exit status
expect 1 env BACKEND=auto PARTS=resume PATH="$PATH" bash -c '
    mkdir -p broken/bin && ln -s "$1"/* broken/bin/ && rm broken/bin/train &&
        printf "#!/bin/sh\nexit 1\n" > broken/bin/train && chmod +x broken/bin/train &&
        "$2/tests/gpu_check.sh" broken' bash "$GPTPIPE_BIN" "$repo"
finish
