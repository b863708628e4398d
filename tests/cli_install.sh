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
for kind in shared static; do
    cp -r examples "$work/$kind"
    rm -f "$work/$kind/count_tokens"
    make -s -C "$work/$kind" CC="${CC:-cc}" STATIC="$([ $kind = static ] && echo 1 || true)"
    needs=$(readelf -d "$work/$kind/count_tokens" | grep -c 'NEEDED.*libgptpipe' || true)
    [ "$needs" = "$([ $kind = shared ] && echo 1 || echo 0)" ] || { echo "$kind: linked the other way"; exit 1; }
    found=$(printf abracadabra | "$work/$kind/count_tokens" bytes)
    [ "$found" = "$expected" ] || { printf '%s: found\n%s\n' "$kind" "$found"; exit 1; }
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
