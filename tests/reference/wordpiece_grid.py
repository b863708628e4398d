"""Writes WordPiece cases in the forms of tokenizer_grid.json and tokenizer_folders.json.

    pip install transformers==5.24.0 tokenizers==0.23.3
    python3 tests/reference/wordpiece_grid.py grid > tests/reference/wordpiece_grid.json
    python3 tests/reference/wordpiece_grid.py folders > tests/reference/wordpiece_folders.json

A second argument is the number of cases, a third the seed; GPTPIPE_GRID and GPTPIPE_FOLDERS name such files for
test_tokenizer_grid and test_tokenizer_folders. tests/reference/wordpiece.py compares more text.
"""
import itertools
import json
import random
import sys
import unicodedata

import tokenizer_folders
from tokenizers import Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "##ing", "un", "##aff", "##able", "don", "we", "##ar", "ΣΑΣ", "##σ", "Straße", "cafe", "café", "##é", "naive",
         "NA", "the##", "##the", "東", "##京", "##東", "가", "##나", "\u1100\u1161", "##\u1161", "n't", "do", "not", "i\u0307",
         "##\u0307", "##\u0301", "e\u0301", "##\u302e\u302f", "##\u302f\u302e", "##\U0001d165", "\u09c7\u09be", "##\u09be",
         "##\ufffd", "##\u00ad", "##\u200b", "##\x01", "\u0f40", "##\u0f71"]
LETTERS = "abcdefghinorstuvwxyzABDEINSTΣσςßéİıіЙй" + "0123456789"
PUNCTUATION = ".,;:!?'\"()[]#-_$+<=>^`|~«»—…。、؟"
VOCAB = {w: i for i, w in enumerate(dict.fromkeys(
    SPECIAL + [*PUNCTUATION, *LETTERS, *("##" + c for c in LETTERS), *WORDS]))}
MARKS = "\u0301\u0307\u0308\u034f\u302e\u302f\U0001d165\U0001d16d\u0f71\u0f74\u3099\u09be"
ODD = "\0\x01\x7f\u00ad\u200b\ufeff\ufffd\ue000\U000e0001\u0378\U0001f600\ufe0f"
SPACES = [" ", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b", "\x1f"]
BITS = ["the", "The", "THE", "unaffable", "wearing", "don't", "do not", "ΣΑΣ", "σας", "Straße", "cafe\u0301", "Café", "naïve",
        "İI", "東京", "東", "京都", "가나", "나", "각", "[SEP]", "[MASK]", " [MASK] ", "[mask]", "##ing", "#", "...", "a" * 100,
        "a" * 101, "e\u0301" * 50, "\u302e\u0307\u302f", "ṩ", "ﬁ", "Ａ", "①", "Å", "豈", "\u09cb", "\U0001d15e", "ཱི", "<x>"]


def token(name, number, **flags):
    return {"id": number, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **flags}


def normalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True):
    return {"type": "BertNormalizer", "clean_text": clean_text, "handle_chinese_chars": handle_chinese_chars,
            "strip_accents": strip_accents, "lowercase": lowercase}


