#!/usr/bin/env bash
# A name stands for one thing: no two files of the library define a struct, an enum, a union or another type of the same
# name, so that a reader can search for it, and so that any two headers can be included together.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "NAME FILE" for each type that a file of the tree at $1 defines (not those it declares): a tag before its {, the name
# after the } of a typedef, the name of a one-line typedef.
definitions() {
    (cd "$1" && find include libcommon -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort | xargs awk '
    FNR == 1 { in_typedef = 0 }
    function defines(name) { if (name != "") print name, FILENAME }
    { line = $0; sub(/\/[*].*/, "", line); sub(/ *__attribute__\(\(.*\)\)/, "", line) }
    match(line, /^(typedef )?(struct|enum|union) [A-Za-z_0-9]+ *\{/) {
        name = line
        sub(/^(typedef )?(struct|enum|union) /, "", name)
        sub(/[ {].*/, "", name)
        defines(name)
    }
    /^typedef / { in_typedef = /\{/ && !/\}/ }
    in_typedef && /^\}/ || /^typedef .*[;(]/ && !/^typedef (struct|enum|union) [A-Za-z_0-9]+ [A-Za-z_0-9]+;/ {
        name = line
        if (sub(/.*\([*]/, "", name)) # a pointer to a function: typedef int (*name)(...)
            sub(/\).*/, "", name)
        if (name !~ /[{}]/) # a function: typedef int name(...)
            sub(/\(.*/, "", name)
        sub(/;.*/, "", name)
        sub(/\[.*/, "", name)
        sub(/ *$/, "", name)
        sub(/.*[^A-Za-z_0-9]/, "", name)
        defines(name)
        in_typedef = 0
    }') | sort -u
}

# gp_matmul is one opaque type with two implementations, of which one is built.
namesakes() {
    definitions "$1" | grep -v '^gp_matmul libcommon/backend/cpu/matmul_[a-z]*\.c$' |
        awk '{ files[$1] = files[$1] " " $2; count[$1]++ } END { for (name in count) if (count[name] > 1) print name ":" files[name] }'
}

found=$(namesakes .)
if [ -n "$found" ]; then
    printf 'a name is that of several types:\n%s\n' "$found"
    exit 1
fi
count=$(definitions . | wc -l)
[ "$count" -gt 300 ] || { echo "only $count types were found"; exit 1; }

# It would notice each kind of definition.
mkdir -p "$work/libcommon" "$work/include"
plant() { # LINES: a second definition of `twice`
    printf 'typedef struct twice {\n    int x;\n} twice;\n' > "$work/include/a.h"
    printf '%b' "$1" > "$work/libcommon/b.c"
    [ "$(namesakes "$work")" = "twice: include/a.h libcommon/b.c" ] || { echo "not caught: $1"; exit 1; }
}
plant 'struct twice {\n    int y;\n};\n'
plant 'typedef enum twice { A, B } twice; /* two */\n'
plant 'typedef struct {\n    int y;\n} twice;\n'
plant 'typedef union other {\n    int y;\n} twice;\n'
plant 'typedef int twice;\n'
plant 'typedef int twice[2];\n'
plant 'typedef int twice(void *self, int x);\n'
plant 'typedef int (*twice)(void *self);\n'
# A declaration is no definition.
printf 'typedef struct twice twice;\nstruct twice;\n' > "$work/libcommon/b.c"
[ -z "$(namesakes "$work")" ]
echo "$count types, each with a name of its own"
