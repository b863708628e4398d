# train with masked tokens: BERT and RoBERTa from scratch, resumed, continued; what cannot be masked is refused.
. "$(dirname "$0")/../cli.sh"

# ---- a tokenizer with a mask token: a trained BPE, with RoBERTa's special tokens --------------------------------------
fetch-data stories --stories 300 -q -o s.txt || problem "no stories"
expect 0 tokenize s.txt --train-bpe 300 --save-tokenizer bpe.json -o plain.tok -q
V=$(tokenize --info plain.tok --json | sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p')
with_mask bpe.json "$V" > mask.json
expect 0 tokenize s.txt -t mask.json -o m.tok
case $err in *"the ids that the tokenizer's post_processor puts around each text are left out of the stream"*) ;; *) problem "told: $err" ;; esac

small=(--layers 1 --heads 2 --channels 16 --seq-len 24 --batch-size 4 --threads 1 --warmup 2)
log() { sed -E 's/"(tok_s|mfu|memory)": [^,}]*//g' "$1/log.jsonl"; }

expect 0 train m.tok --preset bert-nano "${small[@]}" --steps 2 -o told
case $err in *"the run is in told; try: predict --checkpoint told --task fill-mask FILE, a line of which is a text with <mask>"*) ;;
*) problem "no hint at what to do next: $err" ;; esac
expect 0 bash -c 'echo "Once upon a <mask>" | predict --checkpoint told --task fill-mask --quiet'

# ---- stopped at a step and resumed = never stopped -----------------------------------------------------------------
for case in bert-nano "roberta-nano --whole-words --mlm-probability 0.3" "bert-nano --backend ref --grad-accum 2"; do
    read -r -a more <<< "$case"
    rm -rf whole part
    expect 0 train m.tok --preset "${more[@]}" "${small[@]}" --steps 9 --decay-steps 9 --eval-every 3 --quiet --dropout 0.1 -o whole
    expect 0 train m.tok --preset "${more[@]}" "${small[@]}" --steps 4 --decay-steps 9 --eval-every 3 --quiet --dropout 0.1 -o part
    expect 0 train --resume part --steps 9 --quiet
    same whole/last/model.safetensors part/last/model.safetensors
    same whole/last/state.safetensors part/last/state.safetensors
    same <(log whole | grep '"loss"') <(log part | grep '"loss"')
done
grep -q '"architectures": *\["BertForMaskedLM"\]' <(tr -d '\n ' < whole/config.json | sed 's/:/: /g') ||
    problem "not a BertForMaskedLM: $(cat whole/config.json)"

# ---- evaluation's masks are fixed: whatever the step and the seed ---------------------------------------------------
losses() { sed -n 's/.*"val_loss": \([0-9.]*\).*/\1/p' "$1/log.jsonl" | sort -u; }
expect 0 train m.tok --init whole --batch-size 4 --threads 1 --steps 4 --lr 0 --min-lr 0 --warmup 0 --eval-every 1 --quiet -o still
expect 0 train m.tok --init whole --batch-size 4 --threads 1 --steps 4 --lr 0 --min-lr 0 --warmup 0 --eval-every 2 --seed 5 --quiet -o other
checks=$((checks + 1))
[ "$(losses still | wc -l)" = 1 ] && [ "$(losses still)" = "$(losses other)" ] ||
    problem "evaluations of the same model differ: $(losses still) $(losses other)"
checks=$((checks + 1))
[ "$(sed -n 's/.*"loss": \([0-9.]*\).*/\1/p' still/log.jsonl | sort -u | wc -l)" = 4 ] || problem "steps have the same masks"

