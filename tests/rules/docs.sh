#!/usr/bin/env bash
# The pages are true of the tree: links lead somewhere, files that are named exist, the README is short, and the reading
# path of docs/reading.md has at most 9,000 lines and says how many. The test then breaks each rule in a copy, to see that
# it is caught.
set -euo pipefail
cd "$(dirname "$0")/../.."
README_LINES=150 READING_LINES=9000

pages() { # of the tree at $1
    (cd "$1" && ls *.md docs/*.md docs/manual/*.md)
}

# [text](path#heading): the path exists, beside the page, and has that heading.
links() {
    local page target path heading
    (cd "$1" && for page in $(pages .); do
        { grep -o ']([^) ]*)' "$page" || true; } | sed 's/^](//; s/)$//' | while IFS= read -r target; do
            case $target in http://* | https://*) continue ;; esac
            path=${target%%#*} heading=${target#"$path"}
            path=${path:+$(dirname "$page")/$path}
            path=${path:-$page}
            if [ ! -e "$path" ]; then
                echo "$page: the link $target leads to no file"
            elif [ -n "$heading" ] && ! sed -n 's/^##* //p' "$path" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n-' | grep -qxF -e "${heading#\#}"; then
                echo "$page: the link $target leads to no heading"
            fi
        done
    done)
}

# Sources that a page names, from the root, or from libcommon/ as architecture.md does.
names() {
    local page name
    (cd "$1" && for page in $(pages .); do
        sed 's/](\([^)]*\))//g' "$page" | { grep -oE '[A-Za-z0-9_.-]+(/[A-Za-z0-9_.*-]+)+\.(c|h|cu|cuh|cpp|cmake|sh|py)\b' || true; } |
            sed "s/NAME/*/; s/TOOL/*/" | sort -u | while IFS= read -r name; do
            compgen -G "$name" > /dev/null || compgen -G "libcommon/$name" > /dev/null || compgen -G "include/$name" > /dev/null ||
                echo "$page: names $name, which is not there"
        done
    done)
}

readme() {
    local lines
    lines=$(wc -l < "$1/README.md")
    [ "$lines" -le $README_LINES ] || echo "README.md: has $lines lines, expected at most $README_LINES; docs/ has room"
}

reading() {
    local file lines sum=0 seen=' ' said
    (cd "$1" && {
        for file in $(sed -n 's/^| \[\([^]]*\)\](.*/\1/p' docs/reading.md); do
            case $seen in *" $file "*) echo "docs/reading.md: lists $file twice" ;; esac
            seen="$seen$file "
            [ -f "$file" ] || { echo "docs/reading.md: lists $file, which is not there; list what took its place"; continue; }
            lines=$(wc -l < "$file")
            sum=$((sum + lines))
        done
        [ $sum -ge 5000 ] || echo "docs/reading.md: lists $sum lines; is its table read?"
        [ $sum -le $READING_LINES ] || echo "docs/reading.md: lists $sum lines, expected at most $READING_LINES; leave a file out"
        said=$(sed -n 's/.*: about \([0-9]*\),\([0-9]*\) lines.*/\1\2/p' docs/reading.md)
        [ $((said - sum)) -le 150 ] && [ $((sum - said)) -le 150 ] ||
            echo "docs/reading.md: says about $said lines, and lists $sum; round to hundreds"
    })
}

check() { links "$1" && names "$1" && readme "$1" && reading "$1"; }

problems=$(check .)
[ -z "$problems" ] || { printf '%s\n' "$problems"; exit 1; }

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
caught() { # CHECK TEXT [LINES]: that check of the copy says so, and nothing else
    local found
    found=$("$1" "$copy/tree")
    [ "$(printf '%s\n' "$found" | grep -c .)" = "${3:-1}" ] && [[ $found == *"$2"* ]] ||
        { echo "FAILED: expected '$2', found: $found"; exit 1; }
}
mkdir "$copy/tree"
cp -r ./*.md docs libcommon "$copy/tree"
for each in *; do
    [ -e "$copy/tree/$each" ] || ln -s "$PWD/$each" "$copy/tree"
done
echo 'See [there](docs/nowhere.md).' >> "$copy/tree/SECURITY.md"
caught links 'SECURITY.md: the link docs/nowhere.md leads to no file'
cp SECURITY.md "$copy/tree"
echo 'See [there](docs/training.md#no-such-thing).' >> "$copy/tree/SECURITY.md"
caught links 'leads to no heading'
cp SECURITY.md "$copy/tree"
echo 'It is in `train/nowhere.c`.' >> "$copy/tree/SECURITY.md"
caught names 'SECURITY.md: names train/nowhere.c, which is not there'
cp SECURITY.md "$copy/tree"
seq $README_LINES >> "$copy/tree/README.md"
caught readme 'expected at most 150'
cp README.md "$copy/tree"
sed -i 's/: about [0-9]*,[0-9]* lines/: about 5,500 lines/' "$copy/tree/docs/reading.md"
caught reading 'docs/reading.md: says about 5500 lines'
cp docs/reading.md "$copy/tree/docs"
seq 9000 >> "$copy/tree/libcommon/train/train.c"
caught reading 'expected at most 9000' 2
echo "the pages are true of the tree"
