# train and sample on the simulated GPU: ref's losses and ref's text, the same bits again, and stopped and resumed.
. "$(dirname "$0")/../cli/cli.sh"
PATH=$GPTPIPE_BIN/cusim:$PATH
export CUSIM_SEED=1
small=(--layers 2 --heads 2 --channels 16 --seq-len 16 --batch-size 2 --grad-accum 2 --warmup 2 --lr 1e-2 --init-std 0.1
    --dropout 0.1 --eval-every 4 --eval-batches 2 --threads 1 --quiet)

fetch-data stories --seed 1 --stories 200 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"

# what does not depend on the clock
log() {
    sed -E 's/, "tok_s": .*//' "$1/log.jsonl" | grep '"loss"'
}

# near RUN RUN SHARE: as many steps, no loss further off than that share of it
near() {
    checks=$((checks + 1))
    paste <(log "$1" | sed -E 's/.*"loss": ([0-9.]+).*/\1/') <(log "$2" | sed -E 's/.*"loss": ([0-9.]+).*/\1/') |
        awk -v share="$3" '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (!($2 > 0) || d > share) bad = bad " " NR ": " $1 " " $2 }
            END { if (NR != 8 || bad) { print NR " steps" bad; exit 1 } }' || problem "$1 and $2 differ"
}

# ref's curve: in fp32 as far as sums in another order go; in bf16 that of fp32 within a percent
for dtype in fp32 bf16; do
    expect 0 train text.tok "${small[@]}" --steps 8 --backend ref --dtype $dtype -o ref-$dtype
    expect 0 train text.tok "${small[@]}" --steps 8 --backend cuda --dtype $dtype -o $dtype
done
near ref-fp32 fp32 1e-4
near ref-bf16 bf16 1e-2
near ref-fp32 bf16 1e-2

# the same options, the same bits; another order of the threads too
expect 0 env CUSIM_SEED=5 train --config bf16/config.yaml -o again --quiet
same bf16/model.safetensors again/model.safetensors
same <(log bf16) <(log again)

# stopped and resumed = never stopped
expect 0 train text.tok "${small[@]}" --steps 3 --decay-steps 8 --backend cuda --dtype bf16 -o part
expect 0 train --resume part --steps 8 --quiet
same bf16/model.safetensors part/model.safetensors
same bf16/last/state.safetensors part/last/state.safetensors
same <(log bf16) <(log part)

# masked tokens, whose number differs from batch to batch: the same
tokenize text.txt --train-bpe 280 --save-tokenizer bpe.json -o bpe.tok --quiet || problem "no tokens"
with_mask bpe.json "$(tokenize --info bpe.tok --json | sed -n 's/.*"vocab_size":\([0-9]*\).*/\1/p')" > mask.json
tokenize text.txt --tokenizer mask.json -o masked.tok --quiet || problem "no tokens"
masked=("${small[@]}" --preset roberta-nano --layers 2 --heads 2 --whole-words --mlm-probability 0.4 --seq-len 40)
for dtype in fp32 bf16; do
    expect 0 train masked.tok "${masked[@]}" --steps 8 --backend ref --dtype $dtype -o ref-masked-$dtype
    expect 0 train masked.tok "${masked[@]}" --steps 8 --backend cuda --dtype $dtype -o masked-$dtype
done
near ref-masked-fp32 masked-fp32 1e-4
near ref-masked-bf16 masked-bf16 1e-2
expect 0 train masked.tok "${masked[@]}" --steps 3 --decay-steps 8 --backend cuda --dtype bf16 -o masked-part
expect 0 train --resume masked-part --steps 8 --quiet
same masked-bf16/model.safetensors masked-part/model.safetensors
same <(log masked-bf16) <(log masked-part)

# attention by cuDNN: ref's curve; the same bits when stopped and resumed
plain=("${small[@]}" --dropout 0)
expect 0 train text.tok "${plain[@]}" --steps 8 --backend ref --dtype bf16 -o ref-plain
expect 0 train text.tok "${plain[@]}" --steps 8 --backend cuda --dtype bf16 -o own
expect 0 train text.tok "${plain[@]}" --steps 8 --backend cuda --dtype bf16 --attention cudnn -o cudnn
near ref-plain cudnn 1e-2
checks=$((checks + 1))
cmp -s own/model.safetensors cudnn/model.safetensors && problem "cuDNN's attention and the own kernels give the same bits"
expect 0 train text.tok "${plain[@]}" --steps 3 --decay-steps 8 --backend cuda --dtype bf16 --attention cudnn -o cudnn-part
expect 0 train --resume cudnn-part --steps 8 --quiet
same cudnn/model.safetensors cudnn-part/model.safetensors

