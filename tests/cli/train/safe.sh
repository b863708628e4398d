# train when something goes wrong: numbers, steps that stand out, kill -9, full disks, signals; what --resume refuses; --dry-run.
[ -w /dev/shm ] && export TMPDIR=/dev/shm # hundreds of checkpoints, each flushed
. "$(dirname "$0")/../cli.sh"
small=(--layers 2 --heads 2 --channels 32 --seq-len 32 --batch-size 4 --warmup 3 --eval-every 0 --eval-batches 2
    --threads 2 --quiet)

fetch-data stories --seed 1 --stories 200 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"

# what does not depend on the clock
log() {
    sed -E 's/, "tok_s": .*//' "$1/log.jsonl"
}


# ---- numbers that are not finite: the step, the tensor, the last good checkpoint -------------------------------
expect 1 train text.tok "${small[@]}" --warmup 0 --lr 10 --min-lr 10 --grad-clip 0 --weight-decay 10 --save-every 1 \
    --grad-accum 2 --steps 60 -o nan
says "not finite; the first that is not: "
step=$(sed -E 's/.*step ([0-9]+):.*/\1/' <<< "$err")
last=$(printf 'ckpt-%08d' $((step - 1))) # saved after every step; the first ones are always finite
says "the last good checkpoint: nan/$last; nothing was updated"
checks=$((checks + 1))
[ "$(readlink nan/last)" = "$last" ] || problem "nan/last is $(readlink nan/last)"
[ "$(grep -c '"loss"' nan/log.jsonl)" = $((step - 1)) ] || problem "the log does not end before step $step"
expect 0 sample --checkpoint nan/last --prompt a --max-tokens 0 --quiet # its weights are finite; what they make need not be

# ---- what a run would be: nothing is written, and the sums are right ---------------------------------------------
# 2 layers of 12 CC + 13 C, the final norm 2C, and the embeddings VC + TC, at C 32, T 32
expect 0 train text.tok "${small[@]}" --steps 100 --grad-accum 3 --dry-run --json -o dry
absent dry
vocab=$(tokenize --info text.tok | sed -nE 's/.*, ([0-9]+) ids,.*/\1/p')
parameters=$((2 * (12 * 32 * 32 + 13 * 32) + 2 * 32 + vocab * 32 + 32 * 32))
for member in "\"parameters\": $parameters," "\"tokens_step\": 384," "\"steps\": 100," "\"tokens\": 38400," \
    "\"flops_token\": $((3 * (2 * (2 * 12 * 32 * 32 + 32 * vocab) + 4 * 2 * 32 * 32))),"; do
    checks=$((checks + 1))
    case $out in *"$member"*) ;; *) problem "--dry-run --json lacks $member: $out" ;; esac
done
member() { sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p" <<< "$out"; }
checks=$((checks + 1))
[ "$(member optimizer)" = $((2 * $(member weights))) ] || problem "two moments are not twice the weights: $out"
kept=$(member activations)
level() { sed -nE "s/.*\"$1\": \{\"memory\": ([0-9]+), \"largest_batch\": ([0-9]+)\}.*/\\$2/p" <<< "$out"; }
before=$out
for recompute in none norms block; do
    expect 0 train text.tok "${small[@]}" --dry-run --json --recompute $recompute
    checks=$((checks + 2))
    planned=$(($(member total) - $(member process))) # without what differs by a page from one process to the next
    [ $planned = $(($(out=$before level $recompute 1) - $(out=$before member process))) ] ||
        problem "--recompute $recompute takes $(member total) bytes, the table has $before"
    [ "$recompute" = none ] || [ "$(member activations)" -lt "$kept" ] ||
        problem "recompute takes no less memory: $out"
    kept=$(member activations)
done
checks=$((checks + 1))
[ "$(level none 2)" -gt 4 ] && [ "$(level norms 2)" -gt "$(level none 2)" ] &&
    [ "$(level block 2)" -gt "$(level norms 2)" ] || problem "less memory a row, but no more rows: $out"
expect 0 train text.tok "${small[@]}" --dry-run
case $out in *"parameters"*"gradients"*"tok/s"*"the run "*) ;; *) problem "--dry-run printed $out" ;; esac
warns train text.tok "${small[@]}" --steps 2 --json -o summed
says '{"step": 2, "steps": 2, "tokens": 256, "loss": '

