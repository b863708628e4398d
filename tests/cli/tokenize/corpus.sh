# tokenize, a text in parts: what is held out for validation, shards, JSON Lines; and tokens shown.
. "$(dirname "$0")/../cli.sh"
unset FETCH_DATA_MIRROR GPTPIPE_DATA

members() { # FILE KEY...: the values of --info --json, one a line
    local json
    json=$(tokenize --info --json "$1")
    shift
    for key in "$@"; do
        printf '%s\n' "$json" | grep -o "\"$key\":[^,}]*" | head -1 | cut -d: -f2-
    done
}

equal() { # WHAT GOT EXPECTED
    checks=$((checks + 1))
    [ -n "$2" ] && [ "$2" = "$3" ] || problem "$1 is $2, expected $3"
}

# ---- the validation part -------------------------------------------------------------------------

# without documents the text is cut at that byte (nanoGPT: data[:int(n * 0.9)]), and nothing is lost
seq 1000 > numbers # 3893 bytes
expect 0 tokenize -t char numbers -o n.tok --val-fraction 0.1
says ', 390 tokens of them for validation, 2 files'
head -c 3503 numbers > head.txt
tail -c 390 numbers > tail.txt
expect 0 tokenize -d n.tok -o back
same back head.txt
expect 0 tokenize -d n-val.tok -o back
same back tail.txt
equal 'the vocabulary of both' "$(members n.tok vocab_size fingerprint)" "$(members n-val.tok vocab_size fingerprint)"
# the same from a pipe, and under other names
expect 0 bash -c 'cat numbers | tokenize -t char -o p.tok --val q.tok'
expect 0 tokenize -d p.tok q.tok -o back
same back numbers
expect 0 bash -c 'tokenize -t char numbers --val q.tok -o - | tokenize -d'
equal 'what stdout got' "$out" "$(cat head.txt)"

# no character is cut: the place is in the middle of the third of four characters of three bytes
printf '\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac' > euros
expect 0 tokenize -t char euros -o e.tok --val-fraction 0.4 -q
equal 'the tokens of both parts' "$(members e.tok tokens) $(members e-val.tok tokens)" '3 1'

# with documents, the nearest beginning of one: 8 and 2 of ten alike, 1 and 1 where one is nearly all
for i in 0 1 2 3 4 5 6 7 8 9; do printf 'number %d.\n\n' $i; done > ten
expect 0 tokenize -t bytes --separator '\n\n' ten -o t.tok --val-fraction 0.22 -q
equal 'the documents of both parts' "$(members t.tok documents) $(members t-val.tok documents)" '8 2'
expect 0 tokenize -d t.tok t-val.tok -o back
same back ten
printf 'a\n\n%01000d\n\n' 7 > two
expect 0 tokenize -t bytes --separator '\n\n' two -o t.tok --val-fraction 0.01 -q
equal 'the documents of both parts' "$(members t.tok documents) $(members t-val.tok documents)" '1 1'
# two files are two documents
expect 0 tokenize -t bytes numbers ten -o t.tok --val-fraction 0.5 -q
expect 0 tokenize -d t-val.tok -o back
same back ten

# what is known of the documents goes with them
expect 0 fetch-data reviews --reviews 40 -o . -q
expect 0 tokenize -t char --jsonl text reviews-train.jsonl -o rv.tok -q
expect 0 tokenize --info rv.tok
case $out in *"limit       accuracy 0.9449, loss 0.1615 nats"*) ;; *) problem "no limit: $out" ;; esac
expect 0 fetch-data stories --stories 40 -o . -q
expect 0 tokenize stories.txt -o st.tok --val-fraction 0.25 -q
first=$(members st.tok documents)
checks=$((checks + 1))
[ "$first" -gt 20 ] && [ "$first" -lt 40 ] || problem "of 40 stories $first are for training"
equal 'the stories of both' $((first + $(members st-val.tok documents))) 40

