"""Compares WordPiece ids, texts and files with those of tokenizers, for all settings of BertNormalizer.

    pip install tokenizers==0.23.3
    python3 tests/reference/wordpiece.py build/lib/libgptpipe.so [--megabytes 100] [--vocab vocab.txt] [--settings 0 24]

The texts: every code point alone, between letters, doubled and before combining characters; and random mixtures of 24
scripts with punctuation, controls, white space and combining characters, until --megabytes are compared over all
settings. One vocabulary has each character at the start of words and inside them, so that ids show every character of
the normalized text; with --vocab another one is compared too.
"""
import argparse
import ctypes
import itertools
import json
import random
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SWITCHES = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
SCRIPTS = {  # ranges of code points
    "latin": (0x41, 0x24F), "vietnamese": (0x1EA0, 0x1EF9), "greek": (0x370, 0x3FF), "polytonic": (0x1F00, 0x1FFF),
    "cyrillic": (0x400, 0x52F), "armenian": (0x531, 0x58A), "hebrew": (0x591, 0x5F4), "arabic": (0x600, 0x6FF),
    "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FE), "tamil": (0xB82, 0xBFA), "telugu": (0xC00, 0xC7F),
    "thai": (0xE01, 0xE5B), "tibetan": (0xF00, 0xFDA), "georgian": (0x10A0, 0x10FF), "jamo": (0x1100, 0x11FF),
    "ethiopic": (0x1200, 0x137F), "khmer": (0x1780, 0x17F9), "balinese": (0x1B00, 0x1B7E), "kana": (0x3040, 0x30FF),
    "han": (0x4E00, 0x9FFF), "compatibility": (0xF900, 0xFAD9), "hangul": (0xAC00, 0xD7A3), "adlam": (0x1E900, 0x1E95F),
    "music": (0x1D100, 0x1D1E8), "fullwidth": (0xFF01, 0xFFEE)}
MARKS = "\u0301\u0323\u0308\u0307\u034f\u093c\u094d\u0f71\u0f74\u302e\u302f\u1b44\U0001d165\U0001d16d\u3099\u0345\u064b"
PUNCTUATION = ".,;:!?'\"()[]{}-_#@/\\|<>=+*&^%$~`«»¿¡…—–・、。「」٪؟।"
SPACES = "  \n\t\r\u00a0\u2003\u3000\u2028\u0085\x0b\x0c\x1f"
ODD = "\0\x01\x7f\u00ad\u200b\u200d\u202e\ufeff\ufffd\ue000\U000f0000\U0010ffff\u0378\U0001f600\ufe0f"


FN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int32), ctypes.c_int64)


class Library:
    def __init__(self, path):
        self.lib = lib = ctypes.CDLL(path)
        lib.gp_error.restype = ctypes.c_char_p
        lib.gp_tokenizer_from_json.restype = lib.gp_tokenizer_to_json.restype = ctypes.c_void_p
        lib.gp_tokenizer_from_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
        lib.gp_encoder_open.restype = ctypes.c_void_p
        lib.gp_encoder_open.argtypes = [ctypes.c_void_p, FN, ctypes.c_void_p]
        lib.gp_encoder_allow_special.argtypes = lib.gp_encoder_close.argtypes = [ctypes.c_void_p]
        lib.gp_encoder_finish.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self.fn, self.encoders, self.ids = FN(self.take), {}, []
        lib.gp_tokenizer_decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p,
                                            ctypes.c_size_t, ctypes.c_void_p]
        lib.gp_tokenizer_decode.restype = ctypes.c_int64
        lib.gp_tokenizer_to_json.argtypes = lib.gp_tokenizer_close.argtypes = [ctypes.c_void_p]
        lib.free = ctypes.CDLL(None).free
        lib.free.argtypes = [ctypes.c_void_p]

    def open(self, text):
        data = text.encode()
        t = self.lib.gp_tokenizer_from_json(data, len(data), b"json")
        if not t:
            sys.exit(self.lib.gp_error().decode())
        return t

    def to_json(self, t):
        p = self.lib.gp_tokenizer_to_json(t)
        text = ctypes.string_at(p).decode()
        self.lib.free(p)
        return text

    def encode(self, t, text):
        if t not in self.encoders:
            self.encoders[t] = self.lib.gp_encoder_open(t, self.fn, None)
            self.lib.gp_encoder_allow_special(self.encoders[t])
        data, self.ids = text.encode(), []
        assert not self.lib.gp_encoder_finish(self.encoders[t], data, len(data))
        return self.ids

    def take(self, _, ids, count):
        self.ids += ids[:count]
        return 0

    def close(self, t):
        self.lib.gp_encoder_close(self.encoders.pop(t, None))
        self.lib.gp_tokenizer_close(t)

    def decode(self, t, ids):
        array, text, n = (ctypes.c_int32 * len(ids))(*ids), ctypes.create_string_buffer(64 * len(ids) + 64), ctypes.c_size_t()
        assert self.lib.gp_tokenizer_decode(t, array, len(ids), text, len(text), ctypes.byref(n)) == len(ids)
        return text.raw[: n.value].decode()


