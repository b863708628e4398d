# The files of a run when somebody else has names for them, or when its config.yaml names what is no file.
. "$(dirname "$0")/../cli.sh"
small=(--layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --backend ref --threads 1 --save-every 1 --warmup 1
    --sample-every 1 --tensorboard --quiet)
for _ in 1 2 3 4 5 6 7 8; do printf 'abc\nab\n\ncba\nabca\n\nabcabcabc\n\n'; done > text.txt
expect 0 tokenize --tokenizer char text.txt -o text.tok --quiet
expect 0 train text.tok "${small[@]}" --steps 3 -o run
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k2); }

# ---- hard links: a copy that shares the files of a run stays what it was -----------------------------------------
cp -al run copy
sums copy > before.sums
chmod 640 run/log.jsonl
expect 0 train --resume run --steps 6 --quiet
same before.sums <(sums copy)
checks=$((checks + 1))
[ "$(stat -c %a run/log.jsonl)" = 640 ] || problem "log.jsonl had mode 640 and has $(stat -c %a run/log.jsonl)"
# and where the other one goes on, of which a damaged line is cut
cp -al copy third
sums third > before.sums
rm copy/log.jsonl
{ head -2 third/log.jsonl && echo '{"step": 2, "lo' && tail -1 third/log.jsonl; } > copy/log.jsonl
ln copy/log.jsonl fourth.jsonl
cp fourth.jsonl fourth.before
warns train --resume copy --steps 6 --quiet
same fourth.before fourth.jsonl
same before.sums <(sums third)
same run/last/model.safetensors copy/last/model.safetensors
# none of the files that are written has its twin's inode any more
for name in .lock log.jsonl samples.txt history.jsonl events.out.tfevents.train; do
    checks=$((checks + 1))
    [ "$(stat -c %h run/$name)" = 1 ] || problem "run/$name still has $(stat -c %h run/$name) names"
done
# the lock is that of the run that holds it, and its copy may be written meanwhile
expect 0 train text.tok "${small[@]}" --steps 1 -o held
cp -al held twin
if command -v flock > /dev/null; then
    expect 1 flock held/.lock train --resume twin --steps 2 --quiet # whose it is cannot be told
    says "twin: is being written by process"
    expect 0 train --resume twin --steps 2 --quiet
    expect 0 flock held/.lock train --resume twin --steps 3 --quiet
    expect 1 flock held/.lock train --resume held --steps 3 --quiet
    says "held: is being written by process"
else
    echo "skipped: a lock that is held while a copy of the run is resumed, flock(1) is missing"
fi

# ---- data that never end ------------------------------------------------------------------------------------------
mkfifo pipe
now=(timeout -s KILL 20)
refused() { # OPTION ITEM: named by a run's config.yaml
    cp -r held hostile
    case $1 in
    data) sed -i "s|^\( *- \).*text[.]tok.*|\1\"$2\"|" hostile/config.yaml ;;
    val) sed -i "s|^val: .*|val: [\"$2\"]|" hostile/config.yaml ;;
    esac
    grep -qF "\"$2\"" hostile/config.yaml || problem "config.yaml does not name $2"
    expect 1 "${now[@]}" train --resume hostile --steps 2 --quiet
    says "is not a regular file, and the config.yaml of hostile names it; --$1 "
    rm -r hostile
}
for item in pipe /dev/zero 'p?pe'; do
    refused data "$item"
    refused val "$item"
done
refused data pipe=0.5
refused val web=pipe
# a stream that the run itself kept, which became a pipe
train "${small[@]}" --steps 1 -o kept < text.tok
rm kept/data.tok
mkfifo kept/data.tok
expect 1 "${now[@]}" train --resume kept --steps 2 --quiet
says "kept/data.tok: is not a regular file"
# the weights that a run began with
mkdir begun
sed "s|^init: .*|init: $PWD/pipe|" held/config.yaml > begun/config.yaml
expect 1 "${now[@]}" train --resume begun --steps 2 --quiet
says "pipe: is not a regular file, and the config.yaml of begun names it for --init"
# what a run writes whole takes the place of what else has its name
cp -r held odd
for name in config.json tokenizer.json tokenizer_config.json; do
    rm odd/$name
    ln -s ../pipe odd/$name
