# fetch-data: stories, a mirror, --offline, and everything that can be wrong with a file that is fetched.
. "$(dirname "$0")/../cli.sh"
unset FETCH_DATA_MIRROR

# A catalog of our own with a file that a mirror has, one that it has wrong, and one that it lacks.
mkdir -p mirror/example.org/a
printf 'hello\nworld\n' > mirror/example.org/a/good.txt
printf 'tampered\n' > mirror/example.org/a/bad.txt
good=4a1e67f2fe1d1cc7b31d0ca2ec441da4778203a036a77da10344c85e24ff0f92 # sha256sum of hello, world
entry() {
    printf '"%s": {"note": "a file", "licence": "none", "files": [{"path": "%s", "urls": ["https://example.org/a/%s"], "sha256": "%s", "size": %s}]}' \
        "$1" "$2" "$3" "$good" "$4"
}
printf '{%s, %s, %s}' "$(entry good sub/good.txt good.txt 12)" "$(entry bad bad.txt bad.txt 12)" \
    "$(entry gone gone.txt gone.txt 12)" > more.json
from=(--catalog more.json --mirror mirror --offline)

# from a mirror folder, into a folder (its slash makes it one), a file, a pipe; the second time it is there already
expect 0 fetch-data good "${from[@]}" -o got/
same got/sub/good.txt mirror/example.org/a/good.txt
says 'copied from the mirror, 12 bytes'
expect 0 fetch-data good "${from[@]}" -o got/
says 'already here'
expect 0 fetch-data good "${from[@]}" -o one.txt --quiet
same one.txt mirror/example.org/a/good.txt
expect 0 bash -c 'fetch-data good --catalog more.json --mirror mirror --offline | cat'
[ "$out" = "$(cat one.txt)" ] || problem "the pipe had: $out"
FETCH_DATA_MIRROR=mirror expect 0 fetch-data good --catalog more.json --offline -o two.txt
same two.txt one.txt

# a wrong file: nothing under its name, and the next run is not in its way
expect 1 fetch-data bad "${from[@]}" -o got/
says 'mirror/example.org/a/bad.txt: has 9 bytes, expected 12'
absent got/bad.txt
absent got/bad.txt.part
printf 'hello world\n' > mirror/example.org/a/bad.txt
expect 1 fetch-data bad "${from[@]}" -o got/
says "its SHA-256 is a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447, expected $good"
absent got/bad.txt
absent got/bad.txt.part
expect 1 bash -c 'fetch-data bad --catalog more.json --mirror mirror --offline -o -'
[ -z "$out" ] || problem "a wrong file reached stdout: $out"
cp one.txt mirror/example.org/a/bad.txt
expect 0 fetch-data bad "${from[@]}" -o got/ --quiet

# what does not come leaves no folder behind, but those that were there and those of files that came
mkdir -p was/here
printf '{"two": {"note": "n", "licence": "l", "files": [
    {"path": "a/good.txt", "urls": ["https://example.org/a/good.txt"]},
    {"path": "b/c/gone.txt", "urls": ["https://example.org/a/gone.txt"]}]}}' > two.json
expect 1 fetch-data gone "${from[@]}" -o never/one//two/
absent never
expect 1 fetch-data gone "${from[@]}" -o was/here/deeper/
[ "$(find was)" = "$(printf 'was\nwas/here')" ] || problem "left behind: $(find was)"
expect 1 fetch-data two --catalog two.json --mirror mirror --offline -o half/
[ "$(find half | sort | tr '\n' ' ')" = 'half half/a half/a/good.txt ' ] || problem "left behind: $(find half)"
checks=$((checks + 2))

# a series of numbered files, all of it or its beginning
for i in 08 09 10; do cp one.txt mirror/example.org/a/part_$i.bin; done
printf '{"many": {"note": "n", "licence": "l", "files": [{"path": "m/part_{08..10}.bin", "size": 12,
    "urls": ["https://example.org/a/part_{08..10}.bin"]}]}}' > series.json
