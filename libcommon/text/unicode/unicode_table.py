"""Writes unicode_table.c: the classes of characters that GPT-2's pre-split knows, of Unicode 16.0.

    pip install unicodedata2==16.0.0 tokenizers==0.23.3
    python3 libcommon/text/unicode/unicode_table.py > libcommon/text/unicode/unicode_table.c

Letters are the general categories L*, numbers N*; spaces are the property White_Space (PropList.txt), which has been the
same since Unicode 6.3. tests/reference/unicode.py asks tiktoken and tokenizers for the same. Words, beside which an added
token with single_word is none, are asked of tokenizers: unicodedata2 has not all the properties that \\w goes by.
"""
import unicodedata2
from tokenizers import AddedToken, Tokenizer, models

assert unicodedata2.unidata_version == "16.0.0"

PAGE, WORD, END = 256, 32, 0x40000
OTHER, SPACE, LETTER, NUMBER = range(4)
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def class_of(c):
    if c in SPACES:
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(unicodedata2.category(chr(c))[0], OTHER)


NAME = "\x01\x02"
asked = Tokenizer(models.BPE())
asked.add_tokens([AddedToken(NAME, single_word=True)])


def is_word(c):
    return not (0xD800 <= c < 0xE000 or asked.encode(chr(c) + NAME).ids)


def rows(items, width):
    for i in range(0, len(items), width):
        yield "    " + ", ".join(items[i : i + width]) + ","


assert all(class_of(c) == OTHER for c in range(END, 0x110000))
pages, numbers = {}, []
for first in range(0, END, PAGE):
    words = tuple(sum(class_of(first + w + i) << 2 * i for i in range(WORD)) for w in range(0, PAGE, WORD))
    numbers.append(str(pages.setdefault(words, len(pages))))
changes, last = [], False
for c in range(0x110001):
    now = c < 0x110000 and is_word(c)
    if now != last:
        changes.append(f"0x{c:05x}")
        last = now
words = [f"0x{word:016x}" for page in pages for word in page]

print(
    f"""/* unicode_table.c: written by unicode_table.py. The classes of characters in Unicode {unicodedata2.unidata_version},
 * two bits each, in pages of {PAGE}, each different page once. */
#include "text/unicode/unicode.h"

/* clang-format off */
const uint8_t gp_class_page[{len(numbers)}] = {{"""
)
print("\n".join(rows(numbers, 25)))
print(f"}};\n\nconst uint64_t gp_class_pages[][{PAGE // WORD}] = {{")
for i in range(0, len(words), 8):
    print("    {" + ", ".join(words[i : i + 4]) + ",\n     " + ", ".join(words[i + 4 : i + 8]) + "},")
print("};\n\nconst uint32_t gp_word_changes[] = {")
print("\n".join(rows(changes, 12)))
print(f"}};\n/* clang-format on */\n\nconst int gp_word_change_count = {len(changes)};")
