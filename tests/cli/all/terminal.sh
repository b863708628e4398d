# At a terminal, as script(1) makes one: nothing binary goes there.
. "$(dirname "$0")/../cli.sh"
if ! script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
    echo "cli/all/terminal.sh: skipped: script(1) makes no terminal here"
    exit 77
fi

# terminal CODE COMMAND: runs it with stdin, stdout and stderr on a terminal of 80 columns; $out holds what was shown
terminal() {
    local code=$1 got
    script -qec "stty cols 80 rows 24; $2" "$here/.typescript" > /dev/null 2>&1 < /dev/null
    got=$?
    out=$(sed '1{/^Script started/d}; ${/^Script done/d}' "$here/.typescript" | tr -d '\r')
    checks=$((checks + 1))
    [ $got = "$code" ] || problem "$2 exited with $got, expected $code: $out"
}

shows() { # TEXT: the terminal has it
    checks=$((checks + 1))
    case $out in *"$1"*) ;; *) problem "the terminal lacks \"$1\": $out" ;; esac
}

shows_one_line() {
    shows "$1"
    [ "$(printf '%s\n' "$out" | wc -l)" = 1 ] || problem "more than one line: $out"
}

tiny="--layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --threads 1"
fetch-data stories --stories 20 -q -o s.txt || problem "no stories"
tokenize -t bytes s.txt -o s.tok -q || problem "no tokens"
train s.tok $tiny --steps 1 -q -o run 2> /dev/null || problem "no run"

# ---- binary output, refused before any work ------------------------------------------------------------------------

mkdir -p mirror/example.org
printf '{}' > mirror/example.org/a
sum=$(sha256sum < mirror/example.org/a | cut -d' ' -f1)
for name in weights:model.safetensors text:a.json; do
    echo "{\"${name%%:*}\": {\"note\": \"a file\", \"licence\": \"none\", \"files\": [{\"path\": \"${name#*:}\", \"urls\": [\"https://example.org/a\"], \"sha256\": \"$sum\", \"size\": 2}]}}" > "${name%%:*}.json"
done
for to in - /dev/stdout /dev/tty; do
    terminal 2 "train nowhere.tok $tiny --steps 100000000 -o $to"
    shows_one_line "train: a checkpoint cannot be written to a terminal"
    terminal 2 "convert-gpt2 nowhere -o $to"
    shows_one_line "convert-gpt2: a checkpoint cannot be written to a terminal"
    terminal 2 "tokenize -t bytes nowhere -o $to"
    shows_one_line "tokenize: a token stream cannot be written to a terminal"
    terminal 2 "sample -c nowhere -p x --trace $to"
    shows_one_line "--trace writes tensors, which cannot be written to a terminal"
    terminal 2 "fetch-data weights --catalog weights.json --offline -o $to"
    shows_one_line "fetch-data: model.safetensors cannot be written to a terminal: give -o FILE"
done
terminal 2 "convert-gpt2 run"
shows_one_line "a checkpoint cannot be written to a terminal"
terminal 2 "tokenize -t bytes s.txt -o v.tok --val /dev/stdout"
shows_one_line "a token stream cannot be written to a terminal"
terminal 0 "fetch-data text --catalog text.json --mirror mirror --offline -o -"
shows '{}'
expect 0 bash -c 'fetch-data weights --catalog weights.json --mirror mirror --offline -o - | cat'
[ "$out" = '{}' ] || problem "a pipe got: $out"
# what is no terminal takes it as before, and so does a pipe from one
terminal 0 "train s.tok $tiny --steps 1 -q -o - > /dev/null && convert-gpt2 run -q -o - | convert-gpt2 --info -o info.txt"
[ -s info.txt ] || problem "no checkpoint came through the pipe"
terminal 0 "train s.tok $tiny --steps 1 --dry-run -o -"
shows "parameters"

# ---- the run's line: losses of other steps have their step, and the end is not silent -----------------------------------

