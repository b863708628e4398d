#!/usr/bin/env bash
# predict: lines and JSON Lines in, a line each out; files, pipes, options, bad input. tests/infer/test_predict.c compares
# what is printed with transformers'.
. "$(dirname "$0")/../cli.sh"

models=$repo/tests/golden/predict
roberta=(predict "$models/roberta" --threads 2 --quiet)
gpt2=(predict "$models/gpt2" --threads 2 --quiet)

is() { # TEXT: the last stdout is this
    checks=$((checks + 1))
    [ "$out" = "$1" ] || problem "printed: $out, expected: $1"
}

# the same by every way: an operand, an option, stdin; a run's output on a file
printf 'The <mask> of France\n<mask> film\n' > lines.txt
expect 0 "${roberta[@]}" lines.txt
lines=$out
has '[{"score": 0.'
checks=$((checks + 1))
[ "$(printf '%s\n' "$out" | grep -cE '^\[(\{"score": [0-9.e-]+, "token": [0-9]+, "token_str": "[^"]*", "sequence": "[^"]*"\}(, )?){5}\]$')" = 2 ] ||
    problem "the lines are: $out"
expect 0 predict --checkpoint "$models/roberta" --input lines.txt --task fill-mask --threads 2 --quiet
is "$lines"
expect 0 bash -c "cat lines.txt | ${roberta[*]}"
is "$lines"
expect 0 bash -c "tr '\n' '\r' < lines.txt | sed 's/\r/\r\n/g' | ${roberta[*]} -"
is "$lines"
expect 0 "${roberta[@]}" lines.txt -o out.jsonl
is ''
same out.jsonl <(printf '%s\n' "$lines")

# JSON Lines: recognized by the first line; ids; another member; each line a text on request
printf '{"text": "<mask> film", "id": "a"}\n\n{"text": "<mask> film"}\n' > texts.jsonl
expect 0 "${roberta[@]}" texts.jsonl --top-k 1
has '{"id": "a", "result": [{"score": 0.'
checks=$((checks + 1))
[ "$(printf '%s\n' "$out" | wc -l)" = 2 ] || problem "a blank line counts: $out"
objects=$out
sed 's/"text"/"body"/' texts.jsonl > bodies.jsonl
expect 0 "${roberta[@]}" bodies.jsonl --top-k 1 --jsonl body
is "$objects"
expect 1 "${roberta[@]}" bodies.jsonl
says 'predict: bodies.jsonl: line 1 is a JSON object without the member "text": --jsonl names the member that is the text, --lines takes lines as texts'
expect 1 bash -c "printf '\n{\"text\": \"a <mask>\"}\n' | ${roberta[*]} --task embed"
says 'predict: stdin: line 2 is a JSON object after blank lines: --jsonl names the member that is the text'
for line in '{"text": "a <mask>"' "{'text': 'a <mask>'}"; do
    printf '%s\n' "$line" > broken.jsonl
    expect 1 "${roberta[@]}" broken.jsonl
    says 'predict: broken.jsonl: line 1 begins like a JSON object and is none: --jsonl names the member'
    is ''
    expect 0 "${roberta[@]}" broken.jsonl --lines
done
expect 1 bash -c "echo '{\"text\": null}' | ${roberta[*]}"
says 'predict: stdin: line 1: its "text" is not a string'
expect 0 bash -c "head -n 1 texts.jsonl | ${roberta[*]} --top-k 1 --lines"
has '[{"score": 0.'
has '"sequence": "{\"text\": \"'
checks=$((checks + 1))

# a line is answered as soon as it has arrived: the second is written after the first answer was read
mkfifo ask answer
"${gpt2[@]}" --top-k 1 < ask > answer &
exec 3> ask 4< answer
echo good >&3
IFS= read -r -t 20 first <&4 || problem "no answer to the first line"
echo bad >&3
IFS= read -r -t 20 second <&4 || problem "no answer to the second line"
exec 3>&- 4<&-
wait $! || problem "exited with $?"
expect 0 bash -c "printf 'good\nbad\n' | ${gpt2[*]} --top-k 1"
is "$first"$'\n'"$second"

# every task that a model has; what has none is refused by name
expect 0 bash -c "echo good | ${gpt2[*]} --top-k 400"
checks=$((checks + 1))
[ "$(grep -o '"score"' <<< "$out" | wc -l)" = 330 ] || problem "not all tokens: $out"
expect 0 bash -c "echo good | ${gpt2[*]} --task next --targets good --targets bad"
checks=$((checks + 1))
[ "$(grep -o '"score"' <<< "$out" | wc -l)" = 2 ] || problem "not two targets: $out"
for pooling in mean cls last; do
    expect 0 bash -c "echo good film | ${roberta[*]} --task embed --pooling $pooling --normalize"
    checks=$((checks + 1))
    [[ $out =~ ^\[(-?[0-9.e-]+,\ ){31}-?[0-9.e-]+\]$ ]] || problem "the embedding is: $out"
done
expect 0 predict "$models/roberta" texts.jsonl --format safetensors -o vectors.safetensors --quiet
checks=$((checks + 1))
grep -aq '"embeddings":{"dtype":"F32","shape":\[2,32\]' vectors.safetensors || problem "no embeddings: $(head -c 300 vectors.safetensors)"
expect 1 "${gpt2[@]}" lines.txt --task fill-mask
says "predict: task fill-mask: the model's head does not compute it, but next (or embed, which needs no head)"
expect 1 "${gpt2[@]}" lines.txt --pooling cls
says "predict: --pooling has no effect on next"
expect 1 "${roberta[@]}" lines.txt --task embed --top-k 3
says "predict: --top-k has no effect on embed"
warns predict "$models/roberta" lines.txt --targets good --targets Paris
has '"token_str": "Pa"'
says_of_targets=$(grep -c "'Paris' is not a token of the vocabulary: its first token 'Pa' is taken" <<< "$err")
[ "$says_of_targets" = 1 ] || problem "nothing of Paris: $err"

