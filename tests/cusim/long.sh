#!/usr/bin/env bash
# The CUDA backend's tests on the simulator, with the threads of each block in many orders: a missing barrier that one
# order hides shows in another. Each order is drawn from a seed; whatever fails is told with how to run it again.
#
#     SEEDS=100 FIRST=2 tests/cusim/long.sh build [cusim_NAME...]
set -uo pipefail
build=${1:-build}
shift
seeds=${SEEDS:-20} first=${FIRST:-2} # 1 is the ordinary test run's
[ $# -gt 0 ] || set -- $(cd "$build/bin" && ls -d cusim_* | grep -v -e cusim_core -e cusim_tensor_core)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for ((seed = first; seed < first + seeds; seed++)); do
    for name; do
        CUSIM_SEED=$seed "$build/bin/$name" > "$log" 2>&1 && continue
        failed=$((failed + 1))
        printf 'FAILED: CUSIM_SEED=%d %s\n' "$seed" "$build/bin/$name"
        grep -aE '^\[  FAILED|ERROR|line [0-9]+:|the GPU failed' "$log" | head -5
    done
done
printf 'cusim-long: %d programs in %d orders of the threads, %d failed\n' $# "$seeds" "$failed"
[ $failed = 0 ]
