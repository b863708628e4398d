# fetch-data of data sets that are archives of items: the unpacked folder, or one stream of them.
. "$(dirname "$0")/../cli.sh"
unset FETCH_DATA_MIRROR

# IMDB's layout, small, behind a mirror
review() { mkdir -p "$(dirname "aclImdb/$1")" && printf '%s' "$2" > "aclImdb/$1"; }
review train/pos/10_7.txt 'train good 10'
review train/pos/2_9.txt 'train good 2'
review train/neg/0_3.txt 'train "bad" 0<br />é'
review train/unsup/0_0.txt 'nobody knows'
review test/neg/1_1.txt 'test bad 1'
review test/pos/0_10.txt 'test good 0'
mkdir -p mirror/example.org/a
tar czf mirror/example.org/a/aclImdb_v1.tar.gz aclImdb
mkdir wiki && printf ' = A =\n' > wiki/wiki.train.raw && printf ' = B =\n' > wiki/wiki.test.raw
tar cf mirror/example.org/a/wiki.tar wiki
printf '{"reviews": {"note": "reviews", "licence": "none",
    "items": {"kind": "labelled", "splits": {"train": "reviews/train", "test": "reviews/test"}, "labels": ["neg", "pos"]},
    "files": [{"path": "reviews", "urls": ["https://example.org/a/aclImdb_v1.tar.gz"], "unpack": "folder", "sha256": "%s"}]},
  "wiki": {"note": "articles", "licence": "none",
    "items": {"kind": "text", "splits": {"train": "wiki/wiki.train.raw", "test": "wiki/wiki.test.raw"}},
    "files": [{"path": "wiki", "urls": ["https://example.org/a/wiki.tar"], "unpack": "folder"}]}}' \
    "$(sha256sum mirror/example.org/a/aclImdb_v1.tar.gz | cut -d' ' -f1)" > more.json
from=(--catalog more.json --mirror mirror --offline)

# a pipe gets a JSON object a line, by split, label and number; a file too; nothing else is left
cat > want.jsonl << 'END'
{"text": "train \"bad\" 0<br />é", "label": 0, "split": "train"}
{"text": "train good 2", "label": 1, "split": "train"}
{"text": "train good 10", "label": 1, "split": "train"}
{"text": "test bad 1", "label": 0, "split": "test"}
{"text": "test good 0", "label": 1, "split": "test"}
END
mkdir tmp
export TMPDIR=$PWD/tmp
fetch-data reviews "${from[@]}" -o - > got.jsonl || problem "exit code $?"
same got.jsonl want.jsonl
expect 0 fetch-data reviews "${from[@]}" -o one.jsonl
says 'one.jsonl: written'
same one.jsonl want.jsonl
expect 0 bash -c 'fetch-data reviews --catalog more.json --mirror mirror --offline --split test | cat'
[ "$out" = "$(tail -2 want.jsonl)" ] || problem "--split test: $out"
# and into a stream of labelled items, in the same order
expect 0 bash -c "fetch-data reviews ${from[*]} --split train -o - |
    tokenize -q -t bytes --jsonl text --label label --labels neg,pos | tokenize --decode"
[ "$out" = "$(head -3 want.jsonl | sed 's/, "split".*/}/; s/label": 0/label": "neg"/; s/label": 1/label": "pos"/')" ] ||
    problem "the items in a stream: $out"
[ -z "$(ls tmp)" ] || problem "left behind: $(ls tmp)"
absent reviews
absent data

# a folder gets what the archive unpacks to, and the next run needs no mirror
expect 0 fetch-data reviews "${from[@]}" -o got/
same got/reviews/train/pos/2_9.txt aclImdb/train/pos/2_9.txt
expect 0 fetch-data reviews --catalog more.json --offline -o got/
says 'got/reviews: already here'

# a text is a text: one split of it
expect 0 fetch-data wiki "${from[@]}" --split test -o -
[ "$out" = ' = B =' ] || problem "the test split: $out"
expect 1 fetch-data wiki "${from[@]}" -o -
says 'wiki: has 2 splits (train, ...); choose one'
expect 1 fetch-data wiki "${from[@]}" --split dev -o -
says 'wiki: has no split dev (it has: train, test)'
expect 1 fetch-data wiki "${from[@]}" --split test -o got/
says '--split chooses from an archive'

# what is known of it
expect 0 fetch-data --info imdb
case $out in *'labels 0 neg, 1 pos'*'a JSON object a line'*) ;; *) problem "--info: $out" ;; esac
sed 's/"labelled"/"pictures"/' more.json > bad.json
expect 1 fetch-data reviews --catalog bad.json -o -
says 'bad.json: reviews: there is no kind of data set "pictures" (text, labelled, jsonl)'

# faults: a full disk behind stdout, an archive that was cut
expect 1 bash -c 'fetch-data reviews --catalog more.json --mirror mirror --offline -o - > /dev/full'
says 'stdout: cannot be written: No space left on device'
head -c 200 mirror/example.org/a/aclImdb_v1.tar.gz > cut && mv cut mirror/example.org/a/aclImdb_v1.tar.gz
sed 's/, "sha256": "[0-9a-f]*"//' more.json > unchecked.json
expect 1 fetch-data reviews --catalog unchecked.json --mirror mirror --offline -o again.jsonl
says 'aclImdb_v1.tar.gz: cannot be unpacked: '
absent again.jsonl
expect 1 fetch-data reviews --catalog unchecked.json --mirror mirror --offline -o again/
says 'it is damaged or cut short'
absent again/reviews
[ -z "$(ls tmp; find again -type f)" ] || problem "left behind: $(ls tmp; find again -type f)"
finish
