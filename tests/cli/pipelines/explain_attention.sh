# pipelines/explain.sh attention: the functions of its page, in a browser without a network.
. "$(dirname "$0")/../cli.sh"
. "$repo/tests/cli/browser.sh"

need_browser
{
    echo '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head><body><script>'
    cat "$repo/data/explain/"{page,safetensors,layers,expression}.js
    printf '</script>\n</body>\n'
} > units.html
echo 'runTests(testSafetensors, testDamagedSafetensors, testMatrices, testEpilogues, testExpressions, testEvaluation);' > run.js
draw units.html "$repo/tests/cli/pipelines/explain_units.js" run.js
browser_report
finish
