"""Writes unicode_table.c: the classes of characters that GPT-2's pre-split knows, of Unicode 16.0.

    pip install unicodedata2==16.0.0
    python3 libcommon/text/unicode_table.py > libcommon/text/unicode_table.c

Letters are the general categories L*, numbers N*; spaces are the property White_Space (PropList.txt), which has been the
same since Unicode 6.3. tests/reference/unicode.py asks tiktoken and tokenizers for the same.
"""
import unicodedata2

assert unicodedata2.unidata_version == "16.0.0"

PAGE, WORD, END = 256, 32, 0x40000
OTHER, SPACE, LETTER, NUMBER = range(4)
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def class_of(c):
    if c in SPACES:
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(unicodedata2.category(chr(c))[0], OTHER)


def rows(items, width):
    for i in range(0, len(items), width):
        yield "    " + ", ".join(items[i : i + width]) + ","


assert all(class_of(c) == OTHER for c in range(END, 0x110000))
pages, numbers = {}, []
for first in range(0, END, PAGE):
    words = tuple(sum(class_of(first + w + i) << 2 * i for i in range(WORD)) for w in range(0, PAGE, WORD))
    numbers.append(str(pages.setdefault(words, len(pages))))
words = [f"0x{word:016x}" for page in pages for word in page]

print(
    f"""/* unicode_table.c: written by unicode_table.py. The classes of characters in Unicode {unicodedata2.unidata_version},
 * two bits each, in pages of {PAGE}, each different page once. */
#include "text/unicode.h"

/* clang-format off */
const uint8_t gp_class_page[{len(numbers)}] = {{"""
)
print("\n".join(rows(numbers, 25)))
print(f"}};\n\nconst uint64_t gp_class_pages[][{PAGE // WORD}] = {{")
for i in range(0, len(words), 8):
    print("    {" + ", ".join(words[i : i + 4]) + ",\n     " + ", ".join(words[i + 4 : i + 8]) + "},")
print("};\n/* clang-format on */")