# ---- no master weights where there are none ------------------------------------------------------------------------
expect 1 train text.tok "${small[@]}" --backend ref --dtype fp32 --no-master-weights -o none
says "training without master weights requires dtype bf16, and backend ref computes in fp32; use --dtype bf16"
absent none

# ---- steps that stand out change nothing -----------------------------------------------------------------------
outliers=("${small[@]}" --skip-norm-z 0.5 --dropout 0.1 --save-every 1 --keep 1000)
expect 0 train text.tok "${outliers[@]}" --steps 150 -o whole
skipped=$(sed -nE 's/.*"step": ([0-9]+),.*"skipped": true.*/\1/p' whole/log.jsonl)
checks=$((checks + 2))
[ -n "$skipped" ] || problem "no step was skipped"
for step in $skipped; do
    [ "$step" -gt 128 ] || problem "step $step was skipped before 128 were seen"
    same "$(printf 'whole/ckpt-%08d/model.safetensors' $((step - 1)))" \
        "$(printf 'whole/ckpt-%08d/model.safetensors' "$step")"
done
step=$(head -1 <<< "$skipped")
cmp -s "$(printf 'whole/ckpt-%08d/model.safetensors' $((step - 2)))" \
    "$(printf 'whole/ckpt-%08d/model.safetensors' $((step - 1)))" && problem "step $((step - 1)) changed nothing"
expect 0 train text.tok "${outliers[@]}" --steps 135 --decay-steps 150 -o part
expect 0 train --resume part --steps 150 --quiet
same whole/last/model.safetensors part/last/model.safetensors
same whole/last/state.safetensors part/last/state.safetensors
expect 2 train text.tok --skip-loss-z 12 -o new
says "skip-loss-z"

# ---- kill -9 at random moments: always readable, and at the end the same bytes ----------------------------------
often=("${small[@]}" --dropout 0.1 --eval-every 3 --save-every 1 --sample-every 4 --keep 2 --grad-accum 3 --steps 160)
expect 0 train text.tok "${often[@]}" -o sound
RANDOM=1 killed=0
lines() { [ -e beaten/log.jsonl ] && wc -l < beaten/log.jsonl || echo 0; }
train text.tok "${often[@]}" -o beaten 2> /dev/null &
for _ in $(seq 20); do
    goal=$(($(lines) + 1 + RANDOM % 10))
    while [ "$(lines)" -lt $goal ] && kill -0 $! 2> /dev/null; do sleep 0.01; done
    sleep "0.00$((RANDOM % 10))"
    kill -9 $! 2> /dev/null && killed=$((killed + 1))
    wait $! 2> /dev/null
    if [ -e beaten/last ]; then # what is there can be read at any moment
        expect 0 convert-gpt2 beaten --info
    fi
    train --resume beaten --quiet 2>> beaten.err &
done
wait $!
checks=$((checks + 1))
[ $killed -ge 5 ] || problem "only $killed runs were killed before they ended"
expect 0 train --resume beaten --quiet
same sound/last/model.safetensors beaten/last/model.safetensors
same sound/last/state.safetensors beaten/last/state.safetensors
same sound/best/state.safetensors beaten/best/state.safetensors
same sound/samples.txt beaten/samples.txt
same <(log sound) <(log beaten)
same <(ls sound | grep ckpt) <(ls beaten | grep ckpt)

