"""Writes tokenizer_folders.json: small folders with a tokenizer and what stands beside it, and the ids that transformers gives
for texts with AutoTokenizer.from_pretrained(folder).

    pip install transformers==5.24.0 tokenizers==0.23.3
    python3 tests/reference/tokenizer_folders.py > tests/reference/tokenizer_folders.json  # what the repository has
    python3 tests/reference/tokenizer_folders.py 500 7 > folders.json                          # others: how many, the seed
    GPTPIPE_FOLDERS=folders.json build/bin/test_tokenizer_folders

Each case is the folder's files: tokenizer.json as what differs from "base", and of vocabularies what differs from its
("words" more, those "without"); merges.txt is that of "base", and a file that is a string here is that text. "special" are the ids without what stands around a text
(add_special_tokens=False), "full" those with it, "plain" those of a text in which special tokens' names are text.
"""
import copy
import json
import os
import random
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

SEED = 20261129
END = "<|endoftext|>"


def alphabet():
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 400))
    return {b: chr(b) if b in prints else chr(next(others)) for b in range(256)}


A = alphabet()
MERGES = ["a a", "a b", "t h", "th e", "Ġ the", "[ P", "< x"]
WORDS = [A[b] for b in range(256)] + [m.replace(" ", "") for m in MERGES]
VOCAB = {w: i for i, w in enumerate(WORDS + [END])}
LAST = len(VOCAB)  # the first id that is free
BITS = ["a", "aa", "ab", "the", " the", " ", "  ", "\n", "x", "<x>", "<x>y", "[PAD]", " [PAD]", "[PAD] ", "<s>", END, "<img>",
        "<mask>", " <mask>", "<mask> ", "word", " word", "sword", "!", "é"]
NAMES = ["<x>", "<x>y", "[PAD]", "<s>", "<img>", "<mask>", "word", "aa", "the", " the"]


def token(name, special=None, r=None):
    flag = lambda p: bool(r) and r.random() < p
    special = special if special is not None else flag(0.6)
    return {"content": name, "single_word": flag(0.2), "lstrip": flag(0.3), "rstrip": flag(0.3),
            "normalized": flag(0.3), "special": special}


def tokenizer_json(added, vocab, post=None, space=False):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": True},
            "post_processor": post,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": MERGES}}


def template(number):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": END, "type_id": 0}},
                                                     {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {END: {"id": END, "ids": [number], "tokens": [END]}}}


def named(r, names):
    """A value of "pad_token" and the like."""
    name = r.choice(names)
    if r.random() < 0.6:
        return name
    return {"__type": "AddedToken", **token(name, r=r)}


