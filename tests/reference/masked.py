"""Writes masked.h: what PyTorch and transformers compute when they train a BERT and a RoBERTa on masked tokens, in
float64 from float32 weights.

    python3 tests/reference/masked.py > tests/reference/masked.h  # torch, numpy and transformers installed

Weights and tokens are those of train.py. The masks are made here as include/gptpipe/masked.h describes them, row by row
in plain Python, so that nothing but results is stored.
"""
import math

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from train import emit_doubles, groups, numbers, rate, stream

STEPS = 20
BOS, EOS, MASK, V = 256, 257, 258, 259  # ids 0 to 255 are the bytes; a space begins a word
USE = 7  # of the numbers, GP_RNG_MASK


def philox(key, counter):
    """Philox4x32-10 (Salmon et al. 2011): four words."""
    k, c = [key & 0xFFFFFFFF, key >> 32], list(counter)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, p0 >> 32 ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def draw(case, row, i, replaces):
    return philox(case["seed"], [row & 0xFFFFFFFF, row >> 32, 2 * i + replaces, USE])


def below(high, low, n):
    return (high << 32 | low) * n >> 64


def choose_tokens(case, row, eligible, k):
    """Selection sampling: the place of a token in the row numbers its draw."""
    chosen, left = [], len(eligible)
    for t in eligible:
        if len(chosen) == k:
            break
        if below(*draw(case, row, t, 0)[:2], left) < k - len(chosen):
            chosen.append(t)
        left -= 1
    return chosen


def choose_words(case, row, ids, eligible, k):
    """Fisher-Yates over the words; those that do not fit are left out."""
    words = []
    for t in eligible:
        if words and words[-1][-1] == t - 1 and ids[t] != 32:
            words[-1].append(t)
        else:
            words.append([t])
    chosen = []
    for i in range(len(words)):
        if len(chosen) == k:
            break
        j = i + below(*draw(case, row, i, 0)[:2], len(words) - i)
        words[i], words[j] = words[j], words[i]
        if len(chosen) + len(words[i]) <= k:
            chosen += words[i]
    return chosen or words[0]


def mask(case, row, window):
    """A row's inputs and targets."""
    ids = [BOS] + window + [EOS]
    eligible = [t for t, id in enumerate(ids) if id < 256]
    n = len(eligible)
    k = min(n, max(1, math.floor(case["probability"] * n + 0.5)))
    chosen = choose_words(case, row, ids, eligible, k) if case["whole"] else choose_tokens(case, row, eligible, k)
    inputs, targets = list(ids), [-100] * len(ids)
    for t in chosen:
        a, b, c, d = draw(case, row, t, 1)
        u = (a << 32 | b) >> 11
        targets[t] = ids[t]
        if u < case["mask"] * 2**53:
            inputs[t] = MASK
        elif u < (case["mask"] + case["random"]) * 2**53:
            inputs[t] = below(c, d, 256)
    return inputs, targets


def build(case):
    sizes = dict(vocab_size=V, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
                 hidden_dropout_prob=0, attention_probs_dropout_prob=0, attn_implementation="eager")
    if case["family"] == "bert":
        model = BertForMaskedLM(BertConfig(max_position_embeddings=case["T"], pad_token_id=0, **sizes))
    else:
        model = RobertaForMaskedLM(RobertaConfig(max_position_embeddings=case["T"] + 2, type_vocab_size=1,
                                                 pad_token_id=1, layer_norm_eps=1e-5, **sizes))
    model = model.double()
    for name, p in model.named_parameters():
        gamma = name.lower().replace("_", "").endswith("layernorm.weight")
        values = numbers(name, p.numel(), 0.1) + gamma
        p.data.copy_(torch.from_numpy(values.astype("float32")).double().reshape(p.shape))
    return model


def train(case):
    B, T, N = case["B"], case["T"], case["accum"]
    data = stream(STEPS * N * B * (T - 2) + 1, V).tolist()
    model = build(case).train()
    optimizer = torch.optim.AdamW(groups(model, case["decay"]), lr=case["lr"], betas=case["betas"], eps=1e-8)
    scheduler = LambdaLR(optimizer, lambda s: rate(case, s))
    losses, norms, rates, first = [], [], [], None
    for step in range(STEPS):
        rows = []
        for r in range(step * N * B, (step + 1) * N * B):
            rows.append(mask(case, r, data[r * (T - 2):(r + 1) * (T - 2)]))
        first = first or rows[0]
        x, y = (torch.tensor([row[i] for row in rows]) for i in range(2))
        total = 0.0
        for at in range(0, N * B, B):
            logits = model(x[at:at + B]).logits
            loss = torch.nn.functional.cross_entropy(logits.reshape(B * T, -1), y[at:at + B].reshape(-1),
                                                     reduction="sum") / (y >= 0).sum()
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), case["clip"])
        losses.append(total)
        norms.append(norm.item())
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return losses, norms, rates, first


CASES = {
    "bert": dict(family="bert", T=24, B=3, accum=2, lr=3e-3, min_lr=3e-4, warmup=4, decay_steps=20, decay=0.1, clip=1.0,
                 betas=(0.9, 0.98), seed=1337, probability=0.15, mask=0.8, random=0.1, whole=False),
    "roberta": dict(family="roberta", T=33, B=4, accum=1, lr=2e-3, min_lr=0, warmup=0, decay_steps=30, decay=0.01,
                    clip=0.5, betas=(0.9, 0.999), seed=2**32 + 5, probability=0.3, mask=0.5, random=0.3, whole=True),
}

if __name__ == "__main__":
    print("/* masked.h: written by masked.py; PyTorch %s. */\n" % torch.__version__.split("+")[0])
    for name, case in CASES.items():
        losses, norms, rates, first = train(case)
        emit_doubles(f"{name}_loss", losses)
        emit_doubles(f"{name}_norm", norms)
        emit_doubles(f"{name}_lr", rates)
        emit_doubles(f"{name}_inputs", first[0])  # of the first row
        emit_doubles(f"{name}_targets", first[1])
