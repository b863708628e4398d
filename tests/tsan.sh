#!/usr/bin/env bash
# Under ThreadSanitizer: the tests of what threads share, and tokenize with several. The build has no OpenMP.
#
#     tests/tsan.sh build-tsan JOBS
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-tsan} jobs=${2:-$(nproc)}
tests=(borrow dataset fetch fetch_many labelled loader loader_sets masked progress progress_group)
cmake --build "$build" -j "$jobs" --target tokenize fetch-data train "${tests[@]/#/test_}"
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
ctest --test-dir "$build" --no-tests=error --output-on-failure -R "^test_($(IFS='|'; echo "${tests[*]}"))\$"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=$PWD/$build/bin
cd "$work"
"$tools/fetch-data" stories --stories 3000 --quiet -o t.txt
"$tools/tokenize" --train-bpe 500 --save-tokenizer t.json t.txt -o one.tok --threads 1 --quiet
"$tools/tokenize" --tokenizer t.json t.txt -o four.tok --threads 4 --quiet
"$tools/tokenize" --tokenizer t.json t.txt -o s.tok --shard-size 20000 --threads 4 --quiet
cmp one.tok four.tok
"$tools/train" four.tok --layers 1 --heads 1 --channels 8 --seq-len 16 --batch-size 2 --steps 3 --threads 1 --backend ref \
    --quiet -o run
echo "ThreadSanitizer found nothing"
