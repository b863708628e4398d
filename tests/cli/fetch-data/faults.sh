# fetch-data against servers that misbehave: after each fault one clear line, exit code 1, nothing wrong under the final
# name, and the next run succeeds.
. "$(dirname "$0")/../cli.sh"
unset FETCH_DATA_MIRROR http_proxy https_proxy all_proxy ALL_PROXY HTTPS_PROXY CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
pids=()
trap 'kill "${pids[@]}" 2> /dev/null; wait 2> /dev/null; rm -rf "$here"' EXIT

mkdir www
seq 10000 > www/text.txt
seq 10001 > www/text.txt.bad
size=$(wc -c < www/text.txt) half=$(($(wc -c < www/text.txt) / 2))
sha256=$(sha256sum www/text.txt | cut -d' ' -f1) bad=$(sha256sum www/text.txt.bad | cut -d' ' -f1)
misbehave www log > port &
pids+=($!)
for _ in {1..100}; do [ -s port ] && break; sleep 0.05; done
port=$(cat port)

# A new case: the catalog it.json with one file, from the server that behaves as told, and nothing fetched yet.
cases=0
serve() { # BEHAVIOUR FILE NAME [MEMBER...]
    local behaviour=$1 file=$2 member members=
    name=$3
    shift 3
    for member; do members+=", $member"; done
    cases=$((cases + 1))
    rm -rf got
    printf '{"it": {"note": "n", "licence": "l", "files": [{"path": "%s", "urls": ["http://127.0.0.1:%s/%s/%s/%s"]%s}]}}' \
        "$name" "$port" "$behaviour" "$cases" "$file" "$members" > it.json
}
known="\"sha256\": \"$sha256\""
run=(fetch-data it --catalog it.json -o got/ --quiet)

# How often this case's file was asked for, and from where: "-" is all of it.
asked() { # RANGES
    local ranges
    checks=$((checks + 1))
    ranges=$(grep "/$cases/" log | cut -d' ' -f2 | tr '\n' ' ')
    [ "$ranges" = "$1 " ] || problem "case $cases was asked for '$ranges', expected '$1 '"
}

arrived() {
    same got/text.txt www/text.txt
    absent got/text.txt.part
    absent got/text.txt.part.from
}

# One line, exit code 1, nothing under the name; then the same again succeeds.
fails_once() { # WORDS [OPTION...]
    local words=$1
    shift
    expect 1 "${run[@]}" --retries 0 "$@"
    says "$words"
    absent "got/$name"
    absent "got/$name.unpacking"
    expect 0 "${run[@]}" --retries 0
    [ -z "$err" ] || problem "the second run says: $err"
}

# ---- answers ---------------------------------------------------------------------------------------------------
serve 404 text.txt text.txt "$known"
fails_once 'the server returned status 404 (not found)' --retries 3
arrived
asked '- -' # what is not there is not asked for again

serve 500 text.txt text.txt "$known"
expect 0 "${run[@]}" --retries 1
arrived
asked '- -'

serve 500 text.txt text.txt "$known"
fails_once 'the server returned status 500'
arrived

serve redirect-loop again.txt text.txt "$known"
expect 1 "${run[@]}"
says 'Maximum (10) redirects followed'
absent got/text.txt
cp www/text.txt www/again.txt
expect 0 "${run[@]}" --retries 0
arrived

serve to-file text.txt text.txt "$known"
fails_once 'leads to file:///etc/passwd, which is not followed'
arrived

# ---- cut, and continued ----------------------------------------------------------------------------------------
serve cut text.txt text.txt "$known"
expect 0 "${run[@]}" --retries 1
arrived
asked "- bytes=$half-"

serve cut text.txt text.txt
fails_once "transfer closed with $((size - half)) bytes remaining"
arrived
asked "- bytes=$half-" # the second run went on where the first was cut, by the ETag alone

serve bare-cut text.txt text.txt
fails_once "transfer closed with $((size - half)) bytes remaining"
arrived
asked "- bytes=$half-" # without an ETag the file's size is what must be the same

serve bare-changes text.txt text.txt
fails_once 'transfer closed with'
arrived
asked "- bytes=$(($(wc -c < www/text.txt.bad) / 2))- -" # it is not, so all of it comes again

serve no-ranges text.txt text.txt "$known"
expect 1 "${run[@]}" --retries 0
expect 1 "${run[@]}" --retries 0
absent got/text.txt
expect 0 "${run[@]}" --retries 0
arrived

serve etag-changes text.txt text.txt
fails_once 'transfer closed with'
arrived # all of the new one
asked "- bytes=$(($(wc -c < www/text.txt.bad) / 2))-"

serve stall text.txt text.txt "$known"
fails_once 'no data received for 1 s' --stall-timeout 1
arrived
asked "- bytes=$half-"

serve no-length-cut text.txt text.txt "\"size\": $size"
fails_once "ended after $half of $size bytes"
arrived

