#!/usr/bin/env bash
# What the pipelines share: sourced after usage() is defined, by a script with OUT, DATA and BIN.

pipelines=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
above=$(dirname "$pipelines")
[ ! -e "$above/Makefile" ] || cd "$above" # installed, it works in the folder that it is called in

OUT=${OUT:-out}
BIN=${BIN:-build/bin}
[ -x "$BIN/train" ] || BIN=$above/../../libexec/gptpipe
PATH=$(cd "$BIN" && pwd):$pipelines:$PATH
began=$SECONDS
mkdir -p "$OUT"

# stage NAME OUTPUT INPUT... -- COMMAND...: runs COMMAND unless OUTPUT was made by the same from the same.
stage() {
    local name=$1 output=$2 inputs=()
    shift 2
    while [ "$1" != -- ]; do
        inputs+=("$1")
        shift
    done
    shift
    local key
    key=$( (echo "$@" && sha256sum "$(command -v "$1")" ${inputs[@]+"${inputs[@]}"}) | sha256sum | cut -c1-16)
    if [ -e "$output" ] && [ "$(cat "$OUT/.$DATA-$name.key" 2>/dev/null)" = "$key" ]; then
        printf '== %-12s %s: unchanged, kept\n' "$name" "$output"
        return
    fi
    printf '== %-12s %s\n' "$name" "$*"
    rm -f "$OUT/.$DATA-$name.key"
    "$@" || return # set -e does not end a function that a condition calls
    echo "$key" > "$OUT/.$DATA-$name.key"
}

# train_stage NAME INPUT... -- OPTION...: trains in a folder of its own, $run, since a run is never overwritten: one
# with other inputs or options gets another folder. $OUT/NAME-run is a link to the last one.
train_stage() {
    local name=$1 inputs=() key
    shift
    while [ "$1" != -- ]; do
        inputs+=("$1")
        shift
    done
    shift
    key=$( (echo "$@" && sha256sum "$BIN/train" "${inputs[@]}") | sha256sum | cut -c1-8)
    run=$OUT/$name-$key
    if [ -e "$run" ] && [ ! -e "$OUT/.train-$key.key" ]; then
        printf '== %-12s %s: resumes where it was stopped\n' train "$run"
        train --resume "$run"
        touch "$OUT/.train-$key.key"
    elif [ -e "$run" ]; then
        printf '== %-12s %s: unchanged, kept\n' train "$run"
    else
        printf '== %-12s train %s -o %s\n' train "$*" "$run"
        train "$@" -o "$run"
        touch "$OUT/.train-$key.key"
    fi
    ln -sfn "$(basename "$run")" "$OUT/$name-run"
}

# page NAME INPUT -- OPERAND...: the page $OUT/NAME.html of explain.sh.
page() {
    local name=$1 input=$2
    shift 3
    stage "$name" "$OUT/$name.html" "$input" "$above"/data/explain/* "$pipelines"/{runs,trace,gpt_files}.sh -- \
        explain.sh "$name" "$@" -o "$OUT/$name.html"
}