expect 0 fetch-data many --catalog series.json --mirror mirror --offline --quiet --shards 2 -o some/
[ "$(ls some/m | tr '\n' ' ')" = 'part_08.bin part_09.bin ' ] || problem "--shards 2: $(ls some/m)"
expect 0 fetch-data many --catalog series.json --mirror mirror --offline --quiet -o some/
[ "$(ls some/m | tr '\n' ' ')" = 'part_08.bin part_09.bin part_10.bin ' ] || problem "all: $(ls some/m)"
expect 0 fetch-data --info many --catalog series.json
case $out in *'file: m/part_08.bin'*'to: m/part_10.bin, 3 files like it'*) ;; *) problem "--info: $out" ;; esac

# a set named twice comes once; two sets whose files have one name do not come into one folder
expect 0 fetch-data good good "${from[@]}" -o twice/
says 'twice/sub/good.txt: copied from the mirror'
printf '{%s, %s}' "$(entry good same.txt good.txt 12)" "$(entry other same.txt good.txt 12)" > same.json
expect 1 fetch-data good other --catalog same.json --mirror mirror --offline -o twice/
says 'twice/same.txt: is a file of good and one of other'
absent twice/same.txt

# a split that is a file of its own: it alone comes
printf 'train\n' > mirror/example.org/a/t.txt
printf 'val\n' > mirror/example.org/a/v.txt
printf '{"parts": {"note": "n", "licence": "l", "items": {"kind": "text", "splits": {"train": "t.txt", "val": "p/v.txt"}},
    "files": [{"path": "t.txt", "urls": ["https://example.org/a/t.txt"]},
              {"path": "p/v.txt", "urls": ["https://example.org/a/v.txt"]}]}}' > parts.json
parts=(--catalog parts.json --mirror mirror --offline --quiet)
expect 0 bash -c 'fetch-data parts --split val --catalog parts.json --mirror mirror --offline | cat'
[ "$out" = val ] || problem "--split val through a pipe: $out"
expect 0 fetch-data parts --split train "${parts[@]}" -o part.txt
same part.txt mirror/example.org/a/t.txt
expect 0 fetch-data parts --split val "${parts[@]}" -o parts/
[ "$(find parts -type f)" = parts/p/v.txt ] || problem "--split val came as: $(find parts -type f)"
expect 1 fetch-data parts --split dev "${parts[@]}" -o parts/
says 'parts: has no split dev; see: fetch-data --info parts'
expect 1 fetch-data parts "${parts[@]}" -o -
says 'stdout takes one file, several are selected; give a folder: -o DIR/, or --split'
expect 1 fetch-data parts good --split val "${parts[@]}" -o parts/
says 'good: no such data set'
expect 1 fetch-data parts shakespeare --split val "${parts[@]}" -o parts/
says '--split chooses from one data set, 2 are named'

# what comes packed: unpacked when it was checked, not kept, and known again; stdout takes a file, not a folder
mkdir packed
printf 'hello\nworld\n' > packed/good.txt
tar czf mirror/example.org/a/packed.tar.gz packed
gzip -c packed/good.txt > mirror/example.org/a/good.gz
packed() { # NAME FILE HOW
    printf '"%s": {"note": "packed", "licence": "none", "files": [{"path": "%s", "urls": ["https://example.org/a/%s"], "sha256": "%s", "unpack": "%s"}]}' \
        "$1" "$1" "$2" "$(sha256sum "mirror/example.org/a/$2" | cut -d' ' -f1)" "$3"
}
printf '{%s, %s, %s}' "$(packed dir packed.tar.gz folder)" "$(packed file good.gz file)" \
    "$(packed page good.txt folder)" > packed.json
unpacked=(--catalog packed.json --mirror mirror --offline)
expect 0 fetch-data dir "${unpacked[@]}" -o got/
says 'got/dir: copied from the mirror'
same got/dir/good.txt one.txt
absent got/dir.part
expect 0 fetch-data dir --catalog packed.json --offline -o got/
says 'got/dir: already here'
expect 0 fetch-data file "${unpacked[@]}" -o got/
same got/file one.txt
expect 0 fetch-data file "${unpacked[@]}" -o -
[ "$out" = "$(cat one.txt)" ] || problem "stdout had: $out"
expect 1 fetch-data dir "${unpacked[@]}" -o -
says 'which stdout cannot take'
expect 1 fetch-data page "${unpacked[@]}" -o got/
says 'good.txt: is not an archive'
absent got/page
sed 's/"folder"/"attic"/' packed.json > bad.json
expect 1 fetch-data dir --catalog bad.json
says 'unpack is "attic", expected folder or file'

