# pipelines/explain.sh gpt: wrong input, and the pages of a tiny GPT-2 and a tiny BERT, in a browser without a network.
. "$(dirname "$0")/../cli.sh"
. "$repo/tests/cli/browser.sh"
export BIN=$GPTPIPE_BIN
PATH=$repo/pipelines:$PATH
models=$repo/tests/golden/predict

expect 0 explain.sh gpt "$models/gpt2" 'Once upon a time' -o gpt.html
expect 0 explain.sh gpt "$models/bert" 'the cat [MASK] on the mat' -o bert.html
size=$(sed '/^<script type=/,/^<\/script>/d' gpt.html | wc -c)
[ "$size" -lt 300000 ] || problem "the page without its files has $size bytes, more than 300 kB"
# a prompt of 124 tokens in a context of 128: four more; of 128: none
expect 0 explain.sh gpt "$models/gpt2" "$(printf '!%.0s' {1..124})" -o full.html
made=$(sed '1,/data-file="sample.json"/d; /^<\/script>/,$d' full.html | base64 -d | sed 's/.*"ids": \[\([^]]*\)\], "logprobs".*/\1/' | tr ',' '\n' | wc -l)
[ "$made" = 4 ] || problem "a prompt of 124 tokens was continued by $made"
expect 0 explain.sh gpt "$models/gpt2" "$(printf '!%.0s' {1..128})" -o full.html
! grep -q 'data-file="sample.json"' full.html || problem "a full context was continued"

expect 1 explain.sh gpt nowhere Once -o p.html
says "nowhere: "
expect 1 explain.sh gpt "$models/gpt2" "$(printf 'a%.0s' {1..400})" -o p.html
says "does not fit the model, whose context is 128"
expect 1 explain.sh gpt "$models/gpt2" Once -o nowhere/p.html
says "nowhere/p.html"
expect 2 explain.sh gpt "$models/gpt2"
expect 2 explain.sh gpt "$models/gpt2" Once upon
expect 2 explain.sh gpt "$models/gpt2" Once --watch 5 -o p.html
absent p.html

need_browser
tests="$repo/tests/cli/pipelines"
for kind in gpt2 bert; do
    { echo "const kind = '$kind', golden = $(cat "$repo/tests/golden/explain.json");"
      cat "$tests/explain_layers.js" "$tests/explain_gpt.js"
      echo 'runTests(testLayers, testDistributions, testHeatMaps, testTracedModel, testParameters, testSections, testTrace, testShown, testFlops,
          testControls, testSliders, testSteps, testAddress, testAccess);'; } > run.js
    draw "${kind%2}.html" run.js
    browser_report
done

# A page whose trace is cut short, or gone: a sentence, never a blank.
awk '/data-file="trace/ { print; getline; print; cut = 1; next } /^<\/script>/ { cut = 0 } !cut' gpt.html > cut.html
draw cut.html /dev/null
grep -q 'This page is damaged: the trace is cut short' drawn.dom || problem "a page whose trace is cut short says nothing"
sed '/data-file="mfu/,/^<\/script>/d' gpt.html > gone.html
draw gone.html /dev/null
grep -q 'This page is damaged: it carries no mfu.json.' drawn.dom || problem "a page without a file says nothing"
finish
