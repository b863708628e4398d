# Where things are: output that is redirected, files whose size is told as 0, a run that is resumed from another folder.
. "$(dirname "$0")/../cli.sh"
tiny=(--layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --threads 1 --quiet)

# ---- redirected ----------------------------------------------------------------------------------------------------

fetch-data stories --stories 3 -o three.txt -q || problem "no stories"
fetch-data stories --stories 3 > redirected.txt
same redirected.txt three.txt
fetch-data stories --stories 3 >> redirected.txt
[ "$(wc -c < redirected.txt)" = $((2 * $(wc -c < three.txt))) ] || problem "nothing was appended"
absent data
# a log of both is none for data; more files than one go into their folder
fetch-data stories --stories 3 > log 2>&1
checks=$((checks + 1))
[ -s data/stories.txt ] && grep -q 'stories.txt: made' log && ! grep -q 'Once' log || problem "in the log: $(cat log)"
rm -r data
fetch-data stories --stories 3 > /dev/null 2>&1
[ -s data/stories.txt ] || problem "/dev/null took the stories"
rm -r data

tokenize -t bytes three.txt -o t.tok -q || problem "no tokens"
train t.tok "${tiny[@]}" --steps 1 > model.safetensors
expect 0 convert-gpt2 --info model.safetensors
absent run
train t.tok "${tiny[@]}" --steps 1 > log 2>&1 || problem "$(cat log)"
expect 0 convert-gpt2 --info run
rm -r run
train t.tok "${tiny[@]}" --steps 1 2>&1 | cat > log
[ -d run ] && [ ! -s log ] || problem "a log through a pipe took the checkpoint"
rm -r run

# ---- descriptors that are closed: what a tool opens is none of stdin, stdout and stderr -----------------------------

text=(sample -c model.safetensors -p Once -n 5)
"${text[@]}" > open.txt 2> /dev/null
expect 0 bash -c "${text[*]} -o closed.txt 2>&-" # its last line went behind the text
same closed.txt open.txt
expect 0 bash -c "${text[*]} --trace open.safetensors"
expect 1 bash -c "${text[*]} --trace closed.safetensors >&-" # the text went behind the tensors
[ ! -e closed.safetensors ] || same closed.safetensors open.safetensors
expect 1 bash -c "sample -c model.safetensors -n 5 <&-" # the weights were the prompt
says "stdin: cannot be read: Bad file descriptor"
for command in "tokenize -t bytes" "sample -n 5" "convert-gpt2 --info" "eval-mfu" "train --steps 1"; do
    expect 1 bash -c "$command <&- > nothing"
    says "stdin: cannot be read: Bad file descriptor"
done
expect 1 bash -c "tokenize -t bytes three.txt >&-"
says "stdout: cannot be written: Bad file descriptor"
expect 0 bash -c "tokenize -t bytes three.txt -o closed.tok <&- >&- 2>&-"
same closed.tok t.tok
expect 0 bash -c "train t.tok ${tiny[*]} --steps 1 <&- >&- 2>&-"
expect 0 train t.tok "${tiny[@]}" --steps 1 -o open
same run/last/model.safetensors open/last/model.safetensors
rm -r run open

# ---- files that have text and no size ----------------------------------------------------------------------------

cat /proc/version > version.txt
expect 0 tokenize -t bytes /proc/version -o version.tok -q
tokenize --decode version.tok > decoded.txt
same decoded.txt version.txt
expect 0 tokenize -t bytes -o piped.tok -q < /proc/version
tokenize --decode piped.tok > decoded.txt
same decoded.txt version.txt
head -c 300000 /proc/kallsyms > kallsyms.txt 2> /dev/null
if [ "$(wc -c < kallsyms.txt)" = 300000 ]; then # larger than one read, and nothing may be lost of it
    expect 0 tokenize -t bytes /proc/kallsyms -o kallsyms.tok -q
    tokenize --decode kallsyms.tok | head -c 300000 > decoded.txt
    same decoded.txt kallsyms.txt
