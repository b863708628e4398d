# pipelines/compare.sh: what differs, losses at equal tokens and time, curves; and the sweeps of docs/sweeps.md.
. "$(dirname "$0")/../cli.sh"
PATH=$repo/pipelines:$PATH

# line NAME CELL...: the last stdout has a row of these cells
line() {
    local want=$1 got
    shift
    [ $# = 0 ] || want="$want $*"
    checks=$((checks + 1))
    got=$(sed 's/  */ /g; s/ $//' <<< "$out")
    grep -qxF -e "$want" <<< "$got" || problem "no row \"$want\" in: $out"
}

holds() { # TEXT: the last stdout has it
    checks=$((checks + 1))
    case $out in *"$1"*) ;; *) problem "stdout lacks \"$1\": $out" ;; esac
}

# Two logs made by hand. x: 4 steps of 100 tokens at 1000 tok/s; y: 3 steps of 100 tokens at 500 tok/s. Both have 300
# tokens: x is there halfway between its losses 3 and 2, y at its 1.5. Both have 0.4 s: x at its 2, y halfway
# between 2.5 and 1.5.
mkdir x y
step() { printf '{"step": %d, "tokens": %d00, "loss": %s, "lr": 1e-3, "tok_s": %s}\n' "$1" "$1" "$2" "$3"; }
validation() { printf '{"step": %d, "val_loss": %s, "val_losses": {"x": 9}}\n' "$1" "$2"; }
{ step 1 4.5 1000; step 2 3.5 1000; validation 2 3.0; step 3 2.5 1e3; step 4 2.25 1000; validation 4 2; } > x/log.jsonl
{ step 1 3.5 500; validation 1 2.5; step 2 3 500; step 3 2 500; validation 3 1.5; } > y/log.jsonl
printf '# comment\nlr: 0.001\nseed: 1\nval:\n  - a.tok\n  - b.tok\nout: x\nrecorded:\n  threads: 2\n' > x/config.yaml
printf 'lr: 0.01\nseed: 1\nval:\n  - a.tok\nout: y\nsteps: 3\nrecorded:\n  threads: 4\n' > y/config.yaml
expect 0 compare.sh x y/
line run x y
line lr 0.001 0.01
line val a.tok b.tok a.tok
line steps - 3
line "recorded threads" 2 4
line tokens 400 300
line time 0.4 s 0.6 s
line "loss at 300 tokens" 2.5000 1.5000
line "loss at 0.4 s" 2.0000 2.0000
line "best validation" 2.0000 at step 4 1.5000 at step 3
case $out in *"seed"* | *"
out "*) problem "what is the same, or where a run lies, was shown: $out" ;; esac
# the curves: losses from 3 down to 1.5, tokens up to 400
holds "  3.0000 |                                aa"
holds "  1.5000 |                                              bb
         +----"
holds " 400 tokens
          a x, b y"

# a run without evaluations has the mean of its training losses; runs of one name are told apart by their paths
mkdir -p other/x
step 1 4 1000 > other/x/log.jsonl
step 2 3 1000 >> other/x/log.jsonl
expect 0 compare.sh x other/x
line run x other/x
line "loss at 200 tokens" 3.0000 3.5000
line "best validation" 2.0000 at step 4 no evaluation

# what is no run, or has not begun
expect 1 compare.sh x nowhere
says "compare.sh: nowhere: there is no such folder; expected a run directory of train"
mkdir empty begun
expect 1 compare.sh empty
says "empty: no log.jsonl in it"
: > begun/log.jsonl
expect 1 compare.sh begun
says "begun/log.jsonl: no training step in it yet"
expect 2 compare.sh

# gnuplot draws where it is there, and is asked for where it is not
mkdir without
for tool in bash awk sed grep sort head basename mktemp rm; do ln -s "$(command -v $tool)" without/; done
expect 1 env PATH="$here/without" bash "$repo/pipelines/compare.sh" -o curves.svg x y
says "gnuplot is not installed"
absent curves.svg
if command -v gnuplot > /dev/null; then
    expect 0 compare.sh -o curves.svg x y
    checks=$((checks + 1))
    grep -q '</svg>' curves.svg || problem "no drawing in curves.svg"
else
    echo "skipped: drawing by gnuplot, which is missing (gnuplot-nox)"
fi

# Every block of docs/sweeps.md, in order, with few steps; what a block prints stands in another block, which is left out.
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "skipped: the blocks of docs/sweeps.md, this build has sanitizers, which are slow"
    finish
fi
mkdir sweeps && cd sweeps || exit 1
awk '/^    (run|lr|tokens|time|loss at|best) .*   / || /^    \[ -e "\$run/ { next } /^    / || /^$/ { sub(/^    /, ""); print }' "$repo/docs/sweeps.md" |
    sed 's/--steps 100 --eval-every 25/--steps 4 --eval-every 2 --eval-batches 1/' > sweeps.sh
expect 0 bash -euo pipefail sweeps.sh
line run 1.6e-2 1e-3 4e-3
line lr 0.016 0.001 0.004
line run 2e-3-1 2e-3-2 2e-3-3 4e-3-1 4e-3-2 4e-3-3 8e-3-1 8e-3-2 8e-3-3
checks=$((checks + 1))
[ "$(ls -d lr/*/best seeds/*/best random/*/best threads/*/best | wc -l)" = 20 ] || problem "runs: $(ls -d ./*/*/best)"

# a loop that is started again passes over what is done
sed -n '/^for lr in 1e-3/,/^done/p' sweeps.sh > again.sh
expect 0 bash -euo pipefail again.sh
[ -z "$out$err" ] && [ -s again.sh ] || problem "the loop did something again: $err"
finish
