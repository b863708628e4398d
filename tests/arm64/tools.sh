# The tools on arm64: NEON's losses and texts are those of plain loops, a run resumes with the same bits, and a known
# checkpoint gives what transformers computed.
. "$(dirname "$0")/../cli/cli.sh"
small=(--layers 2 --heads 2 --channels 32 --seq-len 32 --batch-size 2 --warmup 2 --lr 1e-2 --quiet)

expect 0 fetch-data stories --seed 1 --stories 200 -o text.txt --quiet
expect 0 tokenize --tokenizer char text.txt -o text.tok --quiet
losses() { sed -nE 's/.*"loss": ([0-9.]+).*/\1/p' "$1/log.jsonl"; }

for backend in ref cpu; do
    expect 0 train text.tok "${small[@]}" --steps 8 --backend $backend -o $backend
    expect 0 sample -c $backend --backend $backend --prompt "Once" --max-tokens 24 --temperature 0 --quiet
    printf '%s' "$out" > $backend.txt
done
checks=$((checks + 1))
paste <(losses ref) <(losses cpu) | awk '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (!($2 > 0) || d > 1e-4) bad = 1 }
    END { exit NR != 8 || bad }' || problem "cpu's losses are not ref's: $(losses ref) $(losses cpu)"
same ref.txt cpu.txt

expect 0 train text.tok "${small[@]}" --steps 4 --decay-steps 8 --backend cpu -o part
expect 0 train --resume part --steps 8 --quiet
same cpu/model.safetensors part/model.safetensors

expect 0 eval-mfu -p nano --layers 1 -B 1 -T 16 --passes forward --seconds 0.1 --backend cpu
has ", neon, "
finish
