#!/usr/bin/env bash
# Runs side by side: what differs in their config.yaml, their losses at equal tokens and at equal time, their best,
# and their curves.
#
#     pipelines/compare.sh out/a out/b              a table, and curves drawn in text
#     pipelines/compare.sh -o curves.svg out/*      curves by gnuplot instead
#     pipelines/compare.sh --html page.html out/*   a page instead (pipelines/explain.sh training)
#
# -o FILE.svg   where gnuplot draws; without -o the curves are text
# --html FILE   the page
# -h, --help    this
#
# Loss is the validation loss where a run has evaluations, between two of them on the straight line that joins them;
# else the mean of the last 20 training losses. Time is that of the training steps: tokens / tok_s, summed.
# Reads RUN/log.jsonl and RUN/config.yaml (docs/formats.md) with awk alone.
set -euo pipefail
export LC_ALL=C

usage() { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; }
die() {
    echo "compare.sh: $*" >&2
    exit 1
}

svg=
[ "${1:-}" != --help ] || set -- -h
if [ "${1:-}" = --html ]; then
    [ $# -gt 2 ] || { usage >&2 && exit 2; }
    exec "$(dirname "$0")/explain.sh" training -o "$2" "${@:3}"
fi
while getopts o:h option; do
    case $option in
    o) svg=$OPTARG ;;
    h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { usage >&2 && exit 2; }
[ -z "$svg" ] || command -v gnuplot > /dev/null ||
    die "-o $svg: gnuplot is not installed (Debian: gnuplot-nox); without -o the curves are drawn in text"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# ---- reading ----------------------------------------------------------------------------------------------------

# log.jsonl -> lines "train|val step tokens seconds loss". An evaluation has the tokens and the time of its step.
read_log() {
    awk '
        function value(key,   s) {
            if (!match($0, "\"" key "\": *-?[0-9][-+.0-9eE]*")) return ""
            s = substr($0, RSTART, RLENGTH)
            sub(/^[^:]*: */, "", s)
            return s + 0
        }
        value("loss") != "" && value("tokens") != "" {
            if (value("tok_s") > 0) seconds += (value("tokens") - tokens) / value("tok_s")
            tokens = value("tokens")
            printf "train %d %d %.6f %.9g\n", value("step"), tokens, seconds, value("loss")
        }
        value("val_loss") != "" { printf "val %d %d %.6f %.9g\n", value("step"), tokens, seconds, value("val_loss") }
    ' "$1"
}

# config.yaml -> lines "key<tab>value"; a list in one line; what is recorded keeps that in its name.
read_config() {
    awk '
        function flush() { if (key != "") print key "\t" value; key = "" }
        /^#/ || /^ *$/ { next }
        /^ *- / { sub(/^ *- */, ""); value = value (value == "" ? "" : " ") $0; next }
        { flush(); key = $0; sub(/:.*/, "", key); value = $0; sub(/^[^:]*: */, "", value); sub(/^[^:]*:$/, "", value) }
        key ~ /^ / { sub(/^ */, "recorded ", key) }
        END { flush() }
    ' "$1"
}

. "$(dirname "$0")/runs.sh"
runs=("${@%/}") labels=()
for i in "${!runs[@]}"; do
    run=${runs[i]}
    check_run "$run"
    read_log "$run/log.jsonl" > "$tmp/$i.log"
    grep -q '^train' "$tmp/$i.log" || die "$run/log.jsonl: no training step in it yet"
    if [ -r "$run/config.yaml" ]; then read_config "$run/config.yaml"; fi > "$tmp/$i.config"
    labels+=("$(label "$run")")
done

# ---- tables -----------------------------------------------------------------------------------------------------

# A table that is wider than the terminal goes below itself, some runs at a time; into a file or a pipe it goes whole.
wide=1000000
if [ -t 1 ]; then
    { wide=$(stty size <&3 2> /dev/null | cut -d' ' -f2) || true; } 3>&1
    [ "${wide:-0}" -ge 30 ] || wide=80
fi

# Lines of tab-separated cells in columns; the first column is left, numbers and names of runs right.
columns() {
    awk -F'\t' -v wide="$wide" '
        { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) }
          if (NF > most) most = NF }
        END { for (first = 2; first <= most; first = last + 1) {
                  used = width[1] + 2 + width[first]
                  for (last = first; last < most && used + 2 + width[last + 1] <= wide; last++) used += 2 + width[last + 1]
                  if (first > 2) print ""
                  for (r = 1; r <= NR; r++) {
                      line = sprintf("%-" width[1] "s", cell[r, 1])
                      for (i = first; i <= last; i++) line = line "  " sprintf("%" width[i] "s", cell[r, i])
                      print line } } }'
}

row() { # NAME VALUE...
    printf '%s' "$1"
    shift
    printf '\t%s' "$@"
    printf '\n'
}

