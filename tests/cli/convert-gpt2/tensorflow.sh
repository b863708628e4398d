# convert-gpt2: OpenAI's TensorFlow checkpoints, by their folder, their index or their prefix.
. "$(dirname "$0")/../cli.sh"
golden=$repo/tests/golden/formats
cp -r "$golden/tensorflow" 124M

for input in 124M 124M/model.ckpt.index 124M/model.ckpt; do
    expect 0 convert-gpt2 "$input" -o a.safetensors
    says "read back: all numbers equal to the input's"
    expect 0 convert-gpt2 --diff a.safetensors "$golden/hf" # <|endoftext|> ends a text by its config.json too
    has "the same configuration, tokenizer and 28 tensors"
done
expect 0 convert-gpt2 --info --verify 124M
has "tokenizer   bpe, 272 ids"
has "28 tensors, 28 of them by their CRC-32C"

# `checkpoint` as TensorFlow writes it elsewhere: the folder that the model was trained in
echo 'model_checkpoint_path: "/home/someone/models/124M/model.ckpt"' > 124M/checkpoint
expect 0 convert-gpt2 -q 124M -o b.safetensors
same a.safetensors b.safetensors
for text in '' 'all_model_checkpoint_paths: "model.ckpt"' 'model_checkpoint_path: ""' 'model_checkpoint_path: "a' \
    'model_checkpoint_path: "../124M/model.ckpt"' 'model_checkpoint_path: model.ckpt'; do
    echo "$text" > 124M/checkpoint
    expect 1 convert-gpt2 124M -o c.safetensors
    says "124M/checkpoint: names no checkpoint of this folder in a model_checkpoint_path"
done
echo 'model_checkpoint_path: "other.ckpt"' > 124M/checkpoint
expect 1 convert-gpt2 124M -o c.safetensors
says "124M/other.ckpt.index: No such file or directory"

# hparams.json
hparams() {
    echo "$1" > 124M/hparams.json
    expect 1 convert-gpt2 124M/model.ckpt -o c.safetensors
    says "$2"
}
hparams '{"n_vocab": 272, "n_ctx": 16, "n_embd": 16, "n_head": 2}' '"n_layer" is missing'
hparams '{"n_vocab": 272, "n_ctx": 16, "n_embd": 16, "n_head": 2.5, "n_layer": 2}' '"n_head" is not a whole number'
hparams '{"n_vocab": 272, "n_ctx": 16, "n_embd": 16, "n_head": 3, "n_layer": 2}' 'do not divide into 3 heads'
hparams '{"n_vocab": 272, "n_ctx": 16, "n_embd": 16, "n_head": 2, "n_layer": 3}' 'tensor model/h2/ln_1/g is missing'
hparams '{"n_vocab": 272, "n_ctx": 16, "n_embd": 16, "n_head": 2, "n_layer": 1}' 'expected no such tensor'
hparams '{"n_vocab": 271, "n_ctx": 16, "n_embd": 16, "n_head": 2, "n_layer": 2}' 'tensor model/wte is DT_FLOAT [272,16]'
hparams '{"n_experts": 8}' '"n_experts" is not a setting of OpenAI'
hparams '[]' 'hparams.json: is not a JSON object'
hparams '{' 'hparams.json: is not JSON'
rm 124M/hparams.json
expect 1 convert-gpt2 124M/model.ckpt -o c.safetensors
says "124M/model.ckpt.index: has no hparams.json beside it, and shapes do not tell the number of heads: give --heads"
absent c.safetensors
expect 0 convert-gpt2 -q 124M/model.ckpt --heads 2 -o c.safetensors
same a.safetensors c.safetensors
rm c.safetensors

# damage
cp "$golden/tensorflow/hparams.json" 124M/
printf '\001' | dd of=124M/model.ckpt.data-00000-of-00001 bs=1 seek=3000 conv=notrunc status=none
expect 1 convert-gpt2 124M/model.ckpt -o c.safetensors
says "124M/model.ckpt.data-00000-of-00001: tensor"
says "is damaged: its masked CRC-32C is"
head -c 20000 "$golden/tensorflow/model.ckpt.data-00000-of-00001" > 124M/model.ckpt.data-00000-of-00001
expect 1 convert-gpt2 124M/model.ckpt -o c.safetensors
says "124M/model.ckpt.data-00000-of-00001: is truncated: tensor"
rm 124M/model.ckpt.data-00000-of-00001
expect 1 convert-gpt2 124M/model.ckpt -o c.safetensors
says "124M/model.ckpt.data-00000-of-00001: No such file or directory"
absent c.safetensors
finish
