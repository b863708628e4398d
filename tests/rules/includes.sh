#!/usr/bin/env bash
# The dependency rules of the modules, held by reading every #include:
#
#     base <- cli, text, backend
#     base, cli <- fetch <- data (sees text too) <- corpus
#     base, backend <- model
#     base <- run; cli, data, run, text, backend, model <- checkpoint
#     text, data, model <- infer
#     all of these, and dist <- train <- perf <- tools
#
# `sees` below says it in full. The numeric core (backend, model) sees neither files' formats nor the terminal; only train
# sees dist; tools and examples see the public headers alone. dnnl.h is included by one file, CUDA's headers by
# backend/cuda, mpi.h and nccl.h by dist. JSON is read by base/json.c alone. No file but the configuration's and the
# formats' tests a model's family. The test then breaks each rule in a copy of
# the tree, to see that it is caught.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Prints one line a violation in the tree at $1.
check() {
    (cd "$1" && find include libcommon tools examples -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort |
        xargs awk '
    BEGIN {
        # which modules a module sees
        sees["base"] = " base "
        sees["cli"] = " base cli "
        sees["text"] = " base text "
        sees["backend"] = " base backend "
        sees["fetch"] = " base cli fetch "
        sees["data"] = " base cli text fetch data "
        sees["corpus"] = " base cli text fetch data corpus "
        sees["model"] = " base backend model "
        sees["run"] = " base run "
        sees["checkpoint"] = " base cli text backend data model run checkpoint "
        sees["infer"] = " base cli text backend data model infer "
        sees["dist"] = " base backend dist "
        sees["train"] = " base cli text backend fetch data corpus model run checkpoint infer dist train "
        sees["perf"] = " base cli backend model train perf "
        # a public header belongs to a module too
        headers("base", "batch choice error tensor")
        headers("cli", "lines options output")
        headers("text", "encoding tokenizer")
        headers("fetch", "fetch reviews stories")
        headers("data", "dataset labelled loader masked safetensors text tokens")
        headers("corpus", "corpus")
        headers("backend", "activation backend measure")
        headers("model", "config model")
        headers("checkpoint", "checkpoint trace")
        headers("infer", "predict prompts sampler samples score")
        headers("train", "machine train")
        headers("perf", "mfu roofline")
        # headers of packages, and where they may stand
        tied["^(oneapi/)?dnnl"] = "^libcommon/backend/cpu/"
        tied["^(cuda|cublas|cudnn|curand|nvToolsExt|mma[.]h|cooperative_groups)"] = "^libcommon/backend/cuda/"
        tied["^(mpi|nccl)[.]h"] = "^libcommon/dist/"
        tied["^(jansson|yaml|zlib|omp|archive|archive_entry|histedit)[.]h|^(curl|openssl)/"] = "^libcommon/"
    }
    function headers(module, names,   list, n, i) {
        n = split(names, list, " ")
        for (i = 1; i <= n; i++)
            module_of["gptpipe/" list[i] ".h"] = module
    }
    function wrong(why) { printf "%s:%d: %s\n", FILENAME, FNR, why }

    FNR == 1 {
        split(FILENAME, part, "/")
        here = part[1] == "libcommon" ? part[2] : part[1] == "include" ? module_of["gptpipe/" part[3]] : "tools"
        if (here == "")
            wrong("this public header has no module in tests/rules/includes.sh")
        else if (here != "tools" && !(here in sees))
            wrong("there is no module " here)
    }
    /(^|[^a-z_])json_load[a-z_]*\(/ && FILENAME != "libcommon/base/json.c" {
        wrong("gp_json_load of base/json.h reads JSON, within a budget of memory")
    }
    /GP_(GPT2|BERT|ROBERTA)|(->|[.])family/ && FILENAME !~ /^libcommon\/(checkpoint\/|model\/config)|gptpipe\/config[.]h$/ &&
        !/gp_family_name/ {
        wrong("only the configuration and the formats know families; elsewhere a flag of gp_config says what differs")
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
        module = target ~ /^gptpipe\// ? module_of[target] : part[1] in sees ? part[1] : ""
        if (target ~ /^gptpipe\// && module == "")
            wrong(target " has no module in tests/rules/includes.sh")
        else if (here == "tools" && (target ~ /^gptpipe\// ? 0 : quoted || module != ""))
            wrong(target ": tools and examples see the public headers alone")
        else if (here != "tools" && module != "" && !index(sees[here], " " module " "))
            wrong(target " is of " module ", which " here " does not see")
        else if (FILENAME ~ /^include/ && quoted && target !~ /^gptpipe\//)
            wrong(target ": public headers see public headers alone")
    }')
}

found=$(check .)
if [ -n "$found" ]; then
    printf 'the dependency rules are broken:\n%s\n' "$found"
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
# What no module may see: said here once more, so that a slip in `sees` is caught as well.
while read -r module others; do
    for other in $others; do
        plant "libcommon/$module/a.c" "\"$other/a.h\""
    done
done << 'END'
base cli text backend fetch data corpus model run checkpoint infer dist train perf
cli text backend fetch data corpus model run checkpoint infer dist train perf
text cli backend fetch data corpus model run checkpoint infer dist train perf
backend cli text fetch data corpus model run checkpoint infer dist train perf
fetch text backend data corpus model run checkpoint infer dist train perf
data backend corpus model run checkpoint infer dist train perf
corpus backend model run checkpoint infer dist train perf
model cli text fetch data corpus run checkpoint infer dist train perf
run cli text backend fetch data corpus model checkpoint infer dist train perf
checkpoint fetch corpus infer dist train perf
infer fetch corpus run checkpoint dist train perf
dist cli text fetch data corpus model run checkpoint infer train perf
train perf
perf text fetch data corpus run checkpoint infer dist
END
plant libcommon/base/a.h '"gptpipe/tokenizer.h"'
plant libcommon/text/a.c '"gptpipe/tokens.h"'
plant libcommon/backend/ref/a.c '"gptpipe/tokenizer.h"'
plant libcommon/backend/cuda/a.cu '"model/model.h"'
plant libcommon/model/a.c '"gptpipe/safetensors.h"'
plant libcommon/checkpoint/hf/a.c '"train/step.h"'
plant libcommon/base/a.c '"../text/bpe/bpe.h"'
plant libcommon/base/a.c ' "text/bpe/bpe.h"'
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
for file in libcommon/model/a.c libcommon/train/a.c tools/a.c; do
    plant $file '<stdint.h>' 'void f(int family) { return family == GP_BERT; }'
    plant $file '<stdint.h>' 'void f(gp_config *c) { c->family = 0; }'
done
plant libcommon/infer/a.c '<jansson.h>' 'void f(void) { json_decref(json_loads("{}", 0, NULL)); }'
mkdir -p "$copy/libcommon/backend/cpu"
printf '#include <dnnl.h>\n' > "$copy/libcommon/backend/cpu/one.c"
plant libcommon/backend/cpu/two.c '"oneapi/dnnl/dnnl.h"'
echo "the dependency rules hold"
