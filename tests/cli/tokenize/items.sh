#!/usr/bin/env bash
# tokenize --label: labelled and paired JSON Lines into a token stream and back, in files, shards, splits and pipes.
. "$(dirname "$0")/../cli.sh"

for i in $(seq 1 40); do
    printf '{"text": "review %d caf\\u00e9", "label": %d, "split": "train"}\n' "$i" $((i % 2))
done > a.jsonl
sed 's/"label": 0/"label": "neg"/; s/"label": 1/"label": "pos"/; s/, "split": "train"//' a.jsonl > names.jsonl

# numbers with names given, as fetch-data writes them, and names that are found are the same items
expect 0 tokenize --quiet -t bytes --jsonl text --label label --labels neg,pos a.jsonl -o a.tok
expect 0 tokenize --decode a.tok -o back.jsonl
expect 0 python3 -c 'import json, sys
a, b = ([json.loads(l) for l in open(f, encoding="utf-8")] for f in ("names.jsonl", "back.jsonl"))
sys.exit(a != b)'
expect 0 tokenize --quiet -t bytes --jsonl text --label label names.jsonl -o names.tok
expect 0 tokenize --decode names.tok -o back2.jsonl
same back.jsonl back2.jsonl
expect 0 tokenize --info a.tok
has '  items       text, label: neg 20, pos 20'
expect 0 tokenize --info --json a.tok
has '"items":{"text":"text","label":"label","labels":{"neg":20,"pos":20},"unlabelled":0}'

# threads and pipes
for threads in 1 3; do
    expect 0 tokenize --quiet --threads $threads -t a.tok --jsonl text --label label names.jsonl -o b.tok
    cmp -s b.tok names.tok || problem "the stream depends on the threads"
done
expect 0 bash -c 'cat names.jsonl | tokenize --quiet -t bytes --jsonl text --label label > c.tok'
expect 0 bash -c 'cat c.tok | tokenize --decode > d.jsonl'
same d.jsonl back.jsonl
expect 0 bash -c 'cat names.jsonl | tokenize --quiet -t bytes --jsonl text --label label --labels neg,pos > c.tok'
expect 0 bash -c 'tokenize --decode c.tok > d.jsonl'
same d.jsonl back.jsonl
printf 'X' | dd of=c.tok bs=1 seek=$(($(stat -c %s c.tok) - 32 - 8 - 8 * 40 - 8)) conv=notrunc 2> /dev/null
expect 1 bash -c 'cat c.tok | tokenize --decode'
says 'stdin: is corrupt: the CRC of its items is'

# shards and a validation part have the items of their documents
expect 0 tokenize --quiet -t bytes --jsonl text --label label names.jsonl --shard-size 100 --val-fraction 0.25 -o s.tok
expect 0 bash -c 'tokenize --decode s_??????.tok s-val_??????.tok > d.jsonl'
same d.jsonl back.jsonl
expect 0 tokenize -t bytes --jsonl text --label label names.jsonl --shard-size 100 -o s.tok
[[ "$err" == *' in 40 documents, '* ]] || problem "documents of all shards: $err"
[ "$(ls s_??????.tok | wc -l)" -gt 2 ] || problem "there are no shards"
sort -t: -k3 names.jsonl > sorted.jsonl
warns tokenize -t bytes --jsonl text --label label sorted.jsonl --val-fraction 0.25 -o s.tok
grep -q 'label neg occurs in only one of the two parts' .err || problem "$err"

# pairs: either text may be empty; vocabularies and merges are of both texts
cat > pairs.jsonl << 'END'
{"a":"premise","b":"hypothesis","y":2}
{"a":"","b":"only b","y":0}
{"a":"only a","b":"","y":1}

END
printf '{"a":"","b":"","y":1}\n' >> pairs.jsonl
for how in "-t char" "-t bytes" "--train-bpe 270"; do
    expect 0 tokenize --quiet $how --jsonl a --pair b --label y --labels e,n,c pairs.jsonl -o p.tok
    expect 0 tokenize --decode p.tok
    has '{"a": "premise", "b": "hypothesis", "y": "c"}
{"a": "", "b": "only b", "y": "e"}
{"a": "only a", "b": "", "y": "n"}
{"a": "", "b": "", "y": "n"}'
    expect 0 tokenize --info p.tok
    has '  items       a and b, y: e 1, n 2, c 1'
done

# WordPiece: words of several tokens, with spaces between them
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' un '##lab' '##el' text > vocab.txt
printf '{"a":"Unlabel text","b":"text unlab","y":0}\n{"a":"","b":"text","y":1}\n' > words.jsonl
expect 0 tokenize -t vocab.txt --jsonl a --pair b --label y words.jsonl -o w.tok
expect 0 tokenize --decode w.tok
has '{"a": "unlabel text", "b": "text unlab", "y": "0"}
{"a": "", "b": "text", "y": "1"}'

# files that end with blank lines; several of them
sed -i '$d' pairs.jsonl
expect 0 tokenize --quiet -t bytes --separator '' --jsonl a --pair b --label y pairs.jsonl pairs.jsonl -o p.tok
expect 0 tokenize --info p.tok
has '  items       a and b, y: 0 2, 1 2, 2 2'

# mistakes
expect 1 tokenize -t bytes --jsonl text --label label --labels neg,maybe names.jsonl -o x.tok
says 'names.jsonl: line 1: its "label" is "pos", which is not one of the 2 labels'
absent x.tok
expect 1 tokenize -t bytes --jsonl text --label split a.jsonl --pair nothing -o x.tok
says 'a.jsonl: line 1: its "nothing" is missing'
printf '{"text": "a", "label": 1}\n{"text": "b", "label": -1}\n' > unlabelled.jsonl # as GLUE's test sets are
expect 1 tokenize -t bytes --jsonl text --label label unlabelled.jsonl -o x.tok
says 'unlabelled.jsonl: line 2: its "label" is below 0; if it is a label, name all labels with --labels'
absent x.tok
expect 1 tokenize -t bytes --jsonl text --label label <(echo '{"text": "b", "label": "-1"}') -o x.tok
says 'line 1: its "label" is below 0'
expect 0 tokenize --quiet -t bytes --jsonl text --label label --labels=-1,1 unlabelled.jsonl -o signed.tok
expect 0 tokenize --decode signed.tok
has '{"text": "b", "label": "-1"}'
expect 1 tokenize -t bytes --jsonl text --label label a.jsonl --format raw16 -o x.bin
says 'x.bin: raw16 holds no labels; use --format tok'
expect 1 tokenize -t bytes --separator '' --jsonl text --label label <(echo '{"text": "", "label": 1}') -o x.tok
says 'x.tok: an item without tokens cannot be written'
expect 2 tokenize -t bytes --label label a.jsonl -o x.tok
expect 2 tokenize -t bytes --jsonl text --pair b a.jsonl -o x.tok
expect 2 tokenize -t bytes --jsonl text --labels a,b a.jsonl -o x.tok

finish