# not there
expect 1 fetch-data gone "${from[@]}" -o got/
says 'is missing and --offline is given; expected it at mirror/example.org/a/gone.txt'
expect 1 fetch-data gone --catalog more.json --offline -o got/
says 'example.org/a/gone.txt with --mirror'
expect 1 fetch-data gone --catalog more.json --offline -o - --mirror http://127.0.0.1:1
says 'gone.txt: is missing and --offline is given, which rules out the mirror http://127.0.0.1:1 too'
expect 1 fetch-data good --catalog more.json --mirror mirors -o got/
says 'mirors: is not a folder (expected a folder or a URL for --mirror)'
expect 1 fetch-data shakespear
says 'shakespear: no such data set; did you mean shakespeare?'
expect 1 fetch-data good gone "${from[@]}" -o got/ --quiet
expect 1 fetch-data --info nothing
says 'nothing: no such data set'

# a catalog that is not one
printf '{"x": {"note": "n", "licence": "l", "files": [{"path": "../x", "urls": ["https://h/x"]}]}}' > bad.json
expect 1 fetch-data x --catalog bad.json
says 'path "../x" leads out of its folder'
printf '{"x": {"note": "n"}}' > bad.json
expect 1 fetch-data x --catalog bad.json
says 'bad.json: x: is not {note, licence, home, files'
printf '{"x": ' > bad.json
expect 1 fetch-data x --catalog bad.json
says 'bad.json:1:'
expect 1 fetch-data x --catalog absent.json
says 'absent.json: No such file'

# the command line
expect 2 fetch-data
expect 2 fetch-data stories --stories 0
for empty in --out --split --lock --catalog --info; do
    expect 2 fetch-data shakespeare $empty ''
    says "$empty: is empty, expected "
done
expect 2 fetch-data ''
says 'an operand is empty'
expect 1 fetch-data shakespeare lambada -o -
says 'stdout takes one file'
expect 0 fetch-data --list
case $out in *stories*reviews*shakespeare*lambada*gpt2-tokenizer*) ;; *) problem "--list: $out" ;; esac
expect 0 fetch-data --list --json
expect 0 fetch-data --info shakespeare
case $out in *86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed*) ;; *) problem "--info: $out" ;; esac

# stories: a folder gets both texts, a file one, a pipe the text alone; a seed is its text
expect 0 fetch-data stories --stories 100 -o both/ --quiet
[ "$(ls both | tr '\n' ' ')" = 'stories-val.txt stories-val.txt.json stories.txt stories.txt.json ' ] ||
    problem "the folder has: $(ls both)"
expect 0 fetch-data stories --stories 100 -o again.txt --quiet
same again.txt both/stories.txt
same again.txt.json both/stories.txt.json
fetch-data stories --stories 100 | cmp -s - again.txt || problem 'the pipe has another text'
fetch-data stories --stories 100 --seed 7 | cmp -s - again.txt && problem 'seed 7 tells the same stories'
checks=$((checks + 3))

fetch-data stories --stories 100 --split train -o - | cmp -s - again.txt || problem 'the training split has another text'
fetch-data stories --stories 100 --split val -o - | cmp -s - both/stories-val.txt || problem 'the other split has another text'
expect 0 fetch-data stories --stories 100 --split val -o val/ --quiet
[ "$(ls val | tr '\n' ' ')" = 'stories-val.txt stories-val.txt.json ' ] || problem "--split val: $(ls val)"
checks=$((checks + 3))

# reviews: a folder gets a file for each split, one file or a pipe both; a seed is its reviews
expect 0 fetch-data reviews --reviews 50 -o reviews/ --quiet
[ "$(ls reviews | tr '\n' ' ')" = 'reviews-test.jsonl reviews-test.jsonl.json reviews-train.jsonl reviews-train.jsonl.json ' ] ||
    problem "the folder has: $(ls reviews)"
