#!/usr/bin/env bash
# Runs each fuzz target of a build folder for some seconds, from its corpus and its own findings of before.
#
#     tests/fuzz/run.sh build-fuzz 10 [TARGET...]
#
# What is new goes into BUILD/fuzz/TARGET, a finding into BUILD/fuzz/found; `BUILD/bin/fuzz-replay TARGET FILE` shows it
# again. KEEP=1 takes what is new and small into tests/fuzz/corpus. SEED=N draws the same inputs each time, as CI does,
# where a finding is to be of the change that it tests; without it each run looks elsewhere.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=${1:-build-fuzz} seconds=${2:-10}
shift 2
here=tests/fuzz
mapfile -t targets < <(sed -n 's/^TARGET(\(.*\))$/\1/p' $here/targets.h)
[ $# = 0 ] || targets=("$@")
memory=/dev/shm # files of a few KB, each written, read and removed thousands of times a second
[ -w $memory ] || memory=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$memory/gptpipe-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
mkdir -p "$build/fuzz/found"
export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1
export OMP_NUM_THREADS=1

fuzz() { # TARGET
    local name=$1 log=$build/fuzz/$1.log dictionary=()
    mkdir -p "$build/fuzz/$name"
    [ -e "$here/dict/$name.dict" ] && dictionary=(-dict="$here/dict/$name.dict")
    if "$build/bin/fuzz_$name" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=2048 \
        -malloc_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$build/fuzz/found/$name-" \
        ${SEED:+-seed="$SEED"} "${dictionary[@]}" "$build/fuzz/$name" "$here/corpus/$name" > "$log" 2>&1; then
        printf '%-16s %9s executions, %6s edges, nothing found\n' "$name" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
            "$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)"
    else
        echo "$name: FOUND something:"
        grep -E 'ERROR|SUMMARY|bug at|runtime error|gptpipe:|Test unit written' "$log" | head -8
        return 1
    fi
}
export -f fuzz
export build seconds here

printf '%s\n' "${targets[@]}" | xargs -P "${JOBS:-$(nproc)}" -I{} bash -c 'fuzz {}'
status=$?
if [ -n "${KEEP:-}" ]; then
    for name in "${targets[@]}"; do
        "$build/bin/fuzz_$name" -merge=1 -max_len=3000 "$here/corpus/$name" "$build/fuzz/$name" > "$build/fuzz/$name.merge.log" 2>&1
    done
fi
[ $status = 0 ]