def make(r):
    """The files of a folder."""
    files, config = {}, {}
    vocab = dict(VOCAB)
    if r.random() < 0.2:
        for name in r.sample(["<x>", "[PAD]", "<mask>"], 2):
            vocab[name] = len(vocab)
    if r.random() < 0.1:
        del vocab[END]
        vocab = {w: i for i, w in enumerate(vocab)}
    layout = r.choice(["json", "json", "pair", "pair", "both"])
    following = len(vocab)

    def numbered(tokens):
        nonlocal following
        ids = {}
        for t in tokens:
            name = t["content"]
            if name in vocab:
                ids[name] = vocab[name]
            elif name not in ids:
                ids[name] = following
                following += 1
            t["id"] = ids[name]
        return tokens

    in_json = []
    if layout != "pair":
        in_json = [token(END, True)] if r.random() < 0.9 else []
        in_json += [token(n, r=r) for n in r.sample(NAMES, r.choice([0, 0, 1, 2]))]
        numbered(in_json)
    # added_tokens_decoder: as in tokenizer.json, some more, other flags, other ids
    if r.random() < 0.5:
        tokens = copy.deepcopy(in_json) if r.random() < 0.8 else []
        if layout == "pair" and r.random() < 0.8:
            tokens = [token(END, True)]
        there = {t["content"] for t in tokens}
        tokens += [token(n, r=r) for n in r.sample(NAMES, r.choice([0, 1, 2])) if n not in there]
        if r.random() < 0.15 and tokens:
            t = r.choice(tokens)
            t["lstrip"], t["normalized"] = not t["lstrip"], not t["normalized"]
        following = max([len(vocab), *(t["id"] + 1 for t in in_json)])
        known = {t["content"]: t["id"] for t in in_json}
        for t in tokens:
            if t["content"] in known:
                t["id"] = known[t["content"]]
            elif t["content"] in vocab:
                t["id"] = vocab[t["content"]]
            else:
                t["id"], following = following, following + 1
        new = [t for t in tokens if t["content"] not in known and t["content"] != END]
        if r.random() < 0.1 and new:
            r.choice(new)["id"] += r.choice([1, 2, 30])
        config["added_tokens_decoder"] = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}
    for key in ("bos_token", "eos_token", "unk_token", "pad_token", "mask_token", "sep_token", "cls_token", "image_token"):
        if r.random() < (0.1 if layout == "json" else 0.12):
            config[key] = r.choice([None, END]) if r.random() < 0.4 else named(r, NAMES)
            if key == "image_token" and config[key] is None:
                del config[key]
    if r.random() < 0.2:
        config["additional_special_tokens"] = [named(r, NAMES) for _ in range(r.choice([0, 1, 2]))]
    if r.random() < 0.15:
        config["extra_special_tokens"] = r.choice([[named(r, NAMES)], {"image_token": r.choice(NAMES)}, {}])
    if r.random() < 0.2:
        config["add_prefix_space"] = r.random() < 0.5
    for key in ("add_bos_token", "add_eos_token"):
        if r.random() < 0.15:
            config[key] = r.random() < 0.7
    if r.random() < 0.05:
        config["split_special_tokens"] = r.random() < 0.7
    if r.random() < 0.3:
        config["clean_up_tokenization_spaces"] = False
        config["model_max_length"] = 1024
    if r.random() < 0.3:
        if r.random() < 0.5:
            order = r.sample(NAMES, r.choice([1, 2]))
            number, extra = len(vocab), {}
            number = max([number, *(t["id"] + 1 for t in in_json)])
            for n in order:
                if n in vocab:
                    extra[n] = vocab[n]
                else:
                    extra[n] = number
                    number += 1
            if r.random() < 0.2:
                extra[order[0]] += 3
            files["added_tokens.json"] = extra
        if r.random() < 0.6:
            files["special_tokens_map.json"] = {
                k: (named(r, NAMES) if k != "additional_special_tokens" else [r.choice(NAMES)])
                for k in r.sample(["bos_token", "pad_token", "eos_token", "additional_special_tokens"], r.choice([1, 2]))}
            for v in files["special_tokens_map.json"].values():
                if isinstance(v, dict):
                    v.pop("__type", None)
    config_there = bool(config) or r.random() < 0.5
    kind = r.choice(["config", "GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast"])
    if layout == "pair" and kind == "PreTrainedTokenizerFast":
        kind = "config"
    if kind != "config":
        config["tokenizer_class"] = kind
        config_there = True
    files["config.json"] = {"model_type": "gpt2"}
    if config_there:
        files["tokenizer_config.json"] = config
    if layout != "pair":
        files["tokenizer.json"] = tokenizer_json(in_json, vocab, r.choice([None, None, template(vocab.get(END, 0))]),
                                                 r.random() < 0.1)
    if layout != "json":
        files["vocab.json"] = vocab
        files["merges.txt"] = MERGES_TXT
    return files


def text(r):
    return "".join(r.choice(BITS) for _ in range(r.choice([1, 2, 3, 5, 8, 13])))


def load(files, **how):
    with tempfile.TemporaryDirectory() as folder:
        for name, value in files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return AutoTokenizer.from_pretrained(folder, **how)


