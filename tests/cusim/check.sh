# make gpu-check on the simulated GPU: with the simulator's tools and two of its tests in the place of a device's, and a
# compute-sanitizer that finds nothing. (The part that measures, bench/gpu.sh, is cli/all/gpu.sh's, on the processor.)
. "$(dirname "$0")/../cli/cli.sh"
export CUSIM_SEED=1 CUSIM_GPU=memory=16 LIMIT=9000
mkdir -p gpu/bin stub
ln -s "$GPTPIPE_BIN"/cusim/{train,sample,eval-mfu} "$GPTPIPE_BIN"/{fetch-data,tokenize} gpu/bin/
for name in norm sample; do
    [ ! -x "$GPTPIPE_BIN/cusim_$name" ] || ln -s "$GPTPIPE_BIN/cusim_$name" gpu/bin/cuda_$name
done
printf '#!/bin/sh\nfor program; do :; done\nexec "$program"\n' > stub/compute-sanitizer
chmod +x stub/compute-sanitizer

expect 0 env PATH="$here/stub:$PATH" PARTS="ops curve resume sanitizer" TINY="--layers 1 --channels 16 --seq-len 8 --batch-size 2" \
    "$repo/tests/gpu_check.sh" "$here/gpu"
checks=$((checks + 7))
ran() { grep -qE "^  ok +[0-9]+ s  $1\$" <<< "$out" || problem "\"$1\" was not done: $out"; }
[[ $out = *"gpu-check: simulated, sm_90, "*" s, 0 failed"* ]] || problem "gpu-check: $out"
ran 'cuda_norm'
ran '30 steps in fp32 are ref.s within 1e-4'
ran '30 steps in bf16 are ref.s within 1%'
ran samples
ran 'a resumed run has the bits of one that was not stopped'
ran "cuda_norm, compute-sanitizer.s memcheck"

# what there is no time for is skipped, and said
expect 0 env LIMIT=0 PARTS=ops "$repo/tests/gpu_check.sh" "$here/gpu"
checks=$((checks + 1))
[[ $out = *"skipped    0 s  cuda_norm: no time was left of 0 s"* ]] || problem "without time: $out"

# one op that is wrong, and a lost device, are failures, and named
printf '#!/bin/sh\necho an op is off >&2\nexit 1\n' > stub/wrong
chmod +x stub/wrong
ln -sf "$here/stub/wrong" gpu/bin/cuda_norm
expect 1 env PARTS=ops "$repo/tests/gpu_check.sh" "$here/gpu"
checks=$((checks + 1))
[[ $out = *"an op is off"*"FAILED "*"cuda_norm"* ]] || problem "a wrong op: $out"
expect 77 env CUSIM_GPU=count=0 "$repo/tests/gpu_check.sh" "$here/gpu"
checks=$((checks + 1))
[[ $out = *"nothing can be checked here: eval-mfu: backend cuda: the NVIDIA driver finds no GPU"* ]] || problem "without a GPU: $out"
finish
