# train: a run and what it leaves; the same again; stopped and resumed; bad input.
. "$(dirname "$0")/../cli.sh"
small=(--layers 2 --heads 2 --channels 32 --seq-len 32 --batch-size 4 --warmup 3 --eval-every 4 --eval-batches 2
    --threads 2 --quiet)

fetch-data stories --seed 1 --stories 200 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"

# what does not depend on the clock
losses() {
    sed -E 's/, "tok_s": .*//' "$1/log.jsonl"
}

expect 0 train text.tok "${small[@]}" --steps 12 --dropout 0.1 --grad-accum 2 -o run
for f in config.yaml config.json tokenizer.json model.safetensors last/state.safetensors best log.jsonl; do
    checks=$((checks + 1))
    [ -e "run/$f" ] || problem "run/$f is missing"
done
checks=$((checks + 1))
[ "$(grep -c '"loss"' run/log.jsonl)" = 12 ] || problem "log.jsonl does not have one line a step"

# --config repeats a run, bit for bit
expect 0 train --config run/config.yaml -o again --quiet
same run/model.safetensors again/model.safetensors
same <(losses run) <(losses again)

# stopped at a step and resumed = never stopped: weights, moments, log
expect 0 train text.tok "${small[@]}" --steps 5 --decay-steps 12 --dropout 0.1 --grad-accum 2 -o part
expect 0 train --resume part --steps 12 --quiet
same run/model.safetensors part/model.safetensors
same run/last/state.safetensors part/last/state.safetensors
same <(losses run | grep '"loss"') <(losses part | grep '"loss"')

# and so without master weights, whose checkpoint has bf16 numbers where matrices are
narrow=("${small[@]}" --backend ref --dtype bf16 --no-master-weights --eval-every 0 --dropout 0.1)
expect 0 train text.tok "${narrow[@]}" --steps 6 -o narrow
expect 0 train text.tok "${narrow[@]}" --steps 3 --decay-steps 6 -o narrow-part
expect 0 train --resume narrow-part --steps 6 --quiet
same narrow/model.safetensors narrow-part/model.safetensors
same narrow/last/state.safetensors narrow-part/last/state.safetensors
checks=$((checks + 1))
grep -q '^master-weights: false' narrow/config.yaml || problem "config.yaml does not say master-weights: false"
expect 0 convert-gpt2 narrow -o narrow.safetensors --dtype bf16
expect 0 convert-gpt2 narrow.safetensors -o widened.safetensors
tensor() { # FILE NAME: its bytes, of a file with fp32
    local header at
    header=$(head -c 8 "$1" | od -An -tu8 | tr -d ' ')
    at=$(head -c $((8 + header)) "$1" | tail -c +9 | sed -E "s/.*\"$2\":\{[^}]*\"data_offsets\":\[([0-9]+),([0-9]+)\].*/\1 \2/")
    tail -c +$((9 + header + ${at% *})) "$1" | head -c $((${at#* } - ${at% *}))
}
for name in transformer.wte.weight transformer.h.1.mlp.c_fc.weight; do
    same <(tensor narrow/last/model.safetensors $name) <(tensor widened.safetensors $name)
done

# activations made again in place of kept: the same bits
for level in norms block; do
    expect 0 train --config run/config.yaml --recompute $level -o again-$level --quiet
    same run/model.safetensors again-$level/model.safetensors
done

# killed by a signal in the middle: it finishes the step, saves, says how to go on
train text.tok "${small[@]}" --steps 100000 -o killed 2> killed.err &
pid=$!
for _ in $(seq 100); do
    [ -s killed/log.jsonl ] && break
    sleep 0.1
done
kill -INT $pid
wait $pid
code=$?
checks=$((checks + 1))
[ $code = 130 ] || problem "an interrupted run exited with $code, expected 130"
stopped=$(grep -c '"loss"' killed/log.jsonl)
expect 0 train --resume killed --steps $((stopped + 3)) --quiet
checks=$((checks + 1))
[ "$(grep -c '"loss"' killed/log.jsonl)" = $((stopped + 3)) ] || problem "the resumed log has not one line a step"

# a dry run prints what it knows before it times steps, and the first Ctrl-C ends it: there is nothing to save
env --default-signal=INT train text.tok --layers 2 --heads 8 --channels 512 --seq-len 256 --batch-size 64 --dry-run > dry.txt 2> dry.err &
pid=$!
for _ in $(seq 600); do
    grep -q '^step ' dry.txt && break
    sleep 0.05
done
kill -INT $pid
wait $pid
code=$?
checks=$((checks + 1))
[ $code = 130 ] && grep -q '^memory ' dry.txt && ! grep -q '^time ' dry.txt ||
    problem "a dry run that was interrupted exited with $code: $(cat dry.txt dry.err)"
expect 0 train text.tok --layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --dry-run
checks=$((checks + 1))
grep -q '^time .* a step, the median of 20; ' <<< "$out" || problem "small steps are few: $out"

# whose products were used is part of the machine, since another's have other bits; ref has no choice of them
expect 0 train text.tok --layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --dry-run --backend cpu --dtype fp32
checks=$((checks + 1))
grep -qE '^machine .*, products by (oneDNN [0-9.]+|own kernels)$' <<< "$out" || problem "whose products: $out"
expect 0 train text.tok --layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --dry-run --backend ref
checks=$((checks + 1))
grep '^machine' <<< "$out" | grep -q products && problem "ref's products: $out"

# on a terminal one line, as wide as it is and no wider, which stays with the last losses; on a pipe lines
if script -qec true /dev/null > /dev/null 2>&1; then
    for columns in 60 200; do
        script -qec "stty cols $columns; train text.tok ${small[*]} --no-quiet --steps 8 --eval-every 8 -o tty$columns" /dev/null |
            tr '\r' '\n' | grep '^step .*loss' | sed 's/ *$//' > tty$columns.txt
        checks=$((checks + 3))
        awk -v most=$columns 'length($0) >= most { exit 1 }' tty$columns.txt ||
            problem "a line is wider than $columns columns: $(cat tty$columns.txt)"
        case $(tail -1 tty$columns.txt) in "step 8/8 "*"loss "*" val "*" left") ;; *) problem "the last line is $(tail -1 tty$columns.txt)" ;; esac
        [ "$(grep -c . tty$columns.txt)" -le 5 ] || problem "8 steps were drawn $(grep -c . tty$columns.txt) times"
    done
    for part in lr norm tok/s MFU MB; do
        checks=$((checks + 1))
        grep -q " $part\|$part " tty200.txt || problem "a wide line lacks $part: $(tail -1 tty200.txt)"
    done
else
    echo "skipped: the line on a terminal, script is missing (bsdutils)"
fi
expect 0 train text.tok "${small[@]}" --no-quiet --steps 7 --log-every 5 -o lines
checks=$((checks + 1))
grep '^train: step ./7 ' <<< "$err" | grep ' val ' && problem "a validation loss of another step stands in a step's line: $err"
[ "$(sed -nE 's|^train: step (.)/7  loss .*|\1|p' <<< "$err" | tr '\n' ' ')" = "5 7 " ] || problem "on a pipe it says: $err"

# a checkpoint on stdout, a stream from stdin
expect 0 bash -c "set -o pipefail; cat text.tok | train ${small[*]} --steps 3 | sample --prompt Once --max-tokens 5 --quiet"
case $out in Once*) ;; *) problem "the pipe gave: $out" ;; esac
expect 0 bash -c "cat text.tok | train ${small[*]} --steps 3 -o piped"
expect 0 train --config piped/config.yaml -o piped2 --quiet
same piped/model.safetensors piped2/model.safetensors

