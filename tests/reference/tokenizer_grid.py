"""Writes tokenizer_grid.json: small tokenizer.json files in many ways of writing, and what Hugging Face's tokenizers makes of
texts by them.

    pip install tokenizers==0.23.3
    python3 tests/reference/tokenizer_grid.py > tests/reference/tokenizer_grid.json  # what the repository has
    python3 tests/reference/tokenizer_grid.py 800 > grid.json                            # many more of them
    GPTPIPE_GRID=grid.json build/bin/test_tokenizer_grid

Each case is what differs from the base: members of the root, members of the model, the vocabulary's words. "plain" are the
ids without special tokens in the text (encode_special_tokens), "special" those with them, "full" those with the
post_processor's too; null where no such ids can be, because a byte is lacking that nothing stands for (tokenizers leaves it
out). "refused" is what the message has to name: settings that are not known here, or files that tokenizers refuses.
"""
import copy
import json
import random
import sys

from tokenizers import Tokenizer

SEED = 20260729
SENTINEL = "<lacking>"  # an unknown token put in to see whether a byte is lacking


def alphabet():
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 400))
    return {b: chr(b) if b in prints else chr(next(others)) for b in range(256)}


A = alphabet()
END = {"id": 0, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
       "special": True}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BASE = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [END], "normalizer": None,
    "pre_tokenizer": BYTE_LEVEL, "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
              "vocab": {"<|endoftext|>": 0, **{A[b]: b + 1 for b in range(256)}}, "merges": []},
}
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TIKTOKEN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
POSSESSIVE = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
          r"|\s+(?!\S)|\s")


def split(pattern=GPT2, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def level(**more):
    return {**BYTE_LEVEL, **more}


PLAIN = level(use_regex=False)
SPLITS = [  # a pre_tokenizer, and what is refused of it
    (BYTE_LEVEL, None), (level(trim_offsets=False), None), (sequence(BYTE_LEVEL), None),
    (sequence(sequence(), sequence(BYTE_LEVEL)), None), (sequence(split(), PLAIN), None),
    (sequence(split(TIKTOKEN), PLAIN), None), (sequence(split(POSSESSIVE), PLAIN), None),
    (sequence(split(behavior="Removed", invert=True), PLAIN), None), (sequence(split(invert=True), PLAIN), None),
    (sequence(split(), BYTE_LEVEL), None), (sequence(sequence(split()), sequence(PLAIN)), None),
    (level(add_prefix_space=True), None), (sequence(level(add_prefix_space=True)), None),
]
BAD_SPLITS = [
    (PLAIN, "use_regex"), (sequence(split(CL100K), PLAIN), "splits by"), (split(), "into bytes"),
    (sequence(split(), level(use_regex=False, add_prefix_space=True)), "add_prefix_space"),
    (sequence({"type": "Digits", "individual_digits": True}, BYTE_LEVEL), "Digits"),
    (sequence(BYTE_LEVEL, split()), "after ByteLevel"), (sequence(BYTE_LEVEL, BYTE_LEVEL), "twice"),
    (sequence(split(behavior="MergedWithNext"), PLAIN), "MergedWithNext"),
    (sequence(split(behavior="Removed"), PLAIN), "Removed"),
    ({"type": "Whitespace"}, "Whitespace"), (sequence({"type": "Split", "pattern": {"String": " "},
                                                       "behavior": "Isolated", "invert": False}, PLAIN), "splits by"),
]
NORMALIZERS = [(None, None), ({"type": "Sequence", "normalizers": []}, None),
               ({"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": []}]}, None)]
BAD_NORMALIZERS = [({"type": "NFC"}, "NFC"), ({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}, "Lowercase"),
                   ({"type": "Prepend", "prepend": "x"}, "Prepend")]
BAD_MODELS = [({"dropout": 0.1}, "dropout"), ({"continuing_subword_prefix": "##"}, "continuing_subword_prefix"),
              ({"end_of_word_suffix": "</w>"}, "end_of_word_suffix"), ({"type": "WordLevel"}, "WordLevel")]

NAMES = ["<x>", "<x>y", "x>", "the", "ab", "a", "  ", " ", " a", "\n\n", "é!", "日本", "<mask>", "[PAD]", "e", "th <x>"]
BITS = ["the", " the", "ab", "abc", "a", "b", "t", "h", "e", "x", " ", "  ", "   ", "\n", "\n\n", "\t", "\u00a0", "\u3000",
        "\u2028", "'s", "'ll", "'", "é", "é!", "日本", "語", "🙂", "1", "12", "٣", "!", "...", "<x>", "<x>y", "<mask>",
        " <mask>", "<mask> ", "[PAD]", "<|endoftext|>", "<|endo", "_", "\u0301", "\u2160", "th", "he", "\u200d"]


