"""Writes pairs.h: the ids that lm-evaluation-harness makes of a context and its ending, by its own code over a tokenizer of
transformers: the bytes as 0 to 255, "<|endoftext|>" as 256, with it before each text or without.

    pip install lm_eval==0.4.13 transformers==5.24.0
    python3 tests/reference/pairs.py > tests/reference/pairs.h
"""
import json
import tempfile

import lm_eval
import lm_eval.api.model
import transformers
from lm_eval.models.utils import _add_special_kwargs, has_bos_prefix

END = "<|endoftext|>"
PAIRS = [("a b", " c"), ("", " c"), ("", END + "c"), ("  ", "c"), ("\u00a0\n", "c"), ("a \u00a0", "c"), (END + "a", "b"),
         (END, "b"), ("a" + END, " b"), ("a", " " + END), (" a", "b"), ("a ", " b"), ("  ", END)]


def tokenizer(template):
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 400))
    vocab = {chr(b) if b in prints else chr(next(others)): b for b in range(256)}
    post = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": END, "type_id": 0}},
                                                     {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {END: {"id": END, "ids": [256], "tokens": [END]}}}
    root = {"version": "1.0", "added_tokens": [{"id": 256, "content": END, "single_word": False, "lstrip": False,
                                                "rstrip": False, "normalized": False, "special": True}],
            "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                                     "use_regex": True},
            "post_processor": post if template else None, "decoder": None,
            "model": {"type": "BPE", "vocab": vocab, "merges": []}}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(root, f)
        f.flush()
        return transformers.PreTrainedTokenizerFast(tokenizer_file=f.name, bos_token=END, eos_token=END)


class Harness(lm_eval.api.model.TemplateLM):
    """models/huggingface.py without a model: tok_encode and prefix_token_id are its lines."""
    backend = "causal"
    add_bos_token = None
    eot_token_id = prefix_token_id = 256

    def __init__(self, template):
        self.tokenizer = tokenizer(template)

    def tok_encode(self, string, add_special_tokens=None, **kwargs):
        special = _add_special_kwargs(add_special_tokens, self.add_bos_token)
        if add_special_tokens is None and has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id)):
            special["add_special_tokens"] = False
        return self.tokenizer.encode(string, **special)

    def _loglikelihood_tokens(self, requests, **kwargs):
        return requests

    def loglikelihood_rolling(self, requests, **kwargs):
        raise NotImplementedError

    def generate_until(self, requests, **kwargs):
        raise NotImplementedError


class Instance:
    def __init__(self, *args):
        self.args = args


def quoted(text):
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else "\\%03o" % b for b in text.encode()) + '"'


print("/* pairs.h: made by tests/reference/pairs.py with lm_eval 0.4.13 and transformers %s. */" % transformers.__version__)
print("enum { PAIR_IDS = 32 };")
print("static const struct pair {\n    int template; /* it puts 256 before a text */\n    const char *context, *ending;\n"
      "    int count, first; /* ids, and how many of them are the context's; 0: it ends with an assertion */\n"
      "    int ids[PAIR_IDS];\n} pairs[] = {")
for template in (False, True):
    harness = Harness(template)
    for context, ending in PAIRS:
        (_, before, after), = harness.loglikelihood([Instance(context, ending)], disable_tqdm=True)
        whole, first = before + after, len(before) if before and after else 0
        print("    {%d, %s, %s, %d, %d, {%s}}," % (template, quoted(context), quoted(ending), len(whole), first,
                                                ", ".join(map(str, whole))))
print("};")
