# sample: prompts from everywhere, when samples end, what JSON tells, scoring, talking, bad input.
. "$(dirname "$0")/../cli.sh"

fetch-data stories --seed 1 --stories 200 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"
train text.tok --layers 2 --heads 2 --channels 32 --seq-len 64 --batch-size 8 --steps 40 --lr 1e-2 --threads 2 -o run --quiet ||
    problem "no run"
s=(sample --checkpoint run --threads 2 --quiet)

is() { # TEXT: the last stdout is this
    checks=$((checks + 1))
    [ "$out" = "$1" ] || problem "printed: $out, expected: $1"
}

# the same prompt by every way
expect 0 "${s[@]}" --prompt Once --max-tokens 30
once=$out
expect 0 bash -c "echo Once | ${s[*]} --max-tokens 30"
is "$once"
echo '{"prompt": "Once"}' > one.jsonl
expect 0 "${s[@]}" --prompts one.jsonl --max-tokens 30
is "$once"
expect 0 bash -c "cat one.jsonl | ${s[*]} --prompts - --max-tokens 30"
is "$once"
expect 0 bash -c "echo Once | ${s[*]} --interactive --max-tokens 30"
is "${once#Once}"

# many prompts of other lengths: each as alone, with its id
cat > many.jsonl << 'EOF'
{"text": "Lily had a red kite. One windy day, Lily", "id": "kite"}
{"text": "Once", "id": 7}

{"text": [1, 2, 3]}
EOF
expect 0 "${s[@]}" --prompts many.jsonl --jsonl text --max-tokens 30
has '--- prompt "kite" ---'
has "--- prompt 7 ---
$once"
has '--- prompt 3 ---'

# JSON: ids, log-probabilities, alternatives, why it ended
expect 0 "${s[@]}" --prompts many.jsonl --jsonl text --max-tokens 2 --num-samples 2 --json --top-logprobs 2
checks=$((checks + 2))
[ "$(printf '%s\n' "$out" | grep -cE '^\{.*"sample": [01], "text": ".*", "finish": "length", "ids": \[[0-9]+, [0-9]+\], "logprobs": \[-?[0-9.]+, -?[0-9.]+\], "top": \[\[\{"id": [0-9]+, "text": ".{1,2}", "logprob": -?[0-9.]+\}, .*\]\]\}$')" = 6 ] ||
    problem "JSON is: $out"