# ---- back to any kept checkpoint: what came later is removed, and comes again the same --------------------------
expect 0 train text.tok "${often[@]}" --steps 40 --decay-steps 40 --keep 100 -o back
cp -r back again
expect 0 train --resume again/ckpt-00000017 --steps 20
says_any() {
    checks=$((checks + 1))
    case $err in *"$1"*) ;; *) problem "stderr lacks \"$1\": $err" ;; esac
}
says_any "changed at step 17: steps 40 -> 20"
[ ! -e again/ckpt-00000021 ] || problem "a later checkpoint stays"
expect 0 train --resume again --steps 40 --quiet
same back/last/state.safetensors again/last/state.safetensors
same back/samples.txt again/samples.txt
same <(log back | grep '"loss"') <(log again | grep '"loss"')
checks=$((checks + 1))
[ "$(sed -E 's/.*"step":([0-9]+),.*/\1/' again/history.jsonl | tr '\n' ' ')" = "0 17 20 " ] || problem "the history is $(cat again/history.jsonl)"
grep -q '"changed":{"steps":\["40","20"\]}' again/history.jsonl || problem "the history lacks the change of steps"
expect 1 train --resume back/ckpt-00000099
cp -r back broken
echo x > broken/ckpt-00000040/state.safetensors
warns train --resume broken --quiet
says "broken/ckpt-00000040/state.safetensors: is not a safetensors file: it has 2 bytes; it was renamed ckpt-00000040.damaged, and training continues from step 39"
same back/last/state.safetensors broken/last/state.safetensors
same back/ckpt-00000040/model.safetensors broken/ckpt-00000040.damaged/model.safetensors

# ---- what cannot be continued from is never begun again ---------------------------------------------------------
count() { ls -d "$1"/ckpt-* | wc -l; }
# the state says another step: the first digit of step 40, of which the header has but one after "step"
cp -r back other
LC_ALL=C sed -i 's/"step":"40"/"step":"30"/' other/ckpt-00000040/state.safetensors
cmp -s back/ckpt-00000040/state.safetensors other/ckpt-00000040/state.safetensors && problem "no digit was changed"
before=$(count other)
warns train --resume other --quiet
says "; it was renamed ckpt-00000040.damaged, and training continues from step 39"
checks=$((checks + 1))
[ "$(count other)" = $((before + 1)) ] || problem "of $before checkpoints $(count other) are left"
same back/last/state.safetensors other/last/state.safetensors
same back/samples.txt other/samples.txt
# all are damaged; all are gone, but were there; the last one's name alone is left
cp -r back none
for f in none/ckpt-*/state.safetensors; do echo x > $f; done
ls none/ckpt-* > none.before
expect 1 train --resume none --quiet
says "none: has no checkpoint to continue from: none/ckpt-00000040/state.safetensors: is not a safetensors file"
ls none/ckpt-* > none.after
same none.before none.after
same back/log.jsonl none/log.jsonl
for what in damaged tar; do
    for f in none/ckpt-????????; do mv $f $f.$what; done
    expect 1 train --resume none --quiet
    says "has no checkpoint to continue from, though there is "
    for f in none/ckpt-*.$what; do mv $f ${f%.$what}; done
done
rm -r none/ckpt-*
expect 1 train --resume none --quiet
says "though there is best"
rm none/best
expect 1 train --resume none --quiet
says "though there is last"
same back/log.jsonl none/log.jsonl
# a file that may not be read just now is no reason to take an older one
if [ "$(id -u)" != 0 ]; then
    cp -r back shut
    chmod 0 shut/ckpt-00000040/state.safetensors
    expect 1 train --resume shut --quiet
    says "shut/ckpt-00000040/state.safetensors: Permission denied"
    chmod 600 shut/ckpt-00000040/state.safetensors
    same back/ckpt-00000040/state.safetensors shut/ckpt-00000040/state.safetensors
fi
# links that are not the run's, and a line of the log that is damaged
mkdir thesis
echo thesis > thesis/thesis.txt
echo precious > precious.txt
for name in .lock log.jsonl samples.txt history.jsonl; do
    cp -r back linked
    rm linked/$name
    ln -s ../precious.txt linked/$name
    expect 1 train --resume linked --steps 42 --quiet
    says "linked/$name: is a symbolic link"
    checks=$((checks + 1))
    [ "$(cat precious.txt)" = precious ] || problem "$name was written through"
    rm -r linked
