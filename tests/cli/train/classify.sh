#!/usr/bin/env bash
# train --objective classify: labelled items from scratch and from checkpoints with another head; metrics, resuming,
# contradictions.
. "$(dirname "$0")/../cli.sh"
small=(--objective classify --layers 1 --heads 2 --channels 16 --seq-len 48 --batch-size 8 --warmup 3 --threads 2 --quiet)

# what is good is pos, sorted by label as fetch-data writes it
for i in $(seq 1 60); do printf '{"text": "film %d was dull", "label": 0}\n' "$i"; done > items.jsonl
for i in $(seq 1 60); do printf '{"text": "film %d was fine", "label": 1}\n' "$i"; done >> items.jsonl
expect 0 tokenize -q -t bytes --jsonl text --label label --labels neg,pos items.jsonl -o items.tok
shuf --random-source=items.tok items.jsonl | head -40 > val.jsonl
expect 0 tokenize -q -t bytes --jsonl text --label label --labels neg,pos val.jsonl -o val.tok
expect 0 tokenize -q -t bytes --jsonl text val.jsonl -o plain.tok

log_is() { # FILE EXPRESSION: of the last evaluation e
    checks=$((checks + 1))
    python3 -c 'import json, sys
e = [json.loads(l) for l in open(sys.argv[1] + "/log.jsonl")]
e = [x for x in e if "val_loss" in x][-1]
sys.exit(not eval(sys.argv[2]))' "$1" "$2" || problem "$1: not $2: $(grep val_loss "$1/log.jsonl" | tail -1)"
}

# ---- from scratch

expect 0 train items.tok "${small[@]}" --steps 60 --lr 1e-2 --eval-every 20 --eval-batches 10 --dropout 0.1 -o run
log_is run 'e["accuracy"] == 1 and e["macro_f1"] == 1 and e["val_loss"] < 0.3 and e["items"] == 12'
log_is run 'e["confusion"][0][0] + e["confusion"][1][1] == 12 and e["confusion"][0][0] > 1 and e["confusion"][1][1] > 1'
log_is run 'set(e["classes"]) == {"neg", "pos"} and e["classes"]["pos"]["f1"] == 1 and 0 <= e["calibration_error"] < 0.3'
expect 0 python3 -c 'import json
c = json.load(open("run/config.json"))
assert c["id2label"] == {"0": "neg", "1": "pos"} and c["architectures"] == ["GPT2ForSequenceClassification"], c'
warns train items.tok "${small[@]}" --no-quiet --steps 1 --val val.tok --eval-batches 99 -o loud
for text in 'macro F1' 'neg: precision' 'predicted neg' '^train: 1 step, ' \
    'the run is in loud; try: predict --checkpoint loud --task classify FILE, a line of which is a text$'; do
    grep -q "$text" .err || problem "stderr lacks $text: $err"
done

# stopped and resumed, it has the same bits; also with weights, smoothing, decayed rates and frozen embeddings
more=(--dropout 0.1 --class-weights balanced --label-smoothing 0.1 --layer-decay 0.5 --freeze embeddings)
expect 0 train items.tok "${small[@]}" "${more[@]}" --steps 12 -o whole
expect 0 train items.tok "${small[@]}" "${more[@]}" --steps 5 --decay-steps 12 -o part
expect 0 train --resume part --steps 12 --quiet
same whole/model.safetensors part/model.safetensors
same whole/last/state.safetensors part/last/state.safetensors
expect 0 train items.tok "${small[@]}" --epochs 2 --val-fraction 0 -o epochs
[ "$(grep -c '"lr"' epochs/log.jsonl)" = 30 ] || problem "2 epochs of 120 items in batches of 8 are 30 steps"

# ---- from a checkpoint

expect 0 train plain.tok --layers 1 --heads 2 --channels 16 --seq-len 48 --batch-size 4 --steps 3 --val-fraction 0 --quiet -o lm
expect 0 train items.tok --objective classify --init lm --steps 3 --batch-size 8 --quiet -o tuned
expect 0 train items.tok --init tuned --steps 3 --batch-size 8 --quiet -o again
expect 0 python3 -c 'import json
c = json.load(open("again/config.json"))
assert c["label2id"] == {"neg": 0, "pos": 1}, c'

# ---- contradictions

expect 1 train plain.tok "${small[@]}" --steps 1 -o x
says 'plain.tok: has no labels, which --objective classify needs; make it with tokenize --jsonl FIELD --label FIELD'
absent x
expect 1 train items.tok "${small[@]}" --steps 1 --val plain.tok -o x
says 'plain.tok: has no labels'
expect 0 tokenize -q -t bytes --jsonl text --label label --labels pos,neg val.jsonl -o other.tok
expect 1 train items.tok "${small[@]}" --steps 1 --val other.tok -o x
says 'other.tok: its label 0 is pos, that of items.tok is neg'
expect 1 train other.tok --init tuned --steps 1 --quiet -o x
says 'tuned: its label 0 is neg, that of other.tok is pos'
expect 1 train items.tok "${small[@]}" --seq-len 12 --truncate none --steps 1 -o x
says 'items.tok: item 0 has 15 tokens with those around it, more than the 12 of a row; --truncate head or head+tail shortens it'
expect 0 train items.tok "${small[@]}" --seq-len 12 --truncate head+tail --steps 1 -o cut
expect 1 train items.tok "${small[@]}" --class-weights 1,2,3 --steps 1 -o x
says '--class-weights 1,2,3: expected 2 numbers above 0 with commas between them, or balanced'
expect 1 train items.tok "${small[@]}" --freeze 2 --steps 1 -o x
says '--freeze 2: expected embeddings, or a number of layers, 0 to 1'
expect 1 train items.tok=1 "${small[@]}" --steps 1 -o x
says 'has a weight; items of --objective classify come once an epoch: give no weights'
expect 1 train items.tok "${small[@]}" --order sequential --steps 1 -o x
says '--order is for windows of tokens; --objective classify has each item once an epoch, shuffled'
expect 1 train plain.tok --label-smoothing 0.1 --steps 1 --quiet -o x
says '--label-smoothing is of --objective classify'
sed 's/}$/, "b": "x"}/' val.jsonl > pairs.jsonl
expect 0 tokenize -q -t bytes --jsonl text --pair b --label label --labels neg,pos pairs.jsonl -o pairs.tok
expect 1 train pairs.tok "${small[@]}" --steps 1 -o x
says 'pairs.tok: its items are pairs of texts, which the tokenizer marks by token types, and the model has 0 types'
absent x

# ---- the limit of a data set that records it

expect 0 fetch-data reviews --reviews 60 -q -o reviews/
for split in train test; do
    expect 0 tokenize -q -t bytes --jsonl text --label label --labels neg,pos "reviews/reviews-$split.jsonl" -o "$split.tok"
done
limited=(--objective classify --layers 1 --heads 2 --channels 16 --seq-len 250 --batch-size 8 --warmup 0 --threads 2 --steps 1)
expect 0 train train.tok --val test.tok "${limited[@]}" -o limited
case $err in *"test: 12 items, accuracy 0."*" (limit 0.9449), macro F1"*) ;; *) problem "no limit: $err" ;; esac
log_is limited 'abs(e["accuracy_limit"] - 2245 / 2376) < 1e-8'
expect 0 train items.tok --val val.tok "${small[@]}" --steps 1 --warmup 0 -o unlimited
log_is unlimited '"accuracy_limit" not in e'
finish