# measured: what was faster is recorded, whichever it was, and a resumed run takes it without measuring
machine() { tail -n 1 "$1/history.jsonl" | sed -E 's/.*"machine":"([^"]*)".*/\1/'; }
expect 0 train text.tok "${plain[@]}" --no-quiet --steps 3 --backend cuda --dtype bf16 --attention measure -o measured
checks=$((checks + 2))
case $err in
*"attention: forward "*" ms by own kernels, "*" ms by cuDNN 9.19.0; backward "*) ;;
*) problem "what was measured is not told: $err" ;;
esac
grep -qxE '  attention: (own|cudnn|cudnn-forward|cudnn-backward)' measured/config.yaml || problem "nothing is recorded"
sed -i -E 's/^  attention: .*/  attention: cudnn-backward/' measured/config.yaml # whatever it was
expect 0 train --resume measured --steps 4 --no-quiet
checks=$((checks + 2))
case $err in
*"attention: forward"*) problem "measured again: $err" ;;
esac
[[ $(machine measured) = *", attention by cuDNN 9.19.0 (backward)" ]] || problem "resumed on: $(machine measured)"
grep -qx '  attention: cudnn-backward' measured/config.yaml || problem "what was recorded is gone"

# without cuDNN: an error where it was asked for, or is what the run began with; the own kernels where it was to be measured
expect 1 env CUSIM_GPU=cudnn=0 train text.tok "${plain[@]}" --steps 1 --backend cuda --attention cudnn -o none
says "train: backend cuda: cannot find libcudnn.so.9"
absent none
expect 1 env CUSIM_GPU=cudnn=90100 train text.tok "${plain[@]}" --steps 1 --backend cuda --attention cudnn -o none
says "train: backend cuda: found cuDNN 9.1.0, 9.10 or later is required"
expect 1 env CUSIM_GPU=cudnn=0 train --resume measured --steps 5 --quiet
says "cannot find libcudnn.so.9; what this run measured when it began is cudnn-backward"
expect 0 env CUSIM_GPU=cudnn=0 train text.tok "${plain[@]}" --no-quiet --steps 8 --backend cuda --dtype bf16 \
    --attention measure -o without
checks=$((checks + 1))
case $err in
*"attention: own kernels; nothing to measure: backend cuda: cannot find libcudnn.so.9"*) ;;
*) problem "measured without cuDNN: $err" ;;
esac
same own/model.safetensors without/model.safetensors

# measured is only what leaves room for the run: cuDNN's backward keeps the gradients of all scores, 1 MiB here
wide=("${plain[@]}" --layers 1 --heads 8 --channels 64 --seq-len 128 --batch-size 4 --grad-accum 1 --eval-every 0 --steps 1
    --backend cuda --dtype bf16)
expect 0 env CUSIM_GPU=memory=4 train text.tok "${wide[@]}" --attention measure --no-quiet -o narrow-room
checks=$((checks + 1))
case $err in
*"attention: forward "*" ms by cuDNN 9.19.0"*"backward"*) problem "measured what does not fit: $err" ;;
*"attention: forward "*" ms by cuDNN 9.19.0"*) ;;
*) problem "measured with 4 MiB: $err" ;;
esac
expect 1 env CUSIM_GPU=memory=4 train text.tok "${wide[@]}" --attention cudnn -o none
says "train: batches of 4 x 128 tokens need "
expect 1 env CUSIM_GPU=memory=3 train text.tok "${wide[@]}" --attention measure --no-quiet -o none
checks=$((checks + 1))
case $err in
*"nothing to measure: cuDNN's attention needs more memory than is left"*"batches of 4 x 128 tokens need "*) ;;
*) problem "measured with 3 MiB: $err" ;;
esac

# products measured: what is faster is recorded, and a resumed run makes the same bits where another would be faster
how=(--products measure --backend cuda --dtype bf16)
chosen() { grep -o '"details":"algorithm [0-9]*' "$1/products.json" | sort -u; }
expect 0 env CUSIM_GPU=algorithm=3 train text.tok "${small[@]}" --steps 8 "${how[@]}" -o fast --no-quiet
checks=$((checks + 4))
[[ $err = *"train: products: 15 measured in "*" s, 15 made otherwise than by the library's first choice: "* ]] ||
    problem "what was measured is not told: $err"
