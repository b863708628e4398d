# At a terminal, as script(1) makes one: nothing binary goes there.
. "$(dirname "$0")/cli.sh"
if ! script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
    echo "cli_terminal.sh: skipped: script(1) makes no terminal here"
    exit 77
fi

# terminal CODE COMMAND: runs it with stdin, stdout and stderr on a terminal of 80 columns; $out holds what was shown
terminal() {
    local code=$1 got
    script -qec "stty cols 80 rows 24; $2" "$here/.typescript" > /dev/null 2>&1 < /dev/null
    got=$?
    out=$(sed '1{/^Script started/d}; ${/^Script done/d}' "$here/.typescript" | tr -d '\r')
    checks=$((checks + 1))
    [ $got = "$code" ] || problem "$2 exited with $got, expected $code: $out"
}

shows() { # TEXT: the terminal has it
    checks=$((checks + 1))
    case $out in *"$1"*) ;; *) problem "the terminal lacks \"$1\": $out" ;; esac
}

shows_one_line() {
    shows "$1"
    [ "$(printf '%s\n' "$out" | wc -l)" = 1 ] || problem "more than one line: $out"
}

tiny="--layers 1 --heads 1 --channels 8 --seq-len 8 --batch-size 2 --threads 1"
fetch-data stories --stories 20 -q -o s.txt || problem "no stories"
tokenize -t bytes s.txt -o s.tok -q || problem "no tokens"
train s.tok $tiny --steps 1 -q -o run 2> /dev/null || problem "no run"

# ---- binary output, refused before any work ------------------------------------------------------------------------

for to in - /dev/stdout /dev/tty; do
    terminal 2 "train nowhere.tok $tiny --steps 100000000 -o $to"
    shows_one_line "train: a checkpoint is nothing for a terminal"
    terminal 2 "convert-gpt2 nowhere -o $to"
    shows_one_line "convert-gpt2: a checkpoint is nothing for a terminal"
    terminal 2 "tokenize -t bytes nowhere -o $to"
    shows_one_line "tokenize: a token stream is not for terminals"
    terminal 2 "sample -c nowhere -p x --trace $to"
    shows_one_line "--trace writes tensors, which are nothing for a terminal"
done
terminal 2 "convert-gpt2 run"
shows_one_line "a checkpoint is nothing for a terminal"
terminal 2 "tokenize -t bytes s.txt -o v.tok --val /dev/stdout"
shows_one_line "a token stream is not for terminals"
# what is no terminal takes it as before, and so does a pipe from one
terminal 0 "train s.tok $tiny --steps 1 -q -o - > /dev/null && convert-gpt2 run -q -o - | convert-gpt2 --info -o info.txt"
[ -s info.txt ] || problem "no checkpoint came through the pipe"
terminal 0 "train s.tok $tiny --steps 1 --dry-run -o -"
shows "parameters"
finish
