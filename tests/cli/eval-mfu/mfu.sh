# eval-mfu: its page, its JSON, its sweeps, and what it says of a peak that cannot be.
. "$(dirname "$0")/../cli.sh"
model="--preset nano --layers 1 --heads 2 --channels 16 --vocab-size 31 --seconds 0.01"
short="$model --seq-len 16" # for sweeps, which set the rest
small="$short --batch-size 2 --decode-batch 1"

holds() { # TEXT: the last stdout has it
    checks=$((checks + 1))
    case $out in *"$1"*) ;; *) problem "stdout lacks \"$1\": $out" ;; esac
}

# passes, memory and formulas of one model. 6N + 12 LHQT: N = 31x16 + 256x16 + 12x256 + 13x16 + 32 = 7904,
# 6 x 7904 + 12 x 16 x 16 = 50496; exactly 3 x (2 (12 x 256 + 16 x 31) + 4 x 16 x 16) = 24480
expect 0 eval-mfu $small
for pass in forward train prefill decode; do holds "
$pass "; done
holds "0.050  6N + 12 L H Q T"
holds "0.024  what is left, exactly by op"
holds "optimizer 0.1"
expect 0 eval-mfu $small --passes decode --quiet
case $out in *forward* | *gradients* | *6N*) problem "only decoding was asked for: $out" ;; esac

# op by op: what is not in an op is told too
expect 0 eval-mfu $small --passes train --ops --quiet
for op in "linear backward " "attention backward " "adamw " "between ops "; do holds "
$op"; done

# 0 is no peak to compare with
expect 2 eval-mfu $small --passes forward --peak 0
says "--peak: 0 is out of range, expected 1 to 1e+20"

# a peak below what is reached is called wrong; no vendor's figure is made up
expect 0 eval-mfu $small --passes forward --peak 1000
holds "(above 100%: the peak is wrong, --peak is too low)"
expect 0 eval-mfu $small --passes decode --peak 1000 --ops --quiet
holds "(\`of it\` above 100%: caches served the bytes"
expect 0 eval-mfu $small --passes decode --peak 1000 --ops --json
holds '"notes": {"mfu": "above 100%: the peak is wrong, --peak is too low"'
holds '"ops": "`of it` above 100%'
expect 0 eval-mfu $small --passes forward --peak 1e18 --json
case $out in *notes*) problem "notes on nothing: $out" ;; esac
expect 0 eval-mfu $small --passes decode --peak 1000 --sweep threads=1,2 --quiet
holds "(!: above 100%: the peak is wrong, --peak is too low)"
if ! grep -qE 'EPYC [79][0-9]|Platinum 8' /proc/cpuinfo; then
    expect 0 eval-mfu $small --passes forward
    holds "no figure is known for this device"
fi

# a sweep: a row a value, one model throughout; the drawing has a line a pass
expect 0 eval-mfu $short --passes forward,decode --sweep batch=1,2,4 --plot sweep.svg
for value in 1 2 4; do holds "
$value   "; done
checks=$((checks + 2))
[ "$(grep -c 'stroke-width' sweep.svg)" = 2 ] && [ "$(grep -c '<circle' sweep.svg)" = 6 ] && grep -q '1 layers, 16 channels; ' sweep.svg &&
    grep -q '</svg>' sweep.svg || problem "the drawing: $(cat sweep.svg)"
