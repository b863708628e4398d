#!/usr/bin/env bash
# A classifier of labelled texts, from text to report: a WordPiece vocabulary, masked pretraining where it is asked for,
# fine-tuning of a BERT, predictions, and a bag of words on the same texts beside it.
#
#     pipelines/imdb.sh                      IMDB's 50,000 film reviews; generated ones where it cannot be downloaded
#     DATA=reviews pipelines/imdb.sh         generated reviews whose Bayes error is known, offline
#     DATA=FILE.jsonl pipelines/imdb.sh      texts of labels 0 and 1, a line each as fetch-data imdb -o FILE writes them:
#                                            {"text": "...", "label": 1, "split": "train"}
#
# make pipeline MODEL=bert is DATA=reviews with PRETRAIN=600.
#
# DATA       imdb, reviews or FILE.jsonl
# PRETRAIN   steps of masked training on the training texts before they are classified (default: 0)
# STEPS      steps of fine-tuning, in place of the setting's own
# OUT        folder for everything that is made (default: out)
# INIT       a checkpoint to fine-tune for one epoch in place of a new BERT: gpt2 (124M, downloaded), or a file, folder or
#            run with a tokenizer. For a GPU: docs/numbers.md has the time that it should take
# A stage whose inputs, command and tool did not change since its output was made is skipped.
set -euo pipefail
usage() { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; }
case ${1:-} in
-h | --help) usage && exit 0 ;;
?*) echo "imdb.sh: $1: there are no operands; what is to be done is told as in DATA=reviews (see imdb.sh --help)" >&2 && exit 2 ;;
esac
asked=${DATA:-} file= checkpoint=${INIT:-}
if [ -n "$checkpoint" ] && [ "${PRETRAIN:-0}" != 0 ]; then
    echo "imdb.sh: INIT=$checkpoint begins with trained weights, PRETRAIN=$PRETRAIN with new ones: give one of them" >&2
    exit 2
fi
[ -z "$checkpoint" ] || [ "$checkpoint" = gpt2 ] || checkpoint=$(realpath -e "$checkpoint") || exit 1
case ${DATA:=imdb} in
imdb | reviews) ;;
*.jsonl)
    [ -r "$DATA" ] || { echo "imdb.sh: $DATA: cannot be read" >&2; exit 1; }
    file=$(cd "$(dirname "$DATA")" && pwd)/$(basename "$DATA")
    DATA=$(basename "$DATA" .jsonl)
    ;;
*)
    echo "imdb.sh: DATA=$DATA is unknown; there are imdb, reviews and FILE.jsonl" >&2
    exit 2
    ;;
esac
. "$(dirname "$0")/stages.sh"

# ---- texts: both splits in one file, which the bag of words reads, and a file of each

# replace FILE: stdin becomes FILE, which is not touched where it is the same.
replace() {
    cat > "$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

if [ -z "$file" ] && [ "$DATA" = imdb ] && ! stage fetch-data "$OUT/imdb.jsonl" -- fetch-data imdb -o "$OUT/imdb.jsonl"; then
    [ -z "$asked" ] || exit 1
    echo "imdb.sh: IMDB cannot be downloaded; generated reviews take its place (DATA=reviews)" >&2
    DATA=reviews
fi
texts=$OUT/$DATA.jsonl train=$OUT/$DATA-train.jsonl test=$OUT/$DATA-test.jsonl
if [ -z "$file" ] && [ "$DATA" = reviews ]; then
    stage fetch-data "$test" -- fetch-data reviews -o "$OUT/"
    cat "$train" "$test" | replace "$texts"
else
    [ -z "$file" ] || replace "$texts" < "$file"
    for split in train test; do
        grep -qF "\"split\": \"$split\"}" "$texts" || { echo "imdb.sh: $texts: has no line of the split $split" >&2; exit 1; }
        grep -F "\"split\": \"$split\"}" "$texts" | replace "$OUT/$DATA-$split.jsonl"
    done
fi

# ---- tokens

# The sizes of vocabulary, context and batch, and the steps of fine-tuning. A model this small does not overfit the
# reviews, whose words are few. Texts of one's own: of 8,454 rated sentences (vaderSentiment's of films) a held-out part
# had its least loss after two epochs, and a dropout of 0.3 was better than 0.1.
case $DATA in
imdb) vocabulary=8192 context=256 batch=32 steps=6000 dropout=0.1 ;;
reviews) vocabulary=512 context=64 batch=64 steps=2000 dropout=0 ;;
*)
    vocabulary=4096 context=128 batch=32 dropout=0.3
    steps=$((2 * $(wc -l < "$train") / batch))
    [ "$steps" -ge 300 ] || steps=300
    ;;