done
cp -r back linked
ln -s ../thesis linked/ckpt-00000002.link
rm -r linked/ckpt-00000002
ln -s ../thesis linked/ckpt-00000002
expect 0 train --resume linked --steps 42 --keep 5 --quiet
absent linked/ckpt-00000002
checks=$((checks + 1))
[ "$(cat thesis/thesis.txt)" = thesis ] || problem "what ckpt-00000002 points to is gone"
cp -r back spoiled
sed -i '20s/loss/lo\x01s/' spoiled/log.jsonl
sed -n '20,$p' spoiled/log.jsonl > rest.jsonl
warns train --resume spoiled --quiet
says "spoiled/log.jsonl: has a damaged line; it and what follows it are kept as log.jsonl.damaged"
same rest.jsonl spoiled/log.jsonl.damaged
# killed after its first file, and after a link was not yet made
mkdir early
cp back/config.yaml early
expect 0 train --resume early --quiet
same back/last/state.safetensors early/last/state.safetensors
cp -r back unlinked
rm unlinked/last unlinked/best unlinked/model.safetensors
expect 0 train --resume unlinked --quiet
for link in last best model.safetensors; do
    checks=$((checks + 1))
    [ "$(readlink unlinked/$link)" = "$(readlink back/$link)" ] || problem "unlinked/$link is $(readlink unlinked/$link)"
done

# what is left of a run, and that it can be gone on with, without a trace in it
find back -type f -exec sha256sum {} + | sort > before.sums
expect 0 train --resume back --steps 50 --dry-run --json
holds() {
    checks=$((checks + 1))
    case $out in *"$1"*) ;; *) problem "stdout lacks \"$1\": $out" ;; esac
}
holds '"steps": 10, "tokens": 3840,'
says_any "changed at step 40: steps 40 -> 50"
expect 0 train --resume back/ckpt-00000035 --dry-run --json
holds '"steps": 5, '
expect 1 train --resume back --layers 3 --dry-run
says "sizes cannot change"
expect 1 train --resume back --init-std 0.5 --dry-run
says "--init-std is 0.02 in this run and cannot become 0.5"
same before.sums <(find back -type f -exec sha256sum {} + | sort)

# a run at its end is told so, and told nothing twice
expect 0 train text.tok "${small[@]}" --seq-len 256 --steps 2 -o ended
cp ended/log.jsonl ended.jsonl
[ "$(grep -c '"documents"' ended.jsonl)" = 1 ] || problem "no documents were scored: $(cat ended.jsonl)"
expect 0 train --resume ended
says_any "step 2 is reached already: --steps gives the run more than its 2"
same ended.jsonl ended/log.jsonl
head -n -1 ended.jsonl > ended/log.jsonl # killed between its last checkpoint and the scores
expect 0 train --resume ended --quiet
same ended.jsonl ended/log.jsonl

# what all runs of a sweep share may be said of one that goes on: what it leaves out is not changed by it
train text.tok "${small[@]}" --steps 2 --no-quiet --seq-len 256 --print-config > base.yaml
grep -q '^out: null' base.yaml || problem "base.yaml has $(grep '^out' base.yaml)"
expect 0 train --config base.yaml --resume ended --steps 3 --quiet
checks=$((checks + 1))
grep -q '^out: ended$' ended/config.yaml || problem "the run lies in $(grep '^out' ended/config.yaml)"

# TensorBoard's file: 40 bytes, a record a step and one an evaluation; resumed, none is there twice
tb=("${small[@]}" --eval-every 5 --save-every 3 --keep 9 --tensorboard)
expect 0 train text.tok "${tb[@]}" --steps 10 -o tb
expect 0 train text.tok "${tb[@]}" --steps 7 --decay-steps 10 -o tb2
expect 0 train --resume tb2/ckpt-00000003 --steps 10 --quiet
checks=$((checks + 1))
[ "$(wc -c < tb/events.out.tfevents.train)" = "$(wc -c < tb2/events.out.tfevents.train)" ] ||
    problem "the resumed event file is not as long as the whole one"