[ "$(printf '%s\n' "$out" | grep -c '^{"id": "kite", "prompt": "Lily had')" = 2 ] || problem "JSON lacks the id: $out"
has '"prompt_ids": [1, 2, 3]'
expect 0 "${s[@]}" --prompt Once --stop "${once:10:4}" --max-tokens 30 --json
has '"finish": "stop_text", "stop": "'
expect 0 "${s[@]}" --prompt Once --stop "${once:10:4}" --max-tokens 30
is "${once:0:10}"
expect 0 "${s[@]}" --prompt Once --stop '\n\n' --stop 'never' --max-tokens 5
expect 0 "${s[@]}" --prompt Once --stop-ids 0,1 --max-tokens 60 --json
has '"finish": "stop_id"'

# a trace: the prompt's tensors, the weights of a small model, the texts of the tokens; the same from a pipe
expect 0 "${s[@]}" --prompt Once --max-tokens 0 --trace once.safetensors
out=$(tensors once.safetensors)
for name in tokens logits hidden.2 attentions.1 lens.ids lens.probabilities weight.transformer.h.1.mlp.c_fc.weight; do has "$name"; done
out=$(header_of once.safetensors)
has '"gptpipe.trace":"1"'
has '"gptpipe.texts":"['
expect 0 "${s[@]}" --no-quiet --prompt Once --max-tokens 0 --trace once.safetensors
says "sample: a page of this trace: pipelines/explain.sh attention once.safetensors -o attention.html"
expect 0 bash -c "${s[*]} --prompt Once --max-tokens 0 --trace - > pipe.safetensors"
for name in tokens logits lens.ids; do same <(tensor pipe.safetensors $name) <(tensor once.safetensors $name); done

# a character that is three tokens long: wherever the sample ends, what is printed is UTF-8
for i in {1..400}; do printf '\u72ac\u00e9\U1f600'; done > animals.txt
tokenize --train-bpe 257 animals.txt -o animals.tok --quiet || problem "no tokens of animals"
train animals.tok --layers 1 --heads 2 --channels 32 --seq-len 32 --batch-size 8 --steps 60 --lr 1e-2 --threads 2 -o animals --quiet ||
    problem "no run of animals"
for n in {1..9}; do
    expect 0 sample --checkpoint animals --prompt $'\u72ac' --temperature 0 --max-tokens $n --threads 2 --quiet
    checks=$((checks + 1))
    printf %s "$out" | iconv -f utf-8 -t utf-8 > /dev/null 2>&1 || problem "half a character: $out"
done
has $'\u72ac\u00e9\U1f600'

# the penalty changes what is drawn, and is none at 1
expect 0 "${s[@]}" --prompt Once --max-tokens 30 --repetition-penalty 1
is "$once"
expect 0 "${s[@]}" --prompt Once --max-tokens 30 --repetition-penalty 5
checks=$((checks + 1))
[ "$out" != "$once" ] || problem "a penalty of 5 changes nothing"

# past the context it says so, once; then how fast it was
expect 0 sample --checkpoint run --prompt Once --max-tokens 300 --threads 2
checks=$((checks + 2))
[ "$(grep -c 'beyond the context of 64 tokens' <<< "$err")" = 1 ] || problem "nothing of the context: $err"
[ "$(grep -c 'its last half, 8 times' <<< "$err")" = 1 ] || problem "how often: $err"
grep -qE "^sample: 300 tokens in [0-9.]+ s, [0-9]+ tok/s, (fp32|bf16)$" <<< "$err" || problem "nothing of speed: $err"

# a reader that goes away is no error to talk of
expect 0 bash -c "${s[*]} --prompt Once --max-tokens 3000 | head -c 20 > /dev/null; [ \${PIPESTATUS[0]} -ne 1 ]"
checks=$((checks + 1))
[ -z "$err" ] || problem "a closed pipe: $err"

# scoring: the parts of a text add up
printf 'Once upon a time, Lily had a kite.' > line.txt
expect 0 "${s[@]}" --score line.txt
has '34, of which 33 are scored: 33 bytes'
printf '{"t": "Once upon a time"}\n{"t": "L"}\n{"t": "Lily"}\n' > docs.jsonl
expect 0 "${s[@]}" --score docs.jsonl --jsonl t
has 'document 2: 1 token, nothing to score'
has 'docs.jsonl, 3 documents'
expect 0 "${s[@]}" --score docs.jsonl --jsonl t --json
checks=$((checks + 1))
printf '%s\n' "$out" | awk -F'"logprob": ' '/"document"/ { sum += $2 } /"total"/ { all = $2 + 0 }
    END { exit !(NR == 4 && all < 0 && (sum - all) ^ 2 < 1e-8) }' || problem "documents do not add up: $out"
expect 0 bash -c "cat text.txt | ${s[*]} --score - --stride 64 --json"
checks=$((checks + 1)) # nats are bits times ln 2; perplexity is e to the nats a token
printf '%s\n' "$out" | tr -d '{},"' | tail -1 | awk '{ for (i = 1; i < NF; i++) v[$i] = $(i + 1) }
    function near(a, b) { return (a - b) ^ 2 < 1e-8 * b ^ 2 }
    END { exit !(v["bytes:"] > 0 && near(v["bits_per_byte:"], -v["logprob:"] / v["bytes:"] / log(2)) &&
        near(v["perplexity:"], exp(-v["logprob:"] / v["scored:"]))) }' || problem "bits and perplexity: $(printf '%s' "$out" | tail -1)"
# and so do its tokens: what sampling says of those that it draws, scoring says of the same text
list() { sed -n "s/.*\"$1\": \[\([^]]*\)\].*/\1/p" <<< "$2" | tail -n 1; }
expect 0 sample run 'Once upon' -n 12 -t 0 --json --quiet --dtype fp32
drawn=$out
printf 'Once upon%s' "$(sed -n 's/.*"text": "\([^"]*\)", "finish".*/\1/p' <<< "$drawn")" > greedy.txt
expect 0 sample run --score greedy.txt --json --top-logprobs 2 --quiet --dtype fp32
checks=$((checks + 4))
[ "$(wc -l <<< "$out")" = 1 ] || problem "one text has more than one line: $out"
[ "$(list ids "$out" | cut -d' ' -f10-)" = "$(list ids "$drawn")" ] || problem "ids $(list ids "$out"), drawn $(list ids "$drawn")"
awk -v a="$(list logprobs "$out" | cut -d' ' -f10-)" -v b="$(list logprobs "$drawn")" 'BEGIN { n = split(a, x, ", "); m = split(b, y, ", ")
    for (i = 1; i <= n; i++) if ((x[i] - y[i]) ^ 2 > 1e-6) exit 1; exit !(n == 12 && m == 12) }' || problem "log-probabilities $out; drawn $drawn"
case $out in '{"ids": ['*'"logprobs": [null, -'*'"top": [null, [{"id": '*'"text": "'*'"logprob": -'*'"total": {"tokens": 21, "scored": 20, '*) ;; *) problem "of each token: $out" ;; esac
# a text for which windows are needed has every token's, each once; JSON Lines have them a document
expect 0 sample run --score text.txt --stride 32 --json --quiet --dtype fp32
checks=$((checks + 1))
list logprobs "$out" | awk -F', ' -v line="${out##*\"total\"}" '{ for (i = 2; i <= NF; i++) sum += $i; n = NF; nulls = gsub(/null/, "") }
    END { match(line, /"scored": [0-9]+/); scored = substr(line, RSTART + 10, RLENGTH - 10) + 0
          match(line, /"logprob": [-0-9.]+/); all = substr(line, RSTART + 11, RLENGTH - 11) + 0
          exit !(nulls == 1 && n == scored + 1 && (sum - all) ^ 2 < (1e-5 * n) ^ 2) }' || problem "windows: $(cut -c1-300 <<< "$out") ... $(tail -c 300 <<< "$out")"
