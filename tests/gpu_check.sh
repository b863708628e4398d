#!/usr/bin/env bash
# The CUDA backend on a real GPU, in one go of less than eight minutes: bench/gpu.sh first, so that there are numbers whatever
# comes after it; ops beside ref; a training curve beside ref's, a run that is stopped and resumed; and some ops under
# compute-sanitizer where that is installed. Each part has a time limit, a failing one hides no other, and the summary is
# at the end.
#
#     tests/gpu_check.sh [FOLDER]      with bin/ in it: a build folder (build), or an unpacked bundle
#
# LIMIT: seconds for all parts together (420): what does not fit into it is skipped, and said; BENCH_LIMIT: of that for
# bench (240). BACKEND: cuda; another one tries the script itself. PARTS: "bench ops curve resume text sanitizer", or some of them.
# TINY: options of train that make its small model smaller, for a device that is simulated. LOGS: a folder that keeps what
# each part wrote, whole.
# Exit: 0 all is well, 1 something failed, 77 there is no GPU that this build can use.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# ---- what is checked by more than one command -------------------------------------------------------------------

# A small model on made stories.
tiny=(--layers 2 --heads 2 --channels 64 --seq-len 64 --batch-size 4 --order sequential --eval-batches 0 --steps 30
    --lr 3e-3 --dropout 0.1 --quiet --no-eval-documents ${TINY:-})

make_data() { # a bundle brings it
    cp tests/stories.tok "$here/s.tok" 2> /dev/null && return
    "$bin/fetch-data" stories --quiet -o "$here/s.txt" &&
        head -c 300000 "$here/s.txt" | "$bin/tokenize" --tokenizer char --quiet -o "$here/s.tok"
}

train_on() { # BACKEND DTYPE RUN [OPTION...]
    "$bin/train" "$here/s.tok" "${tiny[@]}" --backend "$1" --dtype "$2" -o "$here/$3" "${@:4}"
}

losses() { sed -nE 's/.*"loss": ([0-9.e+-]+), "lr".*/\1/p' "$here/$1/log.jsonl"; }

curve() { # DTYPE TOLERANCE: the losses of 30 steps beside ref's
    train_on "$backend" "$1" "$1" || return
    paste <(losses ref) <(losses "$1") | awk -v most="$2" '
        { d = ($1 - $2) / $1; d = d < 0 ? -d : d; worst = d > worst ? d : worst; n += NF == 2 }
        END { printf "%d losses, at most %.2g apart, %g allowed\n", n, worst, most; exit !(n == 30 && worst <= most) }'
}

resume() { # 30 steps are the same bits as 20 and 10 more
    train_on "$backend" fp32 two --save-every 20 --keep 2 &&
        "$bin/train" --resume "$here/two/ckpt-00000020" --quiet &&
        cmp "$here/fp32/ckpt-00000030/model.safetensors" "$here/two/ckpt-00000030/model.safetensors"
}

samples() {
    "$bin/sample" --backend "$backend" --checkpoint "$here/fp32" --prompt 'Once upon' --max-tokens 100 --num-samples 4 \
        --json --quiet > "$here/samples" && [ "$(grep -c '"finish"' "$here/samples")" = 4 ]
}

# Text past the context, with all that a draw can have; and its log-probabilities.
same_in_batches() { # DTYPE: a sample is the same alone and among others, by whatever kernels so many rows are decoded
    for batch in 1 5 12; do
        "$bin/sample" --backend "$backend" --dtype "$1" --checkpoint "$here/fp32" --prompt 'Once upon' --max-tokens 80 \
            --num-samples 12 --batch-size $batch --temperature 0.9 --top-k 20 --top-p 0.95 --repetition-penalty 1.2 --json \
            --top-logprobs 3 --quiet > "$here/text.$batch" || return
    done
    grep -c '"finish"' "$here/text.1" | grep -qx 12 && cmp "$here/text.1" "$here/text.5" && cmp "$here/text.1" "$here/text.12"
}

# In fp32 a sum in another order changes one draw of some hundred thousand: what differs here is wrong.
same_as_ref() { # OPTION...
    for which in "$backend" ref; do
        "$bin/sample" --backend $which --dtype fp32 --checkpoint "$here/fp32" --prompt 'Once upon' --max-tokens 100 \
            --num-samples 4 --quiet "$@" > "$here/text.$which" || return
    done
    [ "$(wc -c < "$here/text.ref")" -gt 400 ] && cmp "$here/text.ref" "$here/text.$backend"
}

if [ "${1:-}" = --do ]; then # one of these, as a command that a time limit can end
    shift
    "$@"
    exit
fi

# ---- the parts --------------------------------------------------------------------------------------------------

root=$PWD
bin=$(cd "${1:-build}" && pwd)/bin
backend=${BACKEND:-cuda}
parts=" ${PARTS:-bench ops curve resume text sanitizer} "
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export bin backend here OMP_WAIT_POLICY=passive
began=$SECONDS failed=0 all=${LIMIT:-420}
summary=()

note() { # RESULT SECONDS WHAT
    summary+=("$(printf '%-7s %4d s  %s' "$1" "$2" "$3")")
    printf '%-7s %4d s  %s\n' "$1" "$2" "$3"
    [ "$1" != FAILED ] || failed=$((failed + 1))
}

