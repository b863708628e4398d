# What becomes of a sampler whose checkpoint changes under it, since weights are read in the mapped file: cut short or
# written over, it says so and fails; replaced by a rename, it continues with what it opened.
. "$(dirname "$0")/../cli.sh"

fetch-data stories --seed 1 --stories 50 -o text.txt --quiet || problem "no stories"
tokenize --tokenizer char text.txt -o text.tok --quiet || problem "no tokens"
for seed in 1 2; do
    train text.tok --layers 1 --heads 2 --channels 32 --seq-len 64 --batch-size 2 --steps 1 --seed $seed --threads 1 \
        -o run$seed --quiet || problem "no run"
done

# talk NAME COMMAND...: a line to the sampler of m.safetensors, the command once it has answered, and another line; its exit
# status in $code, stderr in $err
talk() {
    local name=$1 pid
    shift
    rm -f talk "$name".out
    mkfifo talk
    cp -L run1/model.safetensors m.safetensors
    sample --checkpoint m.safetensors --interactive --max-tokens 20 --seed 1 --dtype fp32 --threads 1 --quiet \
        < talk > "$name".out 2> "$name".err &
    pid=$!
    exec 9> talk
    echo Once >&9
    for _ in $(seq 300); do
        [ -s "$name".out ] && break
        sleep 0.1
    done
    sleep 0.1 # time stamps of files have a coarse clock
    "$@"
    echo upon >&9
    exec 9>&-
    wait $pid
    code=$? err=$(cat "$name".err)
    checks=$((checks + 1))
}

cut() { : > m.safetensors; }
talk cut cut
[ $code = 1 ] || problem "a checkpoint that was truncated: exit $code"
says "sample: m.safetensors: became shorter while it was read"

overwrite() { printf x | dd of=m.safetensors bs=1 seek=$(($(stat -c %s m.safetensors) - 1)) conv=notrunc status=none; }
talk overwritten overwrite
[ $code = 1 ] || problem "a checkpoint that was written to: exit $code"
says "sample: m.safetensors: was written to while it was read: the results may be of neither version"
rewrite() { cat run2/model.safetensors > m.safetensors; } # truncated for a moment: either message
talk rewritten rewrite
[ $code = 1 ] || problem "a checkpoint that was rewritten: exit $code"
says "sample: m.safetensors: "

replace() { cp -L run2/model.safetensors new && mv new m.safetensors; }
talk quiet true
[ $code = 0 ] || problem "a checkpoint that stays: exit $code, $err"
talk replaced replace
[ $code = 0 ] || problem "a checkpoint that was replaced: exit $code, $err"
same quiet.out replaced.out
finish
