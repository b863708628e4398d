#!/bin/sh
# nvcc.sh LOG NVCC...: runs nvcc. What it says (-Xptxas -v: each kernel's registers, shared memory and spills) is kept in
# LOG, which tests/cuda/build.sh reads, and shown when it fails.
log=$1
shift
"$@" > "$log" 2>&1 && exit
status=$?
cat "$log" >&2
exit $status