# what cannot be split
printf x > one
expect 1 tokenize -t char one -o x.tok --val-fraction 0.5
says 'one: its 1 bytes in 1 document cannot be split into 0.5 for training and 0.5 for validation'
absent x.tok
absent x-val.tok
expect 1 tokenize -t char --separator '\n\n' numbers -o x.tok --val-fraction 0.1
says 'its 3893 bytes in 1 document cannot be split'
expect 1 tokenize -t char numbers -o x.tok --val no/such/folder/v.tok
says 'no/such/folder/v.tok: cannot be created'
absent x.tok
expect 2 tokenize numbers -o x.tok --val x.tok
expect 2 tokenize numbers -o x.tok --val-fraction 1
expect 2 tokenize numbers -o x.tok --val-fraction -0.1
expect 2 tokenize numbers -o - --val-fraction 0.1
expect 2 tokenize --info n.tok --val x.tok

# ---- shards --------------------------------------------------------------------------------------

expect 0 tokenize -t char numbers -o s.tok --shard-size 1000
says ', 4 files'
equal 'the tokens of the shards' "$(for i in 0 1 2 3; do members s_00000$i.tok tokens; done | tr '\n' ' ')" '1000 1000 1000 893 '
absent s.tok
expect 0 tokenize -d s_00000?.tok -o back
same back numbers
# documents stay whole: each of these has 11 tokens, so that the third reaches 25
expect 0 tokenize -t bytes --separator '\n\n' ten -o t.bin --format llmc --shard-size 25 --val-fraction 0.4 -q
equal 'the sizes of the shards' "$(stat -c %s t_000000.bin t_000001.bin t-val_000000.bin t-val_000001.bin | tr '\n' ' ')" \
    "$((1024 + 66)) $((1024 + 66)) $((1024 + 66)) $((1024 + 22)) "
expect 0 tokenize -t bytes -d t_00000?.bin t-val_00000?.bin -o back
same back ten
# all or none
printf '12\xe2\x82\xac' | cat numbers - > worse
expect 0 tokenize -t char numbers -o vocabulary.tok -q
expect 1 tokenize -t vocabulary.tok worse -o w.tok --shard-size 1000
says 'worse: character U+20AC at offset 3895'
[ -z "$(ls | grep '^w[._]')" ] || problem "left behind: $(ls | grep '^w[._]')"
expect 2 tokenize numbers -o - --shard-size 5
expect 2 tokenize numbers -o x.tok --shard-size 0

# ---- JSON Lines ----------------------------------------------------------------------------------

printf '{"id": 1, "text": "Once\\nupon"}\n\n{"text": ""}\n   \n{"text": "a \\u20ac \\ud83d\\ude00", "text2": 5}' > a.jsonl
expect 0 tokenize --jsonl text a.jsonl -o j.tok
says 'in 3 documents'
printf 'Once\nupon\n\n\n\na \xe2\x82\xac \xf0\x9f\x98\x80\n\n' > wanted
expect 0 tokenize -d j.tok -o back
same back wanted
expect 0 bash -c "tokenize -t bytes --jsonl text --separator '|' < a.jsonl | tokenize -d"
equal 'the text with another separator' "$out" "$(printf 'Once\nupon||a \xe2\x82\xac \xf0\x9f\x98\x80|')"
cat a.jsonl <(echo) a.jsonl > both.jsonl
expect 0 tokenize -t bytes --jsonl text both.jsonl -q -o x.tok
expect 0 tokenize -t bytes --jsonl text a.jsonl a.jsonl -q -o y.tok
expect 0 tokenize -d x.tok -o x.txt
expect 0 tokenize -d y.tok -o y.txt
same x.txt y.txt
expect 0 tokenize -t bytes --jsonl text both.jsonl --val-fraction 0.5 -o x.tok -q
equal 'the documents of both parts' "$(members x.tok documents) $(members x-val.tok documents)" '3 3'

