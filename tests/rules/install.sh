#!/usr/bin/env bash
# `make install` into a folder of its own, then a program from outside against it, shared and static, by pkg-config.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "skipped: installing, in a build with sanitizers (a program from outside has none)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/usr
cmake --install "$GPTPIPE_BUILD" --prefix "$prefix" > "$work/log" || { cat "$work/log"; exit 1; }

pc=$(find "$prefix" -name gptpipe.pc)
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
pkg-config --validate gptpipe
[ "$(pkg-config --variable=prefix gptpipe)" = "$prefix" ]

# 11 letters: a 5, b 2, r 2, c 1, d 1
expected='       5     97 "a"
       2     98 "b"
       2    114 "r"
       1     99 "c"
       1    100 "d"'
# a model of one step: what it says is no text, but the tool and the example have to say the same
PATH=$prefix/bin:$PATH
fetch-data stories --stories 20 --quiet -o "$work/text"
fetch-data reviews --reviews 2000 --quiet -o "$work/reviews.jsonl"
tokenize --tokenizer char --quiet "$work/text" -o "$work/text.tok"
train "$work/text.tok" --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 1 --quiet -o "$work/run"
sampled=$(sample --checkpoint "$work/run" --prompt Once --temperature 0 --max-tokens 100 --quiet)
# what examples/gpt2.c computes by itself
train "$work/text.tok" --init "$work/run" --order sequential --batch-size 4 --lr 1e-3 --schedule constant --warmup 0 --beta2 0.95 \
    --steps 4 --dtype fp32 --quiet -o "$work/again"
losses=$(sed -n 's/.*"step": \([0-9]*\), .*"loss": \([0-9.]*\).*"grad_norm": \([0-9.]*\).*/\1 \2 \3/p' "$work/again/log.jsonl")
[ "$(wc -l <<< "$losses")" = 4 ] || { echo "a log of other lines: $losses"; exit 1; }

wrong() { printf '%s\n' "$*"; exit 1; }
for kind in shared static; do
    cp -r examples "$work/$kind"
    make -s -C "$work/$kind" clean
    if [ $kind = shared ]; then expect=1 static=; else expect=0 static=1; fi
    make -s -C "$work/$kind" CC="${CC:-cc}" STATIC=$static
    needs=$(readelf -d "$work/$kind/count_tokens" | grep -c 'NEEDED.*libgptpipe' || true)
    [ "$needs" = $expect ] || wrong "$kind: linked the other way"
    found=$(printf abracadabra | "$work/$kind/count_tokens" bytes)
    [ "$found" = "$expected" ] || wrong "$kind: found" "$found"
    labelled=$("$work/$kind/bag_of_words" "$work/reviews.jsonl")
    [[ $labelled == *"2000 texts for training, 400 for testing"*"test 0.7125"* ]] || wrong "$kind: bag of words: $labelled"
    generated=$("$work/$kind/generate" "$work/run" Once)
    [ "$generated" = "$sampled" ] || wrong "$kind: generated '$generated', sampled '$sampled'"
    steps=$("$work/$kind/gpt2" "$work/run" "$work/text.tok" 4)
    paste -d ' ' <(printf '%s\n' "$losses") <(printf '%s\n' "$steps") | awk '
        { lines++; if ($1 != $5 || ($2 - $7)^2 > 1e-8 || ($3 - $9)^2 > 1e-8) wrong = 1 }
        END { exit wrong || lines != 4 }' || wrong "$kind: gpt2 computes" "$steps" "train" "$losses"
done

# The CMake package, as another project finds it.
mkdir "$work/consumer"
cat > "$work/consumer/CMakeLists.txt" << 'EOF'
cmake_minimum_required(VERSION 3.20)
project(consumer C)
find_package(gptpipe 0.1 REQUIRED)
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE gptpipe::gptpipe)
EOF
printf '#include <stdio.h>\n#include "gptpipe/error.h"\nint main(void) { puts(gp_version()); return 0; }\n' > "$work/consumer/main.c"
cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="${CC:-cc}" > "$work/log" 2>&1 &&
    cmake --build "$work/consumer/build" >> "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
[ "$(env -u LD_LIBRARY_PATH "$work/consumer/build/consumer")" = "$(pkg-config --modversion gptpipe)" ] || wrong "the consumer says another version"

# One driver; the tools find the library without a path, also by their short names, and do not carry it.
unset LD_LIBRARY_PATH
[ "$(gptpipe sample "$work/run" Once --temperature 0 --max-tokens 100 --quiet)" = "$sampled" ] || wrong "gptpipe sample gives another text"
[ "$("$prefix/bin/sample" "$work/run" Once --temperature 0 --max-tokens 100 --quiet)" = "$sampled" ] || wrong "sample gives another text"
[ "$(gptpipe --version)" = "gptpipe $(pkg-config --modversion gptpipe)" ] || wrong "gptpipe --version"
gptpipe train --help | grep '^Usage: gptpipe train ' > /dev/null || wrong "gptpipe train --help"
gptpipe help eval-mfu | grep '^Usage: gptpipe eval-mfu ' > /dev/null || wrong "gptpipe help eval-mfu"
for tool in fetch-data tokenize train sample predict convert-gpt2 eval-mfu; do
    gptpipe --help | grep "^  $tool " > /dev/null || wrong "gptpipe --help lacks $tool"
    readelf -d "$prefix/libexec/gptpipe/$tool" | grep 'NEEDED.*libgptpipe' > /dev/null || wrong "$tool carries the library"
done
code=0 && gptpipe fly > "$work/log" 2>&1 || code=$?
[ $code = 2 ] && grep -q '^gptpipe: no such tool: fly; the tools are fetch-data, ' "$work/log" || wrong "gptpipe fly: $code $(cat "$work/log")"

