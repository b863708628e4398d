# fetch-data --lock: what came first is told and kept, and later runs are held to it.
. "$(dirname "$0")/../cli.sh"
unset FETCH_DATA_MIRROR
mkdir -p mirror/example.org tree/folder
seq 100 > mirror/example.org/text.txt
seq 100 > tree/folder/text.txt
tar czf mirror/example.org/x.tar.gz -C tree folder
gzip -c tree/folder/text.txt > mirror/example.org/x.gz
sum() { sha256sum "mirror/example.org/$1" | cut -d' ' -f1; }
text=$(sum text.txt) tar=$(sum x.tar.gz) gz=$(sum x.gz)
printf '{"text": {"note": "n", "licence": "l", "files": [{"path": "text.txt", "urls": ["https://example.org/text.txt"]}]},
"tar": {"note": "n", "licence": "l", "files": [{"path": "tar", "urls": ["https://example.org/x.tar.gz"], "unpack": "folder"}]},
"gz": {"note": "n", "licence": "l", "files": [{"path": "gz.txt", "urls": ["https://example.org/x.gz"], "unpack": "file"}]}}' > it.json
from=(--catalog it.json --mirror mirror --offline -o got/)

# Fails unless the lock file is this JSON.
locked() {
    checks=$((checks + 1))
    [ "$(tr -d ' \n' < data.lock)" = "$1" ] || problem "data.lock is $(cat data.lock), expected $1"
}

# ---- a file: told, kept, and held to ---------------------------------------------------------------------------
expect 0 fetch-data text "${from[@]}" --lock data.lock
case $err in *"got/text.txt: sha256 $text"*) ;; *) problem "what came is not told: $err" ;; esac
locked "{\"text\":{\"text.txt\":{\"sha256\":\"$text\",\"size\":292}}}"
expect 0 fetch-data text "${from[@]}" --lock data.lock --quiet
cp data.lock before.lock

sed 's/99/98/' tree/folder/text.txt > mirror/example.org/text.txt
rm got/text.txt
expect 1 fetch-data text "${from[@]}" --lock data.lock --quiet
says "mirror/example.org/text.txt: its SHA-256 is $(sum text.txt), expected $text as in data.lock"
absent got/text.txt
absent got/text.txt.part
seq 99 > mirror/example.org/text.txt
expect 1 fetch-data text "${from[@]}" --lock data.lock --quiet
says 'mirror/example.org/text.txt: has 288 bytes, expected 292 as in data.lock'
absent got/text.txt
same data.lock before.lock

seq 100 > mirror/example.org/text.txt
expect 0 fetch-data text "${from[@]}" --lock data.lock --quiet
echo mine > got/text.txt
expect 0 fetch-data text "${from[@]}" --lock data.lock --quiet
same got/text.txt tree/folder/text.txt

# ---- archives: of what is unpacked already the stamp tells -----------------------------------------------------
expect 0 fetch-data tar gz "${from[@]}" --quiet
rm -r mirror/example.org/x.*
expect 0 fetch-data tar gz text "${from[@]}" --lock data.lock
case $err in *"got/tar: sha256 $tar"*) ;; *) problem "what was unpacked is not told: $err" ;; esac
locked "{\"gz\":{\"gz.txt\":{\"sha256\":\"$gz\"}},\"tar\":{\"tar\":{\"sha256\":\"$tar\"}},\"text\":{\"text.txt\":{\"sha256\":\"$text\",\"size\":292}}}"

echo more > tree/folder/more.txt
tar czf mirror/example.org/x.tar.gz -C tree folder
rm -r got/tar
expect 1 fetch-data tar "${from[@]}" --lock data.lock --quiet
says "its SHA-256 is $(sum x.tar.gz), expected $tar as in data.lock"
absent got/tar
expect 0 fetch-data tar "${from[@]}" --quiet
expect 1 fetch-data tar "${from[@]}" --lock data.lock --quiet # what is here is not what was locked
says 'got/tar: exists, but was not unpacked from this archive; move it away'

# ---- lock files that are none: told before anything comes, and left as they are ---------------------------------
broken() { # TEXT WORDS
    rm -rf got
    printf '%s' "$1" > bad.lock
    expect 1 fetch-data text "${from[@]}" --lock bad.lock --quiet
    says "$2"
    absent got/text.txt
    [ "$(cat bad.lock)" = "$1" ] || problem "bad.lock was changed: $(cat bad.lock)"
}
broken '' 'bad.lock:1: '
broken '{"text": {"text.txt": {"sha256": ' 'bad.lock:1: '
broken '[]' 'bad.lock: is not a JSON object of data sets by name'
broken '{"text": 1}' 'bad.lock: text: is not an object of files by path'
broken "{\"text\": {\"text.txt\": {\"sha256\": \"${text:1}\"}}}" 'bad.lock: text: text.txt: is not {sha256, size}'
sed "s/text.txt\"]/&, \"sha256\": \"$text\"/" it.json > known.json
printf '{"text": {"text.txt": {"sha256": "%s"}}}' "$gz" > other.lock
expect 1 fetch-data text "${from[@]}" --catalog known.json --lock other.lock --quiet
says "its SHA-256 is $gz in other.lock, but $text in the catalog"
expect 1 fetch-data text "${from[@]}" --lock it.json/data.lock --quiet
expect 0 fetch-data text "${from[@]}" --lock new/data.lock --quiet
same new/data.lock before.lock
finish
