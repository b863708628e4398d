#!/usr/bin/env bash
# What scripts that read run directories share: sourced after die() is defined, by a script with the directories in $runs.

# Ends the script unless $1 is a run directory of train.
check_run() {
    [ -d "$1" ] || die "$1: there is no such folder; expected a run directory of train"
    [ -r "$1/log.jsonl" ] || die "$1: no log.jsonl in it; expected a run directory of train"
}

# The last part of a path names a run, the whole path where two runs share that.
label() {
    local n=0 other name
    name=$(basename "$1")
    for other in "${runs[@]}"; do
        [ "$(basename "$other")" != "$name" ] || n=$((n + 1))
    done
    if [ $n -gt 1 ]; then echo "$1"; else echo "$name"; fi
}
