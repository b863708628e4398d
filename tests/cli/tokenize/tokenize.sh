# tokenize from the outside: what goes in comes out again, and what is bad is refused in one line.
. "$(dirname "$0")/../cli.sh"
export FETCH_DATA_MIRROR=${FETCH_DATA_MIRROR:-$repo/../shared/mirror}
unset GPTPIPE_DATA
kinds="char bytes"
ln -s "$repo/data" data
if printf x | tokenize -t gpt2 -q > gpt2.tok 2> no-gpt2; then
    kinds="$kinds gpt2"
else
    echo "skipped: tokenize with gpt2: $(cat no-gpt2)"
fi

# texts of every kind
printf 'Once upon a time.\n\nThe end.\n\nAnd   then 123 \xc3\xa9t\xc3\xa9s, don'"'"'t <|endoftext|>\n' > plain
printf 'a\xff\xfe\xc3(\xe2\x82\0\xf0\x9f\x98\x80\xed\xa0\x80 \n\n\n\n\x80' > bad-utf8
printf '\n\n' > blank
printf 'x' > one
head -c 400000 /dev/urandom > random
for i in $(seq 40); do cat plain bad-utf8; done > long

for kind in $kinds; do
    for text in plain bad-utf8 blank one random long; do
        expect 0 tokenize -t $kind $text -o $text.tok -q
        expect 0 tokenize --decode $text.tok -o back
        same back $text
        expect 0 bash -c "tokenize -t $kind --separator '\n\n' -q < $text | tokenize -d > back"
        same back $text
        expect 0 tokenize --info $text.tok
    done
    # several files
    expect 0 tokenize -t $kind plain bad-utf8 one -o several.tok -q
    expect 0 tokenize -d several.tok -o back
    cat plain bad-utf8 one > all
    same back all
    expect 0 tokenize -i several.tok --json
    case $out in *'"documents":3,'*) ;; *) problem "three files are not three documents: $out" ;; esac
    # a file and a pipe give the same ids
    expect 0 bash -c "cat long | tokenize -t $kind -q | tokenize -i --json | sed 's/.*tokens/tokens/; s/,.source.*//' > piped"
    expect 0 bash -c "tokenize -t $kind -q long -o long.tok && tokenize -i --json < long.tok | sed 's/.*tokens/tokens/; s/,.source.*//' > filed"
    same piped filed
done

# a separator cuts documents; its blank lines stay where they were
expect 0 tokenize -t char --separator '\n\n' plain -o x.tok
case $err in *" in 3 documents"*) ;; *) problem "three documents were expected: $err" ;; esac
expect 0 tokenize -t bytes --separator '\x0a' plain -o x.tok
case $err in *" in 5 documents"*) ;; *) problem "five lines were expected: $err" ;; esac

# other text with the vocabulary of the first
expect 0 tokenize -q plain -o first.tok
expect 0 tokenize -q -t first.tok one plain -o second.tok
expect 1 tokenize -q -t bytes -d first.tok
says "first.tok: was not made with the tokenizer bytes"
printf 'The end?' > other
expect 1 tokenize -t first.tok other -o other.tok
says "other: character U+003F at offset 7 is not in the vocabulary"
printf 'end.\n\nend. \xe2\x82\xac' > other
expect 1 bash -c "tokenize -t first.tok --separator '\n\n' other > other.tok"
says "other: character U+20AC at offset 11"
expect 1 tokenize -t first.tok other -o absent.tok
absent absent.tok

# what a sidecar says is carried along
expect 0 fetch-data stories --stories 20 -o . -q
expect 0 tokenize stories.txt -o stories.tok
case $err in *" in 20 documents"*) ;; *) problem "20 stories were expected: $err" ;; esac
printf 'x' >> stories.txt
expect 1 tokenize stories.txt -o stories2.tok
says "stories.txt.json: belongs to another text"
absent stories2.tok
head -c -1 stories.txt > s && mv s stories.txt
sed -i 's/"chars": *\[[0-9]*, */"chars": [/; s/"nats": *\[[0-9.]*, */"nats": [/' stories.txt.json
expect 1 tokenize stories.txt -o stories2.tok
says "stories.txt: has 20 documents, but its sidecar describes 19"
echo '{' > stories.txt.json
expect 1 tokenize stories.txt -o stories2.tok
says "stories.txt.json: is not JSON"

