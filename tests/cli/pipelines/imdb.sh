# pipelines/imdb.sh and pipeline.sh MODEL=bert: what they call, what they keep, what they report. At first the
# tools that compute are stand-ins, which log their command lines; fetch-data and bag_of_words are our own.
. "$(dirname "$0")/../cli.sh"
unset DATA FETCH_DATA_MIRROR INIT MODEL PRETRAIN STEPS

mkdir bin
printf '#!/bin/sh\nexec "%s/fetch-data" "$@" --reviews 100 --offline --quiet\n' "$GPTPIPE_BIN" > bin/fetch-data
ln -s "$GPTPIPE_BIN/bag_of_words" bin
cat > bin/tokenize << EOF
#!/bin/sh
echo tokenize "\$@" >> "$here/log"
while [ \$# -gt 0 ]; do case \$1 in -o | --save-tokenizer) echo "\$1" > "\$2" ;; esac; shift; done
EOF
cat > bin/train << EOF
#!/bin/sh
echo train "\$@" >> "$here/log"
[ "\$1" != --resume ] || { echo w > "\$2/model.safetensors"; echo '{}' > "\$2/log.jsonl"; exit 0; }
while [ \$# -gt 0 ]; do [ "\$1" != -o ] || { mkdir -p "\$2" && echo w > "\$2/model.safetensors" && echo '{}' > "\$2/log.jsonl"; }; shift; done
[ ! -e "$here/stop" ]
EOF
cat > bin/predict << EOF
#!/bin/sh
echo predict "\$@" >> "$here/log"
while [ \$# -gt 0 ]; do case \$1 in --input) in=\$2 ;; -o) out=\$2 ;; esac; shift; done
sed -E 's/.*"label": 0.*/{"label": "neg", "score": 0.9}/; s/.*"label": 1.*/{"label": "pos", "score": 0.9}/' "\$in" |
    sed '1,5s/neg/pos/' > "\$out"
EOF
cat > bin/explain.sh << EOF
#!/bin/sh
echo explain.sh "\$@" >> "$here/log"
while [ \$# -gt 0 ]; do [ "\$1" != -o ] || echo page > "\$2"; shift; done
EOF
chmod +x bin/*
export BIN=$here/bin OUT=$here/out
script=$repo/pipelines/imdb.sh

logged() { # PATTERN: a command of the log
    checks=$((checks + 1))
    grep -q -e "$1" log || problem "no command $1 in: $(cat log)"
}

# 100 reviews to train on, 20 to test; of the first 5 predictions 3 are wrong (the labels alternate, neg first)
DATA=reviews expect 0 "$script"
logged '^tokenize --train-wordpiece [0-9]* --save-tokenizer .*/reviews-tokenizer.json --jsonl text .*/reviews-train.jsonl -o '
logged '^tokenize -t .*/reviews-tokenizer.json --jsonl text --label label --labels neg,pos .*/reviews-test.jsonl -o .*/reviews-test.tok$'
logged '^train --data .*/reviews-train.tok --val .*/reviews-test.tok --preset bert-nano .*--objective classify'
logged '^predict --checkpoint .*/reviews-[0-9a-f]* --task classify '
logged '^explain.sh training .*/reviews-[0-9a-f]* -o .*/training.html$'
! grep -q 'explain.sh gpt' log || problem 'a page of a model without masks'
grep -q 'objective mlm' log && problem 'pretrained without being asked'
case $out in
*"Accuracy on the 20 texts"*"bag of words "*0.*"and pairs of them "*0.*"this model "*0.8500*"the best that any classifier has "*"(expected: 0.9448"*) ;;
*) problem "the report: $out" ;;
esac
cat out/reviews-train.jsonl out/reviews-test.jsonl | cmp -s - out/reviews.jsonl || problem 'one file has other reviews'

# again: nothing is made twice
mv log first
DATA=reviews expect 0 "$script"
absent log

# pretraining: its run is where fine-tuning begins; other settings are other runs
MODEL=bert expect 0 "$repo/pipelines/pipeline.sh"
logged '^train --data .*/reviews-mlm.tok --preset bert-nano .*--objective mlm .*--steps 600 '
logged '^explain.sh gpt .*/reviews-mlm-[0-9a-f]* The music was \[MASK\]. I loved it. -o .*/gpt.html$'
logged '^train --data .*/reviews-train.tok .*--init .*/out/reviews-mlm-[0-9a-f]* .*--objective classify'
[ "$(ls -d out/reviews-????????/ | wc -l)" = 2 ] || problem "runs: $(ls -d out/*)"

# a checkpoint to begin with: its tokenizer, one epoch, no vocabulary and no pretraining
mkdir tuned
rm log
INIT=tuned DATA=reviews expect 0 "$script"
logged '^tokenize -t .*/tuned --jsonl text --label label --labels neg,pos .*/reviews-train.jsonl -o .*/reviews-tuned-train.tok$'
logged '^train --data .*/reviews-tuned-train.tok .*--init .*/tuned --seq-len 512 .*--epochs 1 .*--objective classify'
grep -q 'train-wordpiece\|objective mlm' log && problem 'a new vocabulary or masked training beside INIT'
INIT=tuned PRETRAIN=5 DATA=reviews expect 2 "$script"
says 'imdb.sh: INIT=tuned begins with trained weights, PRETRAIN=5 with new ones: give one of them'
INIT=nowhere DATA=reviews expect 1 "$script"
says 'nowhere'

# a run that was stopped is resumed
rm -f log
touch stop
DATA=reviews STEPS=7 expect 1 "$script"
rm stop log
DATA=reviews STEPS=7 expect 0 "$script"
logged '^train --resume .*/reviews-'

# texts of one's own
sed 's/"text": "/&My \\"label\\": 1, \\"split\\": \\"test\\"}. /' out/reviews.jsonl > own.jsonl
DATA=own.jsonl expect 0 "$script"
case $out in *"Accuracy on the 20 texts"*"this model "*0.8500*) ;; *) problem "texts of one's own: $out" ;; esac
grep -v '"test"}$' own.jsonl > half.jsonl
DATA=half.jsonl expect 1 "$script"
says 'half.jsonl: has no line of the split test'
DATA=nowhere.jsonl expect 1 "$script"
says 'imdb.sh: nowhere.jsonl: cannot be read'
DATA=imbd expect 2 "$script"
says 'imdb.sh: DATA=imbd is unknown; there are imdb, reviews and FILE.jsonl'
MODEL=brt expect 2 "$repo/pipelines/pipeline.sh"
says 'pipeline.sh: MODEL=brt is unknown; there are gpt2 and bert'

