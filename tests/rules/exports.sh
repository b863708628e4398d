#!/usr/bin/env bash
# The shared library exports what the public headers declare as GP_API, all of it and nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
library=$GPTPIPE_BUILD/lib/libgptpipe.so

exported=$(nm -D --defined-only "$library" | awk '{ print $NF }' | sort)
# "GP_API type name(": the name before the first parenthesis, comments removed, line ends too
declared=$(sed -E 's://.*$::; /^#/d' include/gptpipe/*.h | tr '\n' ' ' | sed -E 's:/\*([^*]|\*+[^*/])*\*+/::g' |
    grep -oE 'GP_API [^();]*\(' | grep -oE '[a-z0-9_]+\($' | tr -d '(' | sort)
[ -n "$declared" ]
if ! diff <(echo "$declared") <(echo "$exported") > /dev/null; then
    echo "declared in include/gptpipe but not in $library:"
    comm -23 <(echo "$declared") <(echo "$exported")
    echo "exported but not declared:"
    comm -13 <(echo "$declared") <(echo "$exported")
    exit 1
fi
echo "$(wc -l <<< "$exported") functions"
