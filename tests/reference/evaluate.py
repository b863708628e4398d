"""Writes evaluate.h: what transformers computes of tests/golden/gpt2-tiny: the loss of windows that lie one after another,
of whole documents behind a separator, and greedy text that slides past the context.

    python3 tests/reference/evaluate.py > tests/reference/evaluate.h       # torch and transformers installed
"""
import math
import pathlib
import statistics

import torch
import transformers
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

here = pathlib.Path(__file__).parent
model = transformers.GPT2LMHeadModel.from_pretrained(here.parent / "golden" / "gpt2-tiny").double().eval()
context = model.config.n_positions


def emit(name, values, ctype="double"):
    text = ", ".join(("%.17g" if ctype == "double" else "%d") % v for v in values)
    print(f"static const {ctype} {name}[{len(values)}] = {{{text}}};")


def token(i): # a rule that a reader can check
    return (7 * i * i + 3 * i + i // 32) % 96


def log_probabilities(ids):
    """Of ids[1:], each after those before it."""
    logits = model(torch.tensor([ids[:-1]])).logits[0]
    return logits.log_softmax(-1)[range(len(ids) - 1), ids[1:]]


def window_losses(ids, T):
    """Means over T targets: inputs ids[w T:w T + T], targets one token further."""
    return [-float(log_probabilities(ids[w * T:w * T + T + 1]).mean()) for w in range((len(ids) - 1) // T)]


def documents(lengths, separator, nats, characters):
    """Of each document that fits: -log P of all its tokens behind the separator. Then, over those: the loss and the floor a
    character, and the standard error of their difference, sqrt(n) times the sample's standard deviation a character."""
    at, losses, kept = 0, [], []
    for d, length in enumerate(lengths):
        ids = separator + [token(i) for i in range(at, at + length)]
        at += length
        if len(ids) - 1 <= context:
            losses.append(-float(log_probabilities(ids)[len(separator) - 1:].sum()))
            kept.append(d)
    chars = sum(characters[d] for d in kept)
    spread = statistics.stdev(loss - nats[d] for loss, d in zip(losses, kept))
    return losses, [sum(losses) / chars, sum(nats[d] for d in kept) / chars, math.sqrt(len(kept)) * spread / chars, chars,
                    len(kept), len(lengths) - len(kept)]


def slide(prompt, count):
    """Greedy text, with a repetition penalty so that its ids differ. A window that is full goes on over the last half of all
    ids. Gives the ids and what the model itself, without the penalty, says of them."""
    ids, start, chosen, margin, penalty = list(prompt), 0, [], 9.0, RepetitionPenaltyLogitsProcessor(1.5)
    while len(chosen) < count:
        if len(ids) - start > context:
            start = len(ids) - context // 2
        logits = model(torch.tensor([ids[start:]])).logits[:, -1]
        best = penalty(torch.tensor([ids]), logits.clone())[0].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
        chosen.append(float(logits[0].log_softmax(-1)[ids[-1]]))
    assert margin > 1e-4, margin # or rounding could choose another
    return ids[len(prompt):], chosen


LENGTHS = [5, 9, 31, 32, 33, 2, 12, 7, 3]
NATS = [11.5, 30.25, 99.0, 70.0, 80.0, 4.5, 40.75, 21.0, 6.5]
CHARACTERS = [17, 31, 100, 90, 95, 6, 40, 20, 9]

with torch.no_grad():
    print(f"/* evaluate.h: written by evaluate.py; transformers {transformers.__version__}, PyTorch {torch.__version__}. */\n")
    emit("window_losses", window_losses([token(i) for i in range(100)], 8))
    emit("document_lengths", LENGTHS, "int")
    emit("document_nats", NATS)
    emit("document_characters", CHARACTERS, "int")
    for name, separator in (("one", [95]), ("two", [3, 90])):
        losses, scores = documents(LENGTHS, separator, NATS, CHARACTERS)
        emit(f"document_losses_{name}", losses)
        emit(f"document_scores_{name}", scores)
    for name, length in (("short", 3), ("long", 50)): # the second is longer than the context from the start
        ids, chosen = slide([token(i) for i in range(length)], 80)
        emit(f"slide_{name}", ids, "int")
        emit(f"slide_{name}_log_p", chosen)
