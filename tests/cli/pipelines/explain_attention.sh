# pipelines/explain.sh attention: wrong input, the functions of its page, the page of the built-in example and that of a
# trace, in a browser without a network.
. "$(dirname "$0")/../cli.sh"
. "$repo/tests/cli/browser.sh"
PATH=$repo/pipelines:$PATH

for _ in 1 2 3 4 5 6 7 8; do echo 'Once upon a time there was a cat, and once a dog.'; done > text.txt
expect 0 bash -c "tokenize --tokenizer char text.txt -o text.tok && train text.tok --layers 2 --heads 2 --channels 8 --seq-len 16 --batch-size 2 --steps 3 -o run -q"
expect 0 bash -c "sample run Once -n 8 --trace - | explain.sh attention -o trace.html"
expect 0 bash -c "sample run Once -n 0 --trace - | cat > piped.st" # into a stream, without CRCs
expect 0 bash -c "explain.sh attention piped.st | cmp - trace.html"  # the text after the tensors is left out
expect 0 sample run Once -n 0 --trace trace.st
expect 0 explain.sh attention trace.st -o trace.html
expect 0 bash -c "explain.sh attention < /dev/null > page.html"
[ "$(wc -c < page.html)" -lt 300000 ] || problem "the page without its trace is larger than 300 kB"

expect 1 bash -c "true | explain.sh attention -o p.html"
says "explain.sh: stdin: is empty, expected a trace of sample --trace"
expect 1 explain.sh attention text.txt -o p.html
says "explain.sh: text.txt: is no safetensors file, expected a trace of sample --trace"
printf 'short' > cut.st
expect 1 explain.sh attention cut.st -o p.html
says "explain.sh: cut.st: is cut short (5 bytes), expected a trace of sample --trace"
head -c 900 trace.st > cut.st
expect 1 explain.sh attention cut.st -o p.html
says "explain.sh: cut.st: is cut short in its header (900 bytes)"
head -c -1 trace.st > cut.st
expect 1 explain.sh attention cut.st -o p.html
says "explain.sh: cut.st: is cut short ($(($(wc -c < trace.st) - 1)) bytes, expected $(wc -c < trace.st))"
sed 's/"gptpipe.trace":"1"/"gptpipe.trace":"9"/' trace.st > other.st
expect 1 explain.sh attention other.st -o p.html
says "explain.sh: other.st: is a trace of version 9, expected 1"
expect 1 explain.sh attention run/model.safetensors -o p.html
says "explain.sh: run/model.safetensors: has no gptpipe.trace, expected a trace of sample --trace of this version"
sed 's/"context.0":{/"contexx.0":{/' trace.st > other.st
expect 1 explain.sh attention other.st -o p.html
says "explain.sh: other.st: has no tensor context.0"
{ # a header whose last tensor ends behind 64 MB
    header='{"__metadata__":{"gptpipe.trace":"1"},"x":{"dtype":"F32","shape":[17039360],"data_offsets":[0,68157440]}}'
    printf '%b' "\\x$(printf %x ${#header})\0\0\0\0\0\0\0$header"
} > large.st
truncate -s $((8 + ${#header} + 68157440)) large.st
expect 1 explain.sh attention large.st -o p.html
says "explain.sh: large.st: has 66 MB, more than the 64 MB that a page holds; shorten the prompt"
expect 1 explain.sh attention gone.st -o p.html
says "explain.sh: gone.st: cannot be read, or is no file"
expect 2 explain.sh attention trace.st trace.st
expect 2 explain.sh attention trace.st --watch 5 -o p.html
absent p.html

need_browser
draw page.html "$repo/tests/cli/pipelines/explain_units.js" "$repo/tests/cli/pipelines/"explain_{attention,blocks}.js <(cat << 'EOF'
runTests(testSafetensors, testDamagedSafetensors, testMatrices, testEpilogues, testExpressions, testEvaluation, testLayout,
    testLayouts, testAnimations, testColours, testScene, testCamera, testExample, testSteps, testCode, testAddress, testViewChanges,
    testBlocksState, testPicture,
    testLook, testView, testSpot, testAnimation, testExpression, testLink,
    testFollow, testFollowing);
EOF
)
browser_report

# The lines that the page quotes are in the sources.
sed -n '/<pre id="quoted">/,/<\/pre>/p' drawn.dom | sed 's/<[^>]*>//g; s/&gt;/>/g; s/&lt;/</g; s/&amp;/\&/g' | grep $'\t' > quoted.txt
while IFS=$'\t' read -r file line; do
    checks=$((checks + 1))
    grep -qF -- "$line" "$repo/libcommon/backend/ref/$file" "$repo/libcommon/backend/$file" 2> .grep || problem "$file has no line $line"
done < quoted.txt
[ "$(wc -l < quoted.txt)" -ge 5 ] || problem "the page quotes no code"

# Numbers of the trace, by od: of layer 1 the weights of head 1, and the output of the projection.
tensor_numbers() { # NAME FIRST COUNT
    local header begin
    header=$(od -An -tu8 -N8 trace.st | tr -d ' ')
    begin=$(head -c $((8 + header)) trace.st | tail -c +9 | grep -o "\"$1\":{[^}]*" | sed 's/.*"data_offsets":\[\([0-9]*\),.*/\1/')
    od -An -v -tf4 -j $((8 + header + begin + 4 * $2)) -N $((4 * $3)) trace.st | tr -s ' \n' ',' | sed 's/^,//; s/,$//'
}
for model in bert roberta; do
    expect 0 bash -c "sample $repo/tests/golden/predict/$model --prompt-ids 2,7,9,4,3 -n 0 --trace $model.st"
done
{
    echo "const TRACED = {attentions: [$(tensor_numbers attentions.1 16 16)], projection: [$(tensor_numbers transformer.h.1.attn.c_proj 0 32)]};"
    echo "const OTHERS = {bert: '$(base64 -w0 bert.st)', roberta: '$(base64 -w0 roberta.st)'};"
    echo 'runTests(testTrace, testFollowedTrace, testComputedTrace, testStepsOfTrace, testWithoutWeights, testOthers, testDamagedPage);'
} > traced.js
draw trace.html "$repo/tests/cli/pipelines/explain_trace.js" traced.js
browser_report
finish
