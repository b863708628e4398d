# pipelines/explain.sh gpt: the functions of its page, in a browser without a network.
. "$(dirname "$0")/../cli.sh"
. "$repo/tests/cli/browser.sh"

need_browser
{
    echo '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head><body><script>'
    cat "$repo/data/explain/"{page,safetensors,layers,heat,traced}.js
    printf '</script>\n</body>\n'
} > units.html
echo "const golden = $(cat "$repo/tests/golden/explain.json");" > golden.js
echo 'runTests(testLayers, testDistributions, testHeatMaps, testTracedModel, testParameters);' > run.js
draw units.html golden.js "$repo/tests/cli/pipelines/explain_layers.js" run.js
browser_report
finish
