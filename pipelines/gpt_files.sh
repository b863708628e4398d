# gpt_files.sh: what the page of `explain.sh gpt` carries. Source it after trace.sh.
#   gpt_files CHECKPOINT PROMPT    runs the tools; leaves in $work, a temporary folder that the caller removes,
#                                  trace.safetensors   of the prompt and what the model made of it
#                                  info.json, mfu.json convert-gpt2's list of tensors, eval-mfu's report
#                                  sample.json         what the model made, where it continues text
#                                  config.yaml         of a run of train
# A causal model continues the prompt by up to $made tokens, fewer at the end of its context.

made=20

# The tools of the checkout, of an installation, or in PATH.
find_tools() {
    local here bin
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    for bin in ${BIN:+"$BIN"} "$here/build/bin" "$here/../../libexec/gptpipe"; do
        [ ! -x "$bin/sample" ] || { PATH=$(cd "$bin" && pwd):$PATH && return; }
    done
    command -v convert-gpt2 > /dev/null || die "the tools are not built: run make, or name their folder by BIN="
}

# run_tool TOOL...: what it says of itself ends this script as its own line.
run_tool() {
    "$@" 2> "$work/said" || { sed 1q "$work/said" >&2 && exit 1; }
}

# The ids of $trace, with commas.
traced_ids() {
    local begin end
    IFS=, read -r begin end < <(trace_header | sed 's/.*"tokens":{[^}]*"data_offsets":\[\([0-9,]*\)\].*/\1/')
    od -An -v -td4 -j $((8 + $(header_length) + begin)) -N $((end - begin)) "$trace" | tr -s ' \n' ',,' | sed 's/^,//; s/,$//'
}

number_of() { # KEY FILE
    sed -n 's/.*"'"$1"'": *\([0-9]*\).*/\1/p' "$2" | head -1
}

continue_text() {
    local ids count=0 context more
    ids=$(traced_ids)
    count=$(tr ',' '\n' <<< "$ids" | wc -l)
    context=$(number_of n_positions "$work/info.json")
    more=$((context - count < made ? context - count : made))
    [ $more -gt 0 ] || return 0
    run_tool sample --checkpoint "$1" --prompt-ids "$ids" --max-tokens $more --json --quiet -o "$work/sample.json"
    ids=$ids,$(sed -n 's/.*"ids": \[\([0-9, ]*\)\], "logprobs".*/\1/p' "$work/sample.json" | tr -d ' ')
    run_tool sample --checkpoint "$1" --prompt-ids "${ids%,}" --max-tokens 0 --trace "$trace" --quiet
}

gpt_files() {
    local head
    find_tools
    trace=$work/trace.safetensors
    run_tool convert-gpt2 "$1" --info --json -o "$work/info.json"
    run_tool sample --checkpoint "$1" --prompt "$2" --max-tokens 0 --trace "$trace" --quiet
    head=$(sed -n '/"architectures"/,/\]/p' "$work/info.json" | tr -d ' \n')
    [[ $head != *GPT2LMHeadModel* ]] || continue_text "$1"
    run_tool eval-mfu --checkpoint "$1" --batch-size 1 --seconds 0.5 --json --quiet -o "$work/mfu.json"
    [ ! -r "$1/config.yaml" ] || cp "$1/config.yaml" "$work"
    rm -f "$work/said"
}
