# WordPiece: from a vocab.txt, its folder and a tokenizer.json; streams of it, and what is refused. The ids are those of
# BertTokenizer of transformers 5.24 on the same folders; tests/reference/wordpiece_grid.py has many more.
. "$(dirname "$0")/../cli.sh"

mkdir uncased cased
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' un '##aff' '##able' cafe . 東 "'" don t café , THE The the > uncased/vocab.txt
cp uncased/vocab.txt cased
echo '{"do_lower_case":false,"tokenize_chinese_chars":true}' > cased/tokenizer_config.json
printf 'Unaffable café,\tTHE 東東. [MASK]' > text.txt
ids() { # TOKENIZER OPTION...: of text.txt
    tokenize -t "$1" "${@:2}" --show --quiet text.txt | cut -f1 | tr '\n' ' '
}
equal() { # WHAT A B
    checks=$((checks + 1))
    [ "$2" = "$3" ] || problem "$1: $2, expected $3"
}
equal "uncased" "$(ids uncased --allow-special)" "5 6 7 8 15 18 10 10 9 4 "
equal "[MASK] as text" "$(ids uncased)" "5 6 7 8 15 18 10 10 9 1 1 1 "
equal "the vocabulary alone" "$(ids uncased/vocab.txt)" "5 6 7 8 15 18 10 10 9 1 1 1 "
equal "cased" "$(ids cased --allow-special)" "1 14 15 16 10 10 9 4 "

# its settings survive as a tokenizer.json and in a stream
tokenize -t cased --save-tokenizer saved.json text.txt -o cased.tok --quiet || problem "no stream"
equal "saved" "$(ids saved.json --allow-special)" "1 14 15 16 10 10 9 4 "
equal "of a stream" "$(ids cased.tok --allow-special)" "1 14 15 16 10 10 9 4 "
grep -q '"strip_accents":null,"lowercase":false' saved.json || problem "its switches: $(head -c 1500 saved.json)"
tokenize -t uncased --threads 3 text.txt -o threads.tok --quiet && tokenize -t uncased text.txt -o one.tok --quiet &&
    cmp threads.tok one.tok || problem "threads change it"

# documents end with [SEP]; words are decoded with spaces between, and none before punctuation
printf "don't, the café.\n\nunaffable" > two.txt
expect 0 tokenize -t uncased --separator '\n\n' two.txt -o two.tok --quiet
expect 0 tokenize --info two.tok
case $out in *"documents   2"*"wordpiece, 19 ids"*) ;; *) problem "info: $out" ;; esac
expect 0 tokenize --decode two.tok
equal "decoded" "$out" "don ' t, the cafe.

unaffable"

# tokenizer_config.json takes precedence over a tokenizer.json, as in transformers, and that is said
cp saved.json uncased/tokenizer.json
echo '{"tokenizer_class":"BertTokenizer"}' > uncased/tokenizer_config.json
expect 0 tokenize -t uncased text.txt -o x.tok
case $err in *"lowercase is false in tokenizer.json, but true by do_lower_case"*) ;; *) problem "no remark: $err" ;; esac
equal "by tokenizer_config.json" "$(ids uncased --allow-special)" "5 6 7 8 15 18 10 10 9 4 "

# refused in one line
refuses() { # TEXT: of tokenizer bad.json or vocab.txt $1, the message has $2
    expect 1 tokenize -t "$1" text.txt -o x.tok
    says "$2"
}
sed 's/BertPreTokenizer/Whitespace/' saved.json > bad.json
refuses bad.json "its pre_tokenizer is Whitespace; of a WordPiece, only BertPreTokenizer is supported"
sed 's/"unk_token":"\[UNK\]"/"unk_token":"<unk>"/' saved.json > bad.json
refuses bad.json "its vocabulary has no <unk>, the unknown token"
mkdir none && printf 'a\nb\n' > none/vocab.txt
expect 0 tokenize -t none text.txt -o x.tok --quiet # BertTokenizer adds [UNK]
printf '[UNK]\n\377\n' > none/vocab.txt
refuses none "vocab.txt: line 2 is not text in UTF-8"
