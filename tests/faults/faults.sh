#!/usr/bin/env bash
# What becomes of files when something fails: each call of the C library in turn, each allocation, kill -9 before each
# change of a file, and a power cut after each. `make test` tries a few of each, `make faults` all of them, and by strace
# also what the C library calls for itself.
#
#     GPTPIPE_BIN=build/bin GPTPIPE_BUILD=build tests/faults/faults.sh [few|all] [SCENARIO[:SWEEP]...]
#     SWEEPS: power kills calls alloc strace. JOBS=2: so many at once
#
# Of the calls from one place, the functions that are being called, the first and the last one are tried, of allocations the
# first; by strace, which does not see places, 40 of each kind from main on (EACH=N: N, EACH=0: all). Before main the loader
# ends a program that lacks something.
#
# What must hold each time: exit code 0 and the same result as without the fault, or 1 and a reason on stderr; each file is
# what it was or what it becomes, whole; a run's last good checkpoint opens, what is called ckpt-N is what was saved as
# that, and a resume ends with the bytes of a run that nothing happened to; files of others do not change.
how=${1:-few}
shift
wanted=("$@")
[ -w /dev/shm ] && export TMPDIR=/dev/shm
. "$(dirname "$0")/../cli/cli.sh"
shim=$GPTPIPE_BUILD/lib/faults-shim.so
case $shim in /*) ;; *) shim=$repo/$shim ;; esac
case $GPTPIPE_BIN in /*) ;; *) PATH=$repo/$GPTPIPE_BIN:$PATH ;; esac
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 # or the tools start themselves again
declare -A numbers=([alloc]=12 [open]=24 [close]=5 [read]=5 [stat]=5 [opendir]=24 [readdir]=5 [readlink]=5 [lseek]=5
    [flock]=37 [mmap]=12 [chmod]=1 [write]=28 [fsync]=5 [truncate]=5 [rename]=5 [link]=5 [unlink]=5 [mkdir]=28 [getcwd]=2 [thread]=11 [random]=38)
small=(--layers 1 --heads 1 --channels 4 --seq-len 4 --batch-size 2 --backend ref --threads 1 --save-every 1 --eval-every 2
    --eval-batches 1 --sample-every 2 --warmup 1 --quiet)

# ---- the scenarios: a folder as it is before, a command in it, and what it leaves -----------------------------------
#   kind: run (work/run), or files: names, each old or new as a whole
scenarios=(fetch tokenize bpe convert folder train resume damaged sample paper)
prepare() {
    rm -rf before
    mkdir -p before/others
    echo "not ours" | tee before/others.txt before/others/others.txt > /dev/null
    cp "$here/stuff/"* before/
    kind=files names=() keep=2
    case $1 in
    fetch)
        cp -r "$here/mirror" before/
        kind=tree names=(got data.lock)
        command=(fetch-data it --catalog it.json --mirror mirror -o got/ --lock data.lock --retries 0 --quiet) ;;
    tokenize)
        echo old | tee before/out.tok > before/val.tok
        names=(out.tok val.tok)
        command=(tokenize --tokenizer char t.txt -o out.tok --val val.tok --val-fraction 0.2 --threads 1 --quiet) ;;
    bpe)
        echo old > before/tok.json
        names=(out.tok tok.json)
        command=(tokenize --train-bpe 262 --save-tokenizer tok.json t.txt -o out.tok --threads 1 --quiet) ;;
    convert)
        cp -a "$here/begun" before/run
        echo old > before/out.safetensors
        names=(out.safetensors)
        command=(convert-gpt2 run -o out.safetensors --quiet) ;;
    folder)
        cp -a "$here/begun" before/run
        kind=tree names=(hf)
        command=(convert-gpt2 run -o hf/ --quiet) ;;
    train)
        kind=run
        command=(train t.tok "${small[@]}" --steps 4 --keep $keep -o run) ;;
    keep-one)
        kind=run keep=1
        command=(train t.tok "${small[@]}" --steps 4 --keep $keep -o run) ;;
    resume)
        cp -a "$here/begun" before/run
        echo "not ours" > before/run/others.txt
        kind=run
        command=(train --resume run --steps 4 --quiet) ;;
    damaged) # the newest checkpoint, and of the log what is written of step 2 on
        cp -a "$here/every" before/run
        rm before/run/.lock
        truncate -s 100 before/run/ckpt-00000004/model.safetensors
        sed -i '/"step": 2,/,$s/loss/lo\x01s/' before/run/log.jsonl
        kind=run
        command=(train --resume run --steps 4 --keep 100 --quiet) ;;
    sample)
        cp -a "$here/begun" before/run
        command=(sample --checkpoint run --prompt a --max-tokens 5 --backend ref --threads 1 --quiet) ;;
    paper)
        command=(eval-mfu --roofline h100 --preset gpt2 --batch-size 1 --json) ;;
    esac
}

fresh() {
    rm -rf work
    cp -a before work
}

try() { # VARIABLE=VALUE...: the command in a fresh folder; 124 if it does not end
    fresh
    { (cd work && exec timeout --foreground 60 env "$@" "${command[@]}" > ../out 2> ../err); } 2> /dev/null # where bash says "Killed"
    code=$?
    [ $code != 124 ] || trouble "it does not end"
}

# ---- what must hold -----------------------------------------------------------------------------------------------------
trouble() {
    failures=$((failures + 1))
    [ $failures -gt 40 ] || printf 'FAILED %s, %s: %s\n' "$scenario" "$fault" "$*"
}

log_of() { sed -E 's/, "tok_s": .*//' "$1/log.jsonl" 2> /dev/null; }

