"""LAMBADA and HellaSwag by transformers, on a checkpoint folder: what tests/cli/sample/score.sh expects of the tools.

    python3 tests/reference/cloze.py CHECKPOINT LAMBADA.jsonl HELLASWAG.jsonl    # torch, transformers, tokenizers installed

The rules are those of lm-evaluation-harness 0.4 (lambada_openai; hellaswag with its utils.py), and llm.c's for the raw one.
"""
import json
import math
import re
import sys

import tokenizers
import torch
import transformers

model = transformers.GPT2LMHeadModel.from_pretrained(sys.argv[1]).float().eval()
context_size = model.config.n_positions
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")


def encode(text):
    return tokenizer.encode(text).ids


def score(context, continuation):
    n = len(context) - len(context.rstrip())
    if n:
        continuation, context = context[-n:] + continuation, context[:-n]
    whole, before = encode(context + continuation), len(encode(context))
    count = len(whole) - before
    whole = whole[-(context_size + 1):]
    with torch.no_grad():
        logp = model(torch.tensor([whole[:-1]])).logits[0].double().log_softmax(-1)[-count:]
    target = torch.tensor(whole[-count:])
    return float(logp.gather(1, target[:, None]).sum()), bool((logp.argmax(-1) == target).all()), count


def preprocess(text):
    text = text.strip().replace(" [title]", ". ")
    return re.sub("\\[.*?\\]", "", text).replace("  ", " ")


rows = []
for line in open(sys.argv[2], encoding="utf-8"):
    words = json.loads(line)["text"].split(" ")
    rows.append(score(" ".join(words[:-1]), " " + words[-1]))
print("lambada items %d acc %.4f perplexity %.4f" % (
    len(rows), sum(r[1] for r in rows) / len(rows), math.exp(-sum(r[0] for r in rows) / len(rows))))

for raw in (False, True):
    right, total, n = [0, 0, 0], 0.0, 0
    for line in open(sys.argv[3], encoding="utf-8"):
        doc = json.loads(line)
        query = doc["ctx"] if raw else preprocess(
            doc["activity_label"] + ": " + doc["ctx_a"] + " " + doc["ctx_b"].capitalize())
        choices = doc["endings"] if raw else [preprocess(e) for e in doc["endings"]]
        scores = [score(query, " " + c) for c in choices]
        for k, by in enumerate(([1] * 4, [len(c) for c in choices], [s[2] for s in scores])):
            values = [s[0] / b for s, b in zip(scores, by)]
            right[k] += values.index(max(values)) == int(doc["label"])
        total += sum(s[0] for s in scores)
        n += 1
    print("hellaswag%s items %d acc %.4f acc_norm %.4f acc_token %.4f log_p %.4f" % (
        ("-raw" if raw else "", n, *(r / n for r in right), total)))
