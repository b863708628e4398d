# eval.sh: what the scripts that evaluate share. They source it.
set -euo pipefail
above=$(cd "$(dirname "$0")/.." && pwd)
PATH=$above/build/bin:$above/../../libexec/gptpipe:$PATH # where the tools are built, and where they are installed
[ -z "${BIN:-}" ] || PATH=$(cd "$BIN" && pwd):$PATH

# evaluate TASK DATASET FILE CHECKPOINT [OPTION]...
evaluate() {
    local task=$1 dataset=$2 file=$3 folder=${DATA:-data}
    shift 3
    if [ $# -lt 1 ] || [ "$1" = --help ]; then
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
        exit 2
    fi
    local checkpoint=$1
    shift
    if [ -n "${FILE:-}" ]; then
        file=$FILE
    else
        [ -e "$folder/$file" ] || fetch-data "$dataset" -o "$folder/" # with /: the folder may not exist yet
        file=$folder/$file
    fi
    sample --checkpoint "$checkpoint" --score "$file" --task "$task" "$@"
}