# it says how fast it was; nothing else on stderr
expect 0 predict "$models/gpt2" lines.txt
checks=$((checks + 1))
grep -qE '^predict: 2 texts, [0-9]+ tokens in [0-9.]+ s, [0-9]+ texts/s, (fp32|bf16)$' <<< "$err" || problem "nothing of speed: $err"

expect 0 bash -c "echo good film | predict $models/gpt2"
checks=$((checks + 1))
grep -qE '^predict: 1 text, [0-9]+ tokens in ' <<< "$err" || problem "nothing of one text: $err"

# a bad line: its number, exit 1; on stdout all lines before it, with --out no file, and what was there stays
bad() { # LINE MESSAGE [OPTION]...: after the two good lines
    local line=$1 message=$2
    { cat lines.txt; printf '%s\n' "$line"; cat lines.txt; } > bad.txt
    expect 1 "${roberta[@]}" bad.txt "${@:3}"
    says "predict: bad.txt: line 3: $message"
    is "$lines"
    expect 1 "${roberta[@]}" bad.txt -o bad.jsonl "${@:3}"
    absent bad.jsonl
}
bad 'no mask here' 'no <mask> in the text'
bad '' 'no <mask> in the text'
long="<mask> $(printf 'film %.0s' {1..300})"
bad "$long" 'the text does not fit the model: 304 tokens, more than 128'
expect 1 "${roberta[@]}" bad.txt -o out.jsonl
same out.jsonl <(printf '%s\n' "$lines")
expect 0 "${roberta[@]}" bad.txt --truncate head --top-k 1
printf '{"text": "<mask>"}\n{"text": "<mask>"\n' > bad.jsonl
expect 1 "${roberta[@]}" bad.jsonl
says 'predict: bad.jsonl: line 2 is not JSON: '
printf '{"text": "<mask>"}\n{"body": "<mask>"}\n' > bad.jsonl
expect 1 "${roberta[@]}" bad.jsonl
says 'predict: bad.jsonl: line 2: its "text" is missing'
printf '{"text": "a"}\n{"text": "a", "text_pair": "b"}\n' > bad.jsonl
expect 1 "${gpt2[@]}" bad.jsonl
says 'predict: bad.jsonl: line 2: a pair of texts, for a model without token types'
# a tokenizer that gives pairs no types but 0 (RoBERTa's) suits a GPT-2, as it does in training
printf 'good film bad film\n' > words.txt
expect 0 tokenize words.txt --train-bpe 260 --save-tokenizer bpe.json -o words.tok -q
with_mask bpe.json "$(tokenize --info words.tok --json | sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p')" > pairs.json
printf '{"text": "good", "text_pair": "film", "label": %d}\n' 0 1 0 1 > pairs.jsonl
expect 0 tokenize -q -t pairs.json --jsonl text --pair text_pair --label label pairs.jsonl -o pairs.tok
expect 0 train pairs.tok --objective classify --layers 1 --heads 1 --channels 16 --seq-len 32 --steps 1 --val-fraction 0 --quiet -o pairs
expect 0 predict pairs pairs.jsonl --quiet
has '{"label": '
expect 1 bash -c "printf 'a\n\n' | ${gpt2[*]}"
says 'predict: stdin: line 2: the text is empty: at least one token is needed'

# a vocab.txt without [MASK]: transformers gives it the id after the last, for which the model has no row. Everything else
# works, converting too
bert=$models/bert
mkdir nomask
cp "$bert/config.json" "$bert/model.safetensors" nomask
sed -nE '/"vocab": \{/,/\}/s/^ *"(.*)": [0-9]+,?$/\1/p' "$bert/tokenizer.json" | sed 's/^\[MASK\]$/[unused0]/; s/\\"/"/' > nomask/vocab.txt
rows=$(wc -l < nomask/vocab.txt)
expect 1 predict nomask lines.txt --quiet
case $err in *"predict: the model has no row for [MASK], which was added to its vocabulary of $rows as id $rows"*) ;; *) problem "told: $err" ;; esac
expect 0 bash -c "echo good film | predict nomask --task embed --quiet"
embedding=$out
expect 0 bash -c "echo good film | predict $bert --task embed --quiet"
is "$embedding"
printf '{"text": "good film", "text_pair": ""}\n' > empty.jsonl
expect 0 predict "$bert" --task embed --quiet empty.jsonl
is "$embedding"
expect 1 bash -c "echo '[MASK] film' | predict nomask --task embed --quiet"
says "predict: stdin: line 1: the model has no row for [MASK], which was added to its vocabulary of $rows as id $rows"
expect 0 convert-gpt2 nomask -o converted/ --quiet

# no input, no lines, wrong usage
expect 0 "${gpt2[@]}" /dev/null
is ''
expect 1 "${gpt2[@]}" missing.txt
says 'predict: missing.txt: No such file or directory'
expect 1 "${gpt2[@]}" /dev/null --format safetensors -o no.safetensors
says 'predict: /dev/null: has no text'
absent no.safetensors
expect 2 predict
says "predict: no checkpoint: name one"
expect 2 "${gpt2[@]}" a b
expect 2 "${gpt2[@]}" --task train
expect 2 "${gpt2[@]}" --format safetensors --task next
expect 2 predict - --quiet
expect 2 "${gpt2[@]}" lines.txt -o lines.txt
expect 1 predict "$repo/tests/golden/gpt2-tiny" lines.txt --quiet
says 'predict: the checkpoint has no tokenizer: texts cannot be read'

finish
