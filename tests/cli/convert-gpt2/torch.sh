# convert-gpt2: PyTorch's files in and out: pytorch_model.bin in a folder and by itself, shards, pipes, nanoGPT's ckpt.pt;
# what they do not say is asked for, and what their readers would compute otherwise is refused.
. "$(dirname "$0")/../cli.sh"
formats=$repo/tests/golden/formats

# a folder for from_pretrained, and back
expect 0 convert-gpt2 "$formats/hf" --to torch -o pt/
says "parameters as torch fp32 in pt/; read back: all numbers equal to the input's"
checks=$((checks + 1))
[ "$(echo pt/*)" = "pt/config.json pt/pytorch_model.bin pt/tokenizer.json pt/tokenizer_config.json" ] ||
    problem "pt/ has $(echo pt/*)"
expect 0 convert-gpt2 --diff pt "$formats/hf"
has "the same configuration, tokenizer and 28 tensors"
expect 0 convert-gpt2 "$formats/hf-bert" --to torch -o bert/
expect 0 convert-gpt2 --diff bert "$formats/hf-bert"
expect 0 convert-gpt2 "$formats/hf" --to torch --shard-size 0.02 -o shards/
checks=$((checks + 1))
[ "$(ls shards/pytorch_model-*-of-*.bin | wc -l)" -gt 1 ] && [ -f shards/pytorch_model.bin.index.json ] ||
    problem "no shards: $(ls shards)"
expect 0 convert-gpt2 --diff shards "$formats/hf"

# a file alone does not say its heads and its activation
expect 0 convert-gpt2 "$formats/hf" --to torch -o alone.bin
expect 1 convert-gpt2 alone.bin -o alone.safetensors
says "its shapes do not tell the number of heads and the activation: give them to convert-gpt2 by --heads"
absent alone.safetensors
expect 0 convert-gpt2 alone.bin --heads 2 --activation gelu_new -o alone.safetensors
expect 1 convert-gpt2 --diff alone.safetensors "$formats/hf" # which has a tokenizer
has "0 of 28 tensors differ"
expect 1 convert-gpt2 "$formats/hf-untied" --to torch -o untied.bin
says "a state_dict has no place for its layer_norm_epsilon; write it into a folder"
absent untied.bin
expect 0 convert-gpt2 "$formats/hf-untied" --to torch -o untied/
expect 0 convert-gpt2 --diff untied "$formats/hf-untied"

# through pipes
convert-gpt2 -q "$formats/hf" --to torch -o - | convert-gpt2 -q - --heads 2 --activation gelu_new -o piped.safetensors ||
    problem "a pipe fails"
expect 0 convert-gpt2 --diff piped.safetensors alone.safetensors

# nanoGPT: the optimizer is named, not read
expect 0 convert-gpt2 --info "$formats/nanogpt/ckpt.pt"
says "not read, since they are no weights: optimizer, best_val_loss, config"
has "format      nanogpt"
has "  block_size = 16"
has "_orig_mod.transformer.h.0.attn.c_attn.weight             F32 [48,16]"
warns convert-gpt2 -q "$formats/nanogpt/no-bias.pt" --to nanogpt -o ckpt.pt
expect 0 convert-gpt2 --info ckpt.pt
has "  bias = False"
warns convert-gpt2 --diff ckpt.pt "$formats/nanogpt/no-bias.pt"
has "the same configuration"
expect 0 convert-gpt2 ckpt.pt --dtype bf16 -o hf/

# what nanoGPT would compute otherwise
refuses() { # INPUT MESSAGE
    expect 1 convert-gpt2 "$1" --to nanogpt -o no.pt
    says "$2"
    absent no.pt
}
refuses "$formats/hf" "nanoGPT computes with activation_function gelu, this model has gelu_new: it would give other logits there"
refuses "$repo/tests/golden/gpt2-relu" "nanoGPT computes with activation_function gelu, this model has relu: it would give other logits there"
refuses "$formats/hf-untied" "nanoGPT computes with layer_norm_epsilon 1e-05, this model has 0.001"
refuses "$formats/hf-bert" "nanoGPT computes with model_type gpt2, this model has bert"

# a pickle that runs a command
expect 1 convert-gpt2 --info "$repo/tests/fuzz/corpus/torch/system"
says "refuses to load posix.system; only tensors, dicts, lists, numbers and text are loaded"
head -c 5000 pt/pytorch_model.bin > cut.bin
expect 1 convert-gpt2 cut.bin -o cut.safetensors
says "has no end of a zip's central directory (truncated?)"
absent cut.safetensors
finish
