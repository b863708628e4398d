# What train takes where nothing was said, why it does, and that config.yaml holds what it took.
. "$(dirname "$0")/../cli.sh"
fetch-data stories --stories 40 -q -o s.txt || problem "no stories"
tokenize -t bytes s.txt -o s.tok -q
small=(--layers 1 --heads 1 --seq-len 8 --batch-size 1 --val-fraction 0 --threads 1 --warmup 0 --decay-steps 1 --steps 2)

told() { # TEXT: in the last stderr
    checks=$((checks + 1))
    case $err in *"$1"*) ;; *) problem "stderr lacks \"$1\": $err" ;; esac
}

holds() { # FILE LINE
    checks=$((checks + 1))
    grep -qxF -e "$2" "$1" || problem "$1 lacks \"$2\": $(head -40 "$1")"
}

rates() { # RUN: of its steps
    sed -n 's/.*"step": \([0-9]*\).*"lr": \([-0-9.e]*\).*/\2/p' "$1/log.jsonl" | tr '\n' ' '
}

are() { # RUN PEAK END
    checks=$((checks + 1))
    awk -v got="$(rates "$1")" -v peak="$2" -v end="$3" 'BEGIN { n = split(got, x, " ")
        exit !(n == 2 && (x[1] - peak) ^ 2 <= (1e-6 * peak) ^ 2 && (x[2] - end) ^ 2 <= (1e-6 * end) ^ 2) }' ||
        problem "$1 has the rates $(rates "$1"), expected $2 $3"
}

# ---- learning rates: nanoGPT's 6e-4 for GPT-2 124M and 3e-5 for fine-tuning, the GPT-3 paper's for the larger sisters ------

for row in "16 2e-3 2e-4 nano" "764 2e-3 2e-4 nano" "768 6e-4 6e-5 gpt2" "1024 3e-4 3e-5 gpt2-medium" \
    "1280 2.5e-4 2.5e-5 gpt2-large" "1600 2e-4 2e-5 gpt2-xl"; do
    read -r channels peak end name <<< "$row"
    expect 0 train s.tok "${small[@]}" --channels "$channels" -o "w$channels"
    told "the default at $channels channels (as $name); --lr sets another"
    are "w$channels" "$peak" "$end"
    [ "$(grep -c 'the default at' <<< "$err")" = 1 ] || problem "the reason is given more than once: $err"
done
holds w768/config.yaml "lr: 0.0006"
awk '/^min-lr: /{ exit !(($2 - 6e-5) ^ 2 < 1e-20) }' w768/config.yaml || problem "no end rate: $(grep min-lr w768/config.yaml)"

# --init: nanoGPT's rate for fine-tuning, whatever the width
expect 0 train s.tok --init w768 --batch-size 1 --val-fraction 0 --threads 1 --warmup 0 --decay-steps 1 --steps 2 -o tuned
told "lr 3e-05, the default for --init, whose weights are trained already; --lr sets another"
are tuned 3e-5 3e-6

# what is given counts, with the end rate that belongs to it, and no reason is due
expect 0 train s.tok --init w16 --batch-size 1 --val-fraction 0 --threads 1 --warmup 0 --decay-steps 1 --steps 2 --lr 1e-3 -o given
case $err in *"--lr sets another"*) problem "a reason for a rate that was given: $err" ;; esac
are given 1e-3 2e-4
holds given/config.yaml "min-lr: null"
expect 1 train s.tok --init w16 --batch-size 1 --val-fraction 0 --min-lr 1e-4 --steps 2 -q -o rising
says "--min-lr 0.0001 is above lr 3e-05, which is implied: give --lr too"

# a run that goes on keeps its rate without another word; so does its repetition
expect 0 train --resume w768 --steps 3
case $err in *"--lr sets another"* | *"lr "*" -> "*) problem "told again: $err" ;; esac
expect 0 train --config w16/config.yaml -o again -q
same w16/last/model.safetensors again/last/model.safetensors
# an end rate that the file has belongs to the file's rate
expect 0 train --config w16/config.yaml --lr 1e-4 -o low -q
are low 1e-4 1e-4

# ---- sizes ------------------------------------------------------------------------------------------------------

expect 0 train s.tok --preset nano --seq-len 16 --batch-size 1 --val-fraction 0 --threads 1 --steps 1 -q -o nano
for line in "preset: nano" "layers: 4" "heads: 4" "channels: 128" "seq-len: 16"; do holds nano/config.yaml "$line"; done
for line in "preset: null" "layers: 1" "heads: 1" "channels: 768" "seq-len: 8"; do holds tuned/config.yaml "$line"; done
holds again/config.yaml "channels: 16"
expect 0 train --resume nano --steps 2 -q
holds nano/config.yaml "layers: 4"

# a preset or a checkpoint on the command line takes the place of a file's sizes, and that is told
expect 0 train --config w16/config.yaml --preset nano --seq-len 8 -o other
told "train: --preset takes the place of the file's channels: 16"
holds other/config.yaml "channels: 128"
holds other/config.yaml "layers: 4"
expect 0 train --config nano/config.yaml --init w16 -o other2
told "train: --init takes the place of the file's layers: 4"
holds other2/config.yaml "channels: 16"
holds other2/config.yaml "seq-len: 8"
expect 0 train --config w16/config.yaml --preset nano --channels 32 -o other3 -q
holds other3/config.yaml "channels: 32"
# sizes that contradict a checkpoint are refused as before
expect 1 train s.tok --init w16 --layers 3 -q -o refused
says "w16: has 1 layers, 3 requested"
finish
