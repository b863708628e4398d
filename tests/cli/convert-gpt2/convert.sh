# convert-gpt2: files, folders and pipes in and out; what it tells; what it refuses.
. "$(dirname "$0")/../cli.sh"
golden=$repo/tests/golden

# a folder of transformers' becomes one file, the file goes through pipes, and nothing changes on the way
for m in gpt2 bert roberta; do
    expect 0 convert-gpt2 "$golden/$m-tiny" -o $m.safetensors
    says "as safetensors fp32 in $m.safetensors"
    convert-gpt2 --quiet $m.safetensors | convert-gpt2 --quiet | convert-gpt2 --quiet - -o piped 2> err ||
        problem "the pipe failed: $(cat err)"
    same $m.safetensors piped
    expect 0 convert-gpt2 --quiet $m.safetensors -o $m/
    same $m.safetensors $m/model.safetensors
    expect 0 convert-gpt2 --quiet $m -o again
    same $m.safetensors again
done

# ReLU is an activation too
expect 0 convert-gpt2 "$golden/gpt2-relu" -o relu/
grep -q '"activation_function": "relu"' relu/config.json || problem "config.json has lost its relu"
expect 0 convert-gpt2 --diff "$golden/gpt2-relu" relu
has "the same configuration"

# 16 bits: half the data; once more loses nothing
expect 0 convert-gpt2 gpt2 --dtype bf16 -o half/
grep -q '"dtype": "bfloat16"' half/config.json || problem "config.json does not say bfloat16"
convert-gpt2 --quiet half --dtype fp32 | convert-gpt2 --quiet --dtype bf16 -o twice
same half/model.safetensors twice
data_size() { echo $(($(stat -c %s "$1") - 8 - $(od -An -tu8 -N8 "$1"))); }
small=$(data_size half/model.safetensors) large=$(data_size gpt2/model.safetensors)
checks=$((checks + 1))
[ $((large - small)) = $((29568 * 2)) ] || problem "bf16 has $small bytes, fp32 $large" # 29568 parameters

# a file may be converted in place
cp gpt2.safetensors self
expect 0 convert-gpt2 --quiet self -o self
same gpt2.safetensors self

# --info
expect 0 convert-gpt2 --info gpt2
for line in "model       gpt2, 2 layers, 2 heads, 32 channels, context 32, vocabulary 96" "parameters  29568" \
    "tokenizer   none"; do
    checks=$((checks + 1))
    printf '%s\n' "$out" | grep -qxF "$line" || problem "--info lacks: $line"
done
checks=$((checks + 1))
[ "$(printf '%s\n' "$out" | grep -c '^  transformer\.')" = 28 ] || problem "--info does not list 28 tensors"
expect 0 convert-gpt2 --info --json half
checks=$((checks + 1))
printf '%s\n' "$out" | grep -qF '{"name": "transformer.wte.weight", "dtype": "BF16", "shape": [96, 32]}' ||
    problem "--json lacks the embedding"

# classifiers keep their labels, a model without head its pooler; other formats have no place for them
for m in gpt2-classify bert-classify roberta-classify bert-none roberta-none; do
    expect 0 convert-gpt2 "$golden/heads-$m" -o $m/
    says "all numbers equal to the input's"
    expect 0 convert-gpt2 --diff "$golden/heads-$m" $m
    has "the same configuration"
done
# a GPT-2 classifier without padding gets the end-of-text, without which transformers takes no batches
cp -r "$golden/predict/gpt2-classify" unpadded
sed -i '/"pad_token_id"/d' unpadded/config.json
expect 0 convert-gpt2 unpadded --quiet -o padded/
grep -q '"pad_token_id": 0' padded/config.json && grep -q '"pad_token": "<|endoftext|>"' padded/tokenizer_config.json ||
    problem "no padding: $(cat padded/config.json padded/tokenizer_config.json)"
# transformers 4 gives token types unless it is told, and GPT-2 adds an embedding for them
for m in gpt2 bert; do
    expect 0 convert-gpt2 "$golden/predict/$m-classify" --quiet -o inputs-$m/