bad() { # LINE MESSAGE
    printf '{"text": "good"}\n%s\n' "$1" > bad.jsonl
    expect 1 tokenize -t bytes --jsonl text bad.jsonl -o bad.tok
    says "bad.jsonl: line 2$2"
    expect 1 tokenize -t char --jsonl text bad.jsonl -o bad.tok
    says "bad.jsonl: line 2$2"
    absent bad.tok
}
bad '{"text": 5}' ': its "text" is not a string'
bad '{"body": "x"}' ': its "text" is missing'
bad '["text"]' ' is not a JSON object'
bad '{"text": "x"' ' is not JSON: '
bad 'text' ' is not JSON: '
bad '{"text": "\ud800"}' ': its "text" is not text: it contains a lone surrogate'
: > empty.jsonl
expect 1 tokenize --jsonl text empty.jsonl -o bad.tok
says empty
printf '{"text": "new: !"}\n' > new.jsonl
expect 1 tokenize -t j.tok --jsonl text new.jsonl -o bad.tok
says 'new.jsonl: line 1: character U+0077 at offset 2 is not in the vocabulary'

# ---- tokens shown --------------------------------------------------------------------------------

expect 0 bash -c "printf 'a\\\\\n\t\xff\xe2\x82\xac\033' | tokenize -t bytes --show"
equal 'what is shown' "$out" "$(printf '97\ta\n92\t\\\\\n10\t\\n\n9\t\\t\n255\t\\xff\n226\t\\xe2\n130\t\\x82\n172\t\\xac\n27\t\\x1b')"
expect 0 bash -c "printf 'a\xe2\x82\xac' | tokenize -t char --show"
equal 'what is shown' "$out" "$(printf '0\ta\n1\t\xe2\x82\xac')"
expect 2 tokenize --show --decode n.tok
expect 1 bash -c "tokenize --show numbers > /dev/full"
says 'No space left on device'
if script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
    script -qec "printf 'ab\n\033c' | tokenize -t char --show" /dev/null > shown < /dev/null
    checks=$((checks + 1))
    # each token on its background, the newline made too, no escape of the text's own, and the ids below each line
    printf '\033[30;48;5;153ma\033[0m\033[30;48;5;223mb\033[0m\033[30;48;5;158m\\n\033[0m\r\n\033[2m2 3 0\033[0m\r\n\033[30;48;5;218m\\x1b\033[0m\033[30;48;5;229mc\033[0m\r\n\033[2m1 4\033[0m\r\n' > wanted
    same shown wanted
else
    echo "skipped: tokens in colour: script is missing, or there are no pseudo-terminals here"
fi

# ---- special tokens in text ----------------------------------------------------------------------

# by default a name is text; where it is allowed it is the token, and comes back as its name
printf 'one<|endoftext|>two<|endoftext' > special
expect 0 tokenize --train-bpe 300 special -o sp.tok -q
equal 'end-of-texts in text' "$(tokenize -t sp.tok --show special | grep -c '<|endoftext|>')" 0
equal 'end-of-texts that are allowed' "$(tokenize -t sp.tok --allow-special --show special | grep -n '^0	<|endoftext|>$' | head -1)" \
    "$(tokenize -t sp.tok --show <(printf one) | wc -l | awk '{ print $1 + 1 }'):0	<|endoftext|>"
for how in '' --allow-special; do
    expect 0 tokenize -t sp.tok $how special -o x.tok -q
    expect 0 tokenize -d x.tok -o back
    same back special
done
# a separator is another thing: it ends documents whatever it looks like
expect 0 tokenize -t sp.tok --separator '<|endoftext|>' special -o x.tok
says 'in 2 documents'
expect 0 tokenize -d x.tok -o back
same back special

# ---- the tokenizer as a file ---------------------------------------------------------------------

expect 0 tokenize numbers -o n.tok --save-tokenizer digits.json -q
expect 0 tokenize -t digits.json numbers -o m.tok -q
same m.tok n.tok

# ---- a BPE of its own ----------------------------------------------------------------------------