# streams of other programs
expect 0 tokenize -t bytes --format llmc plain -o x.bin -q
[ "$(od -An -tu4 -N12 x.bin | tr -s ' ')" = " 20240520 1 $(stat -c %s plain)" ] || problem "llm.c's header is $(od -An -tu4 -N12 x.bin)"
expect 0 tokenize -t bytes -d x.bin -o back
same back plain
expect 0 bash -c "tokenize -t bytes --format raw16 -q < plain > x.raw"
[ "$(stat -c %s x.raw)" = $((2 * $(stat -c %s plain))) ] || problem "raw16 has $(stat -c %s x.raw) bytes"
expect 0 tokenize -t bytes --format raw16 -V 256 -d x.raw -o back
same back plain
expect 0 tokenize -t bytes --format raw16 -d x.raw -o back
same back plain
expect 0 tokenize -t bytes -i x.bin --json
case $out in *'"vocab_size":256,'*) ;; *) problem "the vocabulary is not that of --tokenizer: $out" ;; esac
expect 1 tokenize -i --format raw16 x.raw
says "--vocab-size"
expect 1 tokenize -i --format raw16 -V 50 x.raw
says "its vocabulary has 50 ids"
expect 1 bash -c "tokenize -t bytes --format llmc plain | cat; exit \${PIPESTATUS[0]}"
says "cannot be streamed; give -o FILE"

# bad input
: > empty
for kind in $kinds; do
    expect 1 tokenize -t $kind empty -o empty.tok
    says empty
    expect 1 bash -c "tokenize -t $kind < /dev/null > empty.tok"
    says "stdin: "
done
absent empty.tok.tmp
expect 1 tokenize nothing-here -o x2.tok
says "nothing-here: No such file"
expect 1 tokenize . -o x2.tok
says "is a folder"
expect 1 tokenize -t nonsense plain -o x2.tok
says "nonsense: no such tokenizer"
absent x2.tok
expect 1 tokenize -t char -d first.tok
says "built from a text"
for n in 0 7 8 63 64 200 $(($(stat -c %s first.tok) - 1)); do
    head -c "$n" first.tok > cut.tok
    expect 1 tokenize -d cut.tok
    says "cut.tok: "
    expect 1 bash -c "tokenize -d < cut.tok"
    says "stdin: "
done
cp first.tok lies.tok
printf '\x63' | dd of=lies.tok bs=1 seek=16 conv=notrunc status=none
for job in --info --decode 'plain -o x2.tok -t'; do
    expect 1 tokenize $job lies.tok
    says 'lies.tok: is corrupt: its header, with a vocabulary of 99,'
done
printf '\x01' | dd of=first.tok bs=1 seek=$(($(stat -c %s first.tok) - 40)) conv=notrunc status=none
expect 1 tokenize --info first.tok
says "first.tok: is corrupt: the CRC"
expect 1 tokenize -t bytes plain -o no/such/folder/x.tok
says "no/such/folder/x.tok: cannot be created"

# a full disk, a closed reader
expect 1 bash -c "tokenize -t bytes random > /dev/full"
says "No space left on device"
expect 1 bash -c "tokenize -d random.tok > /dev/full"
says "No space left on device"
expect 141 bash -c "tokenize -t bytes -q random random random random random | head -c 10 > /dev/null" # by SIGPIPE
[ -z "$err" ] || problem "a closed reader was told of: $err"
[ -z "$(ls -- *.tmp 2> /dev/null)" ] || problem "left behind: $(ls -- *.tmp)"

