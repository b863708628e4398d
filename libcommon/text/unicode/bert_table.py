"""Writes bert_table.c: what BertNormalizer and BertPreTokenizer of tokenizers do with each code point.

    pip install tokenizers==0.23.3
    python3 libcommon/text/unicode/bert_table.py > libcommon/text/unicode/bert_table.c

Everything is found by running tokenizers, whose parts follow different versions of Unicode. clean_text, the spaces
around CJK characters and lower case change characters one at a time. strip_accents is NFD, then the removal of
nonspacing marks: NFD decomposes characters one at a time, and then sorts each run of combining characters by their
combining class, which shows in pairs with characters of known classes. tests/reference/wordpiece.py compares texts.
"""
import textwrap
import unicodedata

from tokenizers import __version__, normalizers, pre_tokenizers

assert __version__ == "0.23.3"
SWITCHES = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
DELETED, BLANK, CJK, WHITE, PUNCTUATION, MARK, STARTING_MARK = (1 << i for i in range(7))
HANGUL = range(0xAC00, 0xD7A4)
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def only(switch):
    return normalizers.BertNormalizer(**{s: s == switch for s in SWITCHES}).normalize_str


clean, spread, strip, lower = (only(s) for s in SWITCHES)
nfd = normalizers.NFD().normalize_str
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

# A character of each combining class, as old as possible.
PROBES = {}
for c in CODES:
    k = unicodedata.combining(chr(c))
    if k and nfd(chr(c)) == chr(c) and unicodedata.ucd_3_2_0.combining(chr(c)) == k:
        PROBES.setdefault(k, chr(c))
PROBES = [PROBES[k] for k in sorted(PROBES)]


def order(s):
    """0 for a starter, else a number that grows with the combining class."""
    if nfd(PROBES[-1] + s) != s + PROBES[-1] and nfd(s + PROBES[0]) != PROBES[0] + s:
        return 0
    after = sum(nfd(s + p) == p + s for p in PROBES if p != s)
    before = sum(nfd(p + s) == s + p for p in PROBES if p != s)
    assert after or before
    return after + 1


def class_of(c):
    s = chr(c)
    cleaned, spaced, parts = clean(s), spread(s), [p for p, _ in split("a" + s + "a")]
    assert cleaned in ("", " ", s) and spaced in (s, f" {s} ")
    assert parts in (["a" + s + "a"], ["a", s, "a"], ["a", "a"])
    flags = DELETED * (not cleaned) | BLANK * (cleaned == " ") | CJK * (spaced != s)
    flags |= WHITE * (parts == ["a", "a"]) | PUNCTUATION * (len(parts) == 3)
    if not strip(s):
        flags |= MARK if all(order(x) for x in nfd(s)) else STARTING_MARK
    return flags


def decomposed(c):
    """The characters of a Hangul syllable (The Unicode Standard, 3.12)."""
    i = c - HANGUL[0]
    tail = [0x11A7 + i % 28] if i % 28 else []
    return [0x1100 + i // 588, 0x1161 + i % 588 // 28] + tail


def ranges(mapping):
    """(first, last, value) of neighbours with one value."""
    found = []
    for c, value in sorted(mapping.items()):
        if found and found[-1][1] + 1 == c and found[-1][2] == value:
            found[-1][1] = c
        else:
            found.append([c, c, value])
    return [tuple(f) for f in found]


def runs(mapping):
    """(first, last, step, delta) of neighbours, or of every second character, that are mapped alike."""
    found = []
    for c, to in sorted(mapping.items()):
        for step in (1, 2):
            if found and found[-1][3] == to - c and found[-1][1] + step == c and found[-1][2] in (0, step):
                found[-1][1:3] = c, step
                break
        else:
            found.append([c, c, 0, to - c])
    return [(first, last, step or 1, delta) for first, last, step, delta in found]


changes, last = [], 0
for c in range(0x110000):
    flags = 0 if 0xD800 <= c < 0xE000 else class_of(c)
    if flags != last:
        changes.append(f"0x{c:06x}{flags:02x}")
        last = flags
stripped = {c: [ord(x) for x in strip(chr(c))] for c in CODES if strip(chr(c)) not in ("", chr(c))}
assert all(stripped.pop(c) == decomposed(c) for c in HANGUL)
lowered = {c: [ord(x) for x in lower(chr(c))] for c in CODES if lower(chr(c)) != chr(c)}
assert lowered.pop(0x130) == [0x69, 0x307]
assert all(len(to) == 1 for to in lowered.values()) and all(len(to) <= 3 for to in stripped.values())
survivors = {c: order(chr(c)) for c in CODES if nfd(chr(c)) == chr(c) == strip(chr(c)) and order(chr(c))}
orders = {c: order(nfd(chr(c))[0]) for c in CODES if c in survivors or class_of(c) & MARK}
assert not any(order(nfd(chr(c))[0]) or order(chr(to[0])) for c, to in stripped.items() if c not in survivors)
for c in stripped:  # only the first character of a decomposition is a starter, or all are
    parts = [order(x) for x in nfd(chr(c))]
    assert all(parts[1:]) or not any(o for x, o in zip(nfd(chr(c)), parts) if ord(x) in survivors)
for c in CODES:  # in UTF-8, characters grow to three times their size at most, and spaces never leave a letter
    assert max(len(lower(x(chr(c))).encode()) for x in (strip, str)) <= 3 * len(chr(c).encode())


def table(of, name, items):
    items = list(items)
    print(f"\nconst {of} {name}[] = {{")
    print(textwrap.fill(", ".join(items) + ",", 116, initial_indent="    ", subsequent_indent="    "))
    print(f"}};\nconst int {name}_count = {len(items)};")


print(
    f"""/* bert_table.c: generated by bert_table.py, by running tokenizers {__version__}; see bert.h. */
#include "text/unicode/bert.h"

/* clang-format off */"""
)
table("uint32_t", "gp_bert_classes", changes)
table("gp_bert_long", "gp_bert_stripped", ("{0x%x,{%s}}" % (c, ",".join(map(hex, to))) for c, to in stripped.items()))
table("gp_case_run", "gp_bert_lower", ("{0x%x,0x%x,%d,%d}" % r for r in runs({c: to[0] for c, to in lowered.items()})))
table("gp_bert_order", "gp_bert_orders", ("{0x%x,0x%x,%d}" % r for r in ranges(orders)))
print("/* clang-format on */")
