# train: what it reads (files, patterns, weights, validation sets), how long, from which checkpoint; contradictions.
. "$(dirname "$0")/../cli.sh"
small=(--layers 1 --heads 2 --channels 16 --seq-len 16 --batch-size 4 --warmup 3 --threads 2 --quiet)

fetch-data stories --seed 1 --stories 200 -o text.txt --quiet || problem "no stories"
fetch-data stories --seed 2 --stories 100 -o val.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"
tokenize --tokenizer text.tok val.txt -o val.tok --quiet || problem "no tokens"
tokenize --tokenizer text.tok text.txt --shard-size 10000 -o shard.tok --quiet || problem "no shards"

losses() {
    sed -E 's/, "tok_s": .*//' "$1/log.jsonl"
}

is() {
    checks=$((checks + 1))
    [ "$1" = "$2" ] || problem "got '$1', expected '$2'"
}

# ---- shards

# a pattern in quotes is what the shell makes of it; both are one stream
expect 0 train 'shard_*.tok' "${small[@]}" --steps 6 -o pattern
expect 0 train shard_*.tok "${small[@]}" --steps 6 -o operands
expect 0 train --data shard_000000.tok shard_000001.tok --data 'shard_00000[2-9].tok' "${small[@]}" --steps 6 -o mixed
same <(losses pattern) <(losses operands)
same <(losses pattern) <(losses mixed)
same pattern/last/state.safetensors mixed/last/state.safetensors
is "$(grep -c ' in [0-9]* files ' pattern/config.yaml)" 1

