#!/usr/bin/env bash
# Makes a page that explains runs, one HTML file that opens in any browser, without a server or a network.
#
#     pipelines/explain.sh training RUN... [-o FILE]     losses, rates, speed, samples, options of one run or several
#     pipelines/explain.sh attention [TRACE] [-o FILE]   attention step by step, in numbers and blocks of multiplications
#     pipelines/explain.sh gpt CHECKPOINT PROMPT [-o FILE]
#                                                        all stages of a model, from the norms to what it writes, in numbers
#
#     sample run 'Once upon' -n 0 --trace - | pipelines/explain.sh attention > attention.html
#
# TRACE        what sample --trace wrote; without it stdin, or where stdin is a terminal or /dev/null a built-in example
# CHECKPOINT   a run or a checkpoint of any format; gpt runs sample, eval-mfu and convert-gpt2 on it
# PROMPT       text that a GPT continues by up to 20 tokens; for BERT a text with [MASK], for RoBERTa one with <mask>
# -o FILE      the page; without -o it goes to stdout
# --watch N    training: makes it again every N seconds, for runs that go on: reload the page
# -h, --help   this
#
# A page is a template of data/explain/ with the files of the runs in it, as they are: no number passes through this
# script. In place of the checkout's templates: EXPLAIN=FOLDER.
set -euo pipefail
export LC_ALL=C

usage() { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; }
die() {
    echo "explain.sh: $*" >&2
    exit 1
}
wrong() {
    echo "explain.sh: $*; see explain.sh --help" >&2
    exit 2
}

templates=${EXPLAIN:-$(cd "$(dirname "$0")/.." && pwd)/data/explain}
max=$((64 << 20)) # bytes of the files in a page
files=(log.jsonl config.yaml samples.txt)

out= watch= operands=() trace= temporary= work=
trap 'rm -rf ${trace:+"$trace"} ${temporary:+"$temporary"} ${work:+"$work"}' EXIT
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    -o | --watch)
        [ $# -gt 1 ] || wrong "$1 needs a value"
        if [ "$1" = -o ]; then out=$2; else watch=$2; fi
        shift
        ;;
    -?*) wrong "unknown option $1" ;;
    *) operands+=("$1") ;;
    esac
    shift
done
[ ${#operands[@]} -gt 0 ] || { usage >&2 && exit 2; }
[ -z "$watch" ] || [[ $watch =~ ^[1-9][0-9]*$ ]] || wrong "--watch is '$watch', expected seconds"
[ -z "$watch" ] || [ -n "$out" ] || wrong "--watch needs -o FILE"
kind=${operands[0]} runs=("${operands[@]:1}")
case $kind in
training) ;;
attention)
    [ ${#runs[@]} -le 1 ] || wrong "attention takes one trace"
    [ -z "$watch" ] || wrong "--watch is for training"
    ;;
gpt)
    [ ${#runs[@]} = 2 ] || wrong "gpt takes a checkpoint and a prompt"
    [ -z "$watch" ] || wrong "--watch is for training"
    ;;
*) wrong "unknown page '$kind', expected training, attention or gpt" ;;
esac
[ -r "$templates/$kind.html" ] || die "$templates/$kind.html: there is no such template"

attribute() { printf '%s' "$1" | sed 's/&/\&amp;/g; s/"/\&quot;/g; s/</\&lt;/g'; }

embed() { # LABEL NAME FILE
    printf '<script type="application/octet-stream" data-folder="%s" data-file="%s">\n' "$(attribute "$1")" "$2"
    base64 "$3"
    printf '</script>\n'
}

. "$(dirname "$0")/runs.sh"
. "$(dirname "$0")/trace.sh"
. "$(dirname "$0")/gpt_files.sh"

take_training() {
    local run file size=0
    runs=("${runs[@]%/}")
    [ ${#runs[@]} -gt 0 ] || wrong "training needs run directories"
    for run in "${runs[@]}"; do
        check_run "$run"
        for file in "${files[@]}"; do
            [ ! -r "$run/$file" ] || size=$((size + $(wc -c < "$run/$file")))
        done
    done
    [ $size -le $max ] || die "the files of these runs have $((size >> 20)) MB, more than the $((max >> 20)) MB that a page holds; name fewer runs"
}

embed_training() {
    local run file
    for run in "${runs[@]}"; do
        for file in "${files[@]}"; do
            [ ! -r "$run/$file" ] || embed "$(label "$run")" "$file" "$run/$file"
        done
    done
}

# The trace; of the built-in example nothing but its name.
take_attention() {
    [ ${#runs[@]} = 1 ] || ! { [ -t 0 ] || [ /dev/stdin -ef /dev/null ]; } || return 0
    read_trace "${runs[0]:--}"
    check_trace "${runs[0]:-stdin}" tokens hidden.0 attentions.0 context.0
}

embed_attention() {
    if [ -n "$trace" ]; then embed '' trace.safetensors "$trace"; else embed '' example /dev/null; fi
}

# What the page gpt is made of.
take_gpt() {
    work=$(mktemp -d) || die "no temporary folder can be made"
    gpt_files "${runs[@]}"
    check_trace "the trace of ${runs[0]}" tokens hidden.0 attentions.0
}

embed_gpt() {
    local file
    for file in "$work"/*; do
        embed "$(basename "${runs[0]}")" "$(basename "$file")" "$file"
    done
}

# The template, with each line @@FILE@@ replaced by that file of the templates, @@files@@ by what the page carries.
page() {
    local line
    while IFS= read -r line; do
        case $line in
        @@files@@) embed_"$kind" ;;
        @@*@@) cat "$templates/$(basename "${line//@@/}")" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done < "$templates/$kind.html"
}

# Under another name until it is whole.
make_page() {
    if [ -z "$out" ] || [ "$out" = - ]; then
        page
        return
    fi
    temporary=$(mktemp "$out.XXXXXX" 2> /dev/null) || die "$out: cannot be written"
    page > "$temporary"
    chmod "$(printf '%o' $((0666 & ~$(umask))))" "$temporary"
    mv "$temporary" "$out"
    temporary=
}

take_"$kind"
make_page
while [ -n "$watch" ]; do
    sleep "$watch"
    make_page
done