# ---- what came is not what should have come --------------------------------------------------------------------
serve wrong text.txt text.txt "$known"
fails_once "its SHA-256 is $bad, expected $sha256"
arrived

serve too-long text.txt text.txt
fails_once 'transfer closed with 10 bytes remaining'
arrived

serve too-short text.txt text.txt "$known"
fails_once 'its SHA-256 is '
arrived

serve no-length text.txt text.txt "$known"
expect 0 "${run[@]}" --retries 0
arrived

# ---- archives --------------------------------------------------------------------------------------------------
mkdir -p tree/folder
cp www/text.txt tree/folder
tar czf www/x.tar.gz -C tree folder
tar czf www/x.tar.gz.bad -C tree --transform 's,^folder,../folder,' -P folder
serve wrong x.tar.gz folder '"unpack": "folder"'
fails_once 'which leads out of its folder; nothing is unpacked'
same got/folder/text.txt www/text.txt
absent folder

for link in 'ln -s /etc/passwd' 'ln text.txt'; do
    rm -f tree/folder/zlink
    (cd tree/folder && $link zlink)
    tar czf www/x.tar.gz.bad -C tree folder
    serve wrong x.tar.gz folder '"unpack": "folder"'
    fails_once 'holds a link, '
    same got/folder/text.txt www/text.txt
done

gzip -c www/text.txt > www/x.gz
yes | head -c 100000000 | gzip > www/x.gz.bad
serve wrong x.gz text.txt '"unpack": "file"'
fails_once 'which is too much for an archive of'
arrived

serve wrong x.gz text.txt '"unpack": "file"' "\"unpacked\": $size"
fails_once "unpacks to more than the $size bytes expected"
arrived

# ---- no room ---------------------------------------------------------------------------------------------------
serve good text.txt text.txt "$known"
(ulimit -f 20 && "${run[@]}" 2> full.err)
code=$? err=$(cat full.err)
[ $code = 1 ] || problem "a full disk: exit code $code"
says 'got/text.txt.part: cannot be written: File too large; what was downloaded is kept; free some space and run it again'
absent got/text.txt
expect 0 "${run[@]}"
arrived
asked "- bytes=20480-"

if unshare -rm true 2> /dev/null; then
    serve good text.txt text.txt "$known"
    expect 1 unshare -rm bash -c 'mkdir got && mount -t tmpfs -o size=16k none got && "$@"; code=$?; ls got >&2; exit $code' \
        - "${run[@]}"
    case $err in
    *'text.txt.part: cannot be written: No space left on device; what was downloaded is kept'*) ;;
    *) problem "a full tmpfs: $err" ;;
    esac
    [ "$(tail -n +2 <<< "$err" | tr '\n' ' ')" = 'text.txt.part text.txt.part.from ' ] || problem "left on it: $err"
    expect 1 unshare -rm bash -c 'mount -t tmpfs -o size=16k none got && "$@"' - "${run[@]}" --retries 0 \
        --catalog <(sed "s/\"sha256\"/\"size\": $size, \"sha256\"/" it.json)
    says "got/: 49 kB to download, the free space is only 16 kB"

    # room for the archive and not for what is in it: the next run has the archive, and asks nobody
    rm -f tree/folder/zlink
    yes | head -c 300000 > tree/folder/long.txt
    tar czf www/y.tar.gz -C tree folder
    rm tree/folder/long.txt
    serve good y.tar.gz folder '"unpack": "folder"' "\"sha256\": \"$(sha256sum www/y.tar.gz | cut -d' ' -f1)\""
    expect 0 unshare -rm bash -c 'mkdir got && mount -t tmpfs -o size=200k none got && ! "$@" && ls got >&2 &&
        mount -o remount,size=2m got && "$@" && cmp got/folder/text.txt www/text.txt' - "${run[@]}"
    case $err in
    *'folder.unpacking/folder/long.txt: cannot be written: No space left on device'*) ;;
    *) problem "a full tmpfs for what is unpacked: $err" ;;
    esac
    [ "$(sed -n '2,$p' <<< "$err" | tr '\n' ' ')" = 'folder.part folder.part.from ' ] || problem "left on it: $err"
    asked '-'
else
    echo 'SKIPPED: a full tmpfs, for nothing may be mounted here'
fi

# ---- stopped, two at once, several at once ---------------------------------------------------------------------
# Waits until a file has so many bytes.
has() { # PATH BYTES
    for _ in {1..100}; do
        [ "$(stat -c %s "$1" 2> /dev/null || echo 0)" -ge "$2" ] && return
        sleep 0.05
    done
    problem "$1 never had $2 bytes"
}

for signal in INT TERM; do
    serve stall text.txt text.txt
    "${run[@]}" 2> stop.err &
    stopped=$!
    has got/text.txt.part "$half"
    kill -$signal $stopped
    wait $stopped
    code=$? err=$(cat stop.err)
    [ $code = $((128 + $(kill -l $signal))) ] || problem "SIG$signal: exit code $code"
    says 'fetch-data: stopped; what was downloaded is kept; run the same command again to continue'
    absent got/text.txt
    expect 0 "${run[@]}"
    arrived
    asked "- bytes=$half-"