# llm.c's shards, read in order: floor((tokens - 1) / (4 x 16)) micro-batches of the first, then the next one's
tokenize --tokenizer text.tok text.txt --format llmc --shard-size 400 -o many.bin --quiet || problem "no llm.c shards"
shards=(many_*.bin)
is $((${#shards[@]} > 64)) 1
batches=$((((($(stat -c %s many_000000.bin) - 1024) / 2) - 1) / 64))
expect 0 bash -c "ulimit -n 32 && train 'many_*.bin' --vocab-size 56 ${small[*]} --order sequential --steps $((batches + 1)) -o many"
expect 0 train many_000000.bin --vocab-size 56 "${small[@]}" --order sequential --steps $((batches + 1)) --val-fraction 0 -o one
same <(losses many | head -$batches | cut -d, -f3) <(losses one | head -$batches | cut -d, -f3)
is "$([ "$(losses many | sed -n $((batches + 1))p)" != "$(losses one | sed -n $((batches + 1))p)" ] && echo differ)" differ

# ---- weighted sets

expect 0 train text.tok=3 val.tok=1 "${small[@]}" --steps 9 --order shuffle --grad-accum 2 --dropout 0.1 -o weighted
expect 0 train text.tok=0.75 val.tok=.25 "${small[@]}" --steps 9 --order shuffle --grad-accum 2 --dropout 0.1 -o shares
same <(losses weighted) <(losses shares)
expect 0 train text.tok=3 val.tok=1 "${small[@]}" --steps 4 --decay-steps 9 --order shuffle --grad-accum 2 --dropout 0.1 -o part
expect 0 train --resume part --steps 9 --quiet
same weighted/last/state.safetensors part/last/state.safetensors
expect 0 train --config weighted/config.yaml -o again --quiet
same weighted/model.safetensors again/model.safetensors
expect 0 train --config weighted/config.yaml text.tok --steps 1 --quiet -o replaced
is "$(sed -n '/^data:/,/^val:/p' replaced/config.yaml | tr -d '\n')" "data:  - text.tokval: []"
cp text.tok 'odd=0.5'
expect 0 train odd=0.5 "${small[@]}" --steps 1 -o odd

# ---- validation sets

expect 0 train text.tok --val val.tok --val more=text.tok "${small[@]}" --steps 4 --eval-every 2 --eval-batches 3 -o sets
is "$(grep -c '"val_losses": {"val": [0-9.]*, "more": [0-9.]*}' sets/log.jsonl)" 2
expect 0 train text.tok --val val.tok "${small[@]}" --steps 4 --eval-every 2 --eval-batches 3 -o set
same <(losses set | grep val_loss) <(losses sets | grep val_loss | sed 's/, "val_losses".*/}/')
expect 0 train text.tok --val 'shard_*.tok' "${small[@]}" --steps 2 --eval-batches 1000 -o patterns
is "$(grep -c '"val_loss": [0-9]' patterns/log.jsonl)" 1
# the part held out of shards is what would be held out of the whole, where its windows are the same
expect 0 train text.tok=1 val.tok=1 "${small[@]}" --steps 2 --val-fraction 0.2 -o held
is "$(grep -c '"val_losses": {"text.tok": [0-9.]*, "val.tok": [0-9.]*}' held/log.jsonl)" 1

# ---- lengths

steps_of() {
    grep -c '"loss"' "$1/log.jsonl"
}
# floor((tokens - 1) / 16) sequences an epoch, 8 a step
tokens=$(tokenize --info text.tok | sed -nE 's/ *tokens +([0-9]+)/\1/p')
expect 0 train text.tok "${small[@]}" --val-fraction 0 --grad-accum 2 --epochs 0.02 -o epochs
is "$(steps_of epochs)" $((((tokens - 1) / 16 * 2 + 799) / 800))
expect 0 train text.tok "${small[@]}" --tokens 1k -o tokens
is "$(steps_of tokens)" 16
expect 0 train --resume tokens --tokens 1.1k --quiet
is "$(steps_of tokens)" 18
expect 0 train --resume epochs --steps 12 --quiet
is "$(steps_of epochs)" 12
expect 0 train --config epochs/config.yaml --tokens 128 --quiet -o short
is "$(steps_of short)" 1

# time: it saves and says how to go on, and is then as if it had never stopped
expect 0 train text.tok "${small[@]}" --no-quiet --max-time 0.2s --steps 1e9 --decay-steps 100 -o timed
checks=$((checks + 1))
case $err in *"its time is over; to continue: train --resume timed"*) ;; *) problem "it does not say how to go on: $err" ;; esac
stopped=$(steps_of timed)
expect 0 train --resume timed --steps $((stopped + 5)) --max-time 1h --quiet
expect 0 train text.tok "${small[@]}" --steps $((stopped + 5)) --decay-steps 100 -o untimed
same <(losses timed) <(losses untimed)
same timed/last/state.safetensors untimed/last/state.safetensors

# a run of before these options were there: its config.yaml lacks them, its val is one file, and it goes on
expect 0 train text.tok --val val.tok "${small[@]}" --steps 3 --decay-steps 6 -o before
sed -i -E '/^(schedule|decay-fraction|epochs|tokens|max-time|crop):/d; /^val:$/{N;s/\n  - / /}' before/config.yaml
is "$(grep -c '^val: val.tok$' before/config.yaml)" 1
expect 0 train --resume before --steps 6 --quiet
expect 0 train text.tok --val val.tok "${small[@]}" --steps 6 -o now
same before/last/state.safetensors now/last/state.safetensors

# ---- schedules

for schedule in cosine linear constant wsd; do
    how=(--schedule $schedule --val-fraction 0) end=(--decay-steps 10)
    [ $schedule != wsd ] || how+=(--decay-fraction 0.4)
    [ $schedule != constant ] || end=()
    expect 0 train text.tok "${small[@]}" "${how[@]}" --steps 10 -o $schedule
    expect 0 train text.tok "${small[@]}" "${how[@]}" --steps 7 "${end[@]}" -o $schedule-part
    expect 0 train --resume $schedule-part --steps 10 --quiet
    same <(losses $schedule) <(losses $schedule-part)
done
is "$(grep -o '"lr": [^,]*' constant/log.jsonl | sort -u | wc -l)" 4
expect 0 train text.tok "${small[@]}" --lr 1e-5 --steps 2 -o slow
expect 0 train --config slow/config.yaml --lr 1e-6 -o slower

# ---- accumulated gradients are those of the large batch, dropout and all

for order in random shuffle; do
    expect 0 train text.tok "${small[@]}" --dtype fp32 --batch-size 8 --dropout 0.1 --order $order --steps 10 --val-fraction 0 -o large-$order
    expect 0 train text.tok "${small[@]}" --dtype fp32 --batch-size 2 --grad-accum 4 --dropout 0.1 --order $order --steps 10 --val-fraction 0 -o small-$order
    checks=$((checks + 1))
    paste <(grep -oE '"(loss|grad_norm)": [^,]*' large-$order/log.jsonl) <(grep -oE '"(loss|grad_norm)": [^,]*' small-$order/log.jsonl) |
        awk '{ d = ($2 - $4) / $2; if (d > 1e-5 || d < -1e-5) exit 1 } END { exit NR != 20 }' ||
        problem "accumulated gradients differ from the large batch's ($order)"
done

# ---- from a checkpoint

expect 0 train text.tok "${small[@]}" --steps 6 --save-every 3 --keep 2 -o base
expect 0 train text.tok --init base --batch-size 4 --steps 1 --lr 0 --quiet -o like
expect 0 train text.tok --init base/best --batch-size 4 --steps 1 --lr 0 --quiet -o best
expect 0 train text.tok --init base/model.safetensors --batch-size 4 --steps 1 --lr 0 --quiet -o file
for run in base like best file; do
    expect 0 convert-gpt2 $run -o $run.safetensors
    same base.safetensors $run.safetensors
done
# cropped: the first 8 positions of 16, all else as it was
expect 0 train text.tok --init base --seq-len 8 --crop --batch-size 4 --steps 1 --lr 0 --dropout 0.2 --quiet -o crop
expect 0 convert-gpt2 crop --info
checks=$((checks + 1))
case $out in *"context 8,"*) ;; *) problem "the context was not cropped: $out" ;; esac
expect 0 sample --checkpoint crop --prompt Once --max-tokens 0 --trace crop.trace --quiet
expect 0 sample --checkpoint base --prompt Once --max-tokens 0 --trace base.trace --quiet
tensors base.trace > names
same <(tensors crop.trace) names
while read -r name; do
    [ "$name" = weight.transformer.wpe.weight ] || same <(tensor crop.trace "$name") <(tensor base.trace "$name")