def all_characters():
    """A vocabulary with every character that can matter, alone and inside words."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    for c in itertools.chain(range(1, 0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE0200), (0xF0000, 0x10FFFF)):
        if not 0xD800 <= c < 0xE000:
            tokens += [chr(c), "##" + chr(c)]
    return {t: i for i, t in enumerate(dict.fromkeys(tokens))}


def build(vocab, settings):
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(**dict(zip(SWITCHES, settings)))
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens([x for x in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    return t


def word(r):
    first, last = r.choice(list(SCRIPTS.values()))
    chars = [chr(r.randint(first, last)) for _ in range(r.choice([1, 2, 3, 5, 8, 13]))]
    if r.random() < 0.3:
        for _ in range(r.choice([1, 2, 4])):
            chars.insert(r.randint(0, len(chars)), r.choice(MARKS))
    if r.random() < 0.1:
        chars.insert(r.randint(0, len(chars)), r.choice(ODD))
    if r.random() < 0.01:
        chars *= r.choice([20, 30, 50])
    return "".join(chars)


def mixture(r, length, words):
    out = []
    for _ in range(length):
        k = r.random()
        out.append(r.choice(words) if k < 0.25 else r.choice(PUNCTUATION) if k < 0.35 else
                   chr(r.choice([r.randint(1, 0x2FFF), r.randint(0x3000, 0xD7FF), r.randint(0xE000, 0x1FFFF)]))
                   if k < 0.4 else word(r))
        out.append(r.choice(SPACES) if r.random() < 0.7 else "")
    return "".join(out)


def code_points():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            s = chr(c)
            yield f"{s} a{s}b {s}{s} \u0101{s}\u0301\u302e\U0001d165{s} A{s}\U0001d16d{s}\u302e{s}. "


def pieces(texts, size=4096):
    part, n = [], 0
    for t in texts:
        part.append(t)
        n += len(t)
        if n >= size:
            yield "".join(part)
            part, n = [], 0
    yield "".join(part)


def compare(lib, theirs, ours, texts):
    done = 0
    texts = list(texts)
    for text, right in zip(texts, theirs.encode_batch_fast(texts, add_special_tokens=False)):
        found = lib.encode(ours, text)
        if found != right.ids:
            k = next((k for k, (a, b) in enumerate(zip(found, right.ids)) if a != b), min(len(found), len(right.ids)))
            show = lambda ids: [ascii(theirs.id_to_token(i)) for i in ids[max(k - 4, 0) : k + 4]]
            sys.exit(f"id {k} of {len(right.ids)}: {show(found)}, not {show(right.ids)}; in {text!a:.2000}")
        done += len(text.encode())
    return done


def main():
    p = argparse.ArgumentParser()
    p.add_argument("library")
    p.add_argument("--megabytes", type=float, default=100)
    p.add_argument("--vocab")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--settings", type=int, nargs=2, default=(0, 24), metavar=("FROM", "TO"))
    a = p.parse_args()
    lib, r, total = Library(a.library), random.Random(a.seed), 0
    vocabs = [all_characters()]
    if a.vocab:
        vocabs.append({line.rstrip("\n"): i for i, line in enumerate(open(a.vocab, encoding="utf-8"))})
    words = [w for w in vocabs[-1] if not w.startswith("##")] + ["don't", "I'm", "we've", "\u0130I\u0131i", "ΣΑΣ"]
    grid = list(itertools.product((False, True), (False, True), (False, True, None), (False, True)))
    for number, settings in list(enumerate(grid))[slice(*a.settings)]:
        for vocab in vocabs:
            theirs = build(vocab, settings)
            first = lib.open(theirs.to_str())
            ours = lib.open(lib.to_json(first))  # through our own file
            again = Tokenizer.from_str(lib.to_json(first))
            lib.close(first)
            done = compare(lib, theirs, ours, pieces(code_points())) if vocab is vocabs[0] else 0
            while done < a.megabytes * 1e6 / len(grid) / len(vocabs):
                texts = [mixture(r, r.choice([1, 10, 300]), words) for _ in range(200)]
                done += compare(lib, again, ours, texts)
                compare(lib, theirs, ours, texts[:20])
                for ids in ([r.randrange(len(vocab)) for _ in range(20)] for _ in range(20)):
                    right = theirs.decode(ids, skip_special_tokens=False)
                    assert lib.decode(ours, ids) == right, (ids, lib.decode(ours, ids), right)
            lib.close(ours)
            total += done
        print(f"{number + 1} of {len(grid)}: {dict(zip(SWITCHES, settings))}: {total / 1e6:.1f} MB, equal", flush=True)


main()
