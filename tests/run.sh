#!/usr/bin/env bash
# Runs every test of a build folder and says how it went: what was skipped, and the totals.
#
#     tests/run.sh build [ctest's options]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${1:-build}
shift
began=$SECONDS

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
log=$build/Testing/Temporary/LastTest.log
rm -f "$log"
ctest --test-dir "$build" --output-on-failure --no-tests=error "$@" | tee "$build/ctest.log"
status=${PIPESTATUS[0]}

# A test program says "skipped: what and why" for a part of it; a script that exits with 77 is skipped whole.
grep -h '^skipped:' "$log" 2> /dev/null | sort | uniq -c | sed -E 's/^ *([0-9]+) skipped:/skipped (\1x):/'
count() { grep -cE "^ *[0-9]+/[0-9]+ Test .*$1" "$build/ctest.log"; }
passed=$(count ' Passed ')
skipped=$(count '\*\*\*Skipped ')
all=$(grep -cE '^ *[0-9]+/[0-9]+ Test ' "$build/ctest.log")
cases=$(sed -nE 's/^\[==========\] .*: ([0-9]+) test\(s\) run\.|^\[==========\] ([0-9]+) test\(s\) run\./\1\2/p' "$log" 2> /dev/null |
    awk '{ n += $1 } END { print n + 0 }')
failed=$((all - passed - skipped))
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed="ctest"
fi
# the closing line, kept for those who run several builds
echo "gptpipe: $passed passed, $failed failed, $skipped skipped ($cases cases in the unit tests, $((SECONDS - began)) s, $build)" |
    tee "$build/totals"
exit "$status"
