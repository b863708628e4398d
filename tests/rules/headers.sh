#!/usr/bin/env bash
# Every public header compiles alone, twice over, in C and C++ with warnings as errors; every internal one in C. All of
# them compile together, in any order.
set -euo pipefail
cd "$(dirname "$0")/../.."
CC=${CC:-cc} CXX=${CXX:-c++}
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Werror -Wno-unknown-pragmas -fsyntax-only)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One program that includes them one by one would hide what each lacks: a file each.
include_twice() { printf '#include "%s"\n#include "%s"\n' "$1" "$1" > "$2"; }

for header in include/gptpipe/*.h; do
    name=gptpipe/$(basename "$header")
    include_twice "$name" "$work/a.c"
    include_twice "$name" "$work/a.cpp"
    "$CC" -std=c17 "${warnings[@]}" -Iinclude "$work/a.c"
    "$CXX" -std=c++17 "${warnings[@]}" -Iinclude "$work/a.cpp"
done
while read -r header; do
    include_twice "${header#libcommon/}" "$work/a.c"
    "$CC" -std=gnu17 "${warnings[@]}" -D_GNU_SOURCE -Iinclude -Ilibcommon "$work/a.c"
done < <(find libcommon -name '*.h')

# All of a list in one file: as sorted, from the last to the first, and shuffled, the same way each time.
compile_together() { # the compiler and its flags; the names on stdin
    local order names
    names=$(sort)
    for order in sort 'sort -r' 'shuf --random-source=LICENSE'; do
        $order <<< "$names" | sed 's/.*/#include "&"/' > "$work/all.${1##*.}"
        if ! "${@:2}" "$work/all.${1##*.}"; then
            echo "the headers do not compile together, in the order of: $order"
            return 1
        fi
    done
}
public() { (cd include && ls gptpipe/*.h); }
public | compile_together .c "$CC" -std=c17 "${warnings[@]}" -Iinclude
public | compile_together .cpp "$CXX" -std=c++17 "${warnings[@]}" -Iinclude
(public && cd libcommon && find . -name '*.h' | sed 's:^\./::') |
    compile_together .c "$CC" -std=gnu17 "${warnings[@]}" -D_GNU_SOURCE -Iinclude -Ilibcommon

# It would notice: a header that lacks its own includes fails.
printf 'int64_t f(void);\n' > "$work/bad.h"
printf '#include "bad.h"\n' > "$work/a.c"
if "$CC" -std=c17 "${warnings[@]}" -I"$work" "$work/a.c" 2> /dev/null; then
    echo "a header without its includes was not noticed"
    exit 1
fi

# So do two headers that define one name.
printf 'typedef struct twice {\n    int x;\n} twice;\n' | tee "$work/one.h" > "$work/two.h"
if printf 'one.h\ntwo.h\n' | compile_together .c "$CC" -std=c17 "${warnings[@]}" -I"$work" > "$work/said" 2>&1; then
    echo "a name that two headers define was not noticed"
    exit 1
fi
