#!/usr/bin/env bash
# The whole line: text -> tokens -> model -> samples -> speed, by six of the tools and files between them.
#
#     make pipeline                     stories, offline
#     make pipeline DATA=shakespeare    tiny Shakespeare at nanoGPT's CPU setting
#     make pipeline MODEL=bert          a BERT that classifies reviews, offline: masked pretraining, then imdb.sh
#
# MODEL   gpt2 or bert
# DATA    stories or shakespeare
# STEPS   optimizer steps, in place of the setting's own
# OUT     folder for everything that is made (default: out)
# A stage whose inputs, command and tool did not change since its output was made is skipped.
set -euo pipefail
usage() { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; }
case ${1:-} in
-h | --help) usage && exit 0 ;;
?*) echo "pipeline.sh: $1: there are no operands; what is to be done is told as in DATA=shakespeare (see pipeline.sh --help)" >&2 && exit 2 ;;
esac
case ${MODEL:-gpt2} in
gpt2) ;;
bert) DATA=${DATA:-reviews} PRETRAIN=${PRETRAIN:-600} exec "$(dirname "$0")/imdb.sh" ;;
*) echo "pipeline.sh: MODEL=$MODEL is unknown; there are gpt2 and bert" >&2 && exit 2 ;;
esac
DATA=${DATA:-stories}
. "$(dirname "$0")/stages.sh"

case $DATA in
stories)
    stage fetch-data "$OUT/stories.txt" -- fetch-data stories -o "$OUT"
    stage tokenize "$OUT/stories.tok" "$OUT/stories.txt" "$OUT/stories.txt.json" -- \
        tokenize --tokenizer char "$OUT/stories.txt" -o "$OUT/stories.tok"
    stage tokenize-val "$OUT/stories-val.tok" "$OUT/stories-val.txt" "$OUT/stories-val.txt.json" "$OUT/stories.tok" -- \
        tokenize --tokenizer "$OUT/stories.tok" "$OUT/stories-val.txt" -o "$OUT/stories-val.tok"
    streams=("$OUT/stories.tok" "$OUT/stories-val.tok")
    # Rows that begin where stories do, as the scoring does, and wider initial weights than GPT-2's 0.02, which are
    # meant for 768 channels and more: both save a model this small most of its way.
    setting=(--data "${streams[0]}" --val "${streams[1]}" --preset nano --order documents --batch-size 4
        --steps "${STEPS:-2000}" --lr 4e-3 --min-lr 1e-4 --warmup 100 --init-std 0.08 --eval-every 500 --log-every 250)
    prompt='Once' text='Once upon a time, Mia had a'
    ;;
shakespeare)
    stage fetch-data "$OUT/shakespeare.txt" -- fetch-data shakespeare -o "$OUT/shakespeare.txt"
    stage tokenize "$OUT/shakespeare.tok" "$OUT/shakespeare.txt" -- \
        tokenize --tokenizer char "$OUT/shakespeare.txt" -o "$OUT/shakespeare.tok"
    streams=("$OUT/shakespeare.tok")
    setting=(--data "${streams[0]}" --val-fraction 0.1 --preset nano --seq-len 64 --batch-size 12
        --steps "${STEPS:-2000}" --lr 1e-3 --min-lr 1e-4 --warmup 100 --beta2 0.99
        --eval-every 500 --eval-batches 145) # all of the validation part
    prompt='ROMEO:' text='ROMEO:'
    ;;
*)
    echo "pipeline: DATA=$DATA is unknown; there are stories and shakespeare" >&2
    exit 2
    ;;
esac

train_stage "$DATA" "${streams[@]}" -- "${setting[@]}"

stage sample "$run/sample.txt" "$run/model.safetensors" -- \
    sample --checkpoint "$run" --prompt "$prompt" --num-samples 3 --max-tokens 220 --seed 1 -o "$run/sample.txt"
stage eval-mfu "$run/mfu.txt" "$run/model.safetensors" -- \
    eval-mfu --checkpoint "$run" --seconds 1 -o "$run/mfu.txt"
page training "$run/log.jsonl" -- "$run"
stage trace "$run/trace.safetensors" "$run/model.safetensors" -- \
    sample --checkpoint "$run" --prompt "$text" --max-tokens 0 --trace "$run/trace.safetensors" --quiet
page attention "$run/trace.safetensors" -- "$run/trace.safetensors"
page gpt "$run/model.safetensors" -- "$run" "$text"

echo
cat "$run/sample.txt"
echo
cat "$run/mfu.txt"
echo
echo "What was made, in $((SECONDS - began)) s:"
echo "  $run    the run: checkpoints, config.yaml, log.jsonl, config.json"
echo "  $OUT/training.html    its curves, samples and options, for a browser"
echo "  $OUT/attention.html   attention over '$text', step by step"
echo "  $OUT/gpt.html         the model from the norms to what it writes"
sed -nE 's/.*"val_loss": ([0-9.]+).*/\1/p' "$run/log.jsonl" | tail -1 |
    awk '{ printf "  validation loss               %.4f nats a token\n", $1 }'
sed -nE 's/.*"document_loss": ([0-9.]+), "floor": ([0-9.]+), "standard_error": ([0-9.e-]+).*/\1 \2 \3/p' "$run/log.jsonl" |
    tail -1 | awk 'NF == 3 { printf "  whole stories                 %.4f nats a character; their floor is %.4f: %.1f%% above, +- %.1f%%\n", $1, $2, 100 * ($1 / $2 - 1), 100 * $3 / $2 }'
cat <<EOF

What to try next:
  $BIN/sample --checkpoint $OUT/$DATA-run --prompt '$prompt' --temperature 0.5
  $BIN/train --resume $OUT/$DATA-run --steps $((2 * ${STEPS:-2000}))
  $BIN/convert-gpt2 $OUT/$DATA-run --info
  make pipeline DATA=$([ "$DATA" = stories ] && echo shakespeare || echo stories)
EOF