# Every checkpoint is what was saved as such, and one opens where one must.
look_at_run() {
    local folder name
    for folder in work/run/ckpt-????????; do
        [ -d "$folder" ] || continue
        name=${folder##*/}
        for part in model.safetensors state.safetensors; do
            [ "$part" = model.safetensors ] || ! grep -q sample err || continue # the state counts the bytes of samples.txt
            [ "$part" = model.safetensors ] || ! grep -q 'machine: .*unknown processor' work/run/config.yaml || continue
            cmp -s "$folder/$part" "$here/every/$name/$part" || cmp -s "$folder/$part" "before/run/$name/$part" || trouble "$name/$part is not what was saved as that"
        done
    done
    if [ -e before/run/last ] || [ -e work/run/last ]; then
        convert-gpt2 work/run --info > info 2>&1 || trouble "no checkpoint can be opened: $(head -1 info)"
    fi
}

# What is damaged is kept, under whichever name.
damaged_is_there() {
    local name kept=
    for name in work/run/log.jsonl.damaged*; do
        [ "${name##*.}" = tmp ] || ! cmp -s "$name" after/run/log.jsonl.damaged || kept=$name
    done
    [ -n "$kept" ] || cmp -s work/run/log.jsonl before/run/log.jsonl || trouble "of the log what was damaged is lost"
    for name in work/run/ckpt-00000004*; do
        ! cmp -s "$name/model.safetensors" before/run/ckpt-00000004/model.safetensors ||
            ! cmp -s "$name/state.safetensors" before/run/ckpt-00000004/state.safetensors || return
    done
    trouble "the damaged checkpoint is lost"
}

# Gone on with, it ends as if nothing had happened.
resume_it() {
    local how=(train --resume run --steps 4 --quiet)
    [ -e work/run/config.yaml ] || how=("${command[@]}") # it has not begun, and is begun again
    if ! (cd work && "${how[@]}") > info 2>&1; then
        trouble "it cannot be gone on with: $(head -1 info)"
        return
    fi
    same_run "after a resume " "$(said)"
}

said() { grep -v 'kept as .*damaged' err; } # which the scenario of that name says without a fault

same_run() { # WHEN WARNINGS
    [ "$scenario" != damaged ] || damaged_is_there
    cmp -s work/run/last/model.safetensors after/run/last/model.safetensors || trouble "$1the model is another one"
    [ -z "$2" ] || return # a sample or a line of the log may be missing where that was said
    grep -q 'machine: .*unknown processor' work/run/config.yaml || # which the state holds too
        cmp -s work/run/last/state.safetensors after/run/last/state.safetensors || trouble "$1the state is another one"
    cmp -s <(log_of work/run) <(log_of after/run) || trouble "$1the log is another one"
    cmp -s work/run/samples.txt after/run/samples.txt || trouble "$1the samples are others"
    local folder # more may be kept: what cannot be removed costs room and nothing else
    for folder in after/run/ckpt-*; do [ -d "work/run/${folder##*/}" ] || trouble "$1${folder##*/} is gone"; done
}

is_new() { # NAME: as after the command, but for what could not be tidied up
    if [ -d "after/$1" ]; then
        diff -rq -x '*.tmp' -x '*.part' -x '*.part.from' -x '*.unpacking' "work/$1" "after/$1" > /dev/null 2>&1
    elif [ "${1##*.}" = lock ]; then # of an archive that was unpacked before, the size is not known
        cmp -s <(grep -o '[0-9a-f]\{64\}' "work/$1") <(grep -o '[0-9a-f]\{64\}' "after/$1")
    else
        cmp -s "work/$1" "after/$1"
    fi
}

is_old() {
    if [ -e "before/$1" ]; then cmp -s "work/$1" "before/$1"; else [ ! -e "work/$1" ]; fi
}

# A folder of downloads: what is there under its own name is whole.
tree_is_whole() {
    local file
    while read -r file; do
        case $file in *.part | *.part.from | *.unpacking/* | *.tmp | *.tmp/* | */.* | *.lock) continue ;; esac
        cmp -s "work/$file" "after/$file" || trouble "$file is neither missing nor whole"
    done < <(cd work && find "$1" -type f 2> /dev/null)
}