expect 0 sample run --score docs.jsonl --jsonl t --json --quiet
has '"document": 2, "tokens": 1, "scored": 0,'
has '"logprobs": [null]}'
bad() { expect "$1" sample run "${@:3}"; says "$2"; }
bad 2 '--top-logprobs requires --json' --score line.txt --top-logprobs 2
bad 2 '--top-logprobs has no effect with --task other than text' --score x.jsonl --task lambada --json --top-logprobs 2

# a line goes on from the answer before it, on a line of its own: the answer is that to all of it as one prompt. An
# empty line lets the model go on. /reset begins anew, and so does each line of several samples
greedy=(--temperature 0 --repetition-penalty 1.2 --max-tokens 12)
answer() { "${s[@]}" --prompt "$1" --no-echo "${greedy[@]}"; }
first=$(answer Once)
second=$(answer "Once$first"$'\n'"Lily")
third=$(answer "Once$first"$'\n'"Lily$second")
[[ ${#first} -gt 5 && ${#second} -gt 5 && $second != "$(answer Lily)" && $second != "$first" ]] || problem "$first; $second"
expect 0 bash -c "printf 'Once\nLily\n\n/reset\nOnce\n' | ${s[*]} --interactive ${greedy[*]}"
is "$first"$'\n'"$second"$'\n'"$third"$'\n'"$first"
expect 0 bash -c "printf 'Once\nOnce\n' | ${s[*]} --interactive --num-samples 2 ${greedy[*]}"
checks=$((checks + 1))
[ "$(grep -cxF -e "$first" <<< "$out")" = 4 ] || problem "two samples of each line, expected $first: $out"

# past the model's context a conversation goes on, and it is said
expect 0 bash -c "printf 'Once\n%.0s' {1..40} | sample run --interactive --max-tokens 9 --threads 2"
checks=$((checks + 2))
[[ $err = *"beyond the context of "*" tokens: continued with its last half"* ]] || problem "40 lines: $err"
[ "$(grep -c . <<< "$out")" -ge 40 ] || problem "40 lines: $out"

# what is typed: help, the end
expect 0 bash -c "printf '/help\nexit\nOnce\n' | sample run --interactive --max-tokens 5"
has 'is appended to the text, which the model continues'
has '/reset begins a new text'
has '--max-tokens 5 --temperature 0.8'
[ "$(grep -c . <<< "$out")" = 5 ] || problem "something came after exit: $out"
for word in exit quit /quit; do
    expect 0 bash -c "printf '$word\nOnce\n' | sample run --interactive --max-tokens 5"
    [ -z "$out" ] || problem "$word did not end: $out"
done
echo '{"context": "Once upon", "endings": [" v", " a"], "label": 1}' > choices.jsonl
expect 0 "${s[@]}" --score choices.jsonl --task choices
has 'acc         1.0000'

# what goes to a file: whole or not at all, and a failure that only shows at the end is one
expect 0 "${s[@]}" --prompt Once --max-tokens 30 -o once.txt
same once.txt <(printf '%s\n' "$once")
expect 0 "${s[@]}" --score line.txt -o score.txt
same score.txt <("${s[@]}" --score line.txt)
expect 1 "${s[@]}" --score line.txt -o /dev/full
says '/dev/full: cannot be written: No space left on device'
expect 1 "${s[@]}" --prompt Once --max-tokens 3 -o /dev/full
says 'cannot be written'
mkdir taken
expect 1 "${s[@]}" --prompt Once --max-tokens 3 -o taken
says 'taken: '
rmdir taken || problem "something was written into a folder"
[ -z "$(ls -A | grep tmp)" ] || problem "left behind: $(ls -A | grep tmp)"

# without --quiet it says how fast it was, with it nothing (expect sees to that)
expect 0 sample --checkpoint run --prompt Once --max-tokens 3 --threads 2 --backend cpu
says 'sample: 3 tokens in '
expect 0 "${s[@]}" --prompt Once --max-tokens 100
expect 0 "${s[@]}" --score docs.jsonl --jsonl t

# bad input: one line, 2 for a wrong command line
bad() { # CODE TEXT ARGUMENT...
    expect "$1" "${s[@]}" "${@:3}"
    says "$2"
}
bad 2 'out of range' --prompt a --top-p 0
bad 2 'out of range' --prompt a --temperature -1
bad 2 'out of range' --prompt a --num-samples 1e9
bad 2 'out of range' --prompt a --repetition-penalty 0
bad 2 'cannot be used together' --prompt a --prompt-ids 1
bad 2 'cannot be used together' --prompt a --interactive
bad 2 'separated by commas' --prompt-ids 1,,2
bad 2 'separated by commas' --prompt-ids ''
bad 2 'separated by commas' --prompt a --stop-ids x
bad 2 'not empty' --prompt a --stop ''
bad 2 ' requires --json' --prompt a --top-logprobs 2
bad 2 ' requires --score' --prompt a --task choices
bad 2 '--stride requires --score' --prompt a --stride 3
bad 2 '--trace has no effect with --prompts' --prompts one.jsonl --trace t.safetensors
bad 2 't.npz: .npz is a suffix of NumPy' --prompt a --trace t.npz
bad 2 't.PT: .PT is a suffix of PyTorch' --prompt a --max-tokens 0 --trace t.PT
absent t.npz
cp one.jsonl kept.jsonl
bad 2 '--out would replace the input file' --prompts one.jsonl --out ./one.jsonl
bad 2 '--out would replace the input file' --score one.jsonl --jsonl prompt --out one.jsonl
same one.jsonl kept.jsonl
bad 2 '--interactive has no effect with --json' --interactive --json
for empty in --checkpoint --prompts --jsonl --score --out --trace; do
    bad 2 "$empty: is empty, expected " --prompt a $empty ''
done
for ignored in '--max-tokens 5' '--num-samples 2' '--batch-size 2' '--temperature 0' '--top-k 3' '--top-p 0.5' '--min-p 0.5' \
    '--repetition-penalty 2' '--seed 3' '--stop a' '--stop-ids 1' --ignore-end --echo; do
    bad 2 "${ignored%% *} has no effect with --score" --score line.txt $ignored
done
bad 2 '--task requires --score' --prompt a --task text
bad 2 '--no-echo has no effect with --json' --prompt a --json --no-echo
bad 2 '--no-echo has no effect with --interactive' --interactive --no-echo
sample --print-config --temperature 0.5 --max-tokens 9 > shared.yaml
expect 0 "${s[@]}" --config shared.yaml --score line.txt
bad 1 "outside the model's vocabulary" --prompt-ids 1,999
bad 1 "outside the model's vocabulary" --prompt a --stop-ids 999
bad 1 'not in the vocabulary' --prompt 'a~'
bad 1 '"prompt" is missing' --prompts many.jsonl
bad 1 'has no prompt' --prompts /dev/null
bad 1 'stride of 65' --score text.txt --stride 65
bad 1 'no end-of-text' --score text.txt --from-end
bad 1 'nothing to score' --score /dev/null
printf a > folded.txt
bad 1 "$PWD/folded.txt: nothing to score" --score "$PWD/folded.txt"
printf '\n{"prompt": []}\n' > none.jsonl
bad 1 'none.jsonl: line 2: the array of token ids is empty' --prompts none.jsonl
printf '{"prompt": [1]}\n\n{"prompt": [2, 999]}\n' > far.jsonl
bad 1 "far.jsonl: line 3: token id 999 is outside the model's vocabulary of " --prompts far.jsonl
printf '{"prompt": [1, -1]}\n' > far.jsonl
bad 1 'far.jsonl: line 1: item 2 is not a token id' --prompts far.jsonl
bad 1 'No such file' --score missing
bad 1 'line 1' --score one.jsonl --task lambada
expect 2 bash -c "sample --prompts - < run/model.safetensors"
says 'cannot be both'
cp "$repo/tests/golden/gpt2-tiny/"{config.json,model.safetensors} .
expect 1 sample --checkpoint model.safetensors --prompt Once --quiet
says 'no tokenizer'
expect 0 sample --checkpoint model.safetensors --prompt-ids 1,2,3 --max-tokens 3 --quiet

# a tokenizer with ids that the model lacks is another model's
mkdir mixed
cp config.json model.safetensors animals/tokenizer.json mixed
expect 1 sample --checkpoint mixed --prompt a --quiet
says 'mixed: its tokenizer has 257 ids, its model a vocabulary of 96'

# on a terminal scoring shows how far it is, with --quiet nothing
if command -v script > /dev/null; then
    head -c 4000 text.txt > long.txt
    long="sample --checkpoint run --score long.txt --stride 1 --threads 2"
    script -qec "$long" /dev/null > shown.txt < /dev/null
    checks=$((checks + 1))
    tr '\r' '\n' < shown.txt | grep -qE '^score: window [0-9]+ of 393[0-9] \([0-9]+%\), [0-9.]+ windows/s, [0-9]+ s left' ||
        problem "no progress: $(cat shown.txt)"
    script -qec "$long --quiet" /dev/null > shown.txt < /dev/null
    checks=$((checks + 1))
    ! grep -q window shown.txt || problem "progress with --quiet: $(cat shown.txt)"
else
    echo "skipped: progress on a terminal, which needs script (util-linux)"
fi

# on a terminal: Ctrl-C stops an answer and not the tool, Ctrl-D ends it. The shell that script starts gives
# its place to sample (exec): it would get Ctrl-C as well, and dash dies of it.
if command -v script > /dev/null && [ -z "${GPTPIPE_SANITIZE:-}" ]; then
    code=0
    { sleep 1; printf 'Once\n'; sleep 1; printf '\003'; sleep 0.5; printf 'Lily\n'; sleep 1; printf '\003'; sleep 0.5; printf '\004'; sleep 0.3; } |
        timeout 20 script -qec "exec sample --checkpoint run --interactive --max-tokens 1000000000 --threads 1 --quiet" /dev/null > talk.txt || code=$?
    checks=$((checks + 2))
    [ "$code" = 0 ] || problem "the talk ended with $code: $(tail -c 300 talk.txt)"
    [ "$(grep -ac '> ' talk.txt)" -ge 3 ] || problem "no prompt after Ctrl-C: $(tail -c 300 talk.txt)"
    # Ctrl-Z gives the terminal back to the shell, fg takes it again: Ctrl-A still goes to the line's beginning
    if ldd "$(command -v sample)" | grep -q libedit; then
        { sleep 1; printf 'sample --checkpoint run --interactive --max-tokens 3 --threads 1 --quiet\n'; sleep 1; printf '\032'; sleep 1
            printf 'stty -a | grep -ow .icanon\nfg\n'; sleep 1; printf 'nce\001O\n'; sleep 1; printf '\004'; sleep 0.5; printf 'exit\n'; sleep 0.3; } |
            timeout 30 script -qec "sh -i" /dev/null | tr '\r' '\n' > stopped.txt
        checks=$((checks + 3))
        grep -aq Stopped stopped.txt && grep -aqE '^> Once' stopped.txt || problem "it was not stopped or did not go on: $(cat -v stopped.txt)"
        ! grep -aq -- -icanon stopped.txt || problem "the shell got a raw terminal: $(cat -v stopped.txt)"
        ! grep -aqF '^A' stopped.txt || problem "a line behind fg cannot be edited: $(cat -v stopped.txt)"
    else
        echo "skipped: Ctrl-Z at the prompt, which needs libedit"
    fi
else
    echo "skipped: talking on a terminal, which needs script (util-linux) and a quick build"
fi

# operands: the checkpoint, and the prompt
expect 0 sample --checkpoint run --prompt Once --max-tokens 20 --quiet
once=$out
for words in "run Once" "-c run Once" "run -p Once"; do
    expect 0 sample $words --max-tokens 20 --quiet
    checks=$((checks + 1))
    [ "$out" = "$once" ] || problem "sample $words gave $out, not $once"
done
expect 0 bash -c "printf Once | sample run --max-tokens 20 --quiet"
[ "$out" = "$once" ] || problem "the prompt on stdin gave $out"
expect 0 bash -c "convert-gpt2 run -q | sample - Once --max-tokens 20 --quiet"
[ "$out" = "$once" ] || problem "the checkpoint on stdin gave $out"
expect 2 sample run Once upon a time
says "the operands are CHECKPOINT and PROMPT: put quotes around a prompt of several words"
expect 2 sample run Once --prompt upon
says "the operands are CHECKPOINT and PROMPT, and --checkpoint or --prompt is one of them"
expect 2 sample -c run -p Once more
says "unexpected operand: CHECKPOINT and PROMPT are both given by options"
expect 2 sample run Once --prompt-ids 1
says "cannot be used together"

# as other programs call an option, its only beginning, or its nearest name
while read -r theirs ours; do
    expect 2 sample $theirs 1
    says "did you mean '--$ours'?"
done << 'LIST'
--model checkpoint
-m checkpoint
--temp temperature
--n-predict max-tokens
--n_predict max-tokens
--predict max-tokens
--samples num-samples
--max-length max-tokens
--max_new_tokens max-tokens
--device backend
--prompt_ids prompt-ids
--repeat-penalty repetition-penalty
--rep repetition-penalty
--ignore-en ignore-end
--temperatur temperature
LIST
expect 2 eval-mfu run run
says "expected one checkpoint, found 2"
expect 2 eval-mfu run --checkpoint run
says "expected one checkpoint, found 2"
expect 0 eval-mfu run --passes decode --seq-len 8 --seconds 0.01 --quiet
case $out in *"decode "*) ;; *) problem "eval-mfu run printed $out" ;; esac
expect 2 eval-mfu run --preset nano
says "cannot be used together"
finish
