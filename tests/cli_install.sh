#!/usr/bin/env bash
# `make install` into a folder of its own, then a program from outside against it, shared and static, by pkg-config.
set -euo pipefail
cd "$(dirname "$0")/.."
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
tokenize --tokenizer char --quiet "$work/text" -o "$work/text.tok"
train "$work/text.tok" --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 1 --quiet -o "$work/run"
sampled=$(sample --checkpoint "$work/run" --prompt Once --temperature 0 --max-tokens 100 --quiet)

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
    generated=$("$work/$kind/generate" "$work/run" Once)
    [ "$generated" = "$sampled" ] || wrong "$kind: generated '$generated', sampled '$sampled'"
done

# Each tool came with its pages and still runs from there.
for path in "$GPTPIPE_BUILD"/share/*.1; do
    tool=$(basename "$path" .1)
    "$prefix/bin/$tool" --version | grep -q "^$tool (gptpipe) $(pkg-config --modversion gptpipe)$"
    for page in "man/man1/$tool.1" "bash-completion/completions/$tool" "zsh/site-functions/_$tool" \
        "fish/vendor_completions.d/$tool.fish"; do
        [ -s "$prefix/share/$page" ] || { echo "not installed: share/$page"; exit 1; }
    done
    bash -n "$prefix/share/bash-completion/completions/$tool"
done