# the command line
expect 2 tokenize --decode --info x.tok
for extra in '--train-bpe 300' '--separator x' '--jsonl text' --allow-special '--save-tokenizer x.json' '--val x' \
    '--val-fraction 0.1' '--shard-size 5'; do
    expect 2 tokenize --decode $extra x.tok
    says "${extra%% *} has no effect with --decode"
done
expect 2 tokenize --decode --json x.tok
says '--json requires --info'
expect 2 tokenize --info x.tok -o x.txt
says '--out has no effect with --info'
expect 2 tokenize --show --val x plain
says '--val has no effect with --show'
expect 2 tokenize -V 300 plain -o x3.tok
says '--vocab-size requires --decode or --info'
expect 2 tokenize --json plain -o x3.tok
says '--json requires --info'
expect 2 tokenize plain --val -
says '--val and --out name the same file'
expect 2 tokenize -t char --train-bpe 300 plain -o x3.tok
absent x3.tok
# what --print-config gives is a config
expect 0 tokenize --train-bpe 300 plain -o x3.tok --print-config
printf '%s\n' "$out" > x.yaml
expect 0 tokenize --config x.yaml plain -q
for empty in --tokenizer --save-tokenizer --jsonl --out --val; do
    expect 2 tokenize plain $empty ''
    says "$empty: is empty, expected "
done
expect 2 tokenize '' -o x3.tok
says 'an operand is empty'
expect 2 tokenize --separator '\q' plain -o x3.tok
expect 2 tokenize --format tik plain
expect 2 tokenize -i x.tok x.tok
if script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
    script -qec "tokenize plain" /dev/null > typed < /dev/null
    [ $? = 2 ] && grep -q "give -o FILE" typed || problem "a terminal got a token stream: $(head -c 200 typed)"
else
    echo "skipped: tokenize on a terminal: script is missing, or there are no pseudo-terminals here"
fi
# a suffix that promises another format than was asked for
expect 0 tokenize -t bytes plain -o suffix.bin
case $err in *"
suffix.bin: is in format tok; nanoGPT's .bin files are --format raw16, llm.c's --format llmc") ;; *) problem "told: $err" ;; esac
expect 0 tokenize -t bytes plain -o suffix.bin --format tok
says "suffix.bin: "

# a token stream is no text, also through a pipe
expect 1 tokenize -t bytes plain.tok -o again.tok
says "tokenize: plain.tok: is a token stream already (tok), expected text: tokenize --info describes it, --decode prints its text"
expect 1 bash -c "cat plain.tok | tokenize -t bytes -q | cat > again.tok; exit \${PIPESTATUS[1]}"
says "stdin: is a token stream already"
absent again.tok2
expect 1 tokenize --show -t bytes plain.tok
says "is a token stream already"
tokenize -t bytes plain --format llmc --vocab-size 256 -o plain.bin -q 2> /dev/null || tokenize -t bytes plain --format llmc -o plain.bin -q
expect 1 tokenize -t bytes plain.bin -o again.tok
says "plain.bin: is a token stream already (llm.c's)"

# what is read is not written over, whatever its name
cp plain kept
cp plain.tok kept.tok
ln -s plain linked
for written in "-o plain" "-o ./plain" "-o a.tok --val plain" "-o a.tok --save-tokenizer plain"; do
    expect 2 tokenize -t bytes kept plain $written
    says "would replace the input plain: name another file"
done
expect 2 tokenize -t bytes linked -o plain
says "tokenize: --out would replace the input linked"
expect 2 tokenize --decode plain.tok -o plain.tok
says "tokenize: --out would replace the input plain.tok"
same plain kept
same plain.tok kept.tok
absent a.tok

# what stands in stdout's file already stays, and so does what comes afterwards
expect 0 bash -c '{ echo before; tokenize -t bytes -q plain -o /dev/stdout; echo after; } > around'
expect 0 bash -c '{ echo before; tokenize -t bytes -q plain; echo after; } > around2'
same around around2
finish