# IMDB that cannot be downloaded: an error where it was named, else the reviews take its place
DATA=imdb expect 1 "$script"
says 'is missing and --offline is given'
"$script" > report 2> reason || problem "without IMDB: $(cat reason)"
grep -qx 'imdb.sh: IMDB cannot be downloaded; generated reviews take its place (DATA=reviews)' reason && grep -q 0.8500 report ||
    problem "without IMDB: $(cat reason report)"
checks=$((checks + 4))

# the same by the tools themselves, in two steps of each training
for tool in tokenize train predict sample eval-mfu convert-gpt2; do
    ln -sf "$GPTPIPE_BIN/$tool" bin
done
rm bin/explain.sh
MODEL=bert PRETRAIN=2 STEPS=2 OUT=$here/real expect 0 "$repo/pipelines/pipeline.sh"
case $out in *"bag of words "*0.*"this model "*0.[0-9][05]00*"the best that any classifier has "*) ;; *) problem "the report: $out" ;; esac
[ "$(grep -c '^{"label": "\(neg\|pos\)", "score": ' real/reviews-run/predictions.jsonl)" = 20 ] ||
    problem "predictions: $(head -3 real/reviews-run/predictions.jsonl)"
for page in training gpt; do grep -q '^<title>' real/$page.html || problem "$page.html is not made"; done
checks=$((checks + 4))
finish
