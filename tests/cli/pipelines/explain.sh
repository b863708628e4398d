# pipelines/explain.sh: what the page carries, wrong input, and the page itself in a browser, without a network.
. "$(dirname "$0")/../cli.sh"
. "$repo/tests/cli/browser.sh"
PATH=$repo/pipelines:$PATH

# x: 4 steps of 100 tokens at 1000 tok/s; y: 3 steps at 500 tok/s, a damaged line, and one being written.
mkdir x 'y & <z>' none
step() { printf '{"step": %d, "tokens": %d00, "loss": %s, "lr": 1e-3, "grad_norm": %s, "tok_s": %s}\n' "$1" "$1" "$2" "$1" "$3"; }
validation() { printf '{"step": %d, "val_loss": %s}\n' "$1" "$2"; }
{ step 1 4.5 1000; step 2 3.5 1000; validation 2 3.0; step 3 2.5 1e3; step 4 2.25 1000; validation 4 2
  echo '{"step": 4, "documents": 2, "characters": 100, "document_loss": 1.5, "floor": 1.2, "document_tokens": 200}'; } > x/log.jsonl
{ step 1 3.5 500; validation 1 2.5; echo 'damaged'; step 2 3 500; step 3 2 500; validation 3 1.5; printf '{"step": 4'; } > 'y & <z>/log.jsonl'
printf '# comment\nlr: 0.001\nseed: 1\nout: x\nrecorded:\n  threads: 2\n' > x/config.yaml
printf 'lr: 0.01\nseed: 1\nout: y\nrecorded:\n  threads: 4\n' > 'y & <z>/config.yaml'
printf -- '--- step 2 ---\nOnce\n\n--- step 4 ---\nTom & <b>Lily</b>\n\n' > x/samples.txt

expect 0 explain.sh training x 'y & <z>/' -o page.html
expect 0 bash -c "explain.sh training x 'y & <z>' | cmp - page.html"
grep -qx "$(base64 x/samples.txt | head -1)" page.html || problem "page.html does not carry samples.txt as it is"
[ "$(wc -c < page.html)" -lt 300000 ] || problem "the page without its runs is larger than 300 kB"

expect 1 explain.sh training nowhere -o p.html
says "explain.sh: nowhere: there is no such folder; expected a run directory of train"
expect 1 explain.sh training x none -o p.html
says "explain.sh: none: no log.jsonl in it; expected a run directory of train"
expect 2 explain.sh training
expect 2 explain.sh
expect 2 explain.sh tuning x
expect 2 explain.sh training x --watch soon -o p.html
expect 2 explain.sh training x --watch 5
expect 1 explain.sh training x -o nowhere/p.html
truncate -s 65M none/log.jsonl
expect 1 explain.sh training x none -o p.html
says "explain.sh: the files of these runs have 65 MB, more than the 64 MB that a page holds; name fewer runs"
absent p.html
expect 0 compare.sh --html by-compare.html x 'y & <z>'
cmp -s page.html by-compare.html || problem "compare.sh --html makes another page"

need_browser
draw page.html "$repo/tests/cli/pipelines/explain_training.js"
browser_report

# A page whose files are gone, and one of an empty log: a sentence, never a blank.
sed '/^<script type=/,/^<\/script>/d' page.html > empty.html
draw empty.html /dev/null
grep -q 'This page is damaged: it carries no run.' drawn.dom || problem "a page without runs says nothing"
sed '0,/^[A-Za-z0-9+\/=]\{76\}$/s//\*\*\*/' page.html > damaged.html
draw damaged.html /dev/null
grep -q 'This page is damaged' drawn.dom || problem "a damaged page says nothing"
: > none/log.jsonl
expect 0 explain.sh training none -o none.html
draw none.html /dev/null
grep -q 'none: its log has no training step yet.' drawn.dom || problem "a run without steps says nothing"
finish