[ "$(chosen fast)" = '"details":"algorithm 3' ] || problem "chosen: $(chosen fast)"
[[ $(machine fast) = *", products by cuBLASLt 13.1.1 (measured)" ]] || problem "measured on: $(machine fast)"
cmp -s bf16/model.safetensors fast/model.safetensors && problem "measured products and the heuristic's give the same bits"
near ref-bf16 fast 1e-2
expect 0 env CUSIM_GPU=algorithm=3 train text.tok "${small[@]}" --steps 3 --decay-steps 8 "${how[@]}" -o fast-part
cp -r fast-part moved
cp -r fast-part damaged
expect 0 env CUSIM_GPU=algorithm=1 train --resume fast-part --steps 8 --no-quiet
checks=$((checks + 1))
[[ $err != *"products: "[0-9]*"measured"* && $err != *"bits may differ"* ]] || problem "measured again: $err"
same fast/model.safetensors fast-part/model.safetensors
same fast/last/state.safetensors fast-part/last/state.safetensors
same <(log fast) <(log fast-part)
same fast/products.json fast-part/products.json

# of another library or device nothing is taken: it is measured again, and said
expect 0 env CUSIM_GPU=algorithm=1,cublaslt=130200 train --resume moved --steps 8 --no-quiet
checks=$((checks + 2))
[[ $err = *"products: the algorithms that this run recorded are those of cuBLASLt 13.1.1 on simulated, sm_90; they are measured again"*"products: 15 measured in"*"the machine changes, so bits may differ: "*"cuBLASLt 13.2.0 (measured); it was "*"cuBLASLt 13.1.1 (measured)"* ]] ||
    problem "with another library: $err"
[ "$(chosen moved)" = '"details":"algorithm 1' ] || problem "chosen with another library: $(chosen moved)"
expect 0 env CUSIM_GPU=sm=100 train --resume moved --steps 9 --no-quiet
checks=$((checks + 1))
[[ $err = *"those of cuBLASLt 13.2.0 on simulated, sm_90; they are measured again"* ]] || problem "on another device: $err"

# an algorithm that the library does not know any more, and a file that is none
sed -i -E '2s/"algorithm":"[0-9a-f]{16}/"algorithm":"0123456789abcdef/' damaged/products.json
expect 0 env CUSIM_GPU=algorithm=3 train --resume damaged --steps 4 --no-quiet
checks=$((checks + 1))
[[ $err = *"products: 1 measured in "*"products: the algorithm that this run recorded for "*" is not available here; using another ("*"), so bits may differ"* ]] ||
    problem "with an unknown algorithm: $err"
echo '{"products": [{}]}' > damaged/products.json
expect 1 train --resume damaged --steps 5 --quiet
says "train: damaged/products.json: is not a record of the algorithm that each matrix product uses"

# what the library refuses to run (164: GELU and bias) is made another way, which is said and recorded: a resumed run
# repeats it, whether or not the library would still refuse
warns env CUSIM_GPU=refused=164 train text.tok "${small[@]}" --steps 8 --backend cuda --dtype bf16 -o refused
says "train: cuBLASLt 13.1.1 refused to run 32x64x16 NN bf16 bf16 bias gelu pre with the algorithm of its heuristic; using another from here on (bias)"
checks=$((checks + 1))
[ "$(grep -c '"way":"bias".*"refused":true' refused/products.json)" = 1 ] || problem "recorded: $(cat refused/products.json)"
near ref-bf16 refused 1e-2
warns env CUSIM_GPU=refused=164 train text.tok "${small[@]}" --steps 3 --decay-steps 8 --backend cuda --dtype bf16 -o refused-part
expect 0 train --resume refused-part --steps 8 --no-quiet
checks=$((checks + 1))
[[ $err != *refused\ to* && $err != *"bits may differ"* ]] || problem "told again: $err"
same refused/model.safetensors refused-part/model.safetensors
same refused/products.json refused-part/products.json

# a driver that makes no graphs: said once, and the bits are the same
warns env CUSIM_GPU=graphs=0 train text.tok "${small[@]}" --steps 8 --backend cuda --dtype bf16 -o no-graphs
checks=$((checks + 1))
[ "$(grep -c 'train: work cannot be recorded as a CUDA graph with this driver, for CUDA 13.0 (' <<< "$err")" = 1 ] ||
    problem "no graphs: $err"
