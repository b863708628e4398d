"""Writes casing_table.c: what Python's str.capitalize and str.lower make of each character, and how they see a final sigma.

    python3.11 libcommon/text/unicode/casing_table.py > libcommon/text/unicode/casing_table.c

They come from Python itself, not from Unicode's files, because the harness whose questions they are for runs on Python.
"""
import sys
import unicodedata

SIGMA, FINAL = "\u03a3", "\u03c2"
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def runs(mapping):
    """(first, last, step, delta) of neighbours, or of every second character, that are mapped alike."""
    found = []
    for c, delta in sorted((ord(a), ord(b) - ord(a)) for a, b in mapping.items() if len(b) == 1):
        for step in (1, 2):
            if found and found[-1][3] == delta and found[-1][1] + step == c and found[-1][2] in (0, step):
                found[-1][1:3] = c, step
                break
        else:
            found.append([c, c, 0, delta])
    return [(first, last, step or 1, delta) for first, last, step, delta in found]


def ranges(kept):
    found = []
    for c in map(ord, filter(kept, CHARACTERS)):
        if found and found[-1][1] + 1 == c:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def ignorable(c):
    """Whether c is case-ignorable: a sigma is final after a letter and c, but not after c alone."""
    return ("a" + c + SIGMA).lower().endswith(FINAL) and not (c + SIGMA).lower().endswith(FINAL)


def cased(c):
    return (c + SIGMA).lower().endswith(FINAL)


def table(kind, name, rows, form):
    rows = [form % tuple(row) for row in rows]
    print(f"const {kind} {name}[] = {{")
    for i in range(0, len(rows), 4):
        print("    " + " ".join(row + "," for row in rows[i : i + 4]))
    print(f"}};\nconst size_t {name}_count = {len(rows)};\n")


title = {c: c.capitalize() for c in CHARACTERS if c.capitalize() != c}
lower = {c: c.lower() for c in CHARACTERS if c.lower() != c}
long = [(ord(c), *map(ord, (m + "\0\0")[:3])) for c, m in title.items() if len(m) > 1]
assert all(len(m) <= 3 for m in title.values())
assert [(c, m) for c, m in lower.items() if len(m) > 1] == [("\u0130", "i\u0307")]

print(f"""/* casing_table.c: written by casing_table.py with Python {sys.version.split()[0]}, Unicode {unicodedata.unidata_version}. */
#include "text/unicode/casing.h"

/* clang-format off */""")
table("gp_case_run", "gp_title_runs", runs(title), "{0x%x,0x%x,%d,%d}")
table("gp_case_long", "gp_title_long", long, "{0x%x,{0x%x,0x%x,0x%x}}")
table("gp_case_run", "gp_lower_runs", runs(lower), "{0x%x,0x%x,%d,%d}")
table("gp_case_range", "gp_case_ignorable", ranges(ignorable), "{0x%x,0x%x}")
table("gp_case_range", "gp_cased", ranges(lambda c: cased(c) and not ignorable(c)), "{0x%x,0x%x}")
print("/* clang-format on */")