left() { echo $((all - SECONDS + began)); }

# Whether there is time for another part, which is said where there is none.
has_time() { # WHAT
    [ "$(left)" -gt 0 ] || { note skipped 0 "$1: no time was left of $all s"; return 1; }
}

# Runs it for so long at most; shows the end of what it wrote when it fails.
part() { # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 start=$SECONDS status
    shift 2
    has_time "$what" || return
    timeout -k 5 "$limit" "$@" > "$here/log" 2>&1
    status=$?
    [ -z "${LOGS:-}" ] || cp "$here/log" "$LOGS/${what//[^A-Za-z0-9]/_}.log"
    if [ $status = 0 ]; then
        note ok $((SECONDS - start)) "$what"
        return
    fi
    tail -n 30 "$here/log"
    [ $status != 124 ] || what="$what: not done after $limit s"
    note FAILED $((SECONDS - start)) "$what"
}
own() { part "$1" "$2" "$root/tests/gpu_check.sh" --do "${@:3}"; }
wanted() { case $parts in *" $1 "*) ;; *) false ;; esac }

[ -z "${LOGS:-}" ] || mkdir -p "$LOGS"
# A program under one of compute-sanitizer's tools, which not every machine lets look at its device.
sanitized() { # PROGRAM TOOL
    local start=$SECONDS status
    has_time "$1, compute-sanitizer's $2" || return
    timeout -k 5 30 compute-sanitizer --tool "$2" --error-exitcode 9 "$bin/$1" > "$here/log" 2>&1
    status=$?
    if grep -qi 'device not supported' "$here/log"; then
        note skipped $((SECONDS - start)) "$1, $2: compute-sanitizer does not support this device"
    elif [ $status = 0 ]; then
        note ok $((SECONDS - start)) "$1, compute-sanitizer's $2"
    elif [ $status = 124 ]; then
        note skipped $((SECONDS - start)) "$1, $2: not done after 30 s, nothing found by then"
    else
        tail -n 30 "$here/log"
        note FAILED $((SECONDS - start)) "$1, compute-sanitizer's $2"
    fi
}

if [ ! -x "$bin/train" ]; then
    echo "gpu-check: there are no tools in $bin: make gpu-check builds them, or unpack a bundle of make gpu-bundle"
    exit 1
fi
look() { # [OPTION...]: what the device is, or why there is none
    "$bin/eval-mfu" --backend "$backend" --preset nano --layers 1 --seq-len 8 --passes forward --seconds 0.01 --json \
        "$@" 2> "$here/why"
}
if ! device=$(look); then
    echo "gpu-check: nothing can be checked here: $(cat "$here/why")"
    exit 77
fi
device=$(sed -E 's/.*"device": "([^"]*)".*/\1/' <<< "$device")
echo "gpu-check: $device"

if wanted bench; then
    start=$SECONDS
    if BIN=$bin BACKEND=$backend LIMIT=${BENCH_LIMIT:-240} timeout -k 5 $((${BENCH_LIMIT:-240} + 20)) "$root/bench/gpu.sh"; then
        note ok $((SECONDS - start)) bench
    else
        note FAILED $((SECONDS - start)) bench
    fi
fi
if wanted ops; then
    for program in "$bin"/cuda_*; do
        [ ! -x "$program" ] || part 90 "$(basename "$program")" "$program"
    done
fi
if wanted curve || wanted resume || wanted text; then
    own 30 "a token stream" make_data
    own 60 "30 steps on ref" train_on ref fp32 ref
    own 60 "30 steps in fp32 are ref's within 1e-4" curve fp32 1e-4
fi
if wanted curve; then
    if look --dtype bf16 > /dev/null; then
        own 60 "30 steps in bf16 are ref's within 1%" curve bf16 1e-2
    else
        note skipped 0 "30 steps in bf16: $(cat "$here/why")"
    fi
    own 30 "samples" samples
fi
if wanted resume; then
    own 60 "a resumed run has the bits of one that was not stopped" resume
fi
if wanted text; then
    for dtype in fp32 bf16; do
        if look --dtype $dtype > /dev/null; then
            own 60 "text in $dtype is the same in batches of 1, 5 and 12" same_in_batches $dtype
        else
            note skipped 0 "text in $dtype: $(cat "$here/why")"
        fi
    done
    for how in '--temperature 0' '--temperature 0.8' '--top-k 10 --top-p 0.9' '--min-p 0.05 --repetition-penalty 1.3'; do
        own 60 "text by $how is ref's" same_as_ref $how
    done
fi
if wanted sanitizer && ! command -v compute-sanitizer > /dev/null; then
    note skipped 0 "compute-sanitizer is not installed"
elif wanted sanitizer; then # of our kernels alone: what the tools say of cuBLASLt's is not ours to mend
    for name in cuda_norm cuda_embed cuda_decode cuda_attention; do
        [ ! -x "$bin/$name" ] || sanitized "$name" memcheck
    done
    for tool in racecheck synccheck; do
        for name in cuda_norm cuda_sample; do
            [ ! -x "$bin/$name" ] || sanitized "$name" $tool
        done
    done
fi

printf '\ngpu-check: %s, %d s, %d failed\n' "$device" $((SECONDS - began)) $failed
printf '  %s\n' "${summary[@]}"
[ $failed = 0 ]
