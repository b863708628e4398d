"""Writes unicode.h: which characters tiktoken and tokenizers take for spaces, letters and numbers.

    pip install tiktoken==0.14.0 tokenizers==0.23.3
    python3 tests/reference/unicode.py > tests/reference/unicode.h

Each is asked at every code point by the parts of GPT-2's regex, \\s, \\p{L} and \\p{N}; they agree. Words, beside which
an added token with single_word is none, are asked of tokenizers alone, on both sides of such a token.
"""
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

PATTERNS = [r"\s", r"\p{L}", r"\p{N}"]
BYTES = {bytes([i]): i for i in range(256)}
encodings = [tiktoken.Encoding(p, pat_str=p, mergeable_ranks=BYTES, special_tokens={}) for p in PATTERNS]
splits = [pre_tokenizers.Split(Regex(p), "removed") for p in PATTERNS]


def by_tiktoken(text):
    return next((i for i, e in enumerate(encodings, 1) if e.encode_ordinary(text)), 0)


def by_tokenizers(text):
    return next((i for i, s in enumerate(splits, 1) if not s.pre_tokenize_str(text)), 0)


single = Tokenizer(models.BPE())
single.add_tokens([AddedToken("\x01\x02", single_word=True)])


def is_word(c):
    before, behind = (bool(single.encode(text).ids) for text in (chr(c) + "\x01\x02", "\x01\x02" + chr(c)))
    assert before == behind, hex(c)
    return not before


runs, last, words, word = [], 0, [], False
for c in range(0x110000):
    surrogate = 0xD800 <= c < 0xE000
    now = 0 if surrogate else by_tiktoken(chr(c))
    assert surrogate or now == by_tokenizers(chr(c)), hex(c)
    if now != last:
        runs.append((c, now))
        last = now
    if word != (not surrogate and is_word(c)):
        words.append(c)
        word = not word

print(
    """/* unicode.h: written by unicode.py: the classes of characters in tiktoken 0.14.0 and tokenizers 0.23.3, which agree.
 * Where the class changes: the code point << 2 | 0 other, 1 space, 2 letter, 3 number. */
/* clang-format off */
static const uint32_t class_changes[] = {"""
)
for i in range(0, len(runs), 12):
    print("    " + ", ".join(f"0x{c << 2 | k:05x}" for c, k in runs[i : i + 12]) + ",")
print("};\n\n/* Where characters begin to be words' in tokenizers 0.23.3, and cease to, in turn. */")
print("static const uint32_t word_changes[] = {")
for i in range(0, len(words), 12):
    print("    " + ", ".join(f"0x{c:05x}" for c in words[i : i + 12]) + ",")
print("};\n/* clang-format on */")