def text(r):
    return "".join(r.choice(BITS) for _ in range(r.choice([0, 1, 2, 3, 5, 8, 13, 30])))


def merges(r, vocab, count):
    """Pairs of words that are there, most of them as trained vocabularies have them; each adds a word."""
    out = []
    seeds = [A[b] for b in "thabce x".encode()] + [A[b] for b in "é日本\n".encode()] + [A[32], A[39], "s", "l"]
    for _ in range(count):
        pool = [w for w in vocab if len(w) > 1 and w not in ("<|endoftext|>", "<unk>") and not w.startswith("<0x")] + seeds * 2
        left, right = r.choice(pool), r.choice(pool)
        if left not in vocab or right not in vocab or len(left + right) > 12 or (left, right) in out:
            continue
        vocab.setdefault(left + right, max(vocab.values()) + 1)
        out.append((left, right))
    if r.random() < 0.3:
        r.shuffle(out)
    return [list(m) for m in out]


def holes(r, vocab):
    shift, out = 0, {}
    for word, number in sorted(vocab.items(), key=lambda x: x[1]):
        shift += r.choice([0] * 60 + [1, 3])
        out[word] = number + shift
    return out


def added(r, vocab):
    tokens, names = [dict(END, id=vocab["<|endoftext|>"])], r.sample(NAMES, r.choice([0, 0, 1, 2, 4]))
    for name in names:
        if name.isascii() and " " not in name and "\n" not in name and r.random() < 0.3:
            vocab.setdefault(name, max(vocab.values()) + 1)
        flag = lambda p: r.random() < p
        tokens.append({"id": 0, "content": name, "single_word": flag(0.3), "lstrip": flag(0.4), "rstrip": flag(0.4),
                       "normalized": flag(0.4), "special": flag(0.6)})
    if r.random() < 0.3:
        tokens[0].update(lstrip=r.random() < 0.5, rstrip=r.random() < 0.5, normalized=True)
    return tokens


def template(r, tokens):
    name, number, end = tokens[-1]["content"], tokens[-1]["id"], tokens[0]["id"]
    sides = r.choice([(1, 0), (0, 1), (1, 1), (2, 1)])
    special = lambda: {"SpecialToken": {"id": "s", "type_id": 0}}
    single = [special()] * sides[0] + [{"Sequence": {"id": "A", "type_id": 0}}] + [special()] * sides[1]
    return r.choice([
        None, None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "TemplateProcessing", "single": single, "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                                                   {"Sequence": {"id": "B", "type_id": 0}}],
         "special_tokens": {"s": {"id": "s", "ids": [number, end][:r.choice([1, 2])], "tokens": [name, "<|endoftext|>"]}}},
        {"type": "RobertaProcessing", "sep": [name, number], "cls": ["<|endoftext|>", tokens[0]["id"]],
         "trim_offsets": True, "add_prefix_space": False},
        {"type": "BertProcessing", "sep": [name, number], "cls": ["<|endoftext|>", tokens[0]["id"]]},
        {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            {"type": "BertProcessing", "sep": [name, number], "cls": [name, number]},
            {"type": "TemplateProcessing", "single": single, "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                                                       {"Sequence": {"id": "B", "type_id": 0}}],
             "special_tokens": {"s": {"id": "s", "ids": [end], "tokens": ["<|endoftext|>"]}}}]},
    ])


def numbered(tokens, vocab):
    """As tokenizers numbers them."""
    following, seen = len(vocab), {}
    for token in tokens:
        name = token["content"]
        if name not in vocab and name not in seen:
            seen[name] = following
            following += 1
        token["id"] = vocab.get(name, seen.get(name))
    return not {seen[n] for n in seen} & set(vocab.values())