done < names
expect 0 train --resume crop --steps 2 --quiet
expect 0 train text.tok --init base --seq-len 8 --batch-size 4 --steps 1 --lr 0 -o whole # not asked for: nothing is cut
case $err in *"train: the model keeps its context of 16 tokens and trains on 8 at a time (--crop cuts the context)"*) ;; *) problem "told: $err" ;; esac
expect 0 convert-gpt2 whole -o whole.safetensors
same base.safetensors whole.safetensors

# ---- bad input: one line, nothing left

refused() {
    local code=$1 text=$2
    shift 2
    expect "$code" train "$@" -o new
    says "$text"
    absent new
}
# a stream of plain ids has no CRC, nor its vocabulary: an id beyond that is told before there is a run, wherever it is
{ head -c 6000000 /dev/zero && printf '\054\001' && head -c 4000 /dev/zero; } > late.bin
head -c 4000 /dev/zero > low.bin
plain=(--format raw16 --vocab-size 300 "${small[@]}" --order sequential --eval-batches 1 --steps 1)
late="late.bin: token 3000000 is 300, but its vocabulary has 300 ids"
refused 1 "$late" late.bin "${plain[@]}"
refused 1 "$late" low.bin late.bin "${plain[@]}"
refused 1 "$late" low.bin --val late.bin "${plain[@]}"
refused 1 "many_000000.bin: token " many_000000.bin --vocab-size 50 "${small[@]}" --steps 1
mkdir new
expect 1 train late.bin "${plain[@]}" -o new
says "$late"
absent new/config.yaml
rm -r new
expect 0 train late.bin "${plain[@]}" --vocab-size 301 -o new
rm -r new
printf 'abcabc\n' > other.txt
tokenize --tokenizer char other.txt -o other.tok --quiet
head -c 60 val.txt | tokenize --tokenizer text.tok -o tiny.tok --quiet
refused 1 "other.tok: its vocabulary has" text.tok other.tok "${small[@]}"
refused 1 "that of text.tok" text.tok other.tok "${small[@]}"
refused 1 "other.tok" text.tok --val other.tok "${small[@]}"
refused 1 "nothing_*.tok: no file" 'nothing_*.tok' "${small[@]}"
refused 1 "val.tok has none: give every one a weight" text.tok=1 val.tok "${small[@]}"
refused 1 "a weight must be above 0" text.tok=0 val.tok=1 "${small[@]}"
refused 1 "a weight must be above 0" text.tok=nan val.tok=1 "${small[@]}"
refused 1 "stdin cannot be one of several" text.tok - "${small[@]}"
refused 1 "two sets are called val" text.tok --val val.tok --val ./val.tok "${small[@]}"
refused 1 "less than a batch of 4 x 16" text.tok --val tiny.tok "${small[@]}"
refused 1 "larger than the training data" text.tok "${small[@]}" --batch-size 100000
refused 1 "larger than the training data" text.tok "${small[@]}" --batch-size 100000 --order sequential
refused 1 "16 channels, 32 requested" text.tok --init base --channels 32
refused 1 "1 layers, 4 requested" text.tok --init base --preset nano
refused 1 "has biases" text.tok --init base --no-bias
refused 1 "its head is tied" text.tok --init base --no-tied
refused 1 "--seq-len 17 is longer" text.tok --init base --seq-len 17
refused 1 "nowhere" text.tok --init nowhere
refused 1 "heads" text.tok "${small[@]}" --heads 3
refused 2 "cannot be used together" text.tok "${small[@]}" --steps 3 --epochs 1
refused 2 "cannot be used together" text.tok "${small[@]}" --tokens 3 --epochs 1
refused 2 "--min-lr 0.1 is above --lr 0.01" text.tok "${small[@]}" --lr 0.01 --min-lr 0.1
refused 2 "is not after --warmup" text.tok "${small[@]}" --decay-steps 3
refused 2 "--max-time: 0 is out of range" text.tok "${small[@]}" --max-time 0
refused 2 "'soon' is not a time" text.tok "${small[@]}" --max-time soon
refused 2 "--epochs: 0 is out of range" text.tok "${small[@]}" --epochs 0
refused 2 "'wavy' is not one of" text.tok "${small[@]}" --schedule wavy
refused 2 "--decay-fraction: 2 is out of range" text.tok "${small[@]}" --decay-fraction 2
expect 2 train text.tok "${small[@]}" --out - --tensorboard
says "--tensorboard writes into a run directory"
expect 2 train text.tok "${small[@]}" --out - --sample-every 3
says "--sample-every writes into a run directory"
for empty in --data --val --init --out --run --resume --config; do
    refused 2 "$empty: is empty, expected " $empty ''