# ---- the unigram entropy: -sum p log p over the stream's tokens but special ones, counted here ------------------------
expect 0 tokenize s.txt -t mask.json --format raw16 -o m.bin
expect 0 train m.tok --preset bert-nano "${small[@]}" --val-fraction 0 --steps 1 --lr 1e-3 --quiet -o counted
want=$(od -An -v -tu2 -w2 m.bin | awk -v last="$V" '$1 != 0 && $1 < last { n[$1]++; all++ }
    END { for (id in n) h -= n[id] / all * log(n[id] / all); print h }')
got=$(sed -n 's/.*"unigram_entropy": \([0-9.]*\).*/\1/p' counted/log.jsonl)
checks=$((checks + 1))
awk -v a="$want" -v b="$got" 'BEGIN { exit !(a > 1 && (a - b) ^ 2 < 1e-8) }' || problem "entropy $got, expected $want"

# ---- a run that has not got below it is warned, once; one that learns is not ------------------------------------------
warns train m.tok --preset bert-nano "${small[@]}" --steps 130 --lr 0 --min-lr 0 --quiet -o stuck
says "after a third of its steps the run has learned no more than how frequent tokens are: its loss, "
# after a third, seeds 1 to 4 are at 0.8 to 1.6, in fp32 and in bf16, and the entropy is 2.04
for _ in $(seq 1600); do printf 'Once upon '; done > same.txt
expect 0 tokenize same.txt -t mask.json -o same.tok -q
expect 0 train same.tok --preset bert-nano "${small[@]}" --channels 32 --batch-size 8 --warmup 20 --init-std 0.2 --steps 600 --lr 1e-2 --quiet -o learned

# ---- learning rates by width ------------------------------------------------------------------------------------------
for row in "16 0.002 bert-nano" "768 0.0001 bert-base"; do
    read -r channels rate name <<< "$row"
    expect 0 train m.tok --preset bert-nano "${small[@]}" --channels "$channels" --val-fraction 0 --warmup 0 --steps 1 -o "w$channels"
    case $err in *"lr $rate, the default at $channels channels (as $name); --lr sets another"*) ;; *) problem "told: $err" ;; esac
done

# ---- it is no model for samples --------------------------------------------------------------------------------------
expect 1 sample --checkpoint whole --prompt Once -q
says "the model is not causal (BERT, RoBERTa): it cannot continue text"

# ---- refused, with nothing made --------------------------------------------------------------------------------------
refused() { # TEXT OPTION...
    local text=$1
    shift
    expect 1 train "$@" --steps 2 --quiet -o no
    says "$text"
    absent no
}
refused "plain.tok: its tokenizer (bpe) has no mask token, [MASK] or <mask>, which --objective mlm needs" plain.tok --objective mlm
# a vocab.txt without [MASK], which BertTokenizer adds with the id after the last: nothing that a model is trained with
mkdir bare whole-vocab
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' once upon a time > bare/vocab.txt
{ cat bare/vocab.txt; echo '[MASK]'; } > whole-vocab/vocab.txt
expect 0 tokenize s.txt -t bare -o bare.tok
case $err in *"the vocabulary lacks [MASK]; added after it from id 8 on, as in transformers"*) ;; *) problem "told: $err" ;; esac
refused "bare.tok: the vocabulary of its tokenizer lacks [MASK], which --objective mlm needs: it was added after it as id 8; add a line [MASK] to the vocab.txt" \
    bare.tok --preset bert-nano
expect 0 tokenize s.txt -t whole-vocab -o whole.tok -q
expect 0 train whole.tok --preset bert-nano "${small[@]}" --steps 1 --quiet -o whole-run
expect 0 tokenize s.txt -t mask.json --format llmc -o m.llmc
refused "m.llmc: has no tokenizer in it, whose mask token --objective mlm needs" m.llmc --preset bert-nano
refused "--objective mlm does not fit the model, a gpt2 whose head is for lm" m.tok --preset nano --objective mlm
refused "--objective lm does not fit the model, a bert whose head is for mlm" m.tok --preset bert-nano --objective lm
refused "--whole-words is of --objective mlm, and the head of the model, a gpt2, is for lm" m.tok --whole-words
refused "mask_replace_prob 0.8 and random_replace_prob 0.5: expected probabilities that add up to at most 1" m.tok \
    --preset bert-nano --random-replace-prob 0.5
# batches of separators alone have nothing to mask: they count for nothing, and alone they are no validation data
expect 0 train m.tok --preset bert-nano "${small[@]}" --seq-len 3 --order documents --steps 2 --quiet -o short
refused "--seq-len 2 leaves no place for a token beside the 2 that the tokenizer puts around a text" m.tok \
    --preset bert-nano --seq-len 2
refused "--sample-every needs a model that predicts next tokens, and the head of this roberta is for mlm" m.tok \
    --preset roberta-nano --sample-every 1
expect 1 train --resume whole --objective lm --steps 10 -q
says "--objective lm does not fit the model, a bert whose head is for mlm"

# ---- what it would take, without a run --------------------------------------------------------------------------------
expect 0 train m.tok --preset bert-nano "${small[@]}" --steps 2 --dry-run --quiet
has "the run      2 steps"
finish
