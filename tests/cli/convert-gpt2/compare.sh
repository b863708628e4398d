# convert-gpt2: what it writes is proven; two checkpoints compared; shards; padding; tensors allowed to be missing.
. "$(dirname "$0")/../cli.sh"
golden=$repo/tests/golden
formats=$golden/formats

# what was compared is said; a type that rounds says how far
expect 0 convert-gpt2 "$golden/gpt2-tiny" -o a.safetensors
says "read back: all numbers equal to the input's; logits differ by at most 0 of"
expect 0 convert-gpt2 "$golden/gpt2-tiny" --dtype fp16 -o half.safetensors
says "read back: all numbers are the input's in fp16; logits differ by at most"
expect 0 convert-gpt2 --no-verify "$golden/gpt2-tiny" -o b.safetensors
checks=$((checks + 1))
case $err in *"read back"*) problem "--no-verify reads back: $err" ;; esac

# shards: as transformers writes and reads them
expect 0 convert-gpt2 "$formats/hf" --shard-size 0.02 -o shards/
checks=$((checks + 1))
[ "$(ls shards/model-*-of-*.safetensors | wc -l)" -gt 1 ] && [ -f shards/model.safetensors.index.json ] ||
    problem "no shards: $(ls shards)"
expect 0 convert-gpt2 --diff shards "$formats/hf"
has "the same configuration, tokenizer and 28 tensors"
expect 1 convert-gpt2 --diff "$formats/hf-sharded" shards # which has no tokenizer
has "tokenizers: only shards has one"
has "0 of 28 tensors differ"
expect 1 convert-gpt2 "$formats/hf" --shard-size 0.02 -o one.safetensors
says "shards are written into a folder: end the name in /"
absent one.safetensors

# what differs is named; names with and without prefixes are the same
expect 0 convert-gpt2 --diff "$formats/hf-base" "$formats/hf-orig-mod"
expect 1 convert-gpt2 --diff "$formats/hf" "$formats/hf-untied"
has 'layer_norm_epsilon is 1e-5 and 0.001'
has 'lm_head.weight'
has 'transformer.h.1.mlp.c_fc.weight'
expect 1 convert-gpt2 --diff half.safetensors a.safetensors
has '28 of 28 tensors differ'
expect 1 convert-gpt2 --diff --json half.safetensors a.safetensors
has '"tensors": 28'
expect 2 convert-gpt2 --diff a.safetensors
says "--diff compares two checkpoints: name both"
expect 1 convert-gpt2 --diff a.safetensors missing
says "missing: No such file or directory"

# 16-bit numbers that fp16 does not have
expect 1 convert-gpt2 -q "$formats/hf" --dtype q8_0 -o q.safetensors
says "safetensors files hold fp32, bf16 and fp16 numbers, not q8_0"

# a model that is not supported: its tensors are listed, and it is not converted
mkdir llama
cp "$formats/hf/model.safetensors" llama/
echo '{"model_type": "llama"}' > llama/config.json
expect 0 convert-gpt2 --info llama
has 'model       not supported: llama/config.json: model_type is "llama"; supported are gpt2, bert and roberta'
has '  transformer.h.0.attn.c_attn.weight                       F32 [16,48]'
expect 0 convert-gpt2 --info --json llama
has '"problem": "llama/config.json: model_type is'
expect 1 convert-gpt2 llama -o x.safetensors
absent x.safetensors

# what is said of a file must not be otherwise in its configuration
expect 1 convert-gpt2 "$formats/bin" --heads 4 -o x.safetensors
says "has 2 heads by its configuration, --heads is 4"
expect 1 convert-gpt2 "$formats/hf" --activation gelu -o x.safetensors
says "its activation is gelu_new by its configuration, --activation is gelu"
expect 2 convert-gpt2 "$formats/hf" --activation swish -o x.safetensors
absent x.safetensors
expect 0 convert-gpt2 -q "$formats/hf" --heads 2 --activation gelu_new -o x.safetensors

# a folder's tokenizer may be a .tiktoken: here of the 256 bytes, to which <|endoftext|> is added
mkdir tik
cp "$formats/hf/model.safetensors" "$formats/hf/config.json" tik/
for i in $(seq 0 255); do
    printf '%s %d\n' "$(printf "\\x$(printf %x "$i")" | base64)" "$i"
done > tik/bytes.tiktoken
expect 0 convert-gpt2 --info tik
has 'tokenizer   bpe, 257 ids'
warns convert-gpt2 -q tik -o cut.safetensors # the model has 272 rows
says "its vocabulary of 272 is padded from 257: rows 257 to 271 are left out (--keep-padding keeps them)"
expect 0 convert-gpt2 --info cut.safetensors
has 'vocabulary 257'
expect 0 convert-gpt2 -q --keep-padding tik -o kept.safetensors
expect 0 convert-gpt2 --info kept.safetensors
has 'vocabulary 272'
# a tokenizer that cannot be used is not left out without a word, whatever the family
cp -r "$repo/tests/golden/heads-bert-none" words
printf 'a\nb\n' > words/vocab.txt
expect 0 convert-gpt2 words -o unknown/
grep -q "has no \[UNK\], the unknown token; it is left out" .err || problem "stderr: $err"
absent unknown/vocab.txt
finish
