# tokenizer.json in folders: files that disagree, templates, tokenizers that cannot be used beside ids, special tokens in
# prompts, and what the tools say of these. The ids are those of transformers 5.24 on the same folders.
. "$(dirname "$0")/../cli.sh"

for i in 1 2 3 4 5 6 7 8 9; do printf 'aab ba a '; done > text.txt
tokenize --train-bpe 258 --save-tokenizer tok.json text.txt -o text.tok --quiet || problem "no tokens" # 257 is "aa", "ab" or " b"
train text.tok --layers 1 --heads 2 --channels 8 --seq-len 32 --batch-size 1 --steps 0 --eval-batches 0 -o run --quiet ||
    problem "no run"
convert-gpt2 run -o hf/ --quiet || problem "no folder"
mkdir bare && cp hf/*.json bare # weights that carry no tokenizer, as those of others
sed 's/gptpipe\.tokenizer/another.tokenizer/; s/gptpipe\.crc32c/another.crc32c/g' hf/model.safetensors > bare/model.safetensors
ids() { # FOLDER OPTION...: of one greedy sample
    sample -c "$1" --threads 1 --dtype fp32 -t 0 -n 3 --ignore-end --json "${@:2}" 2> .remark | grep -o '"ids".*'
}
is() { # TEXT: the last stdout is this
    checks=$((checks + 1))
    [ "$out" = "$1" ] || problem "printed: $out, expected: $1"
}
equal() { # WHAT A B
    checks=$((checks + 1))
    [ -n "$2" ] && [ "$2" = "$3" ] || problem "$1: $2, expected $3"
}
remarked() { # TEXT: the last sample said it once; without TEXT, nothing
    checks=$((checks + 1))
    [ "$(grep -vc 'tok/s, fp32$' .remark)" = ${1:+1}${1:-0} ] 2> /dev/null || [ -n "${1:-}" ] || problem "said $(cat .remark)"
    [ -z "${1:-}" ] || [ "$(grep -c -- "$1" .remark)" = 1 ] || problem "lacks '$1': $(cat .remark)"
}

# a special token's name in a prompt is the token, or text and said so
want=$(ids hf --prompt-ids 0)
equal "a name in a prompt" "$(ids hf -p '<|endoftext|>')" "$want"
remarked
ids hf -p '<|endoftext|>' --no-allow-special > text
remarked 'which is text by --no-allow-special'
equal "the name as text" "$(cat text)" "$(ids hf --prompt-ids 28,92,69,78,68,79,70,84,69,88,84,92,30)" # the bytes' ids

# tokenize: text unless it is asked for, and then said where
printf 'aa <|endoftext|>' > special.txt
expect 0 tokenize -t tok.json special.txt -o s.tok
case $err in *"special.txt: the name of a special token at byte 3 is encoded as text; use --allow-special to encode it as that token"*) ;; *)
    problem "no remark: $err" ;; esac
expect 0 tokenize -t tok.json --allow-special special.txt -o s.tok
case $err in *special\ token*) problem "a remark: $err" ;; esac
expect 0 tokenize -t tok.json --show --quiet --allow-special special.txt
case $out in *"0	<|endoftext|>") ;; *) problem "not the token: $out" ;; esac

# a template puts ids around a text
template='"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"s","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"s":{"id":"s","ids":[0],"tokens":["<|endoftext|>"]}}}'
cp -r hf template
sed "s/\"post_processor\":null/$template/" hf/tokenizer.json > template/tokenizer.json
equal "a template" "$(ids template -p b)" "$(ids hf --prompt-ids "0,$(tokenize -t hf/tokenizer.json --show -q <(printf b) | cut -f1)")"
printf b > b.txt
expect 0 tokenize -t template/tokenizer.json --show --quiet b.txt
case $out in "0	<|endoftext|>
"*) ;; *) problem "without its template: $out" ;; esac
expect 0 tokenize -t template/tokenizer.json b.txt -o b.tok
case $err in *"are left out of the stream"*) ;; *) problem "no remark: $err" ;; esac

# --score reads what transformers feeds the model: what stands around a text, and special tokens by their names. That
# which stands before it is end-of-text here, so --from-end gives the same without a template
scored() { # FOLDER OPTION...
    sample -c "$1" --threads 1 --dtype fp32 --json "${@:2}" 2> .remark
}
for i in 1 2; do printf 'ab ba '; done > abba.txt
scored hf --score abba.txt --from-end > plain
scored template --score abba.txt > around
equal "a template's log P" "$(grep -o '"logprob": [^,]*' around)" "$(grep -o '"logprob": [^,]*' plain)"
equal "a template's bytes" "$(grep -o '"bytes": [^,]*' around)" "$(grep -o '"bytes": [^,]*' plain)"
equal "a template's ids" "$(grep -o '"ids": .0, [^]]*' around | sed 's/\[0, /[/')" "$(grep -o '"ids": [^]]*' plain)"
equal "a template's first one" "$(grep -o '"logprobs": .null, -' around)" '"logprobs": [null, -'
scored template --score abba.txt --from-end > text
same text around
printf 'ab<|endoftext|>ba' > named.txt
equal "a name in a text" "$(scored hf --score named.txt | grep -o '"ids": [^]]*')" \
    "\"ids\": [$({ tokenize -t tok.json --show -q <(printf ab); echo 0; tokenize -t tok.json --show -q <(printf ba); } | cut -f1 | paste -sd, | sed 's/,/, /g')"
remarked
equal "a name as text" "$(scored hf --score named.txt --no-allow-special | grep -o '"tokens": [0-9]*')" \
    "\"tokens\": $(tokenize -t tok.json --show -q named.txt | wc -l)"
remarked 'the text has the name of a special token, which is text by --no-allow-special'

# files of a folder that disagree: using tokenizer.json, the first difference is said
pair() { # FOLDER SED: vocab.json and merges.txt out of its tokenizer.json
    grep -o '"vocab":{.*},"merges"' "$1/tokenizer.json" | sed 's/^"vocab"://; s/,"merges"$//' | sed "$2" > "$1/vocab.json"
    { echo '#version: 0.2'; grep -o '"merges":\[.*\]' "$1/tokenizer.json" | sed 's/.*\["//; s/"\]//; s/","/\n/g'; echo; } > "$1/merges.txt"
}
cp -r hf carried && sed 's/"b":66/"b":67/; s/"c":67/"c":66/' hf/tokenizer.json > carried/tokenizer.json
ids carried -p ab > text
remarked "tokenizer.json and the tokenizer in the weights' file disagree; tokenizer.json is taken"
equal "another tokenizer.json than the file's" "$(cat text)" "$(ids hf --prompt-ids 65,67)"
cp -r bare agree && pair agree ''
want=$(ids hf -p ab)
equal "files that agree" "$(ids agree -p ab)" "$want"
remarked
cp -r bare disagree && pair disagree 's/"a":65,"b":66/"a":66,"b":65/'
want=$(ids hf -p ab)
equal "files that disagree" "$(ids disagree -p ab)" "$want"
remarked 'vocab.json disagree: id 65 is "a" and "b"; using tokenizer.json'
expect 0 tokenize -t disagree b.txt -o d.tok
case $err in *'disagree: id 65 is "a" and "b"'*) ;; *) problem "no remark: $err" ;; esac

# vocab.json alone takes add_bos_token from tokenizer_config.json; beside tokenizer.json that has its own template
echo '{"add_bos_token": true, "bos_token": "<|endoftext|>"}' > agree/tokenizer_config.json
ids agree -p b > beside
remarked 'sets add_bos_token'
equal "add_bos_token beside tokenizer.json" "$(cat beside)" "$(ids hf -p b)"
rm agree/tokenizer.json
want=$(ids template -p b)
equal "add_bos_token beside vocab.json" "$(ids agree -p b)" "$want"

# tokens that only tokenizer_config.json, special_tokens_map.json or added_tokens.json adds are added ones, and go along
# into what is converted
strips='{"content": "b", "lstrip": true, "rstrip": false, "single_word": false, "normalized": false, "special": true}'
want=$(ids hf --prompt-ids 65,66)
for file in 'tokenizer_config.json {"added_tokens_decoder": {"66": STRIPS}}' 'special_tokens_map.json {"mask_token": STRIPS}' \
    'tokenizer_config.json {"tokenizer_class": "GPT2Tokenizer", "additional_special_tokens": [STRIPS]}'; do
    rm -rf beside beside.safetensors
    cp -r bare beside
    rm -f beside/tokenizer_config.json
    text=${file#* }
    echo "${text//STRIPS/$strips}" > "beside/${file%% *}"
    equal "a token of ${file%% *}" "$(ids beside -p 'a b')" "$want"
    remarked
    expect 0 convert-gpt2 beside -o beside.safetensors
    equal "a token of ${file%% *}, converted" "$(ids beside.safetensors -p 'a b')" "$want"
    printf 'a b' > ab.txt
    expect 0 tokenize -t beside --show --quiet --allow-special ab.txt
    case $out in "65	a
66	b") ;; *) problem "tokenize: $out" ;; esac
done
rm beside/tokenizer_config.json
echo '{"[PAD]": 300}' > beside/added_tokens.json
expect 0 tokenize -t beside --show ab.txt
case $err in *'gives the added token "[PAD]" the id 300; using 258'*) ;; *) problem "no remark: $err" ;; esac
echo '{"[PAD]": 258}' > beside/added_tokens.json
expect 0 tokenize -t beside --show --quiet <(printf 'a[PAD]')
case $out in *"258	[PAD]"*) ;; *) problem "not added: $out" ;; esac
ids beside -p ab > text
remarked 'its tokenizer has 259 ids, its model a vocabulary of 258'
cp -r hf spaced
echo '{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true}' > spaced/tokenizer_config.json
expect 0 tokenize -t spaced --show b.txt
case $err in *'add_prefix_space is false in tokenizer.json and true in tokenizer_config.json; using tokenizer_config.json'*) ;; *)
    problem "no remark: $err" ;; esac
want=$(tokenize -t tok.json --show --quiet <(printf ' b') | cut -f1)
equal "add_prefix_space of GPT-2's class" "$(tokenize -t spaced --show --quiet b.txt 2> /dev/null | cut -f1)" "$want"
for config in '{"split_special_tokens": true}:sets split_special_tokens' '{"eos_token": 5}:eos_token' '{"x"::is not JSON' \
    '{"added_tokens_decoder": {"x": "y"}}:added_tokens_decoder' '{"extra_special_tokens": [7]}:extra_special_tokens' '[]:not an object'; do
    echo "${config%:*}" > spaced/tokenizer_config.json
    expect 1 tokenize -t spaced --show b.txt
    says "${config##*:}"
    equal "ids beside $config" "$(ids spaced --prompt-ids 65,66)" "$(ids hf --prompt-ids 65,66)"
done

# an added token that only the tokenizer.json has, beside a list of them
rm -rf more
cp -r bare more
sed -i 's/"added_tokens":\[/"added_tokens":[{"id":5,"content":"%","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},/' more/tokenizer.json
echo '{"added_tokens_decoder": {"6": {"content": "&", "special": true}}}' > more/tokenizer_config.json
ids more -p 'a' > /dev/null
remarked '"%", an added token of tokenizer.json, is not in the added_tokens_decoder'
echo '{"added_tokens_decoder": {"5": {"content": "%", "special": true}}}' > more/tokenizer_config.json
ids more -p 'a' > /dev/null
remarked

# ids need no tokenizer: one that cannot be used is a remark, and an error where text is to become ids
cp -r bare other
echo '{"model":{"type":"WordLevel","vocab":{"a":0}}}' > other/tokenizer.json
want=$(ids hf --prompt-ids 5,6)
equal "ids beside another tokenizer" "$(ids other --prompt-ids 5,6)" "$want"
remarked 'its model is WordLevel; only ids can be used'
echo '{"prompt": [5, 6]}' > ids.jsonl
equal "a file's ids beside another tokenizer" "$(ids other --prompts ids.jsonl)" "$want"
remarked 'its model is WordLevel; only ids can be used'
echo '{"prompt": "a"}' > texts.jsonl
expect 1 sample -c other --prompts texts.jsonl --quiet
says 'its model is WordLevel: give token ids in place of text'
expect 0 sample -c other --prompt-ids 5 -n 0 --trace trace.safetensors --quiet
expect 1 sample -c other -p a --quiet
says 'its model is WordLevel'
expect 0 convert-gpt2 other -o other.safetensors
case $err in *'its model is WordLevel; it is copied unchanged'*) ;; *) problem "no remark: $err" ;; esac
expect 0 train text.tok --init other --steps 0 --eval-batches 0 --batch-size 1 -o tuned
case $err in *"its model is WordLevel; the stream's tokenizer is used"*) ;; *) problem "no remark: $err" ;; esac
cp -r agree broken && echo 'x y' >> broken/merges.txt
want=$(ids hf --prompt-ids 5,6)
equal "ids beside a broken pair" "$(ids broken --prompt-ids 5,6)" "$want"
remarked 'only ids can be used'

# an added token that the model has no row for is one that must not be used
cp -r bare padded
sed 's/"added_tokens":\[/&{"id":258,"content":"[PAD]","special":true},/' hf/tokenizer.json > padded/tokenizer.json
want=$(ids hf -p ab)
equal "a pad token too many" "$(ids padded -p ab)" "$want"
remarked 'its tokenizer has 259 ids, its model a vocabulary of 258'
expect 1 sample -c padded -p '[PAD]' --quiet
case $err in *'token id 258 is outside the model'*) ;; *) problem "not refused: $err" ;; esac

# a post_processor that is not the class's own: transformers 5.24 gives [0, 69, 296, 2] for "a b", [0, 69, 2, 2, 70, 2]
# for the pair "a", "b"
cp -r "$repo/tests/golden/predict/roberta" roberta
python3 - <<'END'
import json
tokenizer = json.load(open("roberta/tokenizer.json"))
bos, text = {"SpecialToken": {"id": "<s>", "type_id": 0}}, lambda x: {"Sequence": {"id": x, "type_id": 0}}
tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": [bos, text("A")], "pair": [text("A"), text("B")],
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}
json.dump(tokenizer, open("roberta/tokenizer.json", "w"))
END
expect 0 bash -c "printf 'a b' | tokenize -t roberta --show --json"
has '{"ids": [0,69,296,2], '
says 'the post_processor of tokenizer.json is not that of the tokenizer'
expect 0 bash -c "echo '{\"a\": \"a\", \"b\": \"b\"}' | tokenize -t roberta --show --json --jsonl a --pair b"
has '{"ids": [0,69,2,2,70,2], '
finish
