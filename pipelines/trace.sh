# trace.sh: checks traces of `sample --trace`. Source it after defining die.
#   read_trace FILE          stdin, or the file, into $trace, a temporary file that the caller removes, without what follows the
#                            tensors: the text that sample writes to stdout after them
#   check_trace NAME TENSOR... dies unless $trace is a whole trace that the pages read, with these tensors; NAME is what it is
#                            called in messages

trace_version=1
max_trace=$((64 << 20)) # bytes

# A safetensors file begins with the length of its header, 8 bytes, little-endian.
header_length() { od -An -tu8 -N8 "$trace" | tr -d ' '; }
trace_header() { head -c $((8 + $(header_length))) "$trace" | tail -c +9; }

# The byte after the last tensor, of the whole file.
trace_end() {
    local end
    end=$(trace_header | grep -o '"data_offsets": *\[[0-9]*, *[0-9]*\]' | sed 's/.*, *//; s/\]//' | sort -n | tail -1) || true # none
    echo $((8 + $(header_length) + ${end:-0}))
}

read_trace() {
    trace=$(mktemp) || die "no temporary file can be made"
    [ "$1" = - ] || { [ -r "$1" ] && [ ! -d "$1" ]; } || die "$1: cannot be read, or is no file"
    cat "$1" > "$trace"
    [ "$(wc -c < "$trace")" -lt 8 ] || [ "$(header_length | wc -c)" -gt 16 ] || [ "$(wc -c < "$trace")" -le "$(trace_end)" ] ||
        truncate -s "$(trace_end)" "$trace"
}

check_trace() {
    local name=$1 size tensor version
    shift
    size=$(wc -c < "$trace")
    [ "$size" -gt 0 ] || die "$name: is empty, expected a trace of sample --trace"
    [ "$size" -ge 8 ] || die "$name: is cut short ($size bytes), expected a trace of sample --trace"
    # A length above 10^15 is no length: what is read is another file.
    { [ "$(header_length | wc -c)" -le 16 ] && [ "$(head -c 9 "$trace" | tail -c 1 | tr -d '\0')" = '{' ]; } || die "$name: is no safetensors file, expected a trace of sample --trace"
    [ "$size" -ge $((8 + $(header_length))) ] || die "$name: is cut short in its header ($size bytes)"
    version=$(trace_header | sed -n 's/.*"gptpipe\.trace": *"\([^"]*\)".*/\1/p')
    [ -n "$version" ] || die "$name: has no gptpipe.trace, expected a trace of sample --trace of this version"
    [ "$version" = $trace_version ] || die "$name: is a trace of version $version, expected $trace_version"
    [ "$size" -ge "$(trace_end)" ] || die "$name: is cut short ($size bytes, expected $(trace_end))"
    [ "$size" -le $max_trace ] || die "$name: has $(((size + (1 << 20) - 1) >> 20)) MB, more than the $((max_trace >> 20)) MB that a page holds; shorten the prompt"
    for tensor; do
        trace_header | grep -F "\"$tensor\":{" > /dev/null || die "$name: has no tensor $tensor"
    done
}
