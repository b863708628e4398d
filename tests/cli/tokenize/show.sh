# tokenize --show --json: what a model reads for a text or a pair, and where in the text each token is.
. "$(dirname "$0")/../cli.sh"

prints() { # WHAT EXPECTED
    checks=$((checks + 1))
    [ "$out" = "$2" ] || problem "$1 is $out, expected $2"
}

# a part of a character is shown as U+FFFD, and its offsets are the character's
expect 0 bash -c "printf 'a\xe2\x82\xac' | tokenize -t bytes --show --json"
prints 'a text' '{"ids": [97,226,130,172], "tokens": ["a","\ufffd","\ufffd","\ufffd"], "types": [0,0,0,0], "texts": [0,0,0,0], "offsets": [[0,1],[1,4],[1,4],[1,4]]}'

# RoBERTa's template: ids and offsets by tokenizers 0.23.3
printf 'x' > x
expect 0 tokenize --train-bpe 257 --save-tokenizer plain.json x -o x.tok
sed 's/"post_processor":null/"post_processor":{"type":"RobertaProcessing","cls":["<|endoftext|>",0],"sep":["<|endoftext|>",0],"trim_offsets":true,"add_prefix_space":false}/' plain.json > roberta.json
printf '{"a":"hi  \\u00e9","b":" yo"}\n' > pair.jsonl
expect 0 tokenize -t roberta.json --jsonl a --pair b --show --json pair.jsonl
prints 'a pair' '{"ids": [0,72,73,221,221,128,103,0,0,221,89,79,0], "tokens": ["<|endoftext|>","h","i"," "," ","\ufffd","\ufffd","<|endoftext|>","<|endoftext|>"," ","y","o","<|endoftext|>"], "types": [0,0,0,0,0,0,0,0,0,0,0,0,0], "texts": [null,0,0,0,0,0,0,null,null,1,1,1,null], "offsets": [[0,0],[0,1],[1,2],[3,3],[4,4],[4,6],[4,6],[0,0],[0,0],[1,1],[1,2],[2,3],[0,0]]}'
expect 0 tokenize -t roberta.json --jsonl a --pair b --show --json --max-tokens 8 pair.jsonl
prints 'a pair that is cut' '{"ids": [0,72,73,0,0,221,89,0], "tokens": ["<|endoftext|>","h","i","<|endoftext|>","<|endoftext|>"," ","y","<|endoftext|>"], "types": [0,0,0,0,0,0,0,0], "texts": [null,0,0,null,null,1,1,null], "offsets": [[0,0],[0,1],[1,2],[0,0],[0,0],[1,1],[1,2],[0,0]]}'

# a WordPiece that is trained, uncased as BERT: vocabulary, ids, types and offsets of tokenizers 0.23.3
printf 'banana bananas Banana ananas nab.\n' > fruit
expect 0 tokenize --train-wordpiece 24 --save-tokenizer wordpiece.json fruit -o fruit.tok
checks=$((checks + 1))
grep -qF '"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4,".":5,"a":6,"b":7,"n":8,"s":9,"##a":10,"##n":11,"##s":12,"##b":13,"##na":14,"##nana":15,"ba":16,"banana":17}' wordpiece.json || problem "the vocabulary is $(cat wordpiece.json)"
printf '{"a":"Ba\\u0301nanas, XYZ","b":"an"}\n' > words.jsonl
expect 0 tokenize -t wordpiece.json --jsonl a --pair b --show --json --max-tokens 8 words.jsonl
prints 'a pair of words' '{"ids": [2,17,12,1,3,6,11,3], "tokens": ["[CLS]","banana","##s","[UNK]","[SEP]","a","##n","[SEP]"], "types": [0,0,0,0,0,1,1,1], "texts": [null,0,0,0,null,1,1,null], "offsets": [[0,0],[0,8],[8,9],[9,10],[0,0],[0,1],[1,2],[0,0]]}'
expect 0 tokenize --train-wordpiece 24 --cased --save-tokenizer cased.json fruit -o fruit.tok
checks=$((checks + 1))
grep -qF '"B":6,"a":7,"b":8,"n":9,"s":10,"##a":11,"##n":12,"##s":13,"##b":14,"##na":15,"##nana":16,"##anana":17,"banana":18}' cased.json || problem "the cased vocabulary is $(cat cased.json)"
expect 1 tokenize --train-wordpiece 13 fruit -o bad.tok
says 'fruit: a WordPiece vocabulary of 13 tokens is too small: the text'
absent bad.tok
expect 2 tokenize --train-wordpiece 24 --train-bpe 300 fruit -o bad.tok
says '--train-'
expect 2 tokenize --train-bpe 300 --cased fruit -o bad.tok
says '--cased requires --train-wordpiece'

# documents: a line each
printf 'ab--cdefgh--' > documents
expect 0 tokenize -t bytes --separator=-- --show --json --max-tokens 4 --truncate head+tail documents
prints 'documents' '{"ids": [97,98], "tokens": ["a","b"], "types": [0,0], "texts": [0,0], "offsets": [[0,1],[1,2]]}
{"ids": [99,102,103,104], "tokens": ["c","f","g","h"], "types": [0,0,0,0], "texts": [0,0,0,0], "offsets": [[0,1],[3,4],[4,5],[5,6]]}'

# what is too long, or has no room, or is no pair
expect 1 tokenize -t bytes --separator=-- --show --json --max-tokens 4 --truncate none documents
says 'documents: 6 tokens, more than 4'
expect 1 tokenize -t roberta.json --show --json --max-tokens 1 documents
says '1 tokens have no room for the 2 that the tokenizer puts around a text'
sed 's/"post_processor":null/"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{}}/' plain.json > single.json
expect 1 tokenize -t single.json --jsonl a --pair b --show --json pair.jsonl
says 'pair.jsonl: line 1: the tokenizer'
expect 1 tokenize -t bytes --jsonl a --pair c --show --json pair.jsonl
says 'pair.jsonl: line 1'
expect 1 bash -c 'tokenize -t bytes --show --json documents > /dev/full'
says 'No space left on device'
expect 2 tokenize --jsonl a --pair b --show pair.jsonl
says '--show requires --json for --pair'
expect 2 tokenize --pair b --show --json pair.jsonl
says '--pair requires --jsonl'
expect 2 tokenize --jsonl a --pair b pair.jsonl -o pair.tok
says '--pair requires --label or --show'
expect 2 tokenize --show --max-tokens 4 documents
says '--show requires --json for --max-tokens'
expect 2 tokenize --show --json --truncate none documents
says '--truncate requires --max-tokens'
finish