done

# through a pipe nothing is kept, and nothing else is told
serve stall text.txt text.txt
fetch-data it --catalog it.json --quiet -o - > piped 2> stop.err &
stopped=$!
for _ in {1..100}; do grep -q "/$cases/" log && break; sleep 0.05; done
kill -INT $stopped
wait $stopped
code=$? err=$(cat stop.err)
[ $code = 130 ] || problem "SIGINT: exit code $code"
[ "$err" = 'fetch-data: stopped' ] || problem "stopped on its way to a pipe: $err"
[ ! -s piped ] || problem "half of it reached the pipe"

serve slow text.txt text.txt "$known"
"${run[@]}" 2> first.err &
first=$!
has got/text.txt.part 1
expect 0 fetch-data it --catalog it.json -o got/
case $err in
*'another process is downloading it; waiting for that'*'already here'*) ;;
*) problem "the second of two at once says: $err" ;;
esac
wait $first || problem "the first of two at once: $(cat first.err)"
arrived
asked '-'

rm -rf got
printf '{"it": {"note": "n", "licence": "l", "files": [' > it.json
for one in good slow 404 cut; do
    printf '{"path": "%s.txt", "urls": ["http://127.0.0.1:%s/%s/many/text.txt"]},' $one "$port" $one
done | sed 's/,$/]}}/' >> it.json
expect 1 "${run[@]}" --retries 0
case $err in
*'/404/many/text.txt: the server returned status 404'*'fetch-data: 2 of 4 files could not be fetched') ;;
*) problem "several at once: $err" ;;
esac
[ "$(wc -l <<< "$err")" = 3 ] || problem "not one line a failure and their sum: $err"
[ "$(ls got | tr '\n' ' ')" = 'cut.txt.part cut.txt.part.from good.txt slow.txt ' ] || problem "came: $(ls got)"
expect 0 "${run[@]}" --retries 0
for one in good slow 404 cut; do same got/$one.txt www/text.txt; done
[ "$(grep -c 'slow/many' log)" = 1 ] || problem 'what was here came again'

# ---- what is large is told before it comes ---------------------------------------------------------------------
rm -rf got
printf '{"it": {"note": "n", "licence": "l", "files": [{"path": "{1..3}.bin", "size": 600000000,
    "urls": ["http://127.0.0.1:%s/404/large/{1..3}.bin"]}]}}' "$port" > it.json
large=(fetch-data it --catalog it.json -o got/ --retries 0)
expect 1 "${large[@]}"
case $err in
'1.8 GB to download in 3 files; --shards N takes the first N of a series, and what was downloaded is kept'*) ;;
*'got/: 1.8 GB to download, the free space is only '*) echo 'SKIPPED: telling what is large, for there is no room for it' ;;
*) problem "what is large is not told: $err" ;;
esac
expect 1 "${large[@]}" --shards 1
[[ $err != *'to download'* ]] || problem "what is small is told: $err"
expect 1 "${large[@]}" --quiet
[[ $err != *'to download in'* ]] || problem "--quiet tells: $err"

# ---- TLS -------------------------------------------------------------------------------------------------------
if command -v openssl > /dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
        -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2> /dev/null
    { printf 'HTTP/1.0 200 OK\r\nContent-Length: %s\r\n\r\n' "$size"; cat www/text.txt; } > www/secret.txt
    printf 'HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:%s/good/plain/text.txt\r\nContent-Length: 0\r\n\r\n' \
        "$port" > www/plain.txt
    # It serves until its stdin ends; it must not be the terminal.
    (cd www && exec openssl s_server -HTTP -accept 127.0.0.1:0 -cert ../cert.pem -key ../key.pem < /dev/null) > tls 2>&1 &
    pids+=($!)
    for _ in {1..100}; do grep -q ACCEPT tls && break; sleep 0.05; done
    tls=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' tls | head -1)
    encrypted() { # FILE
        rm -rf got
        printf '{"it": {"note": "n", "licence": "l", "files": [{"path": "text.txt", "urls": ["https://127.0.0.1:%s/%s"], %s}]}}' \
            "$tls" "$1" "$known" > it.json
    }
    encrypted secret.txt
    expect 1 "${run[@]}"
    says 'SSL_CERT_FILE or CURL_CA_BUNDLE may name a file of further certificates to trust'
    absent got/text.txt
    CURL_CA_BUNDLE=cert.pem expect 0 "${run[@]}"
    arrived
    rm -rf got
    SSL_CERT_FILE=cert.pem expect 0 "${run[@]}"
    arrived
    encrypted plain.txt
    SSL_CERT_FILE=cert.pem expect 1 "${run[@]}"
    says "leads to http://127.0.0.1:$port/good/plain/text.txt, which is not followed"
    absent got/text.txt
    grep -q good/plain log && problem 'the redirect to http was followed'
else
    echo 'SKIPPED: TLS, for there is no openssl'
fi
finish
