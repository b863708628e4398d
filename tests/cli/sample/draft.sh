# sample --draft: the same text and JSON, what is counted, what it does not go with.
. "$(dirname "$0")/../cli.sh"

fetch-data stories --seed 1 --stories 200 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"
train text.tok --layers 2 --heads 2 --channels 32 --seq-len 64 --batch-size 8 --steps 40 --lr 1e-2 --threads 2 -o run --quiet ||
    problem "no run"
s=(sample --checkpoint run --threads 2)

alike() { # OPTION...: with drafts and without, past the context of 64
    expect 0 "${s[@]}" --quiet --max-tokens 150 "$@"
    local plain=$out
    expect 0 "${s[@]}" --quiet --max-tokens 150 "$@" --draft ngram
    checks=$((checks + 1))
    [ "$(sed -E 's/, "draft": \{[^}]*\}//' <<< "$out")" = "$plain" ] || problem "with drafts: $out, without: $plain"
}

printf '{"text": "Once upon a time", "id": 1}\n{"text": "Lily and Lily and Lily", "id": 2}\n' > prompts.jsonl
for options in '--temperature 0' '--temperature 0.7 --top-k 5' '--temperature 1 --repetition-penalty 1.3' '--top-p 0.8 --min-p 0.1'; do
    for where in 'cpu --dtype fp32' 'cpu --dtype int8' 'ref --dtype fp32'; do
        # shellcheck disable=SC2086 # several words each
        alike --prompt 'Lily saw a red' $options --backend $where
    done
done
alike --prompts prompts.jsonl --jsonl text --num-samples 2
alike --prompts prompts.jsonl --jsonl text --num-samples 2 --json --top-logprobs 2
alike --prompt Lily --stop . --json
has '"draft": {"passes": '

# a conversation, whose lines and answers stay in the cache
printf 'Lily\nand Lily\n/reset\nBen\n' > lines
expect 0 bash -c "${s[*]} --quiet --interactive --max-tokens 40 < lines"
plain=$out
expect 0 bash -c "${s[*]} --quiet --interactive --max-tokens 40 --draft ngram < lines"
checks=$((checks + 1))
[ "$out" = "$plain" ] || problem "the conversation was: $out, without drafts: $plain"

# what repeats takes few passes: 29 to 78 with seeds 1 to 3, in fp32 and bf16, by models that saw one sentence alone
for _ in $(seq 2000); do printf 'Lily ran. '; done > same.txt
tokenize --tokenizer char same.txt -o same.tok --quiet || problem "no tokens"
train same.tok --layers 1 --heads 2 --channels 32 --seq-len 64 --batch-size 8 --steps 60 --lr 1e-2 --threads 2 -o same --quiet ||
    problem "no run"
expect 0 sample --checkpoint same --threads 2 --prompt 'Lily' --temperature 0 --max-tokens 300 --draft ngram --draft-tokens 15 --json
read -r passes drafted accepted < <(sed -E 's/.*"passes": ([0-9]+), "drafted": ([0-9]+), "accepted": ([0-9]+).*/\1 \2 \3/' <<< "$out")
checks=$((checks + 1))
[ "$passes" -lt 150 ] && [ "$accepted" -le "$drafted" ] && [ "$accepted" -gt 150 ] ||
    problem "$passes passes, $accepted of $drafted tokens accepted"
grep -q "^sample: $accepted of $drafted drafted tokens accepted, $passes passes" <<< "$err" || problem "stderr: $err"

expect 2 "${s[@]}" --prompt Lily --draft ngram --batch-size 4
says 'batch-size has no effect with --draft'
expect 2 "${s[@]}" --prompt Lily --draft-tokens 4
says 'draft-tokens requires --draft'
expect 2 "${s[@]}" --prompt Lily --draft ngram --draft-tokens 16
expect 2 "${s[@]}" --prompt Lily --draft model
expect 2 "${s[@]}" --score text.txt --draft ngram
finish