# ---- what cannot change, what is not ours -----------------------------------------------------------------------
expect 1 train --resume back --layers 3 --quiet
says "3 requested; a checkpoint's sizes cannot change"
expect 1 train --resume back --preset gpt2 --quiet
says "--preset is nano in this run and cannot become gpt2"
fetch-data stories --seed 2 --stories 100 -o other.txt --quiet
tokenize --tokenizer text.tok other.txt -o other.tok --quiet
expect 1 train --resume back --data other.tok --quiet
says "other data"
# as many tokens, but others: a .tok by its CRC, a raw stream by what is in it
for seed in 3 4; do
    fetch-data stories --seed $seed --stories 100 -o alike.txt --quiet
    head -c 10000 alike.txt | tokenize --tokenizer text.tok -o alike$seed.tok --quiet
    tokenize --decode alike$seed.tok | tokenize --tokenizer text.tok --format llmc -o alike$seed.bin --quiet
done
for kind in tok bin; do
    expect 0 train alike3.$kind --vocab-size 56 "${small[@]}" --val alike3.$kind --steps 2 -o alike-$kind
    expect 1 train --resume alike-$kind --data alike4.$kind --steps 3 --quiet
    says "was trained on other data: 10000 tokens"
    expect 0 train --resume alike-$kind --val alike4.$kind --steps 3
    says_any "the validation data change"
done
expect 0 train --resume alike-tok --steps 4 --quiet
expect 2 train --resume back --init back
says "--init"
expect 2 train --resume back --out elsewhere
says "--out"
cp -r back newer
sed -i -E 's/^  version: .*/  version: 99.1.0/' newer/config.yaml
expect 1 train --resume newer
says "was written by gptpipe 99.1.0, which is newer"
mkdir foreign
echo "learning_rate = 1" > foreign/config.yaml
expect 1 train --resume foreign
says "is not a run of train"
rm foreign/config.yaml
expect 1 train --resume foreign
says "is not a run directory"
if [ "$(id -u)" != 0 ]; then
    chmod a-w newer
    expect 1 train --resume newer
    says "cannot be written"
    chmod u+w newer
elif chmod a+rx "$here" && setpriv --reuid 65534 --regid 65534 --clear-groups train --version > /dev/null 2>&1; then
    expect 1 setpriv --reuid 65534 --regid 65534 --clear-groups train --resume back
    says "back: belongs to user 0 and cannot be written: --init back begins a run of your own with it"
else
    echo "skipped: root may write everywhere, and cannot become another user here; a run of another user is not tried"
fi

# ---- a second train on a run that is being written; a second Ctrl-C ---------------------------------------------
wait_for() { # FILE: until it is there and not empty
    for _ in $(seq 100); do
        [ -s "$1" ] && return
        sleep 0.1
    done
    problem "$1 did not come"
}
train text.tok "${small[@]}" --steps 100000000 --save-every 1 -o busy 2> busy.err &
pid=$!
wait_for busy/last/state.safetensors
expect 1 train --resume busy
says "is being written by process $pid"
expect 1 train text.tok "${small[@]}" -o busy
kill -INT $pid
kill -INT $pid
wait $pid
code=$?
checks=$((checks + 1))
[ $code = 130 ] || problem "two interrupts: exit $code"
expect 0 sample --checkpoint busy --prompt a --max-tokens 1 --quiet

# a terminal that hangs up stops a run as Ctrl-C does; one that was started with nohup it does not
train --resume busy > /dev/null 2> hangup.err &
pid=$!
for _ in $(seq 100); do
    [ "$(tail -1 busy/history.jsonl)" != "$(head -1 busy/history.jsonl)" ] && [ "$(tail -1 busy/.lock)" = $pid ] && break
    sleep 0.1
done
sleep 0.3
kill -HUP $pid
wait $pid
code=$?
checks=$((checks + 1))
[ $code = 129 ] || problem "a hang-up: exit $code: $(cat hangup.err)"
grep -q "to continue: train --resume busy" hangup.err || problem "a hang-up is not told: $(cat hangup.err)"
before=$(readlink busy/last)
nohup train --resume busy --quiet > /dev/null 2>&1 &
pid=$!
until [ "$(readlink busy/last)" != "$before" ] || ! kill -0 $pid; do sleep 0.1; done
kill -HUP $pid
sleep 0.3
checks=$((checks + 1))
kill -0 $pid 2> /dev/null || problem "nohup's run ended at a hang-up"
kill -TERM $pid
wait $pid