expect 0 fetch-data reviews --reviews 50 -o reviews.jsonl --quiet
cat reviews/reviews-train.jsonl reviews/reviews-test.jsonl | cmp -s - reviews.jsonl || problem 'one file has other reviews'
fetch-data reviews --reviews 50 | cmp -s - reviews.jsonl || problem 'the pipe has other reviews'
fetch-data reviews --reviews 50 --seed 7 | cmp -s - reviews.jsonl && problem 'seed 7 writes the same reviews'
fetch-data reviews --reviews 50 --split test -o - | cmp -s - reviews/reviews-test.jsonl || problem 'the split has other reviews'
[ "$(wc -l < reviews.jsonl)" = 60 ] && [ "$(grep -c '"label": 1, "split": "train"}$' reviews.jsonl)" = 25 ] ||
    problem "the reviews: $(head -2 reviews.jsonl)"
grep -q '"bayes": {"accuracy": 0.9448653198653[0-9]*, "loss": 0.1615' reviews.jsonl.json || problem "the limit: $(head -c 300 reviews.jsonl.json)"
checks=$((checks + 7))
expect 1 fetch-data reviews --split val -o -
says 'reviews: has no split val; see: fetch-data --info reviews'
expect 0 fetch-data --info reviews
case $out in *'labels 0 neg, 1 pos'*) ;; *) problem "--info: $out" ;; esac
printf '{"reviews": {"note": "n", "licence": "l", "files": []}}' > bad.json
expect 1 fetch-data reviews --catalog bad.json -o -
says 'reviews: its catalog entry has neither files nor splits'

# through a pipe memory does not grow with their number; sanitizers need far more for themselves
if [ -z "${GPTPIPE_SANITIZE:-}" ]; then
    expect 0 bash -c 'ulimit -d 10000 && fetch-data stories --stories 600000 -o - > /dev/null'
else
    echo 'skipped: stories in bounded memory, a sanitizer needs far more'
fi

# a closed reader is no error to talk about; a full disk is
fetch-data stories 2> .err | head -c 10 > /dev/null
[ ! -s .err ] || problem "a closed pipe: $(cat .err)"
expect 1 bash -c 'fetch-data stories -o - > /dev/full'
says 'stdout: cannot be written: No space left on device'
expect 1 bash -c 'fetch-data good --catalog more.json --mirror mirror --offline -o - > /dev/full'
says 'stdout: cannot be written: No space left on device'
expect 1 fetch-data stories -o more.json/x.txt
absent more.json/x.txt
(ulimit -f 100 && expect 1 bash -c "trap '' XFSZ; fetch-data stories -o full.txt") 2> /dev/null
absent full.txt
absent full.txt.json
[ -z "$(find . -name '*.tmp')" ] || problem "left behind: $(find . -name '*.tmp')"

# libraries are opened when they are needed: where libcurl is broken or missing, a mirror folder serves all the same
mkdir broken
for name in libcurl.so.4 libcurl-gnutls.so.4 libarchive.so.13; do echo broken > "broken/$name"; done
LD_LIBRARY_PATH=broken expect 0 fetch-data good "${from[@]}" -o without/
LD_LIBRARY_PATH=broken expect 1 fetch-data gone --catalog more.json -o without/
says 'libcurl.so.4 cannot be opened, which transfers need; install libcurl4'
printf '{"packed": {"note": "n", "licence": "l", "files": [
    {"path": "x.txt", "urls": ["https://example.org/a/x.gz"], "unpack": "file"}]}}' > packed.json
gzip -c one.txt > mirror/example.org/a/x.gz
LD_LIBRARY_PATH=broken expect 1 fetch-data packed --catalog packed.json --mirror mirror --offline -o without/
says 'libarchive.so.13 cannot be opened, which archives need; install libarchive13'
expect 0 fetch-data packed --catalog packed.json --mirror mirror --offline -o without/
same without/x.txt one.txt
finish