done
grep -q '"model_input_names"' inputs-gpt2/tokenizer_config.json &&
    ! grep -q token_type_ids inputs-gpt2/tokenizer_config.json || problem "GPT-2 would be given token types"
grep -q '"token_type_ids"' inputs-bert/tokenizer_config.json || problem "BERT would be given no token types"
# how transformers cleans decoded text
cp -r "$golden/predict/bert-classify" cleaned
sed -i 's/{/{"clean_up_tokenization_spaces": true,/' cleaned/tokenizer_config.json
expect 0 convert-gpt2 cleaned --quiet -o cleaned.safetensors
expect 0 convert-gpt2 cleaned.safetensors --quiet -o cleans/
grep -q '"clean_up_tokenization_spaces": true' cleans/tokenizer_config.json &&
    grep -q '"clean_up_tokenization_spaces": false' inputs-bert/tokenizer_config.json || problem "text is cleaned otherwise"
grep -q '"pad_token_id": 3' gpt2-classify/config.json || problem "the padding is not the input's"
grep -q '"pad_token_id": null' gpt2/config.json || problem "a language model got padding"
expect 0 convert-gpt2 --info roberta-classify
has "head        labels negative, neutral, positive"
expect 0 convert-gpt2 --info bert-none
has "head        none: hidden states"
has "bert.pooler.dense.weight"
for to in gguf llmc nanogpt; do
    expect 1 convert-gpt2 gpt2-classify --to $to -o new
    says "computes with a head for next tokens, this model has one for labels"
    absent new
done

# bad input: one line, exit 1, nothing left under the final name
refused() {
    expect 1 convert-gpt2 --quiet "$1" -o new
    says "$2"
    absent new
    checks=$((checks + 1))
    [ -z "$(find . -name '*.tmp')" ] || problem "a temporary file is left"
}
refused missing "missing: No such file or directory"
echo hello > text
refused text "text: unrecognised checkpoint format; supported: run (a run directory), safetensors ("
mkdir empty
refused empty "empty: unrecognised checkpoint format"
: > nothing
refused nothing "nothing: is empty"
# A pipe is looked at as a file is.
refused - "stdin: is empty" < <(:)
refused - "stdin: unrecognised checkpoint format; supported: run (a run directory), safetensors (" < <(cat text)
# what a clone of a model without Git LFS has, and a folder with an adapter alone
pointer=$'version https://git-lfs.github.com/spec/v1\noid sha256:248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707\nsize 548105171'
mkdir clone adapter
cp gpt2/config.json clone/
for file in model.safetensors pytorch_model.bin tokenizer.json; do
    echo "$pointer" > clone/$file
    refused clone/$file "clone/$file: is a Git LFS pointer, which stands for the file; run \`git lfs pull\` in its folder, or download it"
done
refused clone "clone/model.safetensors: is a Git LFS pointer"
refused - "stdin: is a Git LFS pointer" < <(cat clone/model.safetensors)
expect 1 tokenize --tokenizer clone/tokenizer.json text
says "clone/tokenizer.json: is a Git LFS pointer"
expect 1 train clone/model.safetensors --out new
says "clone/model.safetensors: is a Git LFS pointer"
echo '{"peft_type": "LORA"}' > adapter/adapter_config.json
refused adapter "adapter: has a PEFT adapter without the model that it changes; merge the two first"
refused - "stdin: is truncated: the header describes 118272 bytes of data" < <(head -c 50000 gpt2.safetensors)
head -c 50000 gpt2.safetensors > cut
refused cut "cut: is truncated: the header describes 118272 bytes of data, there are"
cp "$golden/gpt2-tiny/model.safetensors" alone
refused alone "alone: has no gptpipe.config in its metadata and no config.json beside it"
cp -r gpt2 worse
sed 's/"n_layer": 2/"n_layer": 3/' gpt2/config.json > worse/config.json
cp "$golden/gpt2-tiny/model.safetensors" worse/
refused worse "worse: tensor transformer.h.2.ln_1.weight is missing, expected F32 [32]"
sed 's/"n_layer": 2/"n_layer": 1/' gpt2/config.json > worse/config.json
refused worse "tensor transformer.h.1.attn.c_attn.bias is F32 [96], expected no such tensor in a gpt2 of 1 layers"
sed 's/"n_head": 2/"n_head": 5/' gpt2/config.json > worse/config.json
refused worse "worse/config.json: 32 channels do not divide into 5 heads"