# ---- a disk that fills: training goes on, the next save is tried ------------------------------------------------
(ulimit -S -f 60 && exec train text.tok "${small[@]}" --steps 100000000 --save-every 20 --tensorboard -o full) 2> full.err &
pid=$!
for _ in $(seq 100); do
    grep -q "log.jsonl: cannot be written" full.err 2> /dev/null &&
        grep -q "events.out.tfevents.train: cannot be written" full.err && break
    sleep 0.1
done
checks=$((checks + 1))
[ -e full/last ] && problem "a checkpoint was saved beyond the limit"
grep -q "training continues, the last checkpoint remains" full.err || problem "a save that failed is not told: $(head -3 full.err)"
if command -v prlimit > /dev/null && prlimit --pid $pid --fsize=unlimited:unlimited 2> /dev/null; then
    wait_for full/last/state.safetensors
    kill -TERM $pid
    wait $pid
    code=$?
    checks=$((checks + 1))
    [ $code = 143 ] || problem "a run on a full disk was stopped with exit $code: $(tail -1 full.err)"
    checks=$((checks + 1))
    [ "$(grep -c '"loss"' full/log.jsonl)" = "$(sed -nE '$s/.*"step": ([0-9]+),.*/\1/p' full/log.jsonl)" ] ||
        problem "the log has lost lines"
    checks=$((checks + 1))
    [ "$(grep -ao grad_norm full/events.out.tfevents.train | wc -l)" = "$(grep -c '"loss"' full/log.jsonl)" ] ||
        problem "TensorBoard's file has lost steps: it has $(grep -ao grad_norm full/events.out.tfevents.train | wc -l)"
    expect 0 train --resume full --steps $(($(grep -c '"loss"' full/log.jsonl) + 2)) --quiet
else
    echo "skipped: prlimit cannot lift the limit of a running process, so the disk is not emptied again"
    kill -9 $pid
    wait $pid 2> /dev/null
fi

# still full at the end: the last save is tried, and what cannot be written is told
expect 1 bash -c 'ulimit -S -f 20; exec train text.tok "$@" --steps 30 -o never' - "${small[@]}"
says "model.safetensors: cannot be written: File too large"
absent never/last
expect 0 train --resume never --quiet
(ulimit -S -f 60 && exec train text.tok "${small[@]}" --channels 8 --steps 900 --save-every 0 --tensorboard -o short) 2> short.err
code=$?
logged=$(grep -c '"loss"' short/log.jsonl) drawn=$(grep -ao grad_norm short/events.out.tfevents.train | wc -l)
checks=$((checks + 1))
# besides the steps there is an evaluation in both
[ $code = 0 ] && [ "$logged" -lt 900 ] && [ "$drawn" -lt 900 ] && [ -e short/last ] &&
    grep -q "short/log.jsonl lacks $((901 - logged)) records: short/log.jsonl: cannot be written" short.err &&
    grep -q "short/events.out.tfevents.train lacks $((901 - drawn)) records: " short.err ||
    problem "files that stay short (exit $code, $logged logged, $drawn drawn): $(cat short.err)"

# ---- a data file that shrinks while it is mapped ----------------------------------------------------------------
cp text.tok shrinks.tok
train shrinks.tok "${small[@]}" --steps 100000000 --save-every 5 -o shrunk 2> shrunk.err &
pid=$!
wait_for shrunk/last/state.safetensors
: > shrinks.tok
wait $pid
code=$?
err=$(cat shrunk.err)
checks=$((checks + 1))
[ $code = 1 ] || problem "a file that shrank: exit $code"
says "shrinks.tok: became shorter"
cp text.tok shrinks.tok
expect 0 train --resume shrunk --steps $(($(readlink shrunk/last | tr -dc 0-9 | sed 's/^0*//') + 2)) --quiet
finish