done
refused 2 "an operand: is empty, expected FILE" ''
# what would be ignored
refused 2 "--val-fraction has no effect with --val " text.tok --val val.tok --val-fraction 0.2
refused 2 "--val-fraction has no effect with --eval-batches 0" text.tok --eval-batches 0 --val-fraction 0.2
refused 2 "--eval-every has no effect with --eval-batches 0" text.tok --eval-batches 0 --eval-every 5
refused 2 "--decay-fraction requires --schedule wsd" text.tok --decay-fraction 0.3
refused 2 "--decay-steps has no effect with --schedule constant" text.tok --schedule constant --decay-steps 100
refused 2 "--min-lr has no effect with --schedule constant" text.tok --schedule constant --min-lr 0
refused 2 "--crop has no effect with --init scratch" text.tok --crop
refused 2 "--init-std requires --init scratch" text.tok --init base --init-std 0.1
refused 2 "--run requires --out -" text.tok --run other
expect 2 train text.tok "${small[@]}" --out - --save-every 3
says "--save-every writes into a run directory"
expect 2 train text.tok "${small[@]}" --out - --keep 3
says "--keep writes into a run directory"
expect 2 train --resume base --run other
says "--run has no effect with --resume"
expect 2 train --resume base --crop
says "--crop has no effect with --resume"
expect 0 train text.tok "${small[@]}" --no-bias --no-tied --steps 1 -o plain
refused 1 "plain: has no biases, --bias was requested" text.tok --init plain --bias
refused 1 "plain: its head is not tied, --tied was requested" text.tok --init plain --tied
# but not in a file, which has every option; a recorded one is read with what changes its meaning
expect 0 train --config wsd/config.yaml --schedule constant --quiet --steps 1 -o reread
expect 0 train --config reread/config.yaml --schedule wsd --decay-fraction 0.3 --val val.tok --quiet -o reread2
expect 0 train --resume wsd --decay-fraction 0.3 --steps 11 --quiet
expect 0 train text.tok --init plain --no-bias --batch-size 4 --steps 1 --quiet -o plain2
# transformers' GPT2 always has biases: they lie there as zeros, and are none here
for name in h.0.ln_1 h.0.attn.c_attn h.0.attn.c_proj h.0.ln_2 h.0.mlp.c_fc h.0.mlp.c_proj ln_f; do
    checks=$((checks + 1))
    head -c 20000 plain/model.safetensors | tr '\0' ' ' | grep -a "\"transformer.$name.bias\"" > /dev/null || problem "plain lacks $name.bias"
done
expect 0 convert-gpt2 plain --info --json
has '"gptpipe_bias": false'
expect 0 convert-gpt2 plain --info # 3 gains, 12 C x C, 2 tables of V x C, T x C
has "parameters  5168"
expect 0 convert-gpt2 plain -o plain.safetensors
expect 0 train --resume plain --steps 2 --quiet
expect 0 convert-gpt2 plain.safetensors -o plain-hf/
same plain-hf/model.safetensors plain.safetensors
refused 1 "text.tok: has a vocabulary of 56 ids, 100 were given" text.tok "${small[@]}" --vocab-size 100
expect 0 train text.tok "${small[@]}" --steps 1 -o short-warmup --no-quiet
case $err in *"the warm-up of 3 steps does not end in this run of 1: --lr 0.002 is not reached"*) ;; *) problem "a warm-up that is too long is not told: $err" ;; esac
warns train many_000000.bin --vocab-size 56 "${small[@]}" --steps 2 --sample-every 1 -o mute
says "no samples are made: many_000000.bin has no tokenizer in it"
expect 1 train --resume base --seq-len 64
says "--seq-len 64 is longer"
expect 1 train --resume base --layers 2
says "1 layers, 2 requested"
expect 1 train val.tok --resume base
says "was trained on other data"
expect 2 train --resume base --init like
says "give one of them"
finish