# the same through a pipe
for n in 0 5 1000 50000; do
    head -c $n gpt2.safetensors > part
    expect 1 convert-gpt2 --quiet -o new < part
    [ $n = 5 ] && told="unrecognised checkpoint format" || told=is # shorter than a safetensors file's first bytes
    says "convert-gpt2: stdin: $told"
    absent new
    checks=$((checks + 1))
    cat part | convert-gpt2 --quiet -o new 2> err && problem "$n bytes were taken for a checkpoint"
    grep -q "^convert-gpt2: stdin: $told" err || problem "$n bytes through a pipe: $(cat err)"
    absent new
done

# a run whose last checkpoint is broken: the one before it is taken, and that is said
mkdir -p run/ckpt-00000001 run/ckpt-00000002
cp gpt2.safetensors run/ckpt-00000001/model.safetensors
cp cut run/ckpt-00000002/model.safetensors
ln -s ckpt-00000001 run/last
expect 0 convert-gpt2 --quiet run -o from-run
same from-run gpt2.safetensors
[ -z "$err" ] || problem "nothing is wrong with run, but: $err"
ln -sfn ckpt-00000002 run/last
warns convert-gpt2 --quiet run -o from-run
same from-run gpt2.safetensors
says "run/ckpt-00000002/model.safetensors: is truncated"
says "; taking run/ckpt-00000001 in its place"

# results that cannot be written
expect 1 convert-gpt2 --quiet gpt2 -o nowhere/new
says "nowhere/new: cannot be created: No such file or directory"
expect 1 convert-gpt2 --quiet gpt2 -o half
says "half: is not empty; choose another folder"
checks=$((checks + 1))
convert-gpt2 --quiet gpt2 > /dev/full 2> err && problem "a full disk was not noticed"
grep -qx 'convert-gpt2: stdout: cannot be written: No space left on device' err || problem "full disk: $(cat err)"
checks=$((checks + 1))
(trap '' PIPE; convert-gpt2 --quiet gpt2 2> err; echo $? > code) | :
[ "$(cat code)" = 1 ] || problem "a closed pipe was not noticed"
grep -qx 'convert-gpt2: stdout: cannot be written: Broken pipe' err || problem "closed pipe: $(cat err)"

# a name that promises another format than is written
for name in new.npz a.b.onnx new.H5 new.safetensors.pb; do
    expect 2 convert-gpt2 gpt2 -o $name
    says "convert-gpt2: $name: .${name##*.} is a suffix of "
    says ", and the output is safetensors; supported: "
    absent $name
done
for name in new.gguf new.bin new.pt new.PTH model.ckpt; do
    expect 2 convert-gpt2 nowhere --to safetensors -o $name # before anything is opened
    says "is a suffix of "
    absent $name
done
for name in new.bin new.PT model.ckpt; do
    expect 2 convert-gpt2 nowhere -o $name
    says "may be of several formats: choose "
done
expect 0 convert-gpt2 gpt2 --quiet -o new.gguf/ # a folder's files have names of their own
[ -s new.gguf/model.safetensors ] || problem "no weights in new.gguf/"
rm -r new.gguf
expect 0 convert-gpt2 gpt2 --quiet -o gguf
rm gguf

# the command line
expect 2 convert-gpt2 gpt2 half
expect 2 convert-gpt2 gpt2 --to onnx -o new
expect 2 convert-gpt2 gpt2 --dtype fp8 -o new
expect 2 convert-gpt2 gpt2 -o ''
says '-o: is empty, expected '
expect 2 convert-gpt2 gpt2 --json -o new
absent new
finish
