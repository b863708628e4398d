#!/usr/bin/env bash
# The sources are as clang-format 14 makes them by .clang-format, no line but one of a table is longer than 120 columns,
# and no file is longer than a reader keeps in mind. CHANGELOG.md has such lines too. Skips aloud where clang-format is
# missing or of another version, which may differ in small things.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t sources < <(find include libcommon tools tests bench examples -regex '.*\.\(c\|h\|cpp\|cu\|cuh\)' | sort)

# Tables stand between clang-format off and on; goldens and generated tables are for no reader.
long_lines() {
    awk '/clang-format off/ { table = 1 } /clang-format on/ { table = 0 } FNR == 1 { table = 0 }
        length > 120 && !table { print FILENAME ":" FNR ": " length " columns"; found = 1 } END { exit found }' "$@"
}
mapfile -t read_by_people < <(printf '%s\n' "${sources[@]}" | grep -v '_table\.c$\|^tests/reference/')
long_lines "${read_by_people[@]}" CHANGELOG.md
printf '/* %0120d */\n' 0 | long_lines - > /dev/null && { echo "FAILED: a long line was not found"; exit 1; }

# Neither is a file of the library or a tool longer than 450 lines.
long_files() {
    awk 'FNR == 451 { print FILENAME ": more than 450 lines"; found = 1 } END { exit found }' "$@"
}
mapfile -t code < <(printf '%s\n' "${read_by_people[@]}" | grep -E '^(include|libcommon|tools)/')
long_files "${code[@]}"
seq 451 | long_files - > /dev/null && { echo "FAILED: a long file was not found"; exit 1; }

if ! clang-format --version 2> /dev/null | grep -q 'version 14\.'; then
    echo "skipped: clang-format 14 is missing (apt-get install clang-format)"
    exit 77
fi
clang-format --dry-run -Werror "${sources[@]}"
printf 'int  a;\n' | clang-format --assume-filename=tests/a.c --dry-run -Werror 2> /dev/null && { echo "FAILED: a slip was not found"; exit 1; }
echo "the format holds"
