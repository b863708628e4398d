#!/usr/bin/env bash
# What the cuda backend does on this machine's GPU: training, prefill and decoding of GPT-2's sizes beside the device's
# own matrix-multiply rate and bandwidth, its vendor's figures, and PyTorch where python3 has it. Writes
# bench/results/DEVICE-DATE.md and .json, anew after each measurement, so that what was measured is there whatever comes
# after it. Each figure is a median with the range that leaves out a tenth on either side.
#
# BIN       where the tools are (build/bin)
# BACKEND   cuda; another one tries the script itself
# MODELS    PRESET:BATCH..., a batch that does not fit is halved (gpt2:64 gpt2-medium:32 gpt2-large:16)
# CONTEXT   tokens a sequence (1024)
# DECODE    batches of decoding (1 8 64)
# SECONDS_EACH  for a measurement (2); LIMIT for all of them (300): what does not fit into it is left out, and said
# PEER_LIMIT  of that for each run of PyTorch (75), which compiles for half a minute
# LLMC      llm.c's train_gpt2cu, built elsewhere (make train_gpt2cu USE_CUDNN=1): where its path is given, and the first of
#           MODELS is gpt2, it trains that in the same minutes, on made-up tokens, without recomputing GELU; LLMC_OPTIONS are
#           added (-ge 1). Nothing of it comes with gptpipe.
# OUT       bench/results
# PYTHON    python3
# Exit: 0, 1 where a measurement failed, 77 without a GPU.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
bin=${BIN:-build/bin} backend=${BACKEND:-cuda} context=${CONTEXT:-1024} each=${SECONDS_EACH:-2} limit=${LIMIT:-300}
peer_limit=${PEER_LIMIT:-75}
models=${MODELS:-gpt2:64 gpt2-medium:32 gpt2-large:16} decode=${DECODE:-1 8 64}
out=${OUT:-bench/results} python=${PYTHON:-python3}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
began=$SECONDS failed=0 peak=
: > "$here/runs"
: > "$here/peers"
: > "$here/left"
: > "$here/table"
: > "$here/ops"
: > "$here/drawn"

left() { echo $((limit - SECONDS + began)); }

# eval-mfu's object, into $here/run; the peak is measured once.
mfu() { # OPTION...
    local most
    most=$(left)
    [ "$most" -gt 5 ] || { echo "$*: no time was left" >> "$here/left"; return 2; }
    timeout -k 5 "$most" "$bin/eval-mfu" --backend "$backend" --seconds "$each" --seq-len "$context" ${peak:+--peak $peak} \
        --json "$@" > "$here/run" 2> "$here/why"
}
number() { grep -oE "\"$1\": [0-9.e+-]+" "$here/run" | head -n 1 | sed 's/.*: //'; } # the first of that name

# A row of the table, and the object for the .json.
keep() { # MODEL PASS BATCH
    local model=$1 pass=$2 batch=$3
    printf '{"preset": "%s", "measured": %s}\n' "$model" "$(cat "$here/run")" >> "$here/runs"
    awk -v model="$model" -v pass="$pass" -v batch="$batch" '
        function get(name,    at, text) {
            at = match(pass_text, "\"" name "\": [0-9.e+-]+")
            if (!at)
                return ""
            text = substr(pass_text, RSTART, RLENGTH)
            sub(/.*: /, "", text)
            return text
        }
        {
            at = index($0, "\"" pass "\": {")
            pass_text = substr($0, at)
            sub(/}.*/, "", pass_text)
            vendor = get("mfu_vendor")
            bandwidth = get("of_bandwidth")
            printf "%s\t%s\t%s\t%d\t%d .. %d\t%.1f%%\t%.1f%%\t%s\t%s\n", model, pass, batch, get("tok_s"),
                get("tok_s_10"), get("tok_s_90"), 100 * get("mfu"), 100 * get("mfu_causal"), vendor == "" ? "-" : sprintf("%.1f%%", 100 * vendor),
                bandwidth == "" ? "-" : sprintf("%.1f%%", 100 * bandwidth)
        }' "$here/run" | tee -a "$here/table"
    write
}

