"""Writes score.h: what transformers computes of tests/golden/gpt2-tiny: perplexity by the sliding window of its guide, the
log-probability of endings, greedy matches; and what its repetition penalty leaves of a row of logits.

    python3 tests/reference/score.py > tests/reference/score.h       # torch and transformers installed
"""
import pathlib

import torch
import transformers
from transformers.generation.logits_process import (
    MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

here = pathlib.Path(__file__).parent
model = transformers.GPT2LMHeadModel.from_pretrained(here.parent / "golden" / "gpt2-tiny").double().eval()
context = model.config.n_positions


def emit(name, values, ctype="double"):
    text = ", ".join(("%.17g" if ctype == "double" else "%d") % v for v in values)
    print(f"static const {ctype} {name}[{len(values)}] = {{{text}}};")


# ids by a rule that a reader can check: 7 i^2 + 3 i mod 96
ids = torch.tensor([(7 * i * i + 3 * i) % 96 for i in range(100)])


def perplexity(stride):
    """https://huggingface.co/docs/transformers/perplexity, sums in place of means."""
    nll, scored, before = 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + context, len(ids))
        target = ids[None, begin:end].clone()
        target[:, :-(end - before)] = -100
        valid = int((target != -100).sum()) - (1 if target[0, 0] != -100 else 0) # its shift drops the first
        if valid:
            nll += float(model(ids[None, begin:end], labels=target).loss) * valid
        scored += valid
        before = end
        if end == len(ids):
            break
    return nll, scored


def ending(first, count, n):
    """log P of ids[first + n ...] of count tokens, the greedy match."""
    span = ids[first:first + count]
    logp = model(span[None, :-1]).logits[0].log_softmax(-1)
    rows = range(n - 1, count - 1)
    return (sum(float(logp[r, span[r + 1]]) for r in rows), all(int(logp[r].argmax()) == int(span[r + 1]) for r in rows))


print("/* score.h: made by tests/reference/score.py with PyTorch %s and transformers %s, in float64. */"
      % (torch.__version__.split("+")[0], transformers.__version__))
with torch.no_grad():
    strides = [1, 7, 16, 31, 32]
    emit("score_strides", strides, "int")
    results = [perplexity(s) for s in strides]
    emit("score_nll", [r[0] for r in results])
    emit("score_scored", [r[1] for r in results], "int")
    spans = [(0, 33, 1), (5, 9, 3), (40, 20, 19), (61, 12, 7), (90, 2, 1), (3, 30, 12)] # first id, ids, first scored
    emit("score_spans", [x for s in spans for x in s], "int")
    emit("score_span_log_p", [ending(*s)[0] for s in spans])
    # a greedy continuation, so that there is one that matches
    start = ids[:6][None]
    for _ in range(5):
        start = torch.cat([start, model(start).logits[:, -1:].argmax(-1)], 1)
    emit("score_greedy", start[0].tolist(), "int")
    logits = model(ids[None, :10]).logits[0, -1:]
    emit("penalty_logits", logits[0].tolist())
    penalized = RepetitionPenaltyLogitsProcessor(1.7)(ids[None, :10], logits.clone())
    twice = torch.cat([ids[None, :10]] * 2, 1) # an id that stands there twice is penalized once
    assert torch.equal(RepetitionPenaltyLogitsProcessor(1.7)(twice, logits.clone()), penalized)
    scores = TemperatureLogitsWarper(0.9)(None, penalized)
    for warper in (TopKLogitsWarper(30), TopPLogitsWarper(0.8), MinPLogitsWarper(0.3)):
        scores = warper(None, scores)
    emit("penalty_shares", scores.softmax(-1)[0].tolist())