esac
steps=${STEPS:-$steps} pretrain=${PRETRAIN:-0}
tokenizer=$OUT/$DATA-tokenizer.json name=$DATA
if [ -n "$checkpoint" ]; then
    if [ "$checkpoint" = gpt2 ]; then
        checkpoint=$OUT/gpt2
        stage fetch-gpt2 "$checkpoint/model.safetensors" -- fetch-data gpt2 -o "$OUT"
    fi
    tokenizer=$checkpoint name=$DATA-$(basename "$checkpoint")
else
    stage vocabulary "$OUT/$DATA-mlm.tok" "$train" -- tokenize --train-wordpiece "$vocabulary" \
        --save-tokenizer "$tokenizer" --jsonl text "$train" -o "$OUT/$DATA-mlm.tok"
fi
for split in train test; do
    keyed=("$OUT/$DATA-$split.jsonl")
    [ -d "$tokenizer" ] || keyed+=("$tokenizer")
    stage "tokenize-$name-$split" "$OUT/$name-$split.tok" "${keyed[@]}" -- tokenize -t "$tokenizer" \
        --jsonl text --label label --labels neg,pos "$OUT/$DATA-$split.jsonl" -o "$OUT/$name-$split.tok"
done

# ---- models

model=(--preset bert-nano --seq-len "$context")
init=("${model[@]}")
if [ "$pretrain" -gt 0 ]; then
    train_stage "$DATA-mlm" "$OUT/$DATA-mlm.tok" -- --data "$OUT/$DATA-mlm.tok" "${model[@]}" --objective mlm \
        --batch-size 32 --steps "$pretrain" --dropout "$dropout" --lr 2e-3 --warmup 50 --log-every 200
    init=(--init "$run" --seq-len "$context")
    page gpt "$run/model.safetensors" -- "$run" 'The music was [MASK]. I loved it.'
fi
setting=("${init[@]}" --batch-size "$batch" --steps "$steps" --dropout "$dropout" --lr 1e-3)
if [ -n "$checkpoint" ]; then
    setting=(--init "$checkpoint" --seq-len 512 --batch-size 16 --dropout 0.1 --lr 2e-5)
    if [ -n "${STEPS:-}" ]; then setting+=(--steps "$STEPS"); else setting+=(--epochs 1); fi
fi
train_stage "$name" "$OUT/$name-train.tok" "$OUT/$name-test.tok" -- --data "$OUT/$name-train.tok" \
    --val "$OUT/$name-test.tok" "${setting[@]}" --objective classify --truncate head+tail --warmup 100 --log-every 250 \
    --eval-every 1000 --eval-batches 1000000

page training "$run/log.jsonl" -- "$run"

# ---- predictions and report

predictions=$run/predictions.jsonl
stage "predict-$name" "$predictions" "$run/model.safetensors" "$test" -- predict --checkpoint "$run" --task classify \
    --truncate head+tail --input "$test" -o "$predictions"
[ -x "$BIN/bag_of_words" ] || echo "imdb.sh: bag_of_words is not beside the tools in $BIN: no baseline is computed" >&2
for words in 1 2; do
    [ ! -x "$BIN/bag_of_words" ] || stage "bag-of-words-$words" "$OUT/$DATA-words-$words.txt" "$texts" "$BIN/bag_of_words" -- \
        sh -c 'bag_of_words "$0" "$1" > "$2"' "$texts" "$words" "$OUT/$DATA-words-$words.txt"
done

# accuracy PREDICTIONS TEXTS: the fraction of the labels that are those of the texts
accuracy() {
    paste <(sed -E 's/^\{"label": "([^"]*)".*/\1/' "$1") <(sed -E 's/.*"label": ([01]), "split": "[^"]*"\}$/\1/' "$2") |
        awk '{ right += $1 == ($2 ? "pos" : "neg") } END { printf "%.4f", right / NR }'
}
row() { printf '  %-42s %s\n' "$@"; }
echo
echo "What was made, in $((SECONDS - began)) s:"
row "$run" "the run: checkpoints, log.jsonl, config.json"
row "$predictions" "a label for each text of the test split"
row "$OUT/training.html" "curves of the run, for a browser"
[ "$pretrain" = 0 ] || row "$OUT/gpt.html" "the pretrained model, and what it predicts for a mask"
echo
echo "Accuracy on the $(wc -l < "$test") texts of the test split:"
for words in 1 2; do
    [ ! -e "$OUT/$DATA-words-$words.txt" ] || row "bag of words$([ $words = 1 ] || echo ', and pairs of them')" "$(sed -nE 's/.*test ([0-9.]+)$/\1/p' "$OUT/$DATA-words-$words.txt")"
done
row "this model" "$(accuracy "$predictions" "$test")"
if [ -e "$test.json" ]; then
    row "the best that any classifier has" "$(sed -nE 's/.*"accuracy": ([0-9.]+).*"sample_accuracy": ([0-9.]+).*/\2 (expected: \1)/p' "$test.json")"
fi