# a pass that a batch is nothing to says so, in the table and in the drawing; a sweep of contexts varies it
expect 0 eval-mfu $short --passes prefill,decode --sweep batch=1,2 --plot prompts.svg --quiet
holds "(prefill reads one prompt at a time, whatever the batch)"
checks=$((checks + 2))
grep -q '>prefill of 1</text>' prompts.svg && grep -q '>decode</text>' prompts.svg || problem "names: $(cat prompts.svg)"
expect 0 eval-mfu $model --passes prefill --sweep context=8,16 --plot prompts.svg --quiet
case $out in *"one prompt at a time"*) problem "prefill varies: $out" ;; esac
grep -q '>prefill</text>' prompts.svg || problem "names: $(cat prompts.svg)"
# names stand clear of each other
expect 0 eval-mfu $model --sweep context=8 --plot one.svg --quiet
sed -nE 's/.* y="([0-9.]+)".*>(forward|train|prefill|decode)<.*/\1/p' one.svg | sort -n |
    awk 'NR > 1 && $1 - last < 13.5 { bad = 1 } { last = $1 } END { exit bad || NR != 4 }' || problem "names: $(cat one.svg)"
expect 0 eval-mfu $small --passes forward --sweep threads=1,2 --json
case $out in '{"sweep": "threads", "runs": [{"value": 1, "report": {"parameters": 7904, '*'"threads": 1, '*'"value": 2, '*'"threads": 2, '*) ;;
*) problem "the sweep's JSON: $out" ;; esac
expect 0 eval-mfu $model --passes prefill --sweep context=8,16 -o report.txt --quiet
grep -q '^16  ' report.txt || problem "report.txt: $(cat report.txt)"

# mistakes
expect 2 eval-mfu $small --sweep lr=1,2
says "--sweep lr=1,2: expected batch=, context= or threads="
expect 2 eval-mfu $small --sweep batch=1,,2
expect 2 eval-mfu $small --sweep batch=0
for empty in --checkpoint --passes --sweep --plot --out; do
    expect 2 eval-mfu $small $empty ''
    says "$empty: is empty, expected "
done
expect 2 eval-mfu $small --sweep batch=1 --plot x.PNG
says "--plot x.PNG: the plot is SVG: name it FILE.svg"
expect 2 eval-mfu $small --plot x.svg
says "--plot requires --sweep"
expect 1 eval-mfu --preset nano --layers 1 --seq-len 8 --passes forward --seconds 0.01 --backend ref --attention cudnn
says "eval-mfu: attention by cuDNN requires backend cuda (found ref); use --attention own"
expect 2 eval-mfu $short --sweep batch=1,2 --decode-batch 2
says "--decode-batch has no effect with --sweep batch="
expect 2 eval-mfu $short --sweep context=8
says "--seq-len has no effect with --sweep context="
expect 2 eval-mfu $short --sweep threads=1 --threads 2
says "--threads has no effect with --sweep threads="
expect 2 eval-mfu $short --passes prefill,decode --batch-size 8
says "--batch-size applies to forward and train (decode has --decode-batch), not to --passes prefill,decode"
expect 2 eval-mfu $short --passes train --decode-batch 8
says "--decode-batch applies to decode, not to --passes train"
expect 0 eval-mfu $short --passes decode --decode-batch 2 --batch-size 2
expect 2 bash -c "eval-mfu --sweep batch=1,2 < /dev/null"
says "opens the model for each value"
expect 2 eval-mfu $small --threads 1025
says "--threads: 1025 is out of range, expected 0 to 1024"
expect 1 eval-mfu $small --batch-size 1048576 --seq-len 4096 --passes forward
says "eval-mfu: out of memory ("
says "; the machine has "
expect 2 eval-mfu $small --passes walk
says "'walk' is not a pass; there are forward, train, prefill and decode"

# a sweep that fails on the way leaves neither report nor drawing
fetch-data stories --stories 50 --quiet | tokenize --tokenizer char --quiet |
    train --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 1 --quiet > tiny.safetensors
expect 1 eval-mfu -c tiny.safetensors --passes forward --seconds 0.01 --sweep context=8,512 --plot x.svg -o x.txt
says "512 tokens a sequence: the model's context is 32"
absent x.svg
absent x.txt
expect 1 eval-mfu $short --passes forward --sweep batch=1 --plot missing/x.svg --json
says "missing/x.svg: cannot be created"
checks=$((checks + 1))
[ -z "$out" ] || problem "it measured first: $out"
finish
