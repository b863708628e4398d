# The line as the README has it: one pipe through four tools.
. "$(dirname "$0")/../cli.sh"
steps=200
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    steps=2
    echo "skipped: 198 of the line's 200 steps, this build has sanitizers, which are slow"
fi
expect 0 bash -c "set -o pipefail; fetch-data stories | tokenize --tokenizer char | train --preset nano --steps $steps | sample --prompt 'Once'"
case $out in Once*) ;; *) problem "the line printed: $out" ;; esac
checks=$((checks + 1))
[ ${#out} -gt 150 ] || problem "200 tokens were asked for, this came: $out"

# eval-mfu reads a checkpoint from stdin, sample a prompt from stdin
fetch-data stories --stories 50 --quiet | tokenize --tokenizer char --quiet |
    train --layers 1 --heads 1 --channels 16 --seq-len 32 --batch-size 2 --steps 1 --quiet > tiny.safetensors
expect 0 bash -c "eval-mfu --seconds 0.01 --seq-len 16 --batch-size 1 < tiny.safetensors"
case $out in *MFU*) ;; *) problem "eval-mfu printed: $out" ;; esac
expect 0 bash -c "printf Once | sample --checkpoint tiny.safetensors --max-tokens 3 --quiet"
case $out in Once*) ;; *) problem "sample printed: $out" ;; esac
finish
