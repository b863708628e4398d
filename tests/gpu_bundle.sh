#!/usr/bin/env bash
# Packs a build made with GPTPIPE_BUNDLE into FOLDER/gptpipe-gpu.tar.xz: the tools that use a GPU, the tests for a
# device, the shared libraries that they need but those of the C library, a token stream, and the scripts of gpu-check.
# What is of CUDA, the driver, cuBLASLt and cuDNN, is the other machine's.
#
#     tests/gpu_bundle.sh build-gpu
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-gpu}
most=$((64 << 20))
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
root=$here/gptpipe-gpu
mkdir -p "$root/bin" "$root/lib" "$root/tests" "$root/bench"

programs=(train sample eval-mfu)
for program in "$build"/bin/cuda_*; do
    programs+=("$(basename "$program")")
done
for program in "${programs[@]}"; do
    cp "$build/bin/$program" "$root/bin/"
    strip "$root/bin/$program"
done
cp -L "$build"/lib/libgptpipe.so.? "$root/lib/" # the tools share it
strip "$root"/lib/libgptpipe.so.?
# The C library's own parts belong together, and to the machine.
ldd "$root"/bin/* | awk '/=> \// { print $3 }' | sort -u |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux[^/]*)\.so' | while read -r library; do
    [ -e "$root/lib/$(basename "$library")" ] || cp -L "$library" "$root/lib/"
done
cp tests/gpu_check.sh "$root/tests/"
cp bench/gpu.sh bench/peer_torch.py "$root/bench/"
cp LICENSE "$root/"
"$build/bin/fetch-data" stories --quiet -o "$here/s.txt"
head -c 300000 "$here/s.txt" | "$build/bin/tokenize" --tokenizer char --quiet -o "$root/tests/stories.tok"
cat > "$root/run.sh" << 'SCRIPT'
#!/usr/bin/env bash
# Tests and benchmarks of the GPU that is here; bench/results gets the figures. PARTS, OUT: see tests/gpu_check.sh and
# bench/gpu.sh. cuBLASLt and cuDNN are looked for where the toolkit has them and where PyTorch brings its own.
cd "$(dirname "$0")" || exit 1
brought=$(python3 -c 'import glob, sysconfig
print(":".join(glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/lib")))' 2> /dev/null)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:/usr/local/cuda/lib64:$brought
chosen() { # LIBRARY: where the loader finds it
    IFS=: read -ra folders <<< "$LD_LIBRARY_PATH"
    for folder in "${folders[@]}"; do
        for file in ${folder:+"$folder/$1".so.*}; do
            [ ! -e "$file" ] || { echo "$file"; return; }
        done
    done
    ldconfig -p 2> /dev/null | sed -n "s/.*$1\.so\..* => //p" | head -n 1 | grep . || echo none
}
echo "run.sh: python3 is $(command -v python3 || echo none), cuBLASLt $(chosen libcublasLt), cuDNN $(chosen libcudnn)"
exec tests/gpu_check.sh .
SCRIPT
chmod +x "$root/run.sh"

# Every program holds the same kernels: a dictionary that reaches over several of them keeps one copy.
archive=$build/gptpipe-gpu.tar.xz
tar -C "$here" -c gptpipe-gpu | xz --format=xz --lzma2=preset=1,dict=64MiB > "$archive"
bytes=$(stat -c %s "$archive")
echo "$archive: ${#programs[@]} programs, $((bytes / 1024)) KiB; where xz is missing: python3 -m tarfile -e gptpipe-gpu.tar.xz"
[ "$bytes" -le $most ] || { echo "gpu-bundle: $archive is above $((most >> 20)) MiB" >&2; exit 1; }
