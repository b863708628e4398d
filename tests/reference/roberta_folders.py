"""Writes roberta_folders.json: folders with RoBERTa's vocabulary and merges, or a tokenizer.json, in the form of
tokenizer_folders.json.

    pip install transformers==5.24.0 tokenizers==0.23.3
    python3 tests/reference/roberta_folders.py > tests/reference/roberta_folders.json

Arguments are the number of cases and the seed; GPTPIPE_FOLDERS names such a file for test_tokenizer_folders.
"""
import json
import random
import sys

import tokenizer_folders as folders

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCAB = {w: i for i, w in enumerate(SPECIAL + folders.WORDS + ["<mask>"])}
BASE = folders.tokenizer_json([], VOCAB)
BITS = ["the", " the", "a", "aa", "ab", " ", "  ", "\n", "<s>", "</s>", " </s>", "<pad>", "<unk>", "<mask>", " <mask>", "<mask> ",
        "<c>", "<x>", "<x", "!", "\u00e9", "word"]


def token(name, **flags):
    return {"__type": "AddedToken", "content": name, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **flags}


def make(r):
    files, config, vocab = {}, {}, dict(VOCAB)
    if r.random() < 0.15:  # added by its class
        del vocab["<mask>"]
    if r.random() < 0.3:
        config["add_prefix_space"] = r.random() < 0.5
    if r.random() < 0.2:
        config["trim_offsets"] = r.random() < 0.5
    if r.random() < 0.2:
        config["cls_token"] = r.choice(["<s>", "<c>", token("<c>")])
    if r.random() < 0.2:
        config["sep_token"] = r.choice(["</s>", "<x>"])
    if r.random() < 0.2:
        config["mask_token"] = token("<mask>", lstrip=True)
    if r.random() < 0.15:
        config["add_bos_token"] = config["add_eos_token"] = True
    kind = r.choice(["model", "model", "class", "both"])
    files["config.json"] = {"model_type": r.choice(["roberta", "roberta", "longformer", "bart"])} if kind != "class" else {}
    if kind != "model":
        config["tokenizer_class"] = r.choice(["RobertaTokenizer", "RobertaTokenizerFast", "LongformerTokenizer"])
    if config or r.random() < 0.5:
        files["tokenizer_config.json"] = config
    if r.random() < 0.2:
        files["special_tokens_map.json"] = {"mask_token": {k: v for k, v in token("<mask>", lstrip=True).items() if k != "__type"}}
    if r.random() < 0.25:
        post = r.choice([None, {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2], "trim_offsets": True,
                                "add_prefix_space": False}])
        if post:
            config.pop("cls_token", None)
            config.pop("sep_token", None)
        files["tokenizer.json"] = folders.tokenizer_json([], vocab, post)
    else:
        files["vocab.json"] = vocab
        files["merges.txt"] = folders.MERGES_TXT
    return files


def shortened(files):
    out = dict(files)
    vocab = files.get("vocab.json") or files["tokenizer.json"]["model"]["vocab"]
    differs = {"words": {}, "without": [w for w in VOCAB if w not in vocab]}
    if "vocab.json" in files:
        out["vocab.json"], out["merges.txt"] = differs, None
    else:
        out["tokenizer.json"] = {**{k: v for k, v in files["tokenizer.json"].items() if k != "model" and v != BASE[k]}, **differs}
    return out


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 28
    r = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 20261130)
    cases = []
    for _ in range(count):
        files = make(r)
        texts = ["".join(r.choice(BITS) for _ in range(r.choice([1, 3, 5, 8]))) for _ in range(4)]
        cases.append({"files": shortened(files), "texts": folders.results(files, texts)})
        made = folders.load(files)
        for one in cases[-1]["texts"]:  # the text after another one
            one["pair"] = made("the ab", one["text"])["input_ids"]
    lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases)
    print(f'{{"base":{json.dumps(BASE, separators=(",", ":"))},\n"merges":{json.dumps(folders.MERGES_TXT)},\n"cases":[\n{lines}]}}')


main()
