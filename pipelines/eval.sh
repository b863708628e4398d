# eval.sh: what the scripts that evaluate share. They source it.
set -euo pipefail
above=$(cd "$(dirname "$0")/.." && pwd)
PATH=$above/build/bin:$above/../../libexec/gptpipe:$PATH # where the tools are built, and where they are installed
[ -z "${BIN:-}" ] || PATH=$(cd "$BIN" && pwd):$PATH

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# evaluate TASK DATASET FILE CHECKPOINT [OPTION]...
evaluate() {
    local task=$1 dataset=$2 file=$3 folder=${DATA:-data}
    shift 3
    case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '') usage >&2 && exit 2 ;;
    esac
    local checkpoint=$1
    shift
    if [ "$checkpoint" != - ] && [ ! -e "$checkpoint" ]; then # told before a download
        echo "$(basename "$0"): $checkpoint: No such file or directory" >&2
        exit 1
    fi
    if [ -n "${FILE:-}" ]; then
        file=$FILE
    else
        [ -e "$folder/$file" ] || fetch-data "$dataset" -o "$folder/" # with /: the folder may not exist yet
        file=$folder/$file
    fi
    sample --checkpoint "$checkpoint" --score "$file" --task "$task" "$@"
}
