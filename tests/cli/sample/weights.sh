# sample: weights in bf16, fp16, int8 and int4: how much a trained model loses by them, and that samples stay the same
# alone and among others; who takes which dtype.
. "$(dirname "$0")/../cli.sh"

fetch-data stories --seed 1 --stories 600 -o text.txt --quiet || problem "no stories"
fetch-data stories --seed 2 --stories 40 -o held.txt --quiet || problem "no stories to hold back"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"
train text.tok --layers 2 --heads 4 --channels 128 --seq-len 64 --batch-size 8 --steps 400 --lr 3e-3 --threads 2 \
    --dtype fp32 -o run --quiet || problem "no run"
s=(sample --checkpoint run --threads 2 --quiet --backend cpu)

# perplexity DTYPE: value = that of the held-back text; the dtype is in the output
perplexity() {
    expect 0 "${s[@]}" --score held.txt --json --dtype "$1"
    has "\"dtype\": \"$1\""
    value=$(printf '%s\n' "$out" | sed -n 's/.*"total": .*"perplexity": \([0-9.]*\).*/\1/p')
}

# within VALUE OF PERCENT: VALUE is less than that above OF
within() {
    checks=$((checks + 1))
    awk "BEGIN { exit !(($1) < ($2) * (1 + $3 / 100)) }" || problem "$1 is more than $3% above $2"
}

perplexity fp32
plain=$value
within "$plain" 4 0 # it has learned: without knowing more than how often each character occurs, it is 17
for limit in "bf16 0.3" "fp16 0.03" "int8 0.3" "int4 3"; do
    perplexity "${limit% *}"
    within "$value" "$plain" "${limit#* }"
    [ "$value" != "$plain" ] || problem "${limit% *} has the bits of fp32: $value"
done

# a sample among others, of other lengths, and alone
printf '{"prompt": "%s"}\n' 'Lily had a red kite. One windy day, Lily' Once 'The dog' > many.jsonl
for dtype in bf16 fp16 int8 int4; do
    expect 0 "${s[@]}" --prompts many.jsonl -n 40 --num-samples 3 --json --dtype $dtype
    together=$(printf '%s\n' "$out" | grep '"prompt": "Once"')
    expect 0 "${s[@]}" --prompt Once -n 40 --num-samples 3 --json --dtype $dtype
    [ "$out" = "$together" ] || problem "$dtype: among others $together, alone $out"
    expect 0 "${s[@]}" --prompt Once -n 40 --num-samples 3 -B 1 --json --dtype $dtype
    [ "$out" = "$together" ] || problem "$dtype: in a batch $together, one by one $out"
done

# decoding rounds its inputs too, where a score's passes do not: what it says of its own samples is what a score of them
# says, to a thousandth of the perplexity
# nats FIRST: the sum of log-probabilities from that token on, of all lines, and their number
nats() {
    awk -v first="$1" 'match($0, /"logprobs": \[[^]]*\]/) {
        count = split(substr($0, RSTART + 13, RLENGTH - 14), p, ", ")
        for (i = first; i <= count; i++) { sum += p[i]; n++ }
    } END { print sum, n }' <<< "$out"
}
for dtype in int8 int4; do
    expect 0 "${s[@]}" --prompt Once -n 59 --num-samples 8 --json --dtype $dtype
    read -r decoded count <<< "$(nats 1)"
    sed -E 's/.*"text": "((\\.|[^"\\])*)", "finish.*/{"text": "Once\1"}/' <<< "$out" > samples.jsonl
    expect 0 "${s[@]}" --score samples.jsonl --jsonl text --json --dtype $dtype
    read -r scored same <<< "$(nats 5)"
    checks=$((checks + 1))
    awk "BEGIN { d = ($decoded) - ($scored); exit !($count > 400 && $count == $same && d * d < (1e-3 * $count) ^ 2) }" ||
        problem "$dtype: decoding gives $count tokens $decoded nats, a score $scored to $same"
done

