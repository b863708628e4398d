"""Writes casing.h: what Python makes of every character where questions are capitalized and stripped.

    python3 tests/reference/casing.py > tests/reference/casing.h

Of each pattern the results over all characters but surrogates, each as UTF-8 behind a newline, as their FNV-1a of 64 bits.
"""
import sys
import unicodedata

SIGMA = "\u03a3"
PATTERNS = ["{}", "A{}", "A{}" + SIGMA, "A" + SIGMA + "{}", "{}" + SIGMA, "aB" + SIGMA + "{}b", "x" + SIGMA + "{}."]
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


print(f"/* casing.h: made by tests/reference/casing.py with Python {sys.version.split()[0]}, Unicode {unicodedata.unidata_version}. */")
print("static const struct {\n    const char *before, *after;\n    uint64_t fnv;\n} casing[] = {")
for pattern in PATTERNS:
    before, after = pattern.split("{}")
    result = fnv("".join("\n" + pattern.replace("{}", c).capitalize() for c in CHARACTERS))
    print('    {"%s", "%s", 0x%016x},' % (before, after, result))
print("};")
spaces = ", ".join("0x%x" % ord(c) for c in CHARACTERS if c.isspace())
print(f"static const uint32_t spaces[] = {{{spaces}}};")