# Scripts, documents and the licence; the scripts find the tools by themselves.
for file in doc/gptpipe/LICENSE doc/gptpipe/README.md doc/gptpipe/docs/training.md doc/gptpipe/examples/Makefile \
    gptpipe/pipelines/eval-lambada.sh gptpipe/pipelines/compare.sh man/man1/gptpipe-train.1; do
    [ -s "$prefix/share/$file" ] || wrong "not installed: share/$file"
done
echo '{"context": "Once", "endings": [" a", " b"], "label": 0}' > "$work/choices.jsonl"
(cd "$work" && TASK=choices FILE=choices.jsonl PATH=/usr/bin:/bin "$prefix/share/gptpipe/pipelines/eval-hellaswag.sh" run --quiet > log) ||
    wrong "an installed script: $(cat "$work/log")"
(cd "$work" && DATA=reviews STEPS=1 PATH=/usr/bin:/bin "$prefix/share/gptpipe/pipelines/imdb.sh" > log 2>&1) &&
    grep -q '^  bag of words  *0[.]' "$work/log" || wrong "an installed imdb.sh: $(tail -20 "$work/log")"

# gptpipe(1) names each tool's page, which is there under that name.
while IFS= read -r page; do
    [ -s "$prefix/share/man/man1/$page.1" ] || wrong "gptpipe(1) names $page(1), which is not installed"
done < <(sed -n '/^[.]SH SEE ALSO/,$s/\\f[BR]//gp' "$prefix/share/man/man1/gptpipe.1" | sed -n 's/\\-/-/g; s/(1),*$//p')
[ "$(sed -n '/^[.]SH SEE ALSO/,$p' "$prefix/share/man/man1/gptpipe.1" | grep -c '(1)')" = 7 ] || wrong "gptpipe(1) names other tools"

# Without the short names, and all of it away again; what is not ours stays.
cmake -D BUILD="$GPTPIPE_BUILD" -P cmake/Uninstall.cmake > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
left=$(find "$prefix" -type f -o -type l)
[ -z "$left" ] || wrong "not uninstalled:" "$left"
[ -z "$(find "$prefix" -name gptpipe)" ] || wrong "folders are left: $(find "$prefix" -name gptpipe)"
SHORT_NAMES=OFF cmake --install "$GPTPIPE_BUILD" --prefix "$prefix" > "$work/log" || { cat "$work/log"; exit 1; }
[ "$(ls "$prefix/bin")" = gptpipe ] || wrong "without short names bin has:" "$(ls "$prefix/bin")"
[ ! -e "$prefix/share/man/man1/train.1" ] && [ -s "$prefix/share/man/man1/gptpipe-train.1" ] || wrong "manual pages: $(ls "$prefix/share/man/man1")"
gptpipe tokenize --version | grep '^tokenize (gptpipe)' > /dev/null || wrong "gptpipe tokenize --version"

# What a tool advises is what can be typed: gptpipe before a tool's name, and without it under the short names.
advises() { # COMMAND... -- TEXT: its stderr or its page has the text, and no tool without what is before it there
    local text=${*: -1} log
    log=$("${@:1:$#-2}" 2>&1) || true
    case $log in *"$text"*) ;; *) wrong "${*:1:$#-2}: lacks '$text': $log" ;; esac
    ! grep -E '(with|try|run|see|expected): ?(fetch-data|tokenize|train|sample|predict|convert-gpt2|eval-mfu) |\(see (train|sample)|^  (train|sample|tokenize|fetch-data|convert-gpt2|eval-mfu) |\| (train|tokenize|sample) |`train ' <<< "$log" ||
        wrong "${*:1:$#-2}: a short name"
}
cd "$work"
advises gptpipe train --data text.tok --resume run --steps 2 --max-time 0s -- "(see gptpipe train --help)"
advises gptpipe train text.tok --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 1 --eval-batches 0 -o run2 -- \
    "the run is in run2; try: gptpipe sample --checkpoint run2"
advises gptpipe train text.tok --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 100000 --max-time 0.1 \
    --eval-batches 0 -o run3 -- "to continue: gptpipe train --resume run3"
advises gptpipe fetch-data hellaswag --split nowhere -- "see: gptpipe fetch-data --info hellaswag"
advises gptpipe tokenize -t char text.tok --show -- "expected text: gptpipe tokenize --info describes"
advises gptpipe sample --fly -- "gptpipe sample --help"
for tool in fetch-data tokenize train sample predict convert-gpt2 eval-mfu; do
    advises gptpipe $tool --help -- "
  gptpipe $tool "
done
advises gptpipe train --help -- "| gptpipe tokenize --tokenizer char | gptpipe train --preset nano"
cd - > /dev/null
"$GPTPIPE_BIN/train" --help | grep '^Usage: train ' > /dev/null || wrong "train --help"
"$GPTPIPE_BIN/train" --help | grep '^  train --data ' > /dev/null || wrong "train --help: examples"
cmake --install "$GPTPIPE_BUILD" --prefix "$prefix" > "$work/log" || { cat "$work/log"; exit 1; }

# Each tool came with its pages and still runs from there.
for path in "$GPTPIPE_BUILD"/share/*.1; do
    tool=$(basename "$path" .1)
    [ "$tool" != gptpipe ] || continue
    "$prefix/bin/$tool" --version | grep -q "^$tool (gptpipe) $(pkg-config --modversion gptpipe)$"
    for page in "man/man1/$tool.1" "bash-completion/completions/$tool" "zsh/site-functions/_$tool" \
        "fish/vendor_completions.d/$tool.fish"; do
        [ -s "$prefix/share/$page" ] || { echo "not installed: share/$page"; exit 1; }
    done
    bash -n "$prefix/share/bash-completion/completions/$tool"
done