fetch-data stories --stories 6000 -q -o val.txt --seed 5 && tokenize -t char val.txt -o val.tok -q || problem "no validation"
tokenize -t val.tok s.txt -o c.tok -q || problem "no characters"
terminal 0 "train c.tok --val val.tok $tiny --seq-len 256 --channels 32 --steps 40 --eval-every 20 --eval-batches 2 -o line"
out=$(tr '\r' '\n' < .typescript)
checks=$((checks + 3))
grep -q '^step 40/40 .* val [0-9.]* ' <<< "$out" || problem "the last line has no loss of its own: $(grep '^step 4' <<< "$out")"
grep '^step' <<< "$out" | grep ' val ' | grep -v '^step [24]0/40' | grep -v ' at [24]0 ' && problem "another step's loss is taken for this one's"
grep -q '^train: validation: document [0-9]* of 1000' <<< "$out" || problem "scoring documents is silent: $(tail -5 <<< "$out")"

# ---- Ctrl-C: heard at once --------------------------------------------------------------------------------------------

# (what the terminal shows when a run is told to stop)
terminal 130 "(sleep 2; pkill -INT -P \$\$ train) & train s.tok $tiny --steps 100000000 -o stopped"
shows "train: stopping after this step, which is saved; once more stops at once"
shows "stopped; to continue: train --resume stopped"

# ---- NO_COLOR and TERM=dumb --------------------------------------------------------------------------------------------

escape=$(printf '\033')
printf 'ab\ncd' > two.txt
plain=$(tokenize -t bytes --show two.txt)
terminal 0 "env -u NO_COLOR TERM=xterm tokenize -t bytes --show two.txt"
shows "$escape["
shows "${escape}[2m97 98 10${escape}[0m" # the ids below their line, as the plain list has them
shows "${escape}[2m99 100${escape}[0m"
for plainly in NO_COLOR=1 TERM=dumb; do
    terminal 0 "env $plainly tokenize -t bytes --show two.txt"
    checks=$((checks + 1))
    [ "$out" = "$plain" ] || problem "with $plainly a terminal shows: $out"
done
terminal 0 "env NO_COLOR= TERM=xterm tokenize -t bytes --show two.txt" # empty is not set: no-color.org
shows "$escape["
terminal 0 "env TERM=dumb train s.tok $tiny --steps 60 -o dumb"
checks=$((checks + 2))
case $(cat .typescript) in *"$(printf 'step [0-9]*/60')"*) ;; esac
grep -q '^train: step 50/60 ' <<< "$out" || problem "lines of their own are missing: $out"
tr -d '\n' < .typescript | grep -q "$(printf '\r')step" && problem "TERM=dumb: lines are drawn over one another"

# ---- a conversation says what it is and how it ends -------------------------------------------------------------------

script -qec "sample run --interactive --max-tokens 3 --threads 1" talk.txt > /dev/null 2>&1 < <(sleep 1; printf 'exit\n'; sleep 1)
out=$(cat talk.txt)
shows "sample: run, 0.0 M parameters, context 8; type text to continue, /help for help, exit to end"

# ---- runs side by side fit the terminal -------------------------------------------------------------------------------

for run in a-run-with-a-long-name another-run-with-a-long-name a-third-run-with-a-long-name; do
    mkdir -p $run
    printf '{"step": 1, "tokens": 100, "loss": 4.5, "tok_s": 1000}\n{"step": 2, "tokens": 200, "loss": 3.5, "tok_s": 1000}\n' > $run/log.jsonl
    printf 'lr: 0.%s\n' ${#run} > $run/config.yaml
done
runs="a-run-with-a-long-name another-run-with-a-long-name a-third-run-with-a-long-name"
for columns in 50 80 200; do
    script -qec "stty cols $columns; $repo/pipelines/compare.sh $runs" .typescript > /dev/null 2>&1 < /dev/null
    out=$(sed '1{/^Script started/d}; ${/^Script done/d}' .typescript | tr -d '\r')
    checks=$((checks + 2))
    awk -v most=$columns 'length($0) > most { exit 1 }' <<< "$out" || problem "wider than $columns: $out"
    [ "$(grep -c '^run ' <<< "$out")" = $((columns == 200 ? 1 : columns == 80 ? 2 : 3)) ] || problem "blocks at $columns columns: $out"
    for run in $runs; do shows "$run"; done
done
finish
