#!/usr/bin/env bash
# cuDNN itself takes the graphs of attention (libcommon/backend/cuda/attention_graph.cu), on a machine that needs no GPU:
# its heuristics know them as attention, and it compiles kernels for GPUs that are described to it in JSON
# (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR). What it compiled it hands to the driver; here that is a stand-in which takes it and
# does nothing: the toolkit's own stub, whose functions all fail, but for those that load kernels.
#
# GPTPIPE_BUILD: the build folder. CC: a compiler of C. Exits with 77 where the build has no cuDNN, or the library, the stub
# or NVRTC is missing.
set -uo pipefail
build=${GPTPIPE_BUILD:-build}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
skip() {
    echo "skipped: cudnn_plans: $1"
    exit 77
}

grep -qs -- -DGPTPIPE_CUDNN "$build/cuda/flags" || skip "this build has no cuDNN"
mapfile -t flags < "$build/cuda/flags"
toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v "${flags[0]}")")")")
stub=$(find -L "$toolkit" -path '*/stubs/libcuda.so' 2> /dev/null | head -n 1)
[ -n "$stub" ] || skip "the toolkit has no stub of the driver"

# Nothing but addresses to take and to give back.
{
    echo 'int cuLibraryLoadData(void **library) { *library = &library; return 0; }'
    echo 'int cuLibraryGetKernel(void **kernel) { *kernel = &kernel; return 0; }'
    echo 'int cuLibraryUnload(void *library) { (void)library; return 0; }'
    nm -D --defined-only "$stub" | awk '$3 ~ /^cu/ && $3 !~ /^cuLibrary(LoadData|GetKernel|Unload)$/ {
        sub(/@.*/, "", $3); print "int " $3 "(void) { return 34; }" }'
} > "$here/driver.c"
"${CC:-cc}" -w -shared -fPIC -o "$here/libcuda.so.1" "$here/driver.c" || exit 1
"${flags[@]}" -c tests/cuda/cudnn_plans.cpp -o "$here/plans.o" > "$here/log" 2>&1 &&
    "${flags[0]}" -o "$here/cudnn_plans" "$here/plans.o" "$build/lib/libgptpipe.a" >> "$here/log" 2>&1 ||
    { cat "$here/log"; exit 1; }

gpu() { # NAME ARCHITECTURE MULTIPROCESSORS SHARED: what cudaGetDeviceProperties says of it, as far as cuDNN asks
    cat << JSON
{"cudaDeviceId": 0, "deviceVer": $2, "driverVer": 13000, "deviceName": "$1", "maxGridSize": [2147483647, 65535, 65535],
 "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "multiProcessorCount": $3, "warpSize": 32,
 "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": $4, "reservedSharedMemoryPerBlock": 1024,
 "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 0,
 "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85014872064, "smClockRateKHz": 1500000,
 "memClockRateKHz": 2000000, "l2CacheSize": 50000000}
JSON
}
gpu "NVIDIA A100-SXM4-80GB" 800 108 166912 > "$here/A100"
gpu "NVIDIA H100 80GB HBM3" 900 132 232448 > "$here/H100"

# cuDNN and NVRTC where the toolkit has them, unless LD_LIBRARY_PATH has others
find -L "$toolkit" \( -name libcudnn.so.9 -o -name 'libnvrtc.so.*' \) > "$here/found" 2> /dev/null
grep -q nvrtc "$here/found" || ldconfig -p 2> /dev/null | grep -q libnvrtc.so || skip "there is no NVRTC"
libraries=$(sed 's|/[^/]*$||' "$here/found" | sort -u | paste -sd:)
export LD_LIBRARY_PATH=$here:${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries
for name in A100 H100; do
    "$here/cudnn_plans" "$here/$name" $name 2> "$here/why" && continue
    if grep -q 'cannot find libcudnn.so.9' "$here/why"; then
        skip "$(cat "$here/why")"
    fi
    cat "$here/why"
    exit 1
done