CLS, SEP = VOCAB["[CLS]"], VOCAB["[SEP]"]
PIECE = {"A": {"Sequence": {"id": "A", "type_id": 0}}, "B": {"Sequence": {"id": "B", "type_id": 1}},
         "[CLS]": {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, "[SEP]": {"SpecialToken": {"id": "[SEP]", "type_id": 0}}}
TEMPLATE = {"type": "TemplateProcessing", "single": [PIECE["[CLS]"], PIECE["A"], PIECE["[SEP]"]],
            "pair": [PIECE["[CLS]"], PIECE["A"], PIECE["[SEP]"], PIECE["B"], {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": [VOCAB[n]], "tokens": [n]} for n in ("[CLS]", "[SEP]")}}
BASE = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [token(n, VOCAB[n]) for n in SPECIAL],
        "normalizer": normalizer(), "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": TEMPLATE,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": VOCAB}}
REFUSED = [
    ({"normalizer": {"type": "Lowercase"}}, {}, "Lowercase"),
    ({"normalizer": {"type": "Sequence", "normalizers": [normalizer(), normalizer()]}}, {}, "Sequence"),
    ({"normalizer": {**normalizer(), "lowercase": "yes"}}, {}, "lowercase"),
    ({"pre_tokenizer": None}, {}, "pre_tokenizer is missing"), ({"pre_tokenizer": {"type": "Whitespace"}}, {}, "Whitespace"),
    ({"decoder": {"type": "ByteLevel"}}, {}, "ByteLevel"),
    ({"decoder": {"type": "WordPiece", "prefix": "@@", "cleanup": True}}, {}, "prefix"),
    ({"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": "yes"}}, {}, "cleanup"),
    ({}, {"unk_token": "<unk>"}, "has no <unk>"), ({}, {"unk_token": 1}, "unk_token"),
    ({}, {"max_input_chars_per_word": 0}, "max_input_chars_per_word"),
    ({"added_tokens": BASE["added_tokens"] + [token("Ab", len(VOCAB), normalized=True, special=False),
                                              token("\u00c1b", len(VOCAB) + 1, normalized=True)]}, {}, "\u00c1b"),
    ({"added_tokens": BASE["added_tokens"] + [token("\u0301", len(VOCAB), normalized=True)]}, {}, "nothing"),
]
NAMES = ["<x>", "cd", "\u302e", "The", "Caf\u00e9", "\u6771\u4eac", "\u00c9 \u0130", "na\u0307\u302e", "a.", " un", "the \tthe",
         "\u1e69\u1e69", "'", "##ing", "\uac01", "\u03a3\u03b1\u03c3", "b\x01"]


def text(r, names=()):
    """Random bits, and names of added tokens as they are, in another case or composed otherwise."""
    out = []
    for _ in range(r.randint(1, 9)):
        k = r.random()
        if names and r.random() < 0.5:
            bit = r.choice([str, str.upper, str.lower, *(lambda s, f=f: unicodedata.normalize(f, s) for f in ("NFC", "NFD"))])(
                r.choice(names))
            out.append((r.choice(SPACES) if r.random() < 0.3 else "") + bit + (r.choice(SPACES) if r.random() < 0.4 else ""))
            continue
        bit = r.choice(BITS) if k < 0.4 else r.choice(PUNCTUATION) if k < 0.5 else "".join(
            r.choice(LETTERS if q < 0.7 else MARKS if q < 0.9 else ODD) for q in [r.random() for _ in range(r.randint(1, 6))])
        out.append(bit + (r.choice(SPACES) if r.random() < 0.6 else ""))
    return "".join(out)


def in_bytes(string, offsets):
    """Of characters, which may be where a byte that is not text would be, to bytes."""
    return [len(string[:k].encode()) for pair in offsets for k in pair]


def case(root, model, texts):
    made = Tokenizer.from_str(json.dumps({**BASE, **root, "model": {**BASE["model"], **model}}))
    results = []
    for string in texts:
        one = {"text": string}
        for key in ("plain", "special"):
            made.encode_special_tokens = key == "plain"
            encoding = made.encode(string, add_special_tokens=False)
            one[key], one[key + "_offsets"] = encoding.ids, in_bytes(string, encoding.offsets)
        results.append({**one, "full": made.encode(string).ids})
    return results


def grid(count, r):
    settings = list(itertools.product((True, False), (True, False), (None, True, False), (True, False)))
    for number in range(count):
        root, model = {"normalizer": normalizer(*settings[number % len(settings)])}, {}
        if r.random() < 0.2:
            root["normalizer"] = {"type": "Sequence", "normalizers": [root["normalizer"]]}
        if r.random() < 0.1:
            root["normalizer"] = None
        if r.random() < 0.3:
            root["post_processor"] = r.choice([None, {"type": "BertProcessing", "sep": ["[SEP]", SEP], "cls": ["[CLS]", CLS]}])
        names = []
        if r.random() < 0.6:
            names = r.sample(NAMES, 4)
            new = iter(range(len(VOCAB), len(VOCAB) + 4))
            root["added_tokens"] = BASE["added_tokens"] + [
                token(n, VOCAB[n] if n in VOCAB else next(new), special=r.random() < 0.4, single_word=r.random() < 0.3,
                      lstrip=r.random() < 0.3, rstrip=r.random() < 0.3, normalized=r.random() < 0.7)
                for n in names]
        if r.random() < 0.3:
            root["decoder"] = r.choice([None, {"type": "WordPiece", "prefix": "##", "cleanup": False}])
        if r.random() < 0.3:
            model["max_input_chars_per_word"] = r.choice([1, 5, 99, 101, 400])
        if r.random() < 0.1:
            model["unk_token"] = "[PAD]"
        texts = [text(r, names) for _ in range(8)]
        yield {"root": root, "model": model, "texts": case(root, model, texts)}
    for prefix in ("", "#", "@@"):
        root, model = {"decoder": {"type": "WordPiece", "prefix": prefix, "cleanup": True}}, {"continuing_subword_prefix": prefix}
        yield {"root": root, "model": model, "texts": case(root, model, [text(r) for _ in range(8)])}
    for strip in (True, False):  # marks after what ends a word, where text that comes in parts cannot be cut
        root = {"normalizer": normalizer(strip_accents=strip),
                "added_tokens": BASE["added_tokens"] + [token("The", len(VOCAB), normalized=True, special=False)]}
        marks = "\u302e\u0323\u302f\u0301"
        texts = [f"a{end}{marks[:k]}THE{end}{marks[k:]}b the" for end in (".", " ", "\u6771") for k in range(1, 5)]
        yield {"root": root, "model": {}, "texts": case(root, {}, texts)}
    for root, model, named in REFUSED:
        yield {"root": root, "model": model, "refused": named}


def folders(count, r):
    lines = "\n".join(VOCAB) + "\n"
    kinds = [None, {}, {"do_lower_case": False}, {"do_lower_case": False, "strip_accents": True}, {"strip_accents": False},
             {"tokenize_chinese_chars": False}, {"do_lower_case": True, "strip_accents": None}]
    for number in range(count):
        files = {"config.json": {"model_type": "bert"}}
        config = kinds[number % len(kinds)]
        if config is not None:
            files["tokenizer_config.json"] = dict(config)
            if r.random() < 0.5:
                files["tokenizer_config.json"]["tokenizer_class"] = r.choice(
                    ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "PreTrainedTokenizerFast"])
            if r.random() < 0.3:
                files["tokenizer_config.json"]["mask_token"] = r.choice(["<x>", "[MASK]"])
        names = []
        if "tokenizer_config.json" in files and r.random() < 0.5:  # as after add_tokens and save_pretrained
            names = r.sample(NAMES[3:6] + NAMES[14:16], 2)
            files["tokenizer_config.json"]["added_tokens_decoder"] = {
                str(VOCAB[n] if n in VOCAB else len(VOCAB) + i): {
                    k: v for k, v in token(n, 0, special=False, normalized=r.random() < 0.8, lstrip=r.random() < 0.3).items()
                    if k != "id"} for i, n in enumerate(sorted(names, key=lambda n: n in VOCAB))}
        k = r.random()
        of_json = files.get("tokenizer_config.json", {}).get("tokenizer_class") == "PreTrainedTokenizerFast" or k < 0.4
        if of_json:
            files["tokenizer.json"] = {**BASE, "normalizer": normalizer(lowercase=r.random() < 0.5)}
        else:
            words = lines
            if k < 0.5 and not names and "<x>" not in str(files):  # a line twice: the later one counts
                words = lines.replace("##ar\n", "the\n")
            elif 0.5 < k < 0.6 and not names:  # added by its class
                words = lines.replace("[MASK]\n", "")
            files["vocab.txt"] = words if r.random() < 0.7 else words[:-1]
        texts = [text(r, names) for _ in range(6)]
        made = tokenizer_folders.results(files, texts)
        if of_json:
            del files["tokenizer.json"]["model"]
            files["tokenizer.json"] = {k: v for k, v in files["tokenizer.json"].items() if v != BASE[k]}
        yield {"files": files, "texts": made}
    # white space at the end of a line is no part of the word; so two lines may be equal, and the later one counts
    ends = {"[UNK]": " ", "a": "\u3000", "un": "\t ", "##ing": "\u00a0", "##ar": "\u2028\r", "Σ": "\u0085", "we": "\u200b"}
    files = {"config.json": {"model_type": "bert"},
             "vocab.txt": "\n".join([word + ends.get(word, "") for word in VOCAB] + [" ", "\tb", "the ", "\u2003"]) + "\n"}
    texts = ["unaffable wearing THE a Σ", "the we [UNK] \u6771 b"]
    yield {"files": files, "texts": tokenizer_folders.results(files, texts)}
    texts = ["don't do not, 'the' we 's we're 'm n't .", "a ' b", "a ? ! ' ' re"]
    for vocabulary in ({"vocab.txt": lines}, {"tokenizer.json": BASE},
                       {"tokenizer.json": {**BASE, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False}}}):
        files = {"config.json": {"model_type": "bert"}, "tokenizer_config.json": {"clean_up_tokenization_spaces": True}}
        made = tokenizer_folders.results(files | vocabulary, texts)
        for one in made:
            one["decoded"] = tokenizer_folders.load(files | vocabulary).decode(one["full"])
        if "tokenizer.json" in vocabulary:
            vocabulary = {"tokenizer.json": {k: v for k, v in vocabulary["tokenizer.json"].items() if v != BASE[k]}}
        yield {"files": files | vocabulary, "texts": made}


def main():
    kind, r = sys.argv[1], random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 20261130)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    cases = (grid if kind == "grid" else folders)(count, r)
    written = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    print(f'{{"base":{json.dumps(BASE, separators=(",", ":"))},\n"cases":[\n{written}]}}')


main()
