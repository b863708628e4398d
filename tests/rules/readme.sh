# Every command of the README, then of the manual's pages in the order of their list (the lines that begin with "$ " in
# their blocks), in one folder that is empty at first. Training is cut to a few steps, measuring to a moment: what is
# tested is that each command works as it stands, not how long it takes.
. "$(dirname "$0")/../cli/cli.sh"
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo "rules/readme.sh: skipped: this build has sanitizers, which are slow"
    exit 77
fi
export GPTPIPE_DATA=$here/data FETCH_DATA_MIRROR=$repo/../shared/mirror
manual=$repo/docs/manual
mapfile -t pages < <(sed -n 's/^| \[[a-z0-9-]*\](\([a-z0-9-]*\.md\)).*/\1/p' "$manual/README.md")
checks=$((checks + 1))
[ "$(printf '%s\n' README.md "${pages[@]}" | sort)" = "$(ls "$manual" | sort)" ] || problem "docs/manual/README.md does not list the pages there: ${pages[*]}"
count=0
while IFS= read -r command; do
    case $command in
    make* | git\ clone* | cd\ * | sudo*) continue ;; # the tests are in the middle of one of these
    *shakespeare* | *gpt2-tokenizer* | *"--tokenizer gpt2"*)
        if [ ! -d "$FETCH_DATA_MIRROR" ]; then
            echo "rules/readme.sh: skipped, needs a download: $command"
            continue
        fi
        ;;
    esac
    command=$(sed -E 's/--steps [0-9]+/--steps 3/; s/--epochs [0-9.]+/--epochs 0.001/; s/--seconds [0-9.]+/--seconds 0.01/
        s/^train /&--eval-batches 1 --no-eval-documents /; s/head -c [0-9]+/head -c 1000/
        s/--preset gpt2 --passes decode --seq-len 64/--preset nano --passes decode --seq-len 64/' <<< "$command")
    case $command in
    *"| train"*) ;;
    *train*--resume*) command=${command/--steps 3/--steps 5} ;;
    esac
    count=$((count + 1))
    expect 0 bash -c "set -o pipefail; $command"
done < <(sed -n 's/^    \$ //p' "$repo/README.md" "${pages[@]/#/$manual/}")
# The recipe for fine-tuning GPT-2, with a stand-in that has its vocabulary and context: all but its first file as it stands
if [ -d "$FETCH_DATA_MIRROR" ]; then
    recipe=$(sed -n '/^GPT-2 fine-tuned on Shakespeare takes four commands/,/^##/s/^    //p' "$repo/README.md")
    checks=$((checks + 1))
    [ "$(wc -l <<< "$recipe")" = 4 ] || problem "the recipe is not four commands: $recipe"
    while IFS= read -r command <&3; do
        case $command in
        train*)
            expect 0 train shakespeare.tok --layers 1 --heads 1 --channels 8 --seq-len 1024 --batch-size 1 --steps 0 --eval-batches 0 -o base
            expect 0 convert-gpt2 base -o data/gpt2/
            command=$(sed 's/--steps 100/--steps 1/; s/--grad-accum 8/--grad-accum 1/; s/--batch-size 4/--batch-size 1 --eval-batches 1/' <<< "$command")
            ;;
        esac
        expect 0 bash -c "${command/fetch-data gpt2 /fetch-data }"
        case $command in
        train*) case $err in *"lr 3e-05, the default for --init"*) ;; *) problem "another rate: $err" ;; esac ;;
        sample*) case $out in "ROMEO:"?*) ;; *) problem "no text: $out" ;; esac ;;
        esac
    done 3<<< "$recipe"
fi
checks=$((checks + 1))
[ $count -ge 30 ] || problem "only $count commands were found in the README and the manual"
finish