def results(files, texts, **how):
    t = load(files, **how)
    found = [{"text": s, "special": t.encode(s, add_special_tokens=False), "full": t.encode(s)} for s in texts]
    t.backend_tokenizer.encode_special_tokens = True  # special tokens' names are text
    for one in found:
        one["plain"] = t.backend_tokenizer.encode(one["text"], add_special_tokens=False).ids
    return found


def keeps_all(files):
    """transformers 5 leaves out a tokenizer.json's tokens that added_tokens_decoder lacks; here they are kept."""
    names = {t["content"] for t in files.get("tokenizer.json", {}).get("added_tokens", [])}
    decoder = files.get("tokenizer_config.json", {}).get("added_tokens_decoder")
    return decoder is None or names <= {t["content"] for t in decoder.values()}


def told(files):
    """Where other settings or ids count than in transformers, and that is told; or they are refused."""
    config = files.get("tokenizer_config.json", {})
    space = files.get("tokenizer.json", {}).get("pre_tokenizer", {}).get("add_prefix_space")
    added = files.get("added_tokens.json", {})
    if any(added.get(t["content"], t["id"]) != t["id"] for t in files.get("tokenizer.json", {}).get("added_tokens", [])):
        return True
    return space and "add_prefix_space" not in config or config.get("split_special_tokens")


BASE = tokenizer_json([], VOCAB)
MERGES_TXT = "#version: 0.2\n" + "\n".join(MERGES) + "\n"


def shortened(files):
    out = dict(files)
    vocab = files.get("vocab.json") or files["tokenizer.json"]["model"]["vocab"]
    differs = {"words": {w: i for w, i in vocab.items() if VOCAB.get(w) != i}, "without": [w for w in VOCAB if w not in vocab]}
    if "vocab.json" in files:
        assert files["merges.txt"] == MERGES_TXT
        out["vocab.json"] = differs
        out["merges.txt"] = None
    if "tokenizer.json" in files:
        out["tokenizer.json"] = {**{k: v for k, v in files["tokenizer.json"].items() if k != "model" and v != BASE[k]}, **differs}
    return out


