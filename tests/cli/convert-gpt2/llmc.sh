# convert-gpt2: llm.c's model files, to and from: through pipes, whole or not at all, only what llm.c computes alike.
. "$(dirname "$0")/../cli.sh"
formats=$repo/tests/golden/formats

# the bytes that llm.c's own train_gpt2.py writes
expect 0 convert-gpt2 "$formats/hf" --to llmc -o model.bin
case $err in
*"model.bin: a file of the format llmc has no place for the tokenizer"*"read back: all numbers equal to the input's"*) ;;
*) problem "no warning, or no proof: $err" ;;
esac
same model.bin "$formats/llmc/gpt2.bin"
expect 0 convert-gpt2 "$formats/hf" --to llmc --dtype bf16 -o model_bf16.bin
same model_bf16.bin "$formats/llmc/gpt2_bf16.bin"
expect 1 convert-gpt2 --diff model.bin "$formats/hf" # which has a tokenizer
has "0 of 28 tensors differ"
expect 0 convert-gpt2 --info model.bin
has "format      llmc"
has "vocabulary 272"
says "llm.c's model files have no tokenizer"

# both ways through a pipe
cat model.bin | convert-gpt2 -q --to llmc -o - | cat > piped.bin
same piped.bin model.bin

# what llm.c would compute otherwise
expect 1 convert-gpt2 "$formats/hf-untied" --to llmc -o other.bin
says "llm.c computes with activation_function gelu_new, this model has gelu"
expect 1 convert-gpt2 "$repo/tests/golden/gpt2-relu" --to llmc -o other.bin
says "llm.c computes with activation_function gelu_new, this model has relu"
expect 1 convert-gpt2 "$formats/hf-bert" --to llmc -o other.bin
says "llm.c computes with model_type gpt2, this model has bert"
expect 1 convert-gpt2 "$formats/hf" --to llmc --dtype fp16 -o other.bin
says "llm.c's model files hold fp32 and bf16 numbers"
expect 1 convert-gpt2 "$formats/hf" --to llmc -o other/
says "an llm.c model is one file"
absent other.bin other

# its name
expect 2 convert-gpt2 "$formats/hf" --to llmc -o model.gguf
says ".gguf is a suffix of GGUF, and the output is llmc"
expect 2 convert-gpt2 "$formats/hf" -o model.bin
same model.bin "$formats/llmc/gpt2.bin"

# damage: one line, exit 1, nothing under the name
head -c 20000 model.bin > cut.bin
expect 1 convert-gpt2 cut.bin -o x.safetensors
says "cut.bin: is truncated: its header describes 52992 bytes, there are 20000"
absent x.safetensors
finish
