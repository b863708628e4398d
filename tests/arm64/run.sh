#!/usr/bin/env bash
# Builds for arm64 with Debian's cross compiler, without CUDA and oneDNN, and runs the unit tests and the tools under
# qemu-user. As root, on Debian and Ubuntu: apt-get install gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user
#
#     tests/arm64/run.sh build-arm64 JOBS [ctest's options]
#
# Exit: 77 when a program is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$PWD/${1:-build-arm64} jobs=${2:-$(nproc)}
shift $(($# < 2 ? $# : 2))
for program in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64 apt-get dpkg-deb; do
    if ! command -v $program > /dev/null; then
        echo "skipped: arm64, $program is missing (gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user)"
        exit 77
    fi
done
mkdir -p "$build"
tests/arm64/sysroot.sh "$build/sysroot"
cmake -S . -B "$build" -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/arm64.cmake" -DGPTPIPE_SYSROOT="$build/sysroot" \
    -DGPTPIPE_WERROR=ON -DWITH_CUDA=OFF -DWITH_DNNL=OFF ${CMAKE_FLAGS:-} > "$build/configure.log" 2>&1 || { cat "$build/configure.log" && exit 1; }
tests=(tests/*/test_*.c)
tests=("${tests[@]##*/}")
cmake --build "$build" -j "$jobs" --target tools pages faults-shim "${tests[@]%.c}"

# NEON's fused multiply-add by an element, in the innermost loop of a product: each of 8 x 8 sums in a register.
kernel=$build/libcommon/CMakeFiles/gptpipe_cpu_neon.dir/backend/cpu/simd/matmul.c.o
count=$(aarch64-linux-gnu-objdump -d "$kernel" | grep -cE '\bfmla\b' || true)
if [ "$count" -lt 16 ]; then
    echo "FAILED: $kernel has $count fmla, expected 16 or more"
    exit 1
fi

# The tools as scripts that start qemu: nothing here needs the kernel to know of arm64's programs.
mkdir -p "$build/run"
for tool in "$build"/bin/{train,sample,predict,tokenize,fetch-data,eval-mfu,convert-gpt2}; do
    printf '#!/bin/sh\nexec qemu-aarch64 -L "%s" "%s" "$@"\n' "$build/sysroot" "$tool" > "$build/run/${tool##*/}"
    chmod +x "$build/run/${tool##*/}"
done
export GPTPIPE_BIN=$build/run GPTPIPE_BUILD=$build
for script in tests/arm64/tools.sh tests/cli/predict/predict.sh; do
    bash "$script"
done
tests/run.sh "$build" -j "$jobs" -R '^test_' "$@"