# the cache in bf16: the same alone and among others, and what decoding says of its samples is what a score of them says,
# which caches nothing, to a hundredth of the perplexity; a cache has half the bytes
for dtype in fp32 int8; do
    expect 0 "${s[@]}" --prompts many.jsonl -n 59 --num-samples 3 --json --dtype $dtype --cache-dtype bf16
    has '"cache_dtype": "bf16"'
    together=$(printf '%s\n' "$out" | grep '"prompt": "Once"')
    expect 0 "${s[@]}" --prompt Once -n 59 --num-samples 3 -B 1 --json --dtype $dtype --cache-dtype bf16
    [ "$out" = "$together" ] || problem "$dtype, cache in bf16: among others $together, alone $out"
    expect 0 "${s[@]}" --prompt Once -n 59 --num-samples 8 --json --dtype $dtype --cache-dtype bf16
    read -r decoded count <<< "$(nats 1)"
    sed -E 's/.*"text": "((\\.|[^"\\])*)", "finish.*/{"text": "Once\1"}/' <<< "$out" > samples.jsonl
    expect 0 "${s[@]}" --score samples.jsonl --jsonl text --json --dtype $dtype
    read -r scored same <<< "$(nats 5)"
    checks=$((checks + 1))
    awk "BEGIN { d = ($decoded) - ($scored); exit !($count > 400 && $count == $same && d && d * d < (1e-2 * $count) ^ 2) }" ||
        problem "$dtype, cache in bf16: decoding gives $count tokens $decoded nats, a score $scored to $same"
done
cache_bytes() { sed -n 's/.*"cache": \([0-9]*\).*/\1/p' <<< "$out"; }
mfu=(eval-mfu run --passes decode --seconds 0.05 --peak 1e11 --json --backend cpu --threads 2)
expect 0 "${mfu[@]}"
wide=$(cache_bytes)
expect 0 "${mfu[@]}" --cache-dtype bf16
has '"cache_dtype": "bf16"'
[ $((wide - $(cache_bytes))) = $((2 * 2 * 64 * 128 * 2)) ] || problem "cache in bf16: $(cache_bytes) bytes, $wide in fp32"
expect 2 sample run --score held.txt --cache-dtype bf16
expect 2 sample run Once --cache-dtype int8

# auto: what the checkpoint has
for dtype in bf16 fp16; do
    convert-gpt2 run --dtype $dtype -o $dtype.safetensors --quiet || problem "no $dtype"
    expect 0 sample $dtype.safetensors --score held.txt --json --quiet --backend cpu
    has "\"dtype\": \"$dtype\""
    own=$(printf '%s\n' "$out" | sed 's/.*"total": .*"perplexity": \([0-9.]*\).*/\1/')
    expect 0 sample $dtype.safetensors --score held.txt --json --quiet --backend cpu --dtype fp32
    [ "${own:0:6}" = "$(printf '%s\n' "$out" | sed 's/.*"total": .*"perplexity": \(.\{6\}\).*/\1/')" ] ||
        problem "auto loses something of $dtype: $own, $out"
done
expect 0 "${s[@]}" --prompt Once -n 3 --json
has '"dtype": "fp32"'
expect 0 sample run Once -n 3 --dtype int4 --backend cpu
[[ $err == *" tok/s, int4" ]] || problem "does not say what was used: $err"

# decoding reads fewer bytes: 832 of a row of 768 numbers in int8, 512 in int4
for bytes in "fp32 4" "bf16 2" "int8 1.083" "int4 0.667"; do
    expect 0 eval-mfu --layers 1 --heads 12 --channels 768 --vocab-size 64 --preset nano --seq-len 8 --passes decode \
        --seconds 0.01 --json --quiet --backend cpu --dtype "${bytes% *}" --peak 1e9
    read=$(printf '%s\n' "$out" | sed -n 's/.*"bytes_token": \([0-9.e+]*\).*/\1/p')
    # 12 C C and C V weights, keys and values of four positions
    within "$read" "(12 * 768 * 768 + 768 * 64) * ${bytes#* } + 2 * 768 * 4 * 4" 0.1
    within "(12 * 768 * 768 + 768 * 64) * ${bytes#* } + 2 * 768 * 4 * 4" "$read" 0.1
done

# who does not take it
expect 2 train text.tok --dtype int8 -o none
says int8
expect 1 eval-mfu --preset nano --dtype int8 --passes train --quiet --backend cpu
says "dtype int8 is for models that do not train"
expect 1 sample run Once --trace t.safetensors --trace-grad --dtype int8 --backend cpu --quiet
says "dtype int8 is for models that do not train"

finish
