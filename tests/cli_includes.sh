#!/usr/bin/env bash
# The law of includes, held by reading every #include:
#
#     base <- text, data, backend <- model <- io <- train <- tools
#
# text, data and backend do not see each other; dist sees base and backend, and only train sees dist; tools and
# examples see the public headers alone. dnnl.h is included by one file, CUDA's headers by backend/cuda, mpi.h and
# nccl.h by dist. JSON is read by base/json.c alone. The test then breaks each rule in a copy of the tree, to see that it is caught.
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints one line a violation in the tree at $1.
check() {
    (cd "$1" && find include libcommon tools examples -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort |
        xargs awk '
    BEGIN {
        # which rooms a room sees
        sees["base"] = " base "
        sees["text"] = " base text "
        sees["data"] = " base data "
        sees["backend"] = " base backend "
        sees["dist"] = " base backend dist "
        sees["model"] = " base text data backend model "
        sees["io"] = " base text data backend model io "
        sees["train"] = " base text data backend dist model io train "
        # a public header belongs to a room too
        rooms("base", "error lines options output tensor")
        rooms("text", "tokenizer")
        rooms("data", "dataset fetch loader stories text tokens")
        rooms("backend", "backend")
        rooms("model", "config model sampler trace")
        rooms("io", "batches checkpoint corpus prompts safetensors samples score")
        rooms("train", "mfu paper train")
        # headers of packages, and where they may stand
        tied["^(oneapi/)?dnnl"] = "^libcommon/backend/cpu/"
        tied["^(cuda|cublas|cudnn|curand|nvToolsExt|mma[.]h|cooperative_groups)"] = "^libcommon/backend/cuda/"
        tied["^(mpi|nccl)[.]h"] = "^libcommon/dist/"
        tied["^(jansson|yaml|zlib|omp|archive|archive_entry|histedit)[.]h|^(curl|openssl)/"] = "^libcommon/"
    }
    function rooms(room, names,   list, n, i) {
        n = split(names, list, " ")
        for (i = 1; i <= n; i++)
            room_of["gptpipe/" list[i] ".h"] = room
    }
    function wrong(why) { printf "%s:%d: %s\n", FILENAME, FNR, why }

    FNR == 1 {
        split(FILENAME, part, "/")
        here = part[1] == "libcommon" ? part[2] : part[1] == "include" ? room_of["gptpipe/" part[3]] : "tools"
        if (here == "")
            wrong("this public header has no room in tests/cli_includes.sh")
        else if (here != "tools" && !(here in sees))
            wrong("there is no room " here)
    }
    /(^|[^a-z_])json_load[a-z_]*\(/ && FILENAME != "libcommon/base/json.c" {
        wrong("gp_json_load of base/json.h reads JSON, within a budget of memory")
    }
    here == "" || !/^[ \t]*#[ \t]*include[ \t]*["<]/ { next }
    {
        quoted = $0 ~ /include[ \t]*"/
        target = $0
        sub(/^[^"<]*["<]/, "", target)
        sub(/[">].*/, "", target)
        if (target ~ /(^|\/)\.\.?\//)
            wrong(target ": paths begin at libcommon or include")
        for (package in tied)
            if (target ~ package && FILENAME !~ tied[package])
                wrong(target " belongs in " substr(tied[package], 2) " alone")
        if (target ~ /^(oneapi\/)?dnnl/ && !(FILENAME in dnnl_files)) {
            dnnl_files[FILENAME]
            if (++dnnl_count > 1)
                wrong(target " is included by another file already")
        }
        split(target, part, "/")
        room = target ~ /^gptpipe\// ? room_of[target] : part[1] in sees ? part[1] : ""
        if (target ~ /^gptpipe\// && room == "")
            wrong(target " has no room in tests/cli_includes.sh")
        else if (here == "tools" && (target ~ /^gptpipe\// ? 0 : quoted || room != ""))
            wrong(target ": tools and examples see the public headers alone")
        else if (here != "tools" && room != "" && !index(sees[here], " " room " "))
            wrong(target " is of " room ", which " here " does not see")
        else if (FILENAME ~ /^include/ && quoted && target !~ /^gptpipe\//)
            wrong(target ": public headers see public headers alone")
    }')
}

found=$(check .)
if [ -n "$found" ]; then
    printf 'the law of includes is broken:\n%s\n' "$found"
    exit 1
fi

# A rule that is broken in the copy must be told, with file and line.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
plant() { # FILE INCLUDE... : where, and the lines that break it
    local file=$1
    shift
    mkdir -p "$(dirname "$copy/$file")"
    printf '/* planted */\n' > "$copy/$file"
    printf '#include %s\n' "$@" | sed 's/^#include void /void /' >> "$copy/$file"
    if ! check "$copy" | grep -q "^$file:[1-9]"; then
        echo "not caught: $file with $*"
        exit 1
    fi
    begin_copy
}
begin_copy() { # the public headers alone, in which nothing is wrong
    rm -rf "${copy:?}"/*
    mkdir -p "$copy/libcommon" "$copy/include/gptpipe" "$copy/tools" "$copy/examples"
    cp include/gptpipe/*.h "$copy/include/gptpipe"
}
begin_copy
[ -z "$(check "$copy")" ]
plant libcommon/base/a.c '"text/bpe.h"'
plant libcommon/base/a.h '"gptpipe/tokenizer.h"'
plant libcommon/text/a.c '"data/stream.h"'
plant libcommon/text/a.c '"gptpipe/tokens.h"'
plant libcommon/data/a.c '"backend/backend.h"'
plant libcommon/backend/ref/a.c '"gptpipe/tokenizer.h"'
plant libcommon/backend/a.c '"model/model.h"'
plant libcommon/model/a.c '"io/checkpoint.h"'
plant libcommon/model/a.c '"gptpipe/safetensors.h"'
plant libcommon/io/a.c '"train/step.h"'
plant libcommon/io/a.c '"dist/dist.h"'
plant libcommon/dist/a.c '"model/model.h"'
plant libcommon/base/a.c '"../text/bpe.h"'
plant libcommon/base/a.c ' "text/bpe.h"'
plant tools/a.c '"base/base.h"'
plant tools/a.c '<model/model.h>'
plant tools/a.c '<jansson.h>'
plant tools/a.c '"helper.h"'
plant examples/a.c '"base/base.h"'
plant include/gptpipe/error.h '"gptpipe/model.h"'
plant include/gptpipe/unheard.h '<stdint.h>'
plant include/gptpipe/error.h '"base/base.h"'
plant libcommon/backend/ref/a.c '<dnnl.h>'
plant libcommon/backend/ref/a.c '<cuda_runtime.h>'
plant libcommon/train/a.c '<mpi.h>'
plant libcommon/else/a.c '<stdint.h>'
plant libcommon/io/a.c '<jansson.h>' 'void f(void) { json_decref(json_loads("{}", 0, NULL)); }'
mkdir -p "$copy/libcommon/backend/cpu"
printf '#include <dnnl.h>\n' > "$copy/libcommon/backend/cpu/one.c"
plant libcommon/backend/cpu/two.c '"oneapi/dnnl/dnnl.h"'
echo "the law of includes holds"