def make(r):
    """A tokenizer, and what is refused of it or None."""
    t = copy.deepcopy(BASE)
    model, refused = t["model"], None
    vocab = dict(model["vocab"])
    if r.random() < 0.35:  # not all bytes
        keep = {*"the abcx<>|ndoftxl'".encode(), 10}
        for b in range(256):
            if b not in keep and r.random() < r.choice([0.3, 0.9]):
                del vocab[A[b]]
        for word in r.choice([[], ["<unk>"], ["<unk>"], ["<unk>", "c"]]):
            vocab.setdefault(word, max(vocab.values()) + 1)
        if "<unk>" in vocab or r.random() < 0.1:
            model["unk_token"] = "<unk>"
        model["fuse_unk"] = r.random() < 0.5
        if r.random() < 0.4:
            model["byte_fallback"] = True
            for b in range(256):
                if r.random() < r.choice([0.7, 1]):
                    vocab[f"<0x{b:02X}>"] = max(vocab.values()) + 1
    vocab = {word: i for i, word in enumerate(vocab)}
    model["merges"] = merges(r, vocab, r.choice([0, 3, 10, 25]))
    if r.random() < 0.2 and model["merges"]:  # one more time, at another rank
        model["merges"].insert(r.randrange(len(model["merges"])), list(r.choice(model["merges"])))
    if r.random() < 0.25:
        vocab = holes(r, vocab)
    if r.random() < 0.2:
        model["ignore_merges"] = True
    tokens = t["added_tokens"] = added(r, vocab)
    model["vocab"] = vocab
    if not numbered(tokens, vocab):
        refused = "given twice"
    if r.random() < 0.4:
        model["merges"] = [" ".join(m) for m in model["merges"]]
        if r.random() < 0.3:
            model["merges"].insert(0, "#version: 0.2")
    model["dropout"] = r.choice([None, 0, 0.0])
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        model[key] = r.choice([None, None, ""])
    if r.random() < 0.3:
        for key in r.sample(["type", "dropout", "unk_token", "continuing_subword_prefix", "ignore_merges", "fuse_unk"], 2):
            if model.get(key) in (None, False, "BPE", "", 0):
                model.pop(key, None)
    t["pre_tokenizer"], why = r.choice(SPLITS)
    t["normalizer"], why = r.choice(NORMALIZERS)
    t["post_processor"] = template(r, tokens)
    bad = r.random()
    if bad < 0.04:
        t["pre_tokenizer"], refused = r.choice(BAD_SPLITS)
    elif bad < 0.06:
        t["normalizer"], refused = r.choice(BAD_NORMALIZERS)
    elif bad < 0.08:
        change, refused = r.choice(BAD_MODELS)
        model.update(change)
    return t, refused


def ids(t, string, special):
    t.encode_special_tokens = not special
    try:
        return t.encode(string, add_special_tokens=False).ids
    except Exception:  # an unknown token that is none
        return None
    except BaseException:  # tokenizers panics where one match ends before another that took white space begins
        return "any"


def lacking(t):
    """The same with a token for what it lacks, where it has none."""
    other = copy.deepcopy(t)
    if other["model"].get("unk_token") in other["model"]["vocab"]:
        return None, None
    number = max([*other["model"]["vocab"].values(), *(a["id"] for a in other["added_tokens"])]) + 1
    other["model"]["unk_token"] = SENTINEL
    other["model"]["vocab"][SENTINEL] = number
    # added tokens that the vocabulary lacks would move by one
    for a in other["added_tokens"]:
        other["model"]["vocab"].setdefault(a["content"], a["id"])
    return Tokenizer.from_str(json.dumps(other)), number


def results(t, texts):
    made = Tokenizer.from_str(json.dumps(t))
    for a in t["added_tokens"]:
        assert made.token_to_id(a["content"]) == a["id"], a
    other, sentinel = lacking(t)
    whole = t["model"].get("ignore_merges")
    for string in texts:
        one = {"text": string}
        for key in ("plain", "special"):
            special = key == "special"
            one[key] = ids(made, string, special)
            if one[key] == "any":
                continue
            if other and not whole and sentinel in (ids(other, string, special) or []):
                one[key] = None
            if other and whole and one[key] is not None:  # which words are whole depends on the vocabulary
                bytes_there = {b for b in range(256) if A[b] in t["model"]["vocab"]}
                if set(string.encode()) - bytes_there:
                    one[key] = "any"
        if one["special"] not in (None, "any"):
            made.encode_special_tokens = False
            one["full"] = made.encode(string).ids
        yield one


def patch(t, refused, texts):
    """What differs from BASE."""
    base, model = BASE["model"], t["model"]
    out = {"root": {k: v for k, v in t.items() if k != "model" and v != BASE[k]},
           "model": {k: v for k, v in model.items() if k != "vocab" and v != base.get(k)},
           "drop": [k for k in base if k not in model],
           "words": {k: v for k, v in model["vocab"].items() if base["vocab"].get(k) != v},
           "without": [k for k in base["vocab"] if k not in model["vocab"]]}
    out = {k: v for k, v in out.items() if v}
    if refused:
        return {**out, "refused": refused}
    return {**out, "texts": list(results(t, texts))}


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    r = random.Random(SEED)
    cases = []
    while len(cases) < count:
        t, refused = make(r)
        cases.append(patch(t, refused, [text(r) for _ in range(6)]))
    lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases)
    print(f'{{"base":{json.dumps(BASE, separators=(",", ":"))},\n"cases":[\n{lines}]}}')


main()