# from a checkpoint
expect 0 train text.tok --init run "${small[@]}" --steps 2 --lr 0 --min-lr 0 --dropout 0.1 -o from
expect 0 convert-gpt2 run -o a.safetensors
expect 0 convert-gpt2 from -o b.safetensors
same a.safetensors b.safetensors

# bad input: one line, exit 1 (2 for the command line), nothing left
expect 1 train text.tok "${small[@]}" --steps 1 -o run
says "never overwritten"
expect 1 train missing.tok "${small[@]}" -o new
says "missing.tok"
absent new
head -c 3000 text.tok > cut.tok
expect 1 train cut.tok "${small[@]}" -o new
says "cut.tok"
absent new
expect 1 bash -c "head -c 3000 text.tok | train ${small[*]} -o new"
says "cut short"
absent new
expect 1 bash -c ": | train ${small[*]} -o new"
says "empty"
absent new
(printf 'NOTATOK1'; tail -c +9 text.tok) > magic.tok
expect 1 train magic.tok "${small[@]}" -o new
says "magic.tok"
absent new
# a header that contradicts the tokenizer behind it: another vocabulary, another fingerprint
for at in 16 40; do
    cp text.tok liar.tok
    printf '\x42' | dd of=liar.tok bs=1 seek=$at conv=notrunc status=none
    expect 1 train liar.tok "${small[@]}" -o new
    says "liar.tok: is corrupt: its header, with a vocabulary of $([ $at = 16 ] && echo 66 || echo 56), does not match the tokenizer in it"
    absent new
done
printf 'abcabc' | tokenize --tokenizer char -o short.tok --quiet
expect 1 train short.tok "${small[@]}" --val-fraction 0 -o new
says "tokens"
absent new
expect 1 train short.tok --init run "${small[@]}" -o new
says "tokenizer"
absent new
expect 2 train text.tok --channels 33 --heads 2 --steps -1 -o new
expect 1 train text.tok "${small[@]}" --channels 33 --heads 2 -o new
says "heads"
absent new
expect 2 train text.tok --stepz 3
says "--steps"
expect 1 bash -c "train text.tok ${small[*]} --steps 1 -o - > /dev/full"
says "No space left"
expect 1 bash -c "set -o pipefail; train text.tok ${small[*]} --steps 1 -o - | true"
says "pipe"
expect 1 train --resume nowhere
expect 1 train --resume "$here"
finish
