# Every command of the README (the lines that begin with "$ " in its blocks), in order, in one empty folder. Training is
# cut to a few steps: what is tested is that each command works as it stands, not how long it takes.
. "$(dirname "$0")/cli.sh"
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "cli_readme.sh: skipped: this build has sanitizers, which are slow"
    exit 77
fi
export GPTPIPE_DATA=$here/data FETCH_DATA_MIRROR=$repo/../shared/mirror
count=0
while IFS= read -r command; do
    case $command in
    make* | git\ clone* | cd\ * | sudo*) continue ;; # the tests are in the middle of one of these
    *shakespeare* | *gpt2-tokenizer* | *"--tokenizer gpt2"*)
        if [ ! -d "$FETCH_DATA_MIRROR" ]; then
            echo "cli_readme.sh: skipped, needs a download: $command"
            continue
        fi
        ;;
    esac
    command=$(sed -E 's/--steps [0-9]+/--steps 3/; s/--seconds [0-9.]+/--seconds 0.01/' <<< "$command")
    case $command in
    *"| train"*) ;;
    *train*--resume*) command=${command/--steps 3/--steps 5} ;;
    esac
    count=$((count + 1))
    expect 0 bash -c "set -o pipefail; $command"
done < <(sed -n 's/^    \$ //p' "$repo/README.md")
checks=$((checks + 1))
[ $count -ge 12 ] || problem "only $count commands were found in the README"
finish
