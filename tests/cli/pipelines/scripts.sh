# The scripts of pipelines/ as a new user calls them: by their path, in an empty folder.
. "$(dirname "$0")/../cli.sh"
unset DATA FILE MODEL PRETRAIN STEPS TASK GPTPIPE_DATA FETCH_DATA_MIRROR

# fetch-data with a catalog of our own in place of its own, and a sample that prints what it was called with.
mkdir -p bin mirror/example.org empty
printf '{"text": "the cat sat on the mat"}\n' > mirror/example.org/one.jsonl
sum=$(sha256sum mirror/example.org/one.jsonl | cut -c1-64) size=$(wc -c < mirror/example.org/one.jsonl)
set_of() { printf '"%s": {"note": "a task", "licence": "none", "files": [{"path": "%s", "urls": ["https://example.org/one.jsonl"], "sha256": "%s", "size": %s}]}' "$1" "$2" "$sum" "$size"; }
printf '{%s, %s}' "$(set_of lambada-here lambada_test.jsonl)" "$(set_of hellaswag-here hellaswag_val.jsonl)" > catalog.json
cat > bin/fetch-data << EOF
#!/bin/sh
name=\$1
shift
exec "$GPTPIPE_BIN/fetch-data" "\$name-here" --catalog "$here/catalog.json" --mirror "$here/mirror" --offline --quiet "\$@"
EOF
cat > bin/sample << 'EOF'
#!/bin/sh
echo "$@"
while [ "$1" != --score ]; do shift; done
exec cat "$2"
EOF
chmod +x bin/*
export BIN=$here/bin

cd empty || exit 1
for task in lambada:lambada_test hellaswag:hellaswag_val; do
    rm -rf data
    for time in first second; do # downloaded, then found
        expect 0 "$repo/pipelines/eval-${task%:*}.sh" ../bin --threads 1
        checks=$((checks + 1))
        [ "$out" = "--checkpoint ../bin --score data/${task#*:}.jsonl --task ${task%:*} --threads 1
$(cat ../mirror/example.org/one.jsonl)" ] || problem "$task, $time time: $out"
        [ -d data ] && [ "$(ls -A)" = data ] || problem "the folder holds: $(ls -AlR)"
    done
done
DATA=deep/er expect 0 "$repo/pipelines/eval-lambada.sh" ../bin
[ -f deep/er/lambada_test.jsonl ] || problem "DATA is not where it came"
rm -rf deep data

# a file in the folder's place: what stands in the way, and of which kind it is
: > data
expect 1 "$repo/pipelines/eval-lambada.sh" ../bin
says "data: is a file, a folder is needed there"
FETCH_DATA_MIRROR=$here/nowhere expect 1 "$GPTPIPE_BIN/tokenize" -t gpt2 --show ../catalog.json
says "data: is a file, a folder is needed there"
rm data

# a checkpoint that is not there is told before anything is downloaded
for script in eval-lambada eval-hellaswag; do
    expect 1 "$repo/pipelines/$script.sh" ../nowhere
    says "$script.sh: ../nowhere: No such file or directory"
    absent data
done

# help is data on stdout, and nothing is done for it; a word that nobody knows does nothing either
for script in eval-lambada eval-hellaswag compare pipeline imdb install-deps; do
    for help in -h --help; do
        OUT=$here/empty/out expect 0 timeout 10 "$repo/pipelines/$script.sh" $help
        case $out in *"$script.sh"* | *"make $script"*) ;; *) problem "$script.sh $help printed: $out" ;; esac
        [ -z "$err$(ls -A)" ] || problem "$script.sh $help left $(ls -A) and said $err"
    done
done
for script in pipeline imdb install-deps; do
    OUT=$here/empty/out expect 2 timeout 10 "$repo/pipelines/$script.sh" shakespear
    says "(see $script.sh --help)"
    absent out
done

# usage leaves nothing behind
for script in eval-lambada eval-hellaswag compare; do
    expect 2 "$repo/pipelines/$script.sh"
    [ -z "$(ls -A)" ] || problem "$script.sh without operands left $(ls -A)"
done
finish