fi
expect 1 tokenize -t /proc/version --show three.txt
says "/proc/version: is not a tokenizer"
: > empty.txt
expect 1 convert-gpt2 --info empty.txt
says "empty.txt"

# ---- a run resumed from another folder ------------------------------------------------------------------------------

mkdir one 'two  "x"' 'two  "x"/deep' pat
fetch-data stories --stories 60 -q -o one/s.txt || problem "no stories"
tokenize -t bytes one/s.txt -o one/s.tok -q
cp one/s.tok one/v.tok
cd one || exit 1
expect 0 train s.tok=1 --val v=v.tok "${tiny[@]}" --steps 2 -o run
expect 0 train --resume run --steps 4 --quiet -o - # a plain checkpoint for comparison
rm -rf run
expect 0 train s.tok=1 --val v=v.tok "${tiny[@]}" --steps 2 -o run
expect 0 train s.tok=1 --val v=v.tok "${tiny[@]}" --steps 4 -o straight
cd ../two*/deep || exit 1
expect 0 train --resume ../../one/run --steps 4
case $err in *"changed at step 2: steps 2 -> 4"*) ;; *) problem "told: $err" ;; esac
case $err in *"data "*) problem "the data did not change: $err" ;; esac
same ../../one/run/last/model.safetensors ../../one/straight/last/model.safetensors
grep -q "^  - $here/one/s.tok=1\|^  - \"$here/one/s.tok=1\"" ../../one/run/config.yaml || problem "config.yaml: $(grep -A1 data: ../../one/run/config.yaml)"
# what it names now holds from everywhere
cd "$here/pat" || exit 1
expect 0 train --resume ../one/run --steps 5 -q
# a name on the command line is of this folder
cp ../one/s.tok here.tok
expect 0 train --resume ../one/run --steps 6 --data here.tok -q
cd "$here" || exit 1
expect 0 train --resume one/run --steps 7 -q
[ "$(tail -n 1 one/run/log.jsonl | grep -c '"step": 7')" = 1 ] || problem "step 7 was not made"

# the weights that a run begins with, where it was stopped before its first checkpoint: config.yaml is what it has
cd "$here/one" || exit 1
expect 0 train s.tok "${tiny[@]}" --steps 1 -o weights
expect 0 train s.tok "${tiny[@]}" --init weights --steps 2 -o tuned
mkdir begun && cp tuned/config.yaml begun
cd "$here/pat" || exit 1
expect 0 train --resume ../one/begun -q
same ../one/begun/last/model.safetensors ../one/tuned/last/model.safetensors
cd "$here" || exit 1

# a folder with a name that YAML and JSON escape, a pattern, and a stream from stdin whose run was moved
cd "$here"/two* || exit 1
cp ../one/s.tok part_1.tok
cp ../one/s.tok part_2.tok
expect 0 train 'part_*.tok' --val-fraction 0 "${tiny[@]}" --steps 2 -o run
cd deep || exit 1
expect 0 train --resume ../run --steps 3 -q
train --val-fraction 0 "${tiny[@]}" --steps 2 -o piped < ../part_1.tok || problem "no run of stdin"
mv piped ../moved
cd "$here" || exit 1
expect 0 train --resume two*/moved --steps 3 -q

# where it looked, and how to tell where the data are
rm one/s.tok
expect 0 train --resume one/run --steps 8 --data pat/here.tok -q # as given, from here on
rm pat/here.tok
cd pat || exit 1
expect 1 train --resume ../one/run --steps 9 -q
says "pat/here.tok: does not exist, neither below $here, where ../one/run was made, nor below this folder; give its new path with --data"
# a run of before this was recorded
sed -i '/^  folder: /d' ../one/run/config.yaml
expect 1 train --resume ../one/run --steps 9 -q
says "call train in the folder in which ../one/run was made, or give its new path with --data"
expect 0 train --resume ../one/run --steps 9 -q --data "$here/one/v.tok"
finish
