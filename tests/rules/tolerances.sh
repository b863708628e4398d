#!/usr/bin/env bash
# A test that compares numbers fails if one is NaN, of which every comparison is false: "if (!(fabs(a - b) <= allowed))", not
# "if (fabs(a - b) > allowed)".
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

let_nan_pass() {
    find "$1" -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort | xargs grep -nE '\bif \(.*fabsf?\(.*\) > |^ *fabsf?\(.*\) > ' || true
}

found=$(let_nan_pass .)
if [ -n "$found" ]; then
    printf 'NaN would pass:\n%s\n' "$found"
    exit 1
fi

plant() {
    printf '%b\n' "$1" > "$work/a.c"
    [ -n "$(let_nan_pass "$work")" ] || { echo "not noticed: $1"; exit 1; }
}
plant 'if (fabs(a - b) > 1e-4)'
plant 'if (n != 3 || fabs(f(a) - b) > 5 * error)'
plant 'if (n != 3 ||\n    fabs(a - b) > 1e-5)'
