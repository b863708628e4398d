# fetch-data: stories, a mirror, --offline, and everything that can be wrong with a file that is fetched.
. "$(dirname "$0")/cli.sh"
unset FETCH_DATA_MIRROR

# A catalog of our own with a file that a mirror has, one that it has wrong, and one that it lacks.
mkdir -p mirror/example.org/a
printf 'hello\nworld\n' > mirror/example.org/a/good.txt
printf 'tampered\n' > mirror/example.org/a/bad.txt
good=4a1e67f2fe1d1cc7b31d0ca2ec441da4778203a036a77da10344c85e24ff0f92 # sha256sum of hello, world
entry() {
    printf '"%s": {"note": "a file", "licence": "none", "files": [{"path": "%s", "urls": ["https://example.org/a/%s"], "sha256": "%s", "size": %s}]}' \
        "$1" "$2" "$3" "$good" "$4"
}
printf '{%s, %s, %s}' "$(entry good sub/good.txt good.txt 12)" "$(entry bad bad.txt bad.txt 12)" \
    "$(entry gone gone.txt gone.txt 12)" > more.json
from=(--catalog more.json --mirror mirror --offline)

# from a mirror folder, into a folder (its slash makes it one), a file, a pipe; the second time it is there already
expect 0 fetch-data good "${from[@]}" -o got/
same got/sub/good.txt mirror/example.org/a/good.txt
says 'copied from the mirror, 12 bytes'
expect 0 fetch-data good "${from[@]}" -o got/
says 'already here'
expect 0 fetch-data good "${from[@]}" -o one.txt --quiet
same one.txt mirror/example.org/a/good.txt
expect 0 bash -c 'fetch-data good --catalog more.json --mirror mirror --offline | cat'
[ "$out" = "$(cat one.txt)" ] || problem "the pipe had: $out"
FETCH_DATA_MIRROR=mirror expect 0 fetch-data good --catalog more.json --offline -o two.txt
same two.txt one.txt

# a wrong file: nothing under its name, and the next run is not in its way
expect 1 fetch-data bad "${from[@]}" -o got/
says 'mirror/example.org/a/bad.txt: has 9 bytes, expected 12'
absent got/bad.txt
absent got/bad.txt.part
printf 'hello world\n' > mirror/example.org/a/bad.txt
expect 1 fetch-data bad "${from[@]}" -o got/
says "its SHA-256 is a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447, expected $good"
absent got/bad.txt
absent got/bad.txt.part
expect 1 bash -c 'fetch-data bad --catalog more.json --mirror mirror --offline -o -'
[ -z "$out" ] || problem "a wrong file reached stdout: $out"
cp one.txt mirror/example.org/a/bad.txt
expect 0 fetch-data bad "${from[@]}" -o got/ --quiet

# not there
expect 1 fetch-data gone "${from[@]}" -o got/
says 'is not here and --offline is given; expected it at mirror/example.org/a/gone.txt'
expect 1 fetch-data gone --catalog more.json --offline -o got/
says 'example.org/a/gone.txt with --mirror'
expect 1 fetch-data shakespear
says 'shakespear: no such data set; did you mean shakespeare?'
expect 1 fetch-data good gone "${from[@]}" -o got/ --quiet
expect 1 fetch-data --info nothing
says 'nothing: no such data set'

# a catalog that is not one
printf '{"x": {"note": "n", "licence": "l", "files": [{"path": "../x", "urls": ["https://h/x"]}]}}' > bad.json
expect 1 fetch-data x --catalog bad.json
says 'path "../x" leads out of its folder'
printf '{"x": {"note": "n"}}' > bad.json
expect 1 fetch-data x --catalog bad.json
says 'bad.json: x: is not {note, licence, home, files}'
printf '{"x": ' > bad.json
expect 1 fetch-data x --catalog bad.json
says 'bad.json:1:'
expect 1 fetch-data x --catalog absent.json
says 'absent.json: No such file'

# the command line
expect 2 fetch-data
expect 2 fetch-data stories --stories 0
expect 1 fetch-data shakespeare lambada -o -
says 'stdout takes one file'
expect 0 fetch-data --list
case $out in *stories*shakespeare*gpt2-tokenizer*lambada*) ;; *) problem "--list: $out" ;; esac
expect 0 fetch-data --list --json
expect 0 fetch-data --info shakespeare
case $out in *86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed*) ;; *) problem "--info: $out" ;; esac

# stories: a folder gets both texts, a file one, a pipe the text alone; a seed is its text
expect 0 fetch-data stories --stories 100 -o both/ --quiet
[ "$(ls both | tr '\n' ' ')" = 'stories-val.txt stories-val.txt.json stories.txt stories.txt.json ' ] ||
    problem "the folder has: $(ls both)"
expect 0 fetch-data stories --stories 100 -o again.txt --quiet
same again.txt both/stories.txt
same again.txt.json both/stories.txt.json
fetch-data stories --stories 100 | cmp -s - again.txt || problem 'the pipe has another text'
fetch-data stories --stories 100 --seed 7 | cmp -s - again.txt && problem 'seed 7 tells the same stories'
checks=$((checks + 3))

# a closed reader is no error to talk about; a full disk is
fetch-data stories 2> .err | head -c 10 > /dev/null
[ ! -s .err ] || problem "a closed pipe: $(cat .err)"
expect 1 bash -c 'fetch-data stories -o - > /dev/full'
says 'stdout: cannot be written: No space left on device'
expect 1 bash -c 'fetch-data good --catalog more.json --mirror mirror --offline -o - > /dev/full'
says 'stdout: cannot be written: No space left on device'
expect 1 fetch-data stories -o more.json/x.txt
absent more.json/x.txt
(ulimit -f 100 && expect 1 bash -c "trap '' XFSZ; fetch-data stories -o full.txt") 2> /dev/null
absent full.txt
absent full.txt.json
[ -z "$(find . -name '*.tmp')" ] || problem "left behind: $(find . -name '*.tmp')"
finish
