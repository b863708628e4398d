#!/usr/bin/env bash
# Every public function is there for somebody: a tool, an example or a page calls it, another file of the library does, or
# the example that its header opens with shows what it is for. What only tests call belongs in the tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is declared as GP_API in the tree at $1 and called by nobody there.
uncalled() {
    (cd "$1"
    for header in include/gptpipe/*.h; do # "GP_API type name(", comments and line ends removed
        sed -E 's://.*$::; /^#/d' "$header" | tr '\n' ' ' | sed -E 's:/\*([^*]|\*+[^*/])*\*+/::g' |
            grep -oE 'GP_API [^();]*\(' | grep -oE '[a-z0-9_]+\($' | tr -d '(' || true
    done | sort -u > "$work/declared"
    {
        find -H tools examples docs README.md -name '*.[ch]' -o -name '*.md' | xargs cat
        for header in include/gptpipe/*.h; do # the comment that it opens with
            sed '/\*\//q' "$header"
        done
        # what stands in the library's functions and tables, which is indented or after a =
        find libcommon -name '*.c' -o -name '*.h' -o -name '*.cu' | xargs sed -zE 's:/\*([^*]|\*+[^*/])*\*+/::g' |
            tr '\0' '\n' | grep -E '^[ \t]|=' | sed 's://.*::'
    } | grep -oE '\bgp_[a-z0-9_]+' | sort -u > "$work/called"
    comm -23 "$work/declared" "$work/called")
}

found=$(uncalled .)
if [ -n "$found" ]; then
    printf 'public functions that nobody calls:\n%s\n' "$found"
    exit 1
fi
[ "$(wc -l < "$work/declared")" -gt 150 ]

# It would notice one that is declared, defined and tested, and nothing else.
mkdir "$work/tree"
cp -r include "$work/tree"
for name in libcommon tools examples docs README.md tests; do
    ln -s "$PWD/$name" "$work/tree/$name"
done
rm "$work/tree/libcommon"
cp -r libcommon "$work/tree"
printf 'GP_API int gp_unheard(int x);\n' >> "$work/tree/include/gptpipe/error.h"
printf '/* as gp_unheard(1) */\nint gp_unheard(int x)\n{\n    return x; // gp_unheard\n}\n' > "$work/tree/libcommon/base/unheard.c"
if [ "$(uncalled "$work/tree")" != gp_unheard ]; then
    echo "a function that nobody calls was not noticed"
    exit 1
fi
echo "$(wc -l < "$work/declared") public functions, each called"
