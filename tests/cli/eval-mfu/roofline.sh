# eval-mfu --roofline: docs/gpu.md holds what its commands print, to the byte (bash tests/cli/eval-mfu/roofline.sh --write renews it),
# and what does not go together is refused.
. "$(dirname "$0")/../cli.sh"

# The page with every command of its blocks run anew: in a block, what stands below a "$ " line is its output.
render() {
    local line inside=no shown=yes
    while IFS= read -r line; do
        case $line in
        '```console') inside=yes shown=no ;;
        '```') inside=no shown=yes ;;
        esac
        [ "$line" != '```console' ] || printf '%s\n' "$line"
        case $inside$shown$line in
        yesno'$ '*)
            printf '%s\n' "$line"
            (eval "${line#??}")
            ;;
        noyes*) printf '%s\n' "$line" ;;
        esac
    done < "$1"
}
render "$repo/docs/gpu.md" > gpu.md
if [ "${1:-}" = --write ]; then
    cp gpu.md "$repo/docs/gpu.md"
fi
checks=$((checks + 1))
cmp -s gpu.md "$repo/docs/gpu.md" || problem "docs/gpu.md is not what its commands print: $(diff "$repo/docs/gpu.md" gpu.md)"
checks=$((checks + 1))
[ "$(grep -c '^\$ eval-mfu' gpu.md)" -ge 9 ] || problem "docs/gpu.md has few commands"
checks=$((checks + 1))
grep -qxF "    $(grep -m1 '^train .* on h200' gpu.md)" "$repo/docs/manual/eval-mfu.md" || problem "the manual's example is another"

small="--preset nano --layers 1 --heads 2 --channels 16 --vocab-size 31 --seq-len 16 --batch-size 2"
expect 0 eval-mfu $small --roofline h200 --json
case $out in '{"measured": false, "parameters": 7904, "device": "h200", "dtype": "bf16", '*'"train": {'*'"decode": {'*) ;;
*) problem "the JSON: $out" ;; esac
by_roofline=$out
expect 0 eval-mfu $small --paper h200 --json # the option's older name, on the command line and in a file
[ "$out" = "$by_roofline" ] || problem "--paper is not --roofline: $out"
echo 'paper: h200' > paper.yaml
expect 0 eval-mfu $small --config paper.yaml --json
[ "$out" = "$by_roofline" ] || problem "paper: in a file is not roofline: $out"
expect 0 eval-mfu $small --roofline a100 --passes forward
case $out in *"train"*) problem "only forward was asked for: $out" ;; esac
case $out in *"What it should reach"*) ;; *) problem "no reasons: $out" ;; esac

# a checkpoint's sizes are enough
fetch-data stories --stories 50 --quiet | tokenize --tokenizer char --quiet |
    train --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 1 --quiet > tiny.safetensors
expect 0 eval-mfu -c tiny.safetensors --roofline h100 --passes decode --quiet
case $out in *"1 layers, 1 heads, 16 channels"*"decode 1 x 1 on h100"*) ;; *) problem "a checkpoint: $out" ;; esac
expect 1 eval-mfu -c tiny.safetensors --roofline h100 --seq-len 33
says "33 tokens a sequence: the model's context is 32"

for ignored in '--sweep batch=1,2' '--peak 1e12' '--attention cudnn' '--seconds 1' '--backend cpu' '--dtype fp32' '--threads 2'; do
    expect 2 eval-mfu $small --roofline h200 $ignored
    says "${ignored%% *} has no effect with --roofline"
done
expect 2 eval-mfu $small --roofline b200
says "'b200' is not one of a100, a100-80gb, h100, h200"
finish