# Options whose values are not the same in all runs. Where a run writes to is none of its business.
differences() {
    awk -F'\t' -v runs="${#runs[@]}" '
        { run = FILENAME; sub(/.*\//, "", run); sub(/\.config$/, "", run)
          if (!($1 in seen)) { seen[$1] = 1; order[++n] = $1 }
          has[$1, run] = 1; value[$1, run] = $2 }
        END { for (k = 1; k <= n; k++) {
                  key = order[k]; differ = 0
                  for (r = 1; r < runs; r++) if (value[key, r] != value[key, 0]) differ = 1
                  if (!differ || key == "out" || key == "run" || key == "recorded folder") continue
                  line = key
                  for (r = 0; r < runs; r++) line = line "\t" (((key, r) in has) ? value[key, r] : "-")
                  print line } }
    ' "${configs[@]}"
}

# The last value of a column of a run's training steps: 3 tokens, 4 seconds.
last() { awk -v column="$2" '$1 == "train" { x = $column } END { print x }' "$tmp/$1.log"; }

# The loss of run $1 where column $2 is $3.
loss_at() {
    awk -v column="$2" -v at="$3" '
        $1 == "val" && !done {
            if ($column <= at) { x = $column; y = $5; known = 1 }
            else { if (known) y += ($5 - y) * (at - x) / ($column - x); done = 1 }
        }
        $1 == "train" && $column <= at { recent[n++ % 20] = $5 }
        END {
            if (known) { printf "%.4f", y; exit }
            for (i = 0; i < n && i < 20; i++) sum += recent[i]
            if (i) printf "%.4f", sum / i; else printf "-"
        }' "$tmp/$1.log"
}

least() { printf '%s\n' "$@" | sort -g | head -1; }

configs=() tokens=() seconds=() best=() spans=() at_tokens=() at_seconds=()
for i in "${!runs[@]}"; do
    configs+=("$tmp/$i.config")
    tokens+=("$(last "$i" 3)")
    seconds+=("$(last "$i" 4)")
    spans+=("$(printf '%.1f s' "${seconds[i]}")")
    best+=("$(awk '$1 == "val" && (!n++ || $5 < best) { best = $5; step = $2 }
                   END { if (n) printf "%.4f at step %d", best, step; else print "no evaluation" }' "$tmp/$i.log")")
done
common_tokens=$(least "${tokens[@]}") common_seconds=$(least "${seconds[@]}")
for i in "${!runs[@]}"; do
    at_tokens+=("$(loss_at "$i" 3 "$common_tokens")")
    at_seconds+=("$(loss_at "$i" 4 "$common_seconds")")
done
{
    row run "${labels[@]}"
    differences
    row tokens "${tokens[@]}"
    row time "${spans[@]}"
    row "loss at $common_tokens tokens" "${at_tokens[@]}"
    row "loss at $(printf '%.1f' "$common_seconds") s" "${at_seconds[@]}"
    row "best validation" "${best[@]}"
} | columns

# ---- curves -----------------------------------------------------------------------------------------------------

# What is drawn of a run: its evaluations, or its training losses where it has fewer than two.
points() { # RUN COLUMN
    awk -v column="$2" '
        { x[$1, ++n[$1]] = $column; y[$1, n[$1]] = $5 }
        END { kind = n["val"] > 1 ? "val" : "train"; for (i = 1; i <= n[kind]; i++) print x[kind, i], y[kind, i] }
    ' "$tmp/$1.log"
}

draw_svg() {
    local i column
    {
        echo "set terminal svg size 900,400 dynamic; set output '$tmp/curves.svg'; set multiplot layout 1,2"
        echo "set ylabel 'loss'; set grid; set key top right noenhanced"
        for column in 3 4; do
            if [ $column = 3 ]; then echo "set xlabel 'tokens'"; else echo "set xlabel 'seconds of training'"; fi
            printf 'plot '
            for i in "${!runs[@]}"; do
                points "$i" $column > "$tmp/$i.$column"
                printf "%s'%s' using 1:2 with lines lw 2 lc %d title '%s'" "$([ "$i" = 0 ] || echo ', ')" \
                    "$tmp/$i.$column" $((i + 1)) "${labels[i]//\'/}"
            done
            echo
        done
    } > "$tmp/plot.gp"
    gnuplot "$tmp/plot.gp" || die "gnuplot failed, see above"
    mv "$tmp/curves.svg" "$svg"
    echo
    echo "curves in $svg"
}

# 64 x 16 characters; a run draws its letter, the later one where two meet.
draw_text() {
    local i
    for i in "${!runs[@]}"; do
        points "$i" 3 | awk -v run="$i" '{ print run, $1, $2 }'
    done | awk -v wide="$wide" -v names="$(IFS=$'\t'; echo "${labels[*]}")" '
        { run[NR] = $1; x[NR] = $2; y[NR] = $3
          if (NR == 1 || y[NR] < low) low = y[NR]
          if (NR == 1 || y[NR] > high) high = y[NR]
          if (x[NR] > most) most = x[NR] }
        END {
            W = wide < 81 ? wide - 17 : 64; H = 16; letters = "abcdefghijklmnopqrstuvwxyz"
            if (high <= low) high = low + 1
            for (i = 1; i <= NR; i++) {
                c = int((W - 1) * x[i] / most + 0.5); r = int((H - 1) * (high - y[i]) / (high - low) + 0.5)
                mark = substr(letters, run[i] % 26 + 1, 1)
                if (i > 1 && run[i] == run[i - 1])
                    for (k = c0 + 1; k < c; k++) grid[int(r0 + (r - r0) * (k - c0) / (c - c0) + 0.5), k] = mark
                grid[r, c] = mark; c0 = c; r0 = r
            }
            print ""
            for (r = 0; r < H; r++) {
                line = r == 0 || r == H - 1 ? sprintf("%8.4f |", r ? low : high) : "         |"
                for (c = 0; c < W; c++) line = line (((r, c) in grid) ? grid[r, c] : " ")
                sub(/ +$/, "", line)
                print line
            }
            line = "         +"; for (c = 0; c < W; c++) line = line "-"
            print line
            printf "          0 %" (W - 3) "s tokens\n", most
            n = split(names, name, "\t")
            line = "          "
            for (i = 1; i <= n; i++) {
                mark = substr(letters, (i - 1) % 26 + 1, 1) " " name[i] (i < n ? ", " : "")
                if (i > 1 && length(line mark) > wide) { sub(/ $/, "", line); print line; line = "          " }
                line = line mark
            }
            print line
        }'
}

if [ -n "$svg" ]; then draw_svg; else draw_text; fi