# All that is known by now, as the two files.
write() {
    {
        echo "# $device, $date"
        echo
        awk -v p="$peak" -v b="$bandwidth" -v c="$copy" -v s="$start" 'BEGIN {
            printf "Measured here, on random numbers: %.1f TFLOP/s, its own matrix multiply; %.0f GB/s, its own reading", p / 1e12, b / 1e9
            printf (c > 0 ? "; %.0f GB/s, a copy, read and written.\n" : ".\n"), c / 1e9
            if (s > 0)
                printf "A kernel of one number, among others in a recording: %.2f us.\n", 1e6 * s }'
        cat "$here/versions"
        echo "MFU counts attention in full (PaLM, appendix B); causal: without what the mask hides, which nobody computes."
        echo "gptpipe $version, backend $backend, context $context; medians, and the range without a tenth on either side."
        echo
        echo '| model | pass | batch | tok/s | 10% .. 90% | MFU of measured | causal | of the vendor'"'"'s | of bandwidth |'
        echo '|---|---|---|---|---|---|---|---|---|'
        sed 's/\t/ | /g; s/^/| /; s/$/ |/' "$here/table"
        if [ -s "$here/drawn" ]; then
            printf '\n| sample of %s, prompts and host included | batch | tok/s |\n|---|---|---|\n' "${first%:*}"
            sed 's/\t/ | /g; s/^/| /; s/$/ |/' "$here/drawn"
        fi
        if [ -s "$here/peers" ]; then
            printf '\nOthers in the same minutes:\n\n'
            sed 's/^/    /' "$here/peers"
        fi
        if [ -s "$here/left" ]; then
            printf '\nNot measured:\n\n'
            sed 's/^/- /' "$here/left"
        fi
        if [ -s "$here/ops" ]; then
            printf '\nOp by op:\n\n'
            sed 's/^/    /; s/ *$//' "$here/ops"
        fi
    } > "$out/$name-$date.md"
    {
        printf '{"date": "%s", "device": %s,\n "runs": [' "$date" "$(cat "$here/device")"
        paste -sd, "$here/runs"
        printf '],\n "torch": ['
        paste -sd, "$here/peers"
        printf ']}\n'
    } > "$out/$name-$date.json"
}

# The option by which a pass takes its batch; prefill is of one prompt.
batch_option() { # PASS BATCH
    case $1 in
    train) echo "--batch-size $2" ;;
    decode) echo "--decode-batch $2" ;;
    esac
}

# Halves the batch until it fits.
measure() { # MODEL PASS BATCH OPTION...
    local model=$1 pass=$2 batch=$3 status
    shift 3
    while :; do
        mfu --preset "$model" --passes "$pass" $(batch_option "$pass" "$batch") "$@"
        status=$?
        if [ $status = 0 ]; then
            keep "$model" "$pass" "$batch"
            return
        fi
        [ $status != 2 ] || return
        if [ "$batch" -gt 1 ] && grep -q 'memory' "$here/why"; then
            batch=$((batch / 2))
            continue
        fi
        failed=$((failed + 1))
        echo "$model, $pass, batch $batch: $(tail -n 1 "$here/why")" | tee -a "$here/left"
        return
    done
}

if ! "$bin/eval-mfu" --backend "$backend" --preset nano --layers 1 --seq-len 8 --passes forward --seconds "$each" --json \
    > "$here/run" 2> "$here/why"; then
    echo "bench/gpu.sh: nothing to measure: $(cat "$here/why")"
    exit 77
fi
device=$(sed -E 's/.*"device": "([^"]*)".*/\1/' "$here/run")
peak=$(number peak_flops) bandwidth=$(number bandwidth) copy=$(number copy_bandwidth) start=$(number kernel_start)
cp "$here/run" "$here/device"
version=$("$bin/eval-mfu" --version 2> /dev/null | grep -oE '[0-9.]+' | head -1)
mkdir -p "$out"
{ # whatever of it is here
    sed -nE 's/.*"products": "([^"]*)".*/Products by \1; /p' "$here/run" | tr -d '\n'
    nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,temperature.gpu \
        --format=csv,noheader 2> /dev/null |
        sed 's/^/driver, clocks of SM, its maximum, of memory, power, its limit, temperature: /' || true
} > "$here/versions"
name=$(sed -E 's/,.*//; s/[^A-Za-z0-9]+/-/g; s/^-|-$//g' <<< "$device")
date=$(date -u +%Y-%m-%d)
echo "bench/gpu.sh: $device, $(awk -v p="$peak" -v b="$bandwidth" \
    'BEGIN { printf "%.1f TFLOP/s and %.0f GB/s measured", p / 1e12, b / 1e9 }')"

first=${models%% *}
measure "${first%:*}" train "${first#*:}"
own_batch=$(tail -n 1 "$here/table" | cut -f3)
if [ -n "$own_batch" ]; then # the same by measured products, and with cuDNN's attention, where these are here
    for which in '--products measure' '--attention cudnn' '--attention cudnn-forward'; do
        if mfu --preset "${first%:*}" --passes train --batch-size "$own_batch" $which; then
            keep "${first%:*}, $which" train "$own_batch"
        else
            echo "$which: $(tail -n 1 "$here/why")" | tee -a "$here/left"
        fi
    done
fi
for b in $decode; do
    measure "${first%:*}" decode "$b"