others_are_same() {
    local file
    for file in others.txt others/others.txt run/others.txt; do
        [ ! -e "before/$file" ] || cmp -s "before/$file" "work/$file" || trouble "$file, which is not ours, changed"
    done
    [ ! -e before/run ] || [ $kind = run ] || diff -rq --no-dereference before/run work/run > /dev/null || trouble "the run that is read changed"
}

judge() {
    local name
    checks=$((checks + 1))
    case $code in
    0)
        cmp -s out reference || trouble "another output without a word"
        for name in "${names[@]}"; do is_new "$name" || trouble "exit code 0, and $name is not what it should be: $(diff -rq "work/$name" "after/$name" 2>&1 | head -1)"; done
        [ $kind != run ] || same_run "exit code 0, and " "$(said)" ;;
    1 | 127)
        [ -s err ] || trouble "exit code $code without a word"
        for name in "${names[@]}"; do
            if [ $kind = tree ]; then
                tree_is_whole "$name"
            else
                is_new "$name" || is_old "$name" || trouble "$name is neither old nor new: $(head -1 err)"
            fi
        done ;;
    137) [ -z "${fault##kill*}" ] || trouble "killed" ;;
    *) trouble "exit code $code: $(head -1 err)" ;;
    esac
    [ $code != 137 ] || for name in "${names[@]}"; do
        if [ $kind = tree ]; then tree_is_whole "$name"; else is_new "$name" || is_old "$name" || trouble "$name is half there"; fi
    done
    [ $kind != run ] || look_at_run
    [ "$scenario" != damaged ] || damaged_is_there
    others_are_same
}

