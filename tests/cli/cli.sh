# cli.sh: what the command-line tests share. Source it; it makes a folder of its own and removes it at the end.
#   expect CODE COMMAND...   runs it, fails unless it exits with CODE; $err holds its stderr, $out its stdout. Of a pipeline
#                            (bash -c) the last command that fails counts. What succeeds with --quiet says nothing
#   warns COMMAND...         the same with 0, of one that says something whatever --quiet asks for
#   says TEXT                fails unless the last stderr holds TEXT and has one line
#   has TEXT                 fails unless the last stdout holds TEXT
#   absent PATH              fails if it exists
#   same FILE FILE           fails unless they are the same, and not empty
#   tensors FILE             prints the names of the tensors of a safetensors file, one a line
#   tensor FILE NAME         prints the bytes of one of them
#   with_mask JSON V         prints a tokenizer.json of --train-bpe, of V ids, with RoBERTa's special tokens: <s> is V, <pad>
#                            V + 1, </s> V + 2, <mask> V + 3
set -uo pipefail
export CUDA_VISIBLE_DEVICES= # --backend auto is the same on every machine
PATH=$GPTPIPE_BIN:$PATH
repo=$PWD
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here" || exit 1
checks=0 failures=0 out= err= loud=

problem() {
    failures=$((failures + 1))
    printf 'FAILED %s:%s: %s\n' "$(basename "$0")" "${BASH_LINENO[1]}" "$*"
}

expect() {
    local code=$1 got
    shift
    [ "$1 ${2:-}" != "bash -c" ] || set -- bash -o pipefail "${@:2}"
    "$@" > "$here/.out" 2> "$here/.err"
    got=$?
    out=$(tr -d '\0' < "$here/.out") err=$(cat "$here/.err")
    checks=$((checks + 1))
    [ $got = "$code" ] || problem "$* exited with $got, expected $code: $err"
    case "$loud$code $* " in
    *" bash "* | *" --no-quiet "*) ;; # the first may be several tools
    "0 "*" --quiet "* | "0 "*" -q "*) [ -z "$err" ] || problem "$* says: $err" ;;
    esac
}

warns() {
    loud=loud
    expect 0 "$@"
    loud=
    [ -n "$err" ] || problem "$* warns of nothing"
}

says() {
    checks=$((checks + 1))
    case $err in
    *"$1"*) ;;
    *) problem "stderr lacks \"$1\": $err" ;;
    esac
    [ "$(printf '%s\n' "$err" | wc -l)" = 1 ] || problem "more than one line: $err"
}

has() {
    checks=$((checks + 1))
    case $out in
    *"$1"*) ;;
    *) problem "stdout lacks \"$1\": $out" ;;
    esac
}

absent() {
    checks=$((checks + 1))
    [ ! -e "$1" ] && [ ! -L "$1" ] || problem "$1 should not exist"
}

same() {
    checks=$((checks + 1))
    cat "$1" > "$here/.one" && cat "$2" > "$here/.other" && cmp -s "$here/.one" "$here/.other" ||
        problem "$1 and $2 differ"
    [ -s "$here/.one" ] || problem "$1 and $2 are empty"
}

header_of() { # FILE: of a safetensors file
    tail -c +9 "$1" | head -c "$(od -An -tu8 -N8 "$1" | tr -d ' ')"
}

tensors() {
    header_of "$1" | grep -o '"[^"]*":{"dtype"' | cut -d '"' -f 2
}

tensor() {
    local begin end
    IFS=, read -r begin end < <(header_of "$1" | sed "s/.*\"$2\":{[^}]*\"data_offsets\":\[\([0-9,]*\)\].*/\1/")
    tail -c +$((9 + $(header_of "$1" | wc -c) + begin)) "$1" | head -c $((end - begin))
}

with_mask() {
    local token='{"id":%s,"content":"%s","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},'
    local tokens processor
    # shellcheck disable=SC2059
    tokens=$(printf "$token" "$2" '<s>' $(($2 + 1)) '<pad>' $(($2 + 2)) '</s>' $(($2 + 3)) '<mask>')
    processor="{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",$(($2 + 2))],\"cls\":[\"<s>\",$2],"
    processor="$processor\"trim_offsets\":true,\"add_prefix_space\":false}"
    sed -e "s|\"added_tokens\":\[|&$tokens|" -e "s|\"post_processor\":null|\"post_processor\":$processor|" "$1"
}

finish() {
    printf '%s: %d checks, %d failed\n' "$(basename "$0")" "$checks" "$failures"
    [ $failures = 0 ]
    exit
}