expect 0 fetch-data stories --stories 300 -o train/ -q
expect 0 tokenize --train-bpe 600 --save-tokenizer bpe.json train/stories.txt -o b.tok
says 'tokens of a vocabulary of 600'
expect 0 tokenize -d b.tok -o back
same back train/stories.txt
expect 0 tokenize -t bpe.json train/stories.txt -o c.tok -q
same c.tok b.tok
expect 0 bash -c 'cat train/stories.txt | tokenize --train-bpe 600 --separator "\n\n" -q | tokenize -d'
equal 'what came through the pipe' "$out" "$(cat train/stories.txt)"
expect 0 tokenize --train-bpe 300 --jsonl text a.jsonl -o d.tok -q
equal 'the end-of-texts of JSON Lines' "$(tokenize -t d.tok --jsonl text a.jsonl --show | grep -c '^0	<|endoftext|>$')" 3
: > empty
expect 1 tokenize --train-bpe 300 empty -o x2.tok
says empty
absent x2.tok
expect 2 tokenize --train-bpe 256 numbers -o x2.tok
expect 2 tokenize --train-bpe 300 -t gpt2 numbers -o x2.tok

# ---- threads -------------------------------------------------------------------------------------

# texts of many chunks: words, letters without an end, spaces, characters of three bytes, noise, and all
# of them together; whatever the threads, the bytes of the stream are the same
seq -f "The price of it was %.0f'll, it's 7%%; wasn't it?" 40000 > words
head -c 2200000 /dev/zero | tr '\0' a > letters
head -c 2200000 /dev/zero | tr '\0' ' ' > spaces
for i in $(seq 1000); do printf '\xe2\x82\xac\xe4\xb8\xad\xc2\xa0'; done > euros
for i in $(seq 150); do cat euros; done > characters
head -c 2200000 /dev/urandom > noise
cat words letters noise spaces words characters words > together
same_by_threads() { # TEXT OPTION...
    rm -f one*.tok many*.tok
    expect 0 tokenize -t bpe.json "$@" -o one.tok -q --threads 1
    expect 0 tokenize -t bpe.json "$@" -o many.tok -q --threads 3
    same many.tok one.tok
}
for text in words letters spaces characters noise together; do
    same_by_threads $text
done
same_by_threads together --separator 'it?'
same_by_threads together --val-fraction 0.3
same many-val.tok one-val.tok
expect 0 bash -c "cat together | tokenize -t bpe.json -q --threads 3 | tokenize -d -o back"
same back together
expect 1 bash -c "tokenize -t bpe.json together -q --threads 3 > /dev/full"
says 'No space left on device'
expect 141 bash -c "tokenize -t bpe.json together -q --threads 3 | head -c 100 > /dev/null" # ended by SIGPIPE, as cat is
[ -z "$err" ] || problem "a closed reader was told of: $err"

# ---- bounded memory ------------------------------------------------------------------------------

# 200 MB through a pipe in 150 MB of address space; sanitizers need more than that for themselves
if [ -n "${GPTPIPE_SANITIZE:-}" ]; then
    echo 'skipped: bounded memory, a sanitizer needs far more'
else
    expect 0 bash -c "ulimit -v 150000; { yes 'All work and no play makes Jack a dull boy' || :; } | head -c 200000000 | OMP_NUM_THREADS=1 tokenize -t bytes -q | tail -c 32 | head -c 8"
    equal 'the end of a long stream' "$out" GPTKEND1
    # 25 million documents of one newline, whose starts take 200 MB; and so many without any text, by threads
    expect 0 bash -c "ulimit -v 150000; head -c 25000000 /dev/zero | tr '\0' '\n' | OMP_NUM_THREADS=1 tokenize -t bytes --separator '\n' -q | tail -c 24 | od -An -tu8"
    equal 'tokens and documents of many lines' "$(printf '%s' "$out" | head -1 | tr -s ' ')" ' 25000000 25000000'
    expect 0 bash -c "ulimit -v 500000; head -c 25000000 /dev/zero | tr '\0' '\n' | OMP_NUM_THREADS=1 tokenize -t bpe.json --separator '\n' --threads 2 -q | tail -c 24 | od -An -tu8"
    equal 'tokens and documents of many lines' "$(printf '%s' "$out" | head -1 | tr -s ' ')" ' 25000000 25000000'
fi
[ -z "$(ls -- *.tmp 2> /dev/null)" ] || problem "left behind: $(ls -- *.tmp)"
finish