done
rm odd/config.json
mkfifo odd/config.json
expect 0 "${now[@]}" train --resume odd --steps 2 --quiet
for name in config.json tokenizer.json tokenizer_config.json; do same held/$name odd/$name; done
checks=$((checks + 1))
[ -p pipe ] || problem "what a link of the run named is gone"
# on the command line a pipe is what was asked for
timeout -s KILL 20 bash -c 'cat text.tok > pipe' &
expect 0 "${now[@]}" train --resume held --data "$PWD/pipe" --steps 2 --quiet
wait

# ---- half a line of history.jsonl, as a kill leaves it -------------------------------------------------------------
before=$(wc -l < twin/history.jsonl)
printf '{"step":1,"vers' >> twin/history.jsonl
expect 0 train --resume twin --steps 4 --quiet
checks=$((checks + 1))
[ "$(wc -l < twin/history.jsonl)" = $((before + 1)) ] && ! grep -q 'vers{' twin/history.jsonl ||
    problem "history.jsonl is $(cat twin/history.jsonl)"
# the state of one step beside the weights of another one
expect 0 train --resume run --steps 8 --keep 3 --quiet
cp -r run mixed
cp mixed/ckpt-00000007/model.safetensors mixed/ckpt-00000008/
warns train --resume mixed --steps 8 --quiet
says "mixed/ckpt-00000008/model.safetensors: is not the model that the training state in the same directory was saved with"
same run/last/model.safetensors mixed/last/model.safetensors
same run/last/state.safetensors mixed/last/state.safetensors
# zeros, as a power cut may leave them, are no half line
cp -r twin zeros
head -c 100 /dev/zero >> zeros/log.jsonl
warns train --resume zeros --steps 5 --quiet
says "zeros/log.jsonl: has a damaged line; it and what follows it are kept as log.jsonl.damaged"
same <(head -c 100 /dev/zero) zeros/log.jsonl.damaged

# ---- what a run cannot write is seen before anything of it changes ------------------------------------------------
cp -r run shut
for name in log.jsonl samples.txt history.jsonl events.out.tfevents.train config.json tokenizer.json tokenizer_config.json \
    last best model.safetensors; do
    mv shut/$name away
    mkdir shut/$name
    (sums shut | grep -v /.lock; readlink shut/last) > before.sums
    expect 1 train --resume shut/ckpt-00000006 --steps 9 --quiet
    says "shut/$name: "
    same before.sums <(sums shut | grep -v /.lock; readlink shut/last)
    rmdir shut/$name
    mv away shut/$name
done
expect 0 train --resume shut/ckpt-00000006 --steps 7 --quiet

# ---- while it is written -------------------------------------------------------------------------------------------
# Starts a run, and stops it for a moment behind its first checkpoint.
begin_and_halt() {
    rm -rf live
    train text.tok "${small[@]}" --steps 100000000 --keep 100000 -o live 2> live.err &
    writer=$!
    for _ in {1..600}; do [ -L live/last ] && break || sleep 0.05; done
    kill -STOP $writer
    last=$(readlink live/last) step=$((10#${last#ckpt-}))
}
# Lets it go on until there is this file, and ends it.
go_on_until() {
    kill -CONT $writer
    for _ in {1..600}; do [ -e "$1" ] && break || sleep 0.05; done
    kill -INT $writer
    wait $writer
    checks=$((checks + 1))
    [ -e "$1" ] || problem "there is no $1: $(cat live.err)"
}

# its folder gets another name, and another run the old one
begin_and_halt
mv live away
expect 0 train text.tok "${small[@]}" --steps 3 -o live --seed 2 --quiet
sums live > before.sums
go_on_until "away/$(printf 'ckpt-%08d' $((step + 20)))/state.safetensors"
same before.sums <(sums live)
expect 0 sample away a --max-tokens 2 --quiet
now=$(readlink away/last)
checks=$((checks + 1))
[ -d "away/$now" ] && [[ ! $now < $last ]] || problem "the last checkpoint of the renamed run is $now, before it was $last"

# somebody puts a checkpoint there whose step is still to come
begin_and_halt
cp -r run/ckpt-00000008 "live/$(printf 'ckpt-%08d' $((step + 20)))"
(cd run/ckpt-00000008 && sha256sum -- *) > before.sums
go_on_until "live/$(printf 'ckpt-%08d' $((step + 20))).rest"
same before.sums <(cd live/ckpt-*.rest && sha256sum -- *)
err=$(cat live.err)
says "has a checkpoint of step $((step + 20)) that this run did not write; it was renamed ckpt-"
finish