done
measure "${first%:*}" prefill 1
for model in ${models#"$first"}; do
    measure "${model%:*}" train "${model#*:}"
done
if "$python" -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null; then
    for sdpa in auto cudnn; do
        most=$(($(left) > peer_limit ? peer_limit : $(left)))
        if [ "$most" -gt 20 ] && timeout -k 5 "$most" "$python" bench/peer_torch.py --preset "${first%:*}" --sdpa $sdpa \
            --batch-size "${own_batch:-1}" --seq-len "$context" --seconds "$each" > "$here/peer" 2> "$here/why"; then
            tee -a "$here/peers" < "$here/peer"
        else
            echo "PyTorch, SDPA $sdpa, within $most s: $(tail -n 1 "$here/why")" | tee -a "$here/left"
        fi
        write
    done
else
    echo "PyTorch: $python has none with CUDA" | tee -a "$here/left"
fi
# decoding by way of drawing: samples of weights that were just made
how_drawn() { # BATCH OPTION...
    local batch=$1 most rate
    shift
    most=$(left)
    [ "$most" -gt 5 ] || { echo "sample $*, batch $batch: no time was left" >> "$here/left"; return; }
    rate=$(timeout -k 5 "$most" "$bin/sample" --backend "$backend" -c "$here/weights" --prompt-ids 0 --num-samples "$batch" \
        --batch-size "$batch" --max-tokens $((context - 1)) --ignore-end "$@" 2>&1 > /dev/null | grep -oE '[0-9]+ tok/s')
    if [ -n "$rate" ]; then
        printf '%s\t%s\t%s\n' "$*" "$batch" "${rate% *}" | tee -a "$here/drawn"
        write
    else
        failed=$((failed + 1))
        echo "sample $*, batch $batch: nothing was drawn" | tee -a "$here/left"
    fi
}
head -c $((4 * context + 64)) /dev/zero > "$here/zeros"
most=$(left)
if [ "$most" -gt 20 ] && timeout -k 5 "$most" "$bin/train" "$here/zeros" --format raw16 --vocab-size 50257 --preset "${first%:*}" \
    --steps 1 --lr 1e-9 --batch-size 1 --seq-len "$context" --eval-batches 0 --backend "$backend" --quiet -o "$here/weights" \
    > "$here/why" 2>&1; then
    for batch in ${decode%% *} ${decode##* }; do
        for how in '--temperature 0' '--temperature 0.8' '--temperature 0.8 --top-k 40' '--temperature 0.8 --top-p 0.9' \
            '--temperature 0.8 --top-k 40 --top-p 0.9'; do
            how_drawn "$batch" $how
        done
    done
else
    echo "sample: no weights to draw by: $(tail -n 1 "$here/why")" | tee -a "$here/left"
fi
# llm.c, which reads shards: 1,024 bytes of header, then 16 bits a token; no byte above 195, so that all are below 50257
llmc_shard() { # FILE TOKENS
    {
        printf '\x88\xd8\x34\x01\x01\0\0\0' # 20240520, version 1
        printf "\\x$(printf %02x $(($2 & 255)))\\x$(printf %02x $(($2 >> 8 & 255)))\\x$(printf %02x $(($2 >> 16 & 255)))\\x$(printf %02x $(($2 >> 24)))"
        head -c 1012 /dev/zero
        tr -dc '\000-\303' < /dev/urandom | head -c $((2 * $2))
    } > "$1"
}
llmc() { # a line, from the lines of its steps: the median of those behind the first few
    local batch=${own_batch:-1} steps=24 shard=$here/llmc.bin most
    most=$(($(left) > peer_limit ? peer_limit : $(left)))
    [ "$most" -gt 10 ] || { echo "llm.c: no time was left" | tee -a "$here/left"; return; }
    llmc_shard "$shard" $((batch * context * 4 + 1))
    if ! timeout -k 5 "$most" "$LLMC" -i "$shard" -j "$shard" -e d12 -b "$batch" -t "$context" -d $((batch * context)) -x $steps \
        -v 1000000 -m 1 -s 0 -r 0 ${LLMC_OPTIONS:-} > "$here/llmc" 2> "$here/why"; then
        echo "llm.c: $(tail -n 1 "$here/why")" | tee -a "$here/left"
        return
    fi
    # the time of a step; its tok/s is an average over them
    sed -nE 's/^step .*\| ([0-9.]+) ms \|.*/\1/p' "$here/llmc" | tail -n +5 | sort -gr | awk -v batch="$batch" -v context="$context" '
        { x[NR] = 1000 * batch * context / $1 }
        END {
            if (!NR)
                exit 1
            printf "{\"peer\": \"llm.c\", \"preset\": \"gpt2\", \"batch\": %d, \"context\": %d, \"runs\": %d, \"tok_s\": %.6g, \"tok_s_10\": %.6g, \"tok_s_90\": %.6g}\n",
                batch, context, NR, x[int((NR + 1) / 2)], x[int(NR / 10) + 1], x[NR - int(NR / 10)]
        }' > "$here/peer" || { echo "llm.c: it wrote no steps: $(tail -n 1 "$here/llmc")" | tee -a "$here/left"; return; }
    tee -a "$here/peers" < "$here/peer"
    write
}
if [ -n "${LLMC:-}" ] && [ "${first%:*}" = "${LLMC_PRESET:-gpt2}" ]; then
    llmc
fi
# op by op, as text
for pass in train decode; do
    most=$(left)
    [ "$most" -gt 5 ] && timeout -k 5 "$most" "$bin/eval-mfu" --backend "$backend" --preset "${first%:*}" --passes $pass \
        --batch-size "${own_batch:-1}" --decode-batch 1 --seq-len "$context" --seconds "$each" --peak "$peak" --ops \
        --quiet 2>> "$here/why" | sed -n '/ by op/,$p' >> "$here/ops"
done
write
echo "written: $out/$name-$date.md and .json, $((SECONDS - began)) s"
[ $failed = 0 ]