# ---- sweeps ---------------------------------------------------------------------------------------------------------------
# Of the lines that come in: all, or a few of them, others for each kind and scenario.
some_of() { # FEW
    local lines i n
    mapfile -t lines
    n=${#lines[@]}
    [ "$n" -gt 0 ] || return 0
    if [ "$how" = all ] || [ "$n" -le "$1" ]; then
        printf '%s\n' "${lines[@]}"
    else
        for ((i = 0; i < $1; i++)); do echo "${lines[(i * n + RANDOM % n) / $1]}"; done
    fi
}

# Once more without a fault, over what was left: now it succeeds.
again() {
    [ "$scenario" != folder ] || ! is_new hf || return # it is there, and never overwritten
    (cd work && "${command[@]}" > ../out 2> ../err)
    code=$?
    fault+=", and again without"
    judge
    [ $code = 0 ] || trouble "exit code $code: $(head -1 err)"
}

# What was ended goes on.
afterwards() {
    [ $code != 0 ] || return
    if [ $kind = run ]; then
        resume_it
    elif [ $kind = tree ]; then
        again
    fi
}

# The calls that are tried of each kind but alloc, or of that alone: "KIND NUMBER OF".
places() { # [alloc]
    awk -v alloc="${1:-}" '
        $1 != "place" { count[$1] = $2; next }
        ($2 == "alloc") == (alloc != "") { print $2, $3, count[$2]; if ($4 != $3 && !alloc) print $2, $4, count[$2] }' counts |
        sort -k1,1 -k2,2n
}

fail_calls() { # lines of places()
    local call n count
    while read -r call n count; do
        fault="$call $n of $count fails"
        try LD_PRELOAD="$shim" FAULT="$call:$n:${numbers[$call]}" < /dev/null
        judge
        [ "$how" != all ] || afterwards
    done
}

sweep_calls() {
    local call
    for call in "${!numbers[@]}"; do
        [ "$call" = alloc ] || fail_calls < <(places | grep "^$call " | some_of 2)
    done
}

sweep_alloc() { fail_calls < <(places alloc | some_of 8); }

# Every kill until history.jsonl says that the run has begun; it begins again, or goes on, wherever it has another name in it.
kill_beginnings() { # CHANGES
    local n listing before= begun=
    for ((n = 1; n <= $1 && !${begun:-0}; n++)); do
        kill_before "$n" "$1"
        [ ! -s work/run/history.jsonl ] || begun=1
        listing=$(ls -A work/run 2> /dev/null | sed 's/[0-9a-f]\{16\}/ID/')
        [ "$listing" = "$before" ] && [ -z "$begun" ] || resume_it
        before=$listing
    done
    [ -n "$begun" ] || trouble "history.jsonl never came"
}

sweep_kills() {
    local n count
    count=$(sed -n 's/^change //p' counts)
    [ "$how" = all ] || [ "$scenario" != train ] || kill_beginnings "$count"
    for n in $(seq "$count" | some_of 3); do
        kill_before "$n" "$count"
        if [ $kind = run ]; then
            resume_it
        else
            again
        fi
    done
}

kill_before() { # NUMBER OF
    fault="kill before change $1 of $2"
    try LD_PRELOAD="$shim" FAULT_KILL="$1"
    judge
}

sweep_power() {
    local states
    fault="power cut"
    try LD_PRELOAD="$shim" FAULT_TRACE="$PWD/trace" FAULT_ROOT="$PWD/work"
    checks=$((checks + 1))
    states=$([ "$how" = all ] && echo 40 || echo 1)
    if [ $kind = run ]; then
        power-cut run before trace "$states" > cut || trouble "$(cat cut)"
    elif [ ${#names[@]} -gt 0 ] && [ $kind = files ]; then
        power-cut file before trace "${names[@]}" > cut || trouble "$(cat cut)"
    else
        return
    fi
    printf '%-10s %s\n' "$scenario" "$(tail -1 cut)"
}

# By the kernel's names, and so also what stdio calls. A number counts in each thread. Not close, which strace leaves out
# altogether: what fails has let go of the file all the same, and of its lock.
sweep_strace() {
    local call error count skip step n each=${EACH:-40}
    if ! strace -qq -o /dev/null true 2> /dev/null; then
        echo "skipped: strace, which is missing or may not trace"
        return
    fi
    for call in openat read write pread64 pwrite64 fsync syncfs ftruncate rename renameat renameat2 linkat symlinkat unlink \
        unlinkat mkdir mkdirat rmdir newfstatat readlink readlinkat getdents64 lseek flock fcntl fchmod mmap mremap clone3; do
        error=EIO
        [ $call != mmap ] && [ $call != mremap ] || error=ENOMEM
        [ $call != clone3 ] || error=EAGAIN
        fresh
        (cd work && strace -f -qq -e trace=$call,faccessat -o ../calls -E LD_PRELOAD="$shim" -E FAULT_MARK=1 "${command[@]}" > /dev/null 2>&1)
        count=$(grep "$call(" calls | cut -d' ' -f1 | sort | uniq -c | sort -n | tail -1 | awk '{ print $1 }')
        skip=$(sed '/"main begins"/q' calls | grep -c "$call(")
        count=${count:-0} step=1
        [ "$each" = 0 ] || step=$(((count - skip + each - 1) / each))
        for n in $(seq $((skip + 1)) $((step > 0 ? step : 1)) "$count"); do
            fault="strace: $call $n of $count fails"
            fresh
            (cd work && timeout --foreground -s KILL 60 strace -f -qq -o /dev/null -e trace=$call -e inject=$call:error=$error:when="$n" \
                -E LD_PRELOAD="$shim" -E FAULT_MARK=1 "${command[@]}" > ../out 2> ../err)
            code=$?
            judge # 137: it did not end
            afterwards
        done
    done
}

# One or several sweeps of a scenario, in a folder of their own.
sweep() { # SCENARIO SWEEP...
    local began=$SECONDS which
    scenario=$1
    mkdir "$here/$*" && cd "$here/$*" || exit
    checks=0 failures=0 RANDOM=1
    prepare "$scenario"
    fault="no fault"
    try FAULT_COUNTS="$PWD/counts" LD_PRELOAD="$shim"
    rm -rf after
    cp -a work after
    cp out reference
    judge
    if [ $code = 0 ]; then
        for which in "${@:2}"; do "sweep_$which"; done
    else
        trouble "exit code $code: $(cat err)"
    fi
    [ "$how" != all ] || printf '%-10s %-6s %d s, %d checks, %d failed\n' "$1" "${*:2}" $((SECONDS - began)) $checks $failures
    [ $failures -le 40 ] || echo "and $((failures - 40)) more"
    cd "$here" || exit
    rm -r "${here:?}/$*"
    echo $checks $failures >> totals
}

# ---- what the scenarios need -------------------------------------------------------------------------------------------------
mkdir stuff mirror
for _ in 1 2 3 4 5 6 7 8; do printf 'abc\nab\n\ncba\nabca\n\nabcabcabc\n\n'; done > stuff/t.txt
expect 0 tokenize --tokenizer char stuff/t.txt -o stuff/t.tok --quiet
expect 0 train stuff/t.tok "${small[@]}" --steps 4 --keep 100 -o every
mkdir -p mirror/host/d packed/d
echo one > mirror/host/one.txt
echo two > packed/d/two.txt
tar -C packed -czf mirror/host/d.tar.gz d
sum() { sha256sum "$1" | cut -d' ' -f1; }
cat > stuff/it.json << END
{"it": {"note": "n", "licence": "l", "files": [
 {"path": "one.txt", "urls": ["https://host/one.txt"], "sha256": "$(sum mirror/host/one.txt)"},
 {"path": "d", "urls": ["https://host/d.tar.gz"], "sha256": "$(sum mirror/host/d.tar.gz)", "unpack": "folder"}]}}
END
mkdir -p begun_in
cp stuff/t.tok begun_in
(cd begun_in && train t.tok "${small[@]}" --steps 4 --keep 2 --max-time 1h -o run > /dev/null 2>&1 && train --resume run/ckpt-00000003 --steps 3 --quiet > /dev/null 2>&1)
cp -a begun_in/run begun
cd "$here" || exit

sweeps=(power kills calls alloc)
[ "$how" != all ] || sweeps+=(strace)
[ ${#wanted[@]} -gt 0 ] || wanted=("${scenarios[@]}" keep-one:power)
units=()
for it in "${wanted[@]}"; do
    if [ "$it" != "${it%:*}" ]; then
        units+=("${it%:*} ${it#*:}")
    elif [ "$how" = few ]; then
        units+=("$it ${sweeps[*]}")
    else
        for which in "${sweeps[@]}"; do units+=("$it $which"); done
    fi
done
jobs=${JOBS:-$([ "$how" = all ] && nproc || echo 1)} busy=0
for unit in "${units[@]}"; do
    [ $busy -lt "$jobs" ] || { wait -n; busy=$((busy - 1)); }
    (trap - EXIT; sweep $unit) &
    busy=$((busy + 1))
done
wait
[ "$(wc -l < totals)" = ${#units[@]} ] || problem "of ${#units[@]} sweeps $(wc -l < totals) came to their end"
while read -r n m; do checks=$((checks + n)) failures=$((failures + m)); done < totals
finish
