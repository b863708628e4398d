#!/usr/bin/env bash
# Makes the pictures of docs/images from the pages of `make pipeline`, by Chromium without a window.
#
#     docs/screenshots.sh [FOLDER]    FOLDER: where training.html and gpt.html are (default: out)
#
# That of attention is of the page's built-in example.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' && exit 0 ;; esac
from=$(cd "${1:-out}" && pwd) images=$(cd "$(dirname "$0")" && pwd)/images
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "screenshots.sh: chromium is missing (pipelines/install-deps.sh --browser)" >&2
    exit 1
}
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
mkdir -p "$images"
"$(dirname "$0")/../pipelines/explain.sh" attention -o "$profile/attention.html" < /dev/null

# What is around an element goes: its siblings, and those of what it is in.
alone='for (let e = document.querySelector(selector); e !== document.body; e = e.parentElement)
    for (const s of e.parentElement.children)
        if (s !== e && s.tagName !== "SCRIPT")
            s.style.display = "none";'

# picture NAME PAGE#STATE WIDTH,HEIGHT [SELECTOR]: the page, or an element of it
picture() {
    local page=$profile/page.html
    local from=$from
    [ ! -e "$profile/${2%%#*}" ] || from=$profile # made above
    sed '/^<\/body>$/,$d' "$from/${2%%#*}" > "$page"
    [ -z "${4:-}" ] || printf '<script>const selector = "%s";\n%s</script>\n' "$4" "$alone" >> "$page"
    echo '</body></html>' >> "$page"
    "$browser" --headless=new --no-sandbox --disable-gpu --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader \
        --hide-scrollbars --user-data-dir="$profile" --virtual-time-budget=3000 --window-size="$3" \
        --screenshot="$profile/picture.png" "file://$page#${2#*#}" 2> /dev/null
    [ "$(wc -c < "$profile/picture.png")" -lt 150000 ] || {
        echo "screenshots.sh: $1.png has 150 kB or more: make the picture smaller" >&2
        exit 1
    }
    mv "$profile/picture.png" "$images/$1.png"
    echo "docs/images/$1.png: $(wc -c < "$images/$1.png") bytes"
}

picture training 'training.html#smooth=0.6' 1000,620
picture attention 'attention.html#step=5' 1000,640 'figure:has(canvas)'
picture gpt 'gpt.html#layer=1&head=1' 800,760 '#attention'
picture generation 'gpt.html#token=27&temperature=0.8' 800,620 '#generation'
