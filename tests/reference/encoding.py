"""Writes encoding.json: what tokenizers gives for texts and pairs of texts under the post_processors of a
byte-level BPE: ids, token types and offsets in bytes, and what remains of them in so many tokens.

    pip install tokenizers==0.23.3
    python3 tests/reference/encoding.py > tests/reference/encoding.json
"""
import json

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

MERGES = [("h", "e"), ("\u0120", "w"), ("\u0120w", "o"), ("\u0120", "\u0120")]
SPECIAL = [("<s>", 0), ("</s>", 1)]
SEP, CLS = ("</s>", 1), ("<s>", 0)
POST = [  # post_processor, add_prefix_space
    (None, False),
    (None, True),
    (processors.ByteLevel(trim_offsets=False), False),
    (processors.ByteLevel(trim_offsets=True), True),
    (processors.ByteLevel(trim_offsets=True, add_prefix_space=False), False),
    (processors.RobertaProcessing(SEP, CLS), True),
    (processors.RobertaProcessing(SEP, CLS, trim_offsets=True, add_prefix_space=False), False),
    (processors.RobertaProcessing(SEP, CLS, trim_offsets=False, add_prefix_space=True), True),
    (processors.BertProcessing(SEP, CLS), False),
    (processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> $B:1 </s>:1", SPECIAL), True),
    (processors.TemplateProcessing("$A:2 <s>:3", "<s>:1 <s>:2 $A:4 $B:3", SPECIAL), False),
    (processors.Sequence([processors.ByteLevel(trim_offsets=True, add_prefix_space=False),
                          processors.TemplateProcessing("<s>:3 $A:4", "<s>:1 $A:2 </s>:3 $B:5", SPECIAL)]), True),
    (processors.Sequence([processors.BertProcessing(SEP, CLS),
                          processors.TemplateProcessing("</s> $A </s>", "</s> $A </s> $B:1", SPECIAL)]), False),
    (processors.TemplateProcessing("<s> $A </s>", "<s> $B:1 </s>:1 $A </s>", SPECIAL), False),
    (processors.Sequence([processors.BertProcessing(SEP, CLS),
                          processors.TemplateProcessing("$A </s>", "$B:2 </s> $A:1", SPECIAL)]), True),
    (processors.Sequence([processors.RobertaProcessing(SEP, CLS),
                          processors.TemplateProcessing("</s> $A </s>", "$A </s> $B:1", SPECIAL)]), False),
]
TEXTS = [("he wo", None), ("he wo", " wo h"), ("", None), ("", ""), ("", "he"), ("he", ""), (" ", "  "),
         ("  wo \u00e9 \u00e9<m> h \n", "\u00e9"), ("  \u00e9  x  ", "  h"), ("a  <m> b", "<m>"),
         ("\u65e5\u672c\U0001f642 wo", None),
         ("a</s>b <s>", " a </s>"), ("abcdefghijk", "xy"), ("xy", "abcdefghijk"), ("abcdefghij", "qrstuvwxyzab"),
         ("abcdefghijkl", "qrstuvwxyz"), ("abcdefg", "hijklmn"), ("abcdefghijklmno", None)]
MAX = [4, 5, 6, 7, 9, 10, 13, 16]


def make(post, prefix):
    vocab = {c: i for i, c in enumerate(["<s>", "</s>"] + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for a, b in MERGES:
        vocab[a + b] = len(vocab)
    t = Tokenizer(models.BPE(vocab=vocab, merges=MERGES))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.add_special_tokens(["<s>", "</s>", AddedToken("<m>", lstrip=True)])
    if post:
        t.post_processor = post
    return t


def in_bytes(encoding, pair):
    out = []
    for (start, end), k in zip(encoding.offsets, encoding.sequence_ids):
        text = pair[k] if k is not None else ""
        out += [len(text[:start].encode()), len(text[:end].encode())]
    return out


def encode(t, a, b):
    return t.encode(a) if b is None else t.encode(a, b)


def one(t, a, b):
    e = encode(t, a, b)
    out = {"a": a, "ids": e.ids, "types": e.type_ids, "offsets": in_bytes(e, (a, b)),
           "texts": [-1 if special else k for k, special in zip(e.sequence_ids, e.special_tokens_mask)],
           "truncated": {}}
    if b is not None:
        out["b"] = b
    count = len(e.ids)
    special = t.num_special_tokens_to_add(b is not None)
    for n in MAX:
        if special <= n < count and len(a + (b or "")) > 12:
            t.enable_truncation(n)
            e = encode(t, a, b)
            out["truncated"][str(n)] = {"ids": e.ids, "types": e.type_ids}
            t.no_truncation()
    return out


def small():
    """Tokenizers that lack some bytes, and one of characters."""
    vocab = {c: i for i, c in enumerate(["<unk>", "h", "e", "\u0120", "w", "o", "x", "\u00c3", "he", "\u0120w", "<0x71>",
                                         "<0xC3>", "<0xA6>", "<0xC2>", "<0xA9>", "[", "]"])}
    merges = [("h", "e"), ("\u0120", "w")]
    for fuse in (False, True):
        for fallback in (False, True):
            for ignore in (False, True):
                t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=fuse,
                                         byte_fallback=fallback, ignore_merges=ignore))
                t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=fuse)
                t.add_tokens([AddedToken("[x]", rstrip=True, single_word=True)])
                yield t
    vocab = {c: i for i, c in enumerate(["h", "e", " ", "\u00e9", "w", "\u65e5", "<0xE6>", "<0x9C>", "<0xAC>", "x"])}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    t.add_special_tokens([AddedToken("[x]", lstrip=True)])
    yield t


SMALL = ["he wo", "w he q", " he", "\u00e9\u00e8 he", "qqhezz w", "[x]  he", "h \u00e9 [x] e[x] w", "\u65e5\u672che", "zq he \u00e6"]
CHARS = ["he w", "\u65e5\u672c\u00e9 h [x] e", "", "\u672c"]


def main():
    base = json.loads(make(None, False).to_str())
    cases = []
    for post, prefix in POST:
        t = make(post, prefix)
        root = json.loads(t.to_str())
        cases.append({"post_processor": root["post_processor"], "pre_tokenizer": root["pre_tokenizer"],
                      "texts": [one(t, a, b) for a, b in TEXTS]})
    for t in small():
        texts = CHARS if not t.pre_tokenizer else SMALL
        cases.append({"root": json.loads(t.to_str()), "texts": [one(t, a, None) for a in texts]})
    print('{"tokenizers":"%s","base":%s,"cases":[' % (tokenizers.__version__, json.dumps(base, separators=(",", ":"))))
    print(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
    print("]}")


main()