same bf16/model.safetensors no-graphs/model.safetensors
text=(sample --backend cuda --dtype bf16 --checkpoint bf16 --prompt Once --max-tokens 12 --temperature 0.9 --threads 1)
expect 0 "${text[@]}" --quiet
theirs=$out
expect 0 env CUSIM_GPU=graphs=0 "${text[@]}"
checks=$((checks + 2))
grep -q '^sample: work cannot be recorded as a CUDA graph with this driver' <<< "$err" || problem "no graphs: $err"
[ "$out" = "$theirs" ] || problem "without graphs: $out, with them: $theirs"

# 36: GELU and bias of a model that does not train
expect 0 env CUSIM_GPU=refused=36 "${text[@]}"
checks=$((checks + 1))
grep -q '^sample: cuBLASLt 13.1.1 refused to run .* bias gelu with the algorithm of its heuristic' <<< "$err" || problem "sample: $err"
expect 0 env CUSIM_GPU=refused=36 predict --backend cuda --dtype bf16 --checkpoint bf16 --task next <<< Once
checks=$((checks + 1))
grep -q '^predict: cuBLASLt 13.1.1 refused to run .* bias gelu with the algorithm of its heuristic' <<< "$err" || problem "predict: $err"

# where there is one way to multiply
expect 0 train text.tok "${small[@]}" --steps 1 --backend ref --products measure --no-quiet -o one-way
checks=$((checks + 1))
[[ $err = *"train: products: nothing to measure: backend ref has only one algorithm"* ]] || problem "ref: $err"
absent one-way/products.json

# eval-mfu measures before each pass
one=(eval-mfu --preset nano --layers 1 --heads 2 --channels 16 --vocab-size 64 --seq-len 16 --batch-size 2 --peak 1e12
    --seconds 0.01 --passes train --quiet)
expect 0 env CUSIM_GPU=memory=16,algorithm=3 "${one[@]}" --backend cuda --dtype bf16 --products measure
checks=$((checks + 2))
grep -qE '^products by cuBLASLt 13.1.1, measured in [0-9.]+ s' <<< "$out" || problem "eval-mfu: $out"
[ "$(grep -cE '^32x64x16 NN bf16 bf16 bias gelu pre +1 +0.0050 +0.0100  gelu   algorithm 3,' <<< "$out")" = 1 ] ||
    problem "eval-mfu: $out"
expect 0 env CUSIM_GPU=memory=16,graphs=0 "${one[@]}" --no-quiet --backend cuda --dtype bf16
checks=$((checks + 1))
grep -q '^eval-mfu: work cannot be recorded as a CUDA graph with this driver' <<< "$err" || problem "no graphs: $err"
# what turned out otherwise stands in its JSON too; the other tools say it in a line
expect 0 env CUSIM_GPU=memory=16,graphs=0,refused=164 "${one[@]}" --backend cuda --dtype bf16 --json
checks=$((checks + 1))
[[ $out = *'"remarks": ["work cannot be recorded as a CUDA graph with this driver, '*'", "cuBLASLt 13.1.1 refused to run 32x64x16 '* ]] ||
    problem "eval-mfu --json: $out"
# a refusal alone has no times; it is said where the measurement fails, too
expect 0 env CUSIM_GPU=memory=16,refused=164 "${one[@]}" --backend cuda --dtype bf16
checks=$((checks + 1))
grep -q '^products by cuBLASLt 13.1.1, which refused the algorithm of its heuristic for these$' <<< "$out" && ! grep -q 'measured in' <<< "$out" ||
    problem "a refusal: $out"
err=$(env CUSIM_GPU=memory=16,refused=164 "${one[@]}" --no-quiet --passes train,decode --decode-batch 4096 --backend cuda \
    --dtype bf16 2>&1 > /dev/null) && problem "4096 samples in 16 MiB"
checks=$((checks + 1))
[[ $err = "eval-mfu: cuBLASLt 13.1.1 refused to run "*$'\n'"eval-mfu: 4096 samples at once need "* ]] ||
    problem "a refusal before a failure: $err"
# an op's time is the device's, whatever the host does meanwhile: a norm is one kernel, its gradient two, and a call of the
# library takes 5 microseconds
expect 0 env CUSIM_GPU=memory=16 "${one[@]}" --backend cuda --dtype bf16 --ops --json
for row in 'norm", "weight": "", "calls": 3, "seconds": 3e-06' 'norm backward", "weight": "", "calls": 3, "seconds": 6e-06' \
    'linear", "weight": "16 x 48", "calls": 1, "seconds": 5e-06' 'zero gradients", "weight": "", "calls": 1, "seconds": 1e-06'; do
    checks=$((checks + 1))
    grep -qF "\"op\": \"$row," <<< "$out" || problem "eval-mfu --ops lacks $row: $out"
