#!/usr/bin/env bash
# What nvcc makes of the CUDA backend, on a machine that needs no GPU: every file compiles for sm_90 and to PTX of
# compute_80 (its warnings are errors), and by what ptxas says no kernel spills registers, keeps anything in local
# memory, or has more than the 48 KiB of static shared memory that there are. Prints a table of the kernels; with -q only
# of those that fail.
#
# GPTPIPE_BUILD: the build folder. Its own objects are looked at, for all GPUs that they are for; where those are not the
# two above, the files are compiled here as well. Exits with 77 where there is no nvcc.
set -uo pipefail
build=${GPTPIPE_BUILD:-build}
if [ ! -e "$build/cuda/flags" ]; then
    echo "skipped: cuda_build: this build has no CUDA (no nvcc, WITH_CUDA=OFF, or sanitizers)"
    exit 77
fi
[ "${1-}" = -q ] && quiet=1 || quiet=0
mapfile -t flags < "$build/cuda/flags"
code=" $(tr '\n' ' ' < "$build/cuda/code") "
logs=("$build/cuda")
expected=$(grep -oE 'code=sm_[0-9a-z]+' <<< "$code" | cut -d= -f2)

if [[ $code != *" arch=compute_90,code=sm_90 "* || $code != *" arch=compute_80,code="* ]]; then
    logs+=("$(mktemp -d)")
    trap 'rm -rf "${logs[1]}"' EXIT
    expected="$expected sm_90"
    printf '%s\0' libcommon/backend/cuda/*.cu | xargs -0 -P 2 -I '{}' bash -c '
        name=$(basename "$1" .cu) logs=$2
        shift 2
        cmake/nvcc.sh "$logs/$name.log" "$@" -Werror all-warnings -gencode arch=compute_90,code=sm_90 \
            -gencode arch=compute_80,code=compute_80 -c "libcommon/backend/cuda/$name.cu" -o "$logs/$name.o"
        ' bash '{}' "${logs[1]}" "${flags[@]}" || exit 1
fi

if grep -rn --include='*.log' warning "${logs[@]}"; then
    echo "FAILED: nvcc warns"
    exit 1
fi

# ptxas's words, on stdin, as a line a kernel: file, architecture, registers, shared, stack, spilled bytes, name.
kernels_of() { # FILE
    awk -v file="$1" '
        /Compiling entry function/ { split($0, q, "\047"); name = q[2]; arch = q[4] }
        /bytes stack frame/ { stack = $1; spilled = $5 + $9 }
        /Used [0-9]+ registers/ {
            match($0, /Used [0-9]+/)
            registers = substr($0, RSTART + 5, RLENGTH - 5)
            shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
            print file, arch, registers, shared, stack, spilled, name
        }' | c++filt
}

# Such lines as a table, and a line for each of the architectures that there have to be; fails when a kernel does what none
# may do, or there is none for one of them.
table() { # ARCHITECTURE...
    awk -v quiet=$quiet -v expected="$*" '
    function name_of(text,    i, depth) { # without the type it returns and its arguments
        sub(/^void /, "", text)
        for (i = length(text); i > 0; i--) {
            depth += (substr(text, i, 1) == ")") - (substr(text, i, 1) == "(")
            if (depth == 0)
                break
        }
        text = substr(text, 1, i - 1)
        gsub(/\(anonymous namespace\)::/, "", text)
        gsub(/__nv_bfloat16/, "bf16", text)
        return text
    }
    function print_head() {
        print "A multiprocessor has 65536 registers, so `resident` threads at most; shared is what is static."
        printf "%-19s %-6s %9s %8s %8s %6s %7s  %s\n", "file", "for", "registers", "resident", "shared", "stack",
            "spilled", "kernel"
    }
    !seen[$0]++ {
        warps = int(65536 / (int(($3 + 7) / 8) * 256))
        text = $0
        for (i = 1; i <= 6; i++)
            sub(/^[^ ]+ /, "", text)
        wrong = $4 > 49152 || $5 > 0 || $6 > 0
        if ((!quiet || wrong) && !head++)
            print_head()
        if (!quiet || wrong)
            printf "%-19s %-6s %9d %8d %8d %6d %7d  %s%s\n", $1, $2, $3, 32 * (warps > 64 ? 64 : warps), $4, $5, $6,
                name_of(text), wrong ? "  <-- FAILED" : ""
        kernels[$2]++
        failed[$2] += wrong
    }
    END {
        n = split(expected, archs)
        for (i = 1; i <= n; i++) {
            bad += failed[archs[i]] > 0 || !kernels[archs[i]]
            printf "cuda_build: %s: %d kernels, %d that spill, use local memory, or too much shared memory\n", archs[i],
                kernels[archs[i]], failed[archs[i]]
        }
        exit bad > 0
    }'
}

# One that spills has to be found, and a GPU that nothing was compiled for.
spilling="ptxas info    : Compiling entry function '_Z5spillIfEvPf' for 'sm_120'
ptxas info    : Function properties for _Z5spillIfEvPf
    16 bytes stack frame, 12 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 16 bytes cumulative stack size, 17408 bytes smem"
clean=${spilling/16 bytes stack frame, 12 bytes spill stores, 12/0 bytes stack frame, 0 bytes spill stores, 0}
kernels_of known <<< "$spilling" | table sm_120 > /dev/null && { echo "FAILED: a kernel that spills was not found"; exit 1; }
kernels_of known <<< "$clean" | table sm_120 > /dev/null || { echo "FAILED: a kernel that is good was refused"; exit 1; }
kernels_of known <<< "$clean" | table sm_90 sm_120 > /dev/null && { echo "FAILED: that sm_90 lacks was not found"; exit 1; }

for source in libcommon/backend/cuda/*.cu; do
    name=$(basename "$source" .cu)
    for folder in "${logs[@]}"; do
        kernels_of "$name" < "$folder/$name.log" || exit 1
    done
done | table $expected