def rare():
    """Folders that chance seldom makes: one name several times with other flags, and lists that replace each other."""
    pair = {"config.json": {"model_type": "gpt2"}, "vocab.json": dict(VOCAB), "merges.txt": MERGES_TXT}
    strips = {"__type": "AddedToken", **token("[PAD]", True), "rstrip": True}
    for config, mapped in (
            ({"unk_token": "[PAD]", "cls_token": strips, "mask_token": "[PAD]"}, None),
            ({"unk_token": strips, "mask_token": "[PAD]"}, None),
            ({"additional_special_tokens": ["<x>"], "extra_special_tokens": {"image_token": "<s>"}}, ["word"]),
            ({"additional_special_tokens": ["<x>"], "extra_special_tokens": {}}, ["word"]),
            ({"extra_special_tokens": ["<x>"]}, ["word"]), ({"image_token": "<x>", "audio_token": strips}, None),
            ({"added_tokens_decoder": {"265": token("<x>", False), "264": token("word", True), "263": token(END, True)}}, None)):
        files = {**pair, "tokenizer_config.json": config}
        if mapped:
            files["special_tokens_map.json"] = {"additional_special_tokens": mapped}
        yield files, ["a[PAD] the<x> word<s>", "<s><x>[PAD]  word"]
    # a token that was special stays so, whatever is said of it later; but GPT-2's class makes it anew from added_tokens_decoder
    texts = ["a[PAD] the<x> word", "<x>[PAD]  word"]
    plain = {"__type": "AddedToken", **token("[PAD]", False)}
    yield {**pair, "tokenizer_config.json": {"additional_special_tokens": ["[PAD]", plain]}}, texts
    special = [{**token(name, True), "id": LAST - 1 + i} for i, name in enumerate((END, "[PAD]"))]
    decoder = {"added_tokens_decoder": {str(LAST - 1): token(END, True), str(LAST): token("[PAD]", False)}}
    json_only = {"config.json": {"model_type": "gpt2"}, "tokenizer.json": tokenizer_json(special, dict(VOCAB))}
    yield {**json_only, "tokenizer_config.json": {}, "added_tokens.json": {"[PAD]": LAST}}, texts
    for name in ("GPT2Tokenizer", "PreTrainedTokenizerFast"):
        yield {**json_only, "tokenizer_config.json": {**decoder, "tokenizer_class": name}}, texts
    # added_tokens.json's tokens are special by extra_special_tokens, and by its older name in tokenizer_config.json alone
    for config, mapped in (({}, {"additional_special_tokens": ["<x>"]}), ({}, {"extra_special_tokens": ["<x>"]}),
                           ({"additional_special_tokens": ["<x>"]}, {}),
                           ({"additional_special_tokens": ["<x>"], "extra_special_tokens": {"image_token": "<s>"}}, {})):
        yield ({**pair, "added_tokens.json": {"<x>": LAST, "the": VOCAB["the"]}, "special_tokens_map.json": mapped,
                "tokenizer_config.json": config}, ["a<x> the<x> word<s>", " the<x>[PAD]"])
    # and not by objects in tokenizer_config.json: a name makes them special later, but they stay "normalized", and so behind
    # the white space that another token takes
    there = {"__type": "AddedToken", **token("<x>", True)}
    space = {"__type": "AddedToken", **token(" the", False)}
    for config, mapped in (({"unk_token": space}, {}), ({"unk_token": " the"}, {}), ({}, {"unk_token": token(" the", False)}),
                           ({"image_token": " the"}, {}), ({"additional_special_tokens": [there, " the"]}, {})):
        yield ({**pair, "added_tokens.json": {"<x>": LAST, " the": LAST + 1}, "special_tokens_map.json": mapped,
                "tokenizer_config.json": {"mask_token": {"__type": "AddedToken", **token("<s>", True), "rstrip": True}, **config}},
               ["a<x> the<s> the<s>the", " the<x><s> <x>"])
    # what Python writes and other JSON readers refuse; save_pretrained writes that number where no model_max_length was set
    huge = {"model_max_length": int(1e30), "mask_token": "<x>", "other": [float("nan"), -float("inf"), 2**63]}
    yield {**pair, "tokenizer_config.json": json.dumps(huge)}, texts
    yield {**pair, "special_tokens_map.json": json.dumps(huge)}, texts
    # a token of tokenizer.json that a name beside it makes special; not where added_tokens_decoder is there and lacks it
    added = [{**token(name, name == END), "id": LAST - 1 + i} for i, name in enumerate((END, "[PAD]", "<x>"))]
    named_pad = {"pad_token": "[PAD]"}
    other = {**named_pad, "tokenizer_class": "PreTrainedTokenizerFast"}
    for config in (named_pad, other, {**other, "added_tokens_decoder": {str(LAST - 1): token(END, True)}}):
        yield ({"config.json": {"model_type": "gpt2"}, "tokenizer.json": tokenizer_json(added, dict(VOCAB)),
                "tokenizer_config.json": config}, texts)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 68
    r = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else SEED)
    cases = [{"files": shortened(files), "texts": results(files, texts)} for files, texts in rare()]
    while len(cases) < count:
        files = make(r)
        texts = [text(r) for _ in range(5)]
        try:
            if keeps_all(files) and not told(files):
                cases.append({"files": shortened(files), "texts": results(files, texts)})
        except ValueError:  # transformers cannot make a template of a name with a space
            continue
    lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases)
    print(f'{{"base":{json.dumps(BASE, separators=(",", ":"))},\n"merges":{json.dumps(MERGES_TXT)},\n"cases":[\n{lines}]}}')


if __name__ == "__main__":
    main()