done
expect 1 "${one[@]}" --backend ref --products measure
says "eval-mfu: products: backend ref has only one algorithm, so there is no choice to measure"

# what it does not take
expect 1 train text.tok "${small[@]}" --steps 1 --backend cuda --attention cudnn -o none
says "train: cuDNN's attention cannot generate this dropout mask; use --dropout 0 or --attention own"
expect 1 train text.tok "${plain[@]}" --steps 1 --backend cuda --dtype fp32 --attention cudnn -o none
says "train: cuDNN's attention needs bf16; use --dtype bf16 or --attention own"
expect 1 train text.tok "${plain[@]}" --steps 1 --backend ref --attention cudnn-forward -o none
says "train: attention by cuDNN requires backend cuda (found ref); use --attention own"

# weight formats are the processor's: one line for each tool, and auto takes a backend that has them
for dtype in fp16 int8 int4; do
    for tool in "sample --checkpoint fp32 --prompt Once" "predict --checkpoint fp32" \
        "eval-mfu --preset nano --passes decode --seconds 0.01"; do
        expect 1 $tool --backend cuda --dtype $dtype --quiet < /dev/null
        says "${tool%% *}: dtype $dtype requires backend cpu or ref (found cuda); use --dtype bf16 or --backend cpu"
    done
done
expect 0 env CUDA_VISIBLE_DEVICES=0 sample --checkpoint fp32 --prompt Once --max-tokens 2 --dtype int8 --json
checks=$((checks + 2))
[[ $out = *'"dtype": "int8"'* ]] || problem "auto, int8: $out"
grep -qx 'sample: backend cuda does not support dtype int8; using backend cpu' <<< "$err" || problem "auto, int8: $err"
expect 0 sample --checkpoint fp32 --prompt Once --max-tokens 2 --dtype int8
checks=$((checks + 1))
[[ $err != *cuda* ]] || problem "int8, with a GPU that is hidden: $err"

# checkpoints of 16 bits, which the device converts: ref's text
for dtype in bf16 fp16; do
    expect 0 convert-gpt2 fp32 -o $dtype.safetensors --dtype $dtype --quiet
    text=(sample --checkpoint $dtype.safetensors --prompt Once --max-tokens 20 --dtype fp32 --temperature 0.9 --quiet)
    expect 0 "${text[@]}" --backend ref
    theirs=$out
    expect 0 "${text[@]}" --backend cuda
    checks=$((checks + 1))
    [ "$out" = "$theirs" ] || problem "of $dtype cuda makes: $out, ref: $theirs"
done

# predict: ref's next tokens, to the last but one digit of their probabilities
printf '%s\n' "Once upon" "Lily had a" > lines.txt
for backend in ref cuda; do
    expect 0 predict --checkpoint fp32 --top-k 3 --backend $backend --dtype fp32 --quiet lines.txt
    sed -E 's/("score": 0\.[0-9]{4})[0-9]*/\1/g' <<< "$out" > $backend.jsonl
done
same ref.jsonl cuda.jsonl
checks=$((checks + 1))
[ "$(grep -o '"score": 0' cuda.jsonl | wc -l)" = 6 ] || problem "predict: $(cat cuda.jsonl)"

# without master weights: ref's curve, and nearly that with them; less memory; stopped and resumed; gone on with masters
narrow=("${small[@]}" --no-master-weights --dtype bf16)
expect 0 train text.tok "${narrow[@]}" --steps 8 --backend ref -o ref-narrow
expect 0 train text.tok "${narrow[@]}" --steps 8 --backend cuda -o narrow
near ref-narrow narrow 1e-2
near ref-bf16 narrow 3e-2
checks=$((checks + 1))
cmp -s bf16/model.safetensors narrow/model.safetensors && problem "master weights make no difference"
expect 0 train text.tok "${narrow[@]}" --steps 3 --decay-steps 8 --backend cuda -o narrow-part
expect 0 train --resume narrow-part --steps 8 --quiet
same narrow/model.safetensors narrow-part/model.safetensors
same narrow/last/state.safetensors narrow-part/last/state.safetensors
same <(log narrow) <(log narrow-part)
expect 0 train --resume narrow-part --steps 9 --master-weights --quiet
checks=$((checks + 1))
tail -n 1 narrow-part/history.jsonl | grep -q '"master-weights":\["false","true"\]' ||
    problem "history.jsonl does not say that masters came: $(tail -n 1 narrow-part/history.jsonl)"
member() { sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p" <<< "$out"; }
expect 0 train text.tok "${small[@]}" --dtype bf16 --backend cuda --dry-run --json
weights=$(member weights) slots=$(member slots)
expect 0 train text.tok "${narrow[@]}" --backend cuda --dry-run --json
checks=$((checks + 1))
[ $((10 * $(member weights))) -lt $((7 * weights)) ] && [ $((4 * $(member slots))) -lt "$slots" ] ||
    problem "without master weights $(member weights) bytes and $(member slots) of slots, with them $weights and $slots"

# ref's text, greedy and drawn, past the context; a sample alone and among others
for how in "--temperature 0" "--temperature 0.9 --top-k 20 --top-p 0.95 --seed 3"; do
    text=(sample --checkpoint fp32 --prompt Once --max-tokens 20 --num-samples 3 --threads 1 --dtype fp32 --quiet)
    expect 0 "${text[@]}" $how --backend ref
    theirs=$out
    expect 0 "${text[@]}" $how --backend cuda
    checks=$((checks + 1))
    [ "$out" = "$theirs" ] || problem "cuda draws: $out, ref: $theirs"
    expect 0 "${text[@]}" $how --backend cuda --batch-size 1
    checks=$((checks + 1))
    [ "$out" = "$theirs" ] || problem "one at a time: $out, together: $theirs"
done

# in bf16 too, by tensor cores: prompts of several lengths, one by one and together, prefill and decoding, down to the log
# probabilities; the order in which a row's numbers are added does not depend on the batch
printf '{"prompt": "%s"}\n' "Once" "Lily had a big red ball and" "T" "The sun was hot. He" "Once upon a" > prompts.jsonl
together=
for batch in 5 2 1; do
    expect 0 sample --checkpoint bf16 --prompts prompts.jsonl --batch-size $batch --max-tokens 8 --temperature 0.9 --seed 3 \
        --json --top-logprobs 2 --backend cuda --dtype bf16 --threads 1 --quiet
    together=${together:-$out}
    checks=$((checks + 1))
    [ "$out" = "$together" ] && [ "$(wc -l <<< "$out")" = 5 ] && grep -q logprob <<< "$out" ||
        problem "$batch at a time: $out, 5: $together"
done

# scored with cuDNN's attention: the own kernels' likelihoods to bf16, by other sums; refused where it is not there
printf '{"text": "%s"}\n' "Once upon a time, Lily had a ball" "The sun was hot" > texts.jsonl
scores() { grep -o '"logprob": [-0-9.]*' <<< "$1" | cut -d ' ' -f 2; }
scoring=(sample --checkpoint cudnn --score texts.jsonl --jsonl text --json --backend cuda --dtype bf16 --threads 1 --quiet)
expect 0 "${scoring[@]}"
by_own=$out
expect 0 "${scoring[@]}" --attention cudnn
checks=$((checks + 2))
[ "$out" != "$by_own" ] || problem "scored with cuDNN's attention, not a bit differs: $out"
paste <(scores "$by_own") <(scores "$out") |
    awk '{ d = ($1 - $2) / $1; if (!($2 < 0) || d * d > 1e-6) bad = 1 } END { exit bad || NR != 3 }' ||
    problem "scored by own kernels: $by_own, by cuDNN: $out"
expect 1 env CUSIM_GPU=cudnn=0 "${scoring[@]}" --attention cudnn
says "sample: backend cuda: cannot find libcudnn.so.9"
expect 1 "${scoring[@]}" --backend cpu --attention cudnn
says "sample: attention by cuDNN requires backend cuda (found cpu); use --attention own"

# traces have ref's names and shapes
for backend in ref cuda; do
    expect 0 sample --checkpoint fp32 --prompt "Lily had" --max-tokens 0 --trace $backend.safetensors --trace-grad \
        --backend $backend --dtype fp32 --threads 1 --quiet
done
header() {
    head -c 200000 "$1" | grep -aoE '"[a-z_.0-9]+":\{"dtype":"F32","shape":\[[0-9,]*\]' | sort
}
same <(header ref.safetensors) <(header cuda.safetensors)
checks=$((checks + 1))
[ "$(header cuda.safetensors | wc -l)" -gt 40 ] || problem "the trace has $(header cuda.safetensors | wc -l) tensors"

finish
