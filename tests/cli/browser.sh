# browser.sh: pages in a real browser, headless. Source it after cli.sh.
#   need_browser              ends the script here, aloud, where there is none
#   draw PAGE SCRIPT...       the page with browser.js and these scripts after its own, drawn, in drawn.dom; any message on
#                             the console, such as of an error or of a request that the page's policy refuses, is a failure
#   browser_report            counts the checks of a script that left their result in <pre id="report">
need_browser() {
    browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
        echo "skipped: the pages in a browser, chromium is missing"
        finish
    }
}

draw() {
    sed '/^<\/body>$/,$d' "$1" > drawn.html
    { echo '<script>' && cat "$repo/tests/cli/browser.js" "${@:2}" && echo '</script></body></html>'; } >> drawn.html
    timeout 120 "$browser" --headless=new --no-sandbox --disable-gpu --enable-unsafe-swiftshader --user-data-dir="$here/profile" --virtual-time-budget=10000 \
        --enable-logging=stderr --dump-dom "file://$here/drawn.html" > drawn.dom 2> browser.log || problem "$browser failed: $(tail -3 browser.log)"
    # of a driver without a GPU: "GPU stall due to ReadPixels"
    ! grep ':CONSOLE' browser.log | grep -v 'GL Driver Message (OpenGL, Performance' || problem "the browser complains"
}

browser_report() {
    local report
    report=$(sed -n '/<pre id="report">/,/<\/pre>/p' drawn.dom | sed 's/<[^>]*>//g')
    case $report in
    *"FAILED"* | "") problem "in the browser: $report" ;;
    *) checks=$((checks + $(sed -n 's/^\([0-9]*\) checks.*/\1/p' <<< "$report"))) ;;
    esac
}
