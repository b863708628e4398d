"""Writes unicode.h: which characters tiktoken and tokenizers take for spaces, letters and numbers.

    pip install tiktoken==0.14.0 tokenizers==0.23.3
    python3 tests/reference/unicode.py > tests/reference/unicode.h

Each is asked at every code point by the parts of GPT-2's regex, \\s, \\p{L} and \\p{N}; they agree.
"""
import tiktoken
from tokenizers import Regex, pre_tokenizers

PATTERNS = [r"\s", r"\p{L}", r"\p{N}"]
BYTES = {bytes([i]): i for i in range(256)}
encodings = [tiktoken.Encoding(p, pat_str=p, mergeable_ranks=BYTES, special_tokens={}) for p in PATTERNS]
splits = [pre_tokenizers.Split(Regex(p), "removed") for p in PATTERNS]


def by_tiktoken(text):
    return next((i for i, e in enumerate(encodings, 1) if e.encode_ordinary(text)), 0)


def by_tokenizers(text):
    return next((i for i, s in enumerate(splits, 1) if not s.pre_tokenize_str(text)), 0)


runs, last = [], 0
for c in range(0x110000):
    now = 0 if 0xD800 <= c < 0xE000 else by_tiktoken(chr(c))
    assert 0xD800 <= c < 0xE000 or now == by_tokenizers(chr(c)), hex(c)
    if now != last:
        runs.append((c, now))
        last = now

print(
    """/* unicode.h: written by unicode.py: the classes of characters in tiktoken 0.14.0 and tokenizers 0.23.3, which agree.
 * Where the class changes: the code point << 2 | 0 other, 1 space, 2 letter, 3 number. */
/* clang-format off */
static const uint32_t class_changes[] = {"""
)
for i in range(0, len(runs), 12):
    print("    " + ", ".join(f"0x{c << 2 | k:05x}" for c, k in runs[i : i + 12]) + ",")
print("};\n/* clang-format on */")
