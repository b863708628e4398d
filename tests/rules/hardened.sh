#!/usr/bin/env bash
# The programs and the shared library are built as cmake/Harden.cmake means: the compiler's checks are in, and what the
# linker protects is protected. What this compiler does not know is skipped and named.
set -euo pipefail
. "$(dirname "$0")/../cli/cli.sh"
known() { grep -qE "^$1:INTERNAL=1$" "$GPTPIPE_BUILD/CMakeCache.txt"; }
if [ -n "${GPTPIPE_SANITIZE:-}" ] || grep -q '^GPTPIPE_HARDEN:BOOL=OFF' "$GPTPIPE_BUILD/CMakeCache.txt"; then
    echo "skipped: hardening, this build has the sanitizers, or GPTPIPE_HARDEN=OFF"
    exit 77
fi

has() { # FILE PATTERN COMMAND...: COMMAND's output about FILE has a line like PATTERN
    local file=$1 pattern=$2
    shift 2
    checks=$((checks + 1))
    "$@" "$file" 2> /dev/null > "$here/.has"
    grep -qE "$pattern" "$here/.has" || problem "$file: $* shows no $pattern"
}

for program in fetch-data tokenize convert-gpt2 train sample predict eval-mfu; do
    file=$GPTPIPE_BIN/$program
    has "$file" 'Type: +DYN' readelf -h
    files+=("$file")
done
files+=("$GPTPIPE_BUILD/lib/libgptpipe.so")
for file in "${files[@]}"; do
    has "$file" 'GNU_RELRO' readelf -lW
    has "$file" 'GNU_STACK.* RW ' readelf -lW
    has "$file" 'FLAGS.* NOW' readelf -d
    if known GPTPIPE_fstack_protector_strong; then has "$file" ' __stack_chk_fail' nm -D; fi
    if known GPTPIPE_FORTIFY_3 || known GPTPIPE_FORTIFY_2; then
        has "$file" ' __[a-z]+_chk' nm -D
    fi
done
for flag in GPTPIPE_fstack_protector_strong GPTPIPE_fstack_clash_protection GPTPIPE_fcf_protection; do
    known "$flag" || echo "skipped: ${flag#GPTPIPE_}, which this compiler does not know"
done
finish
