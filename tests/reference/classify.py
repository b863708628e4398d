"""Writes classify.h: what PyTorch and transformers compute when they train classifiers with the heads of BERT, RoBERTa
and GPT-2 on labelled items, in float64 from float32 weights.

    python3 tests/reference/classify.py > tests/reference/classify.h  # torch, numpy and transformers installed

Weights are those of train.py. Items and the order of batches are made here as include/gptpipe/labelled.h describes
them, so that nothing but results is stored.
"""
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification,
                          RobertaConfig, RobertaForSequenceClassification)

from masked import philox
from train import emit_doubles, mix, numbers, rate

STEPS, ITEMS, LABELS, V = 20, 30, 3, 259
BOS, EOS = 256, 257
USE, CHUNK = 6, 32  # GP_RNG_ITEMS; batches that are sorted together


def permute(x, n, seed, stream, epoch):
    """gp_random_permute of base/rng.h."""
    half = 1
    while 1 << 2 * half < n:
        half += 1
    mask = (1 << half) - 1
    while True:
        left, right = x >> half, x & mask
        for r in range(1, 7):
            f = philox(seed, [right, epoch, stream + r, USE])[0]
            left, right = right, (left ^ f) & mask
        x = left << half | right
        if x < n:
            return x


def random(i, k):
    return int(mix(64 * i + k))


def item(case, i):
    """Ids and types that the model reads, and the label."""
    a = [2 + random(i, k) % 254 for k in range(1 + random(i, 60) % 12)]
    b = [2 + random(i, 20 + k) % 254 for k in range(random(i, 61) % 7)] if case["pairs"] else None
    label = random(i, 62) % LABELS
    if case["family"] == "gpt2":
        return a, [0] * len(a), label
    if b is None:
        return [BOS] + a + [EOS], [0] * (len(a) + 2), label
    return [BOS] + a + [EOS] + b + [EOS], [0] * (len(a) + 2) + [1] * (len(b) + 1), label


def batch(case, items, n):
    batches = -(-ITEMS // case["B"])
    assert batches <= CHUNK
    epoch, k = divmod(n, batches)
    at = permute(k, batches, case["seed"], 8, epoch)
    order = [permute(i, ITEMS, case["seed"], 0, epoch) for i in range(ITEMS)]
    order.sort(key=lambda i: (len(items[i][0]), i))
    return [items[i] for i in order[at * case["B"]:(at + 1) * case["B"]]]


def build(case):
    sizes = dict(vocab_size=V, num_labels=LABELS, attn_implementation="eager")
    deep = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
                hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    if case["family"] == "bert":
        model = BertForSequenceClassification(BertConfig(max_position_embeddings=32, pad_token_id=0, **sizes, **deep))
    elif case["family"] == "roberta":
        model = RobertaForSequenceClassification(RobertaConfig(max_position_embeddings=34, type_vocab_size=1,
                                                               pad_token_id=1, layer_norm_eps=1e-5, **sizes, **deep))
    else:
        model = GPT2ForSequenceClassification(GPT2Config(n_positions=32, n_embd=32, n_layer=2, n_head=2, resid_pdrop=0,
                                                         embd_pdrop=0, attn_pdrop=0, pad_token_id=0, bos_token_id=None,
                                                         eos_token_id=None, **sizes))
    model = model.double()
    for name, p in model.named_parameters():
        flat = name.lower().replace("_", "")
        gamma = flat.endswith("layernorm.weight") or (".ln_" in name and name.endswith("weight"))
        values = numbers(name, p.numel(), 0.1) + gamma
        p.data.copy_(torch.from_numpy(values.astype("float32")).double().reshape(p.shape))
    return model


def depth(name):
    """Layers above a parameter: 1 for the topmost layer, 3 for the embeddings of two layers, 0 for the head."""
    for i in range(2):
        if f"layer.{i}." in name or f".h.{i}." in name:
            return 2 - i
    return 3 if "embeddings" in name or ".wte" in name or ".wpe" in name else 0


def groups(case, model):
    result = []
    for name, p in model.named_parameters():
        if case["frozen"] is not None and depth(name) > 2 - case["frozen"]:
            p.requires_grad_(False)
            continue
        result.append({"params": [p], "weight_decay": case["decay"] if p.dim() >= 2 else 0.0,
                       "lr": case["lr"] * case["layer_decay"] ** depth(name)})
    return result


def train(case):
    items = [item(case, i) for i in range(ITEMS)]
    model = build(case).train()
    weights = torch.tensor(case["weights"]).double()
    optimizer = torch.optim.AdamW(groups(case, model), betas=case["betas"], eps=1e-8)
    scheduler = LambdaLR(optimizer, lambda s: rate(case, s))
    pad = {"bert": 0, "roberta": 1, "gpt2": 0}[case["family"]]
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rows = [batch(case, items, step * case["accum"] + micro) for micro in range(case["accum"])]
        total, weight = 0.0, sum(case["weights"][label] for micro in rows for _, _, label in micro)
        for micro in rows:
            T = max(len(ids) for ids, _, _ in micro)
            x = torch.tensor([ids + [pad] * (T - len(ids)) for ids, _, _ in micro])
            types = torch.tensor([t + [0] * (T - len(t)) for _, t, _ in micro])
            attention = torch.tensor([[1] * len(ids) + [0] * (T - len(ids)) for ids, _, _ in micro])
            y = torch.tensor([label for _, _, label in micro])
            more = {"token_type_ids": types} if case["family"] == "bert" else {}
            logits = model(x, attention_mask=attention, **more).logits
            mean = torch.nn.functional.cross_entropy(logits, y, weight=weights, label_smoothing=case["smoothing"])
            loss = mean * weights[y].sum() / weight
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], case["clip"])
        losses.append(total)
        norms.append(norm.item())
        rates.append(case["lr"] * rate(case, step))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return losses, norms, rates


CASES = {
    "bert": dict(family="bert", pairs=True, B=4, accum=2, lr=3e-3, min_lr=3e-4, warmup=4, decay_steps=20, decay=0.1,
                 clip=1.0, betas=(0.9, 0.98), seed=1337, weights=[0.5, 2, 1.25], smoothing=0.1, layer_decay=1,
                 frozen=None),
    "roberta": dict(family="roberta", pairs=False, B=5, accum=1, lr=2e-3, min_lr=0, warmup=0, decay_steps=30,
                    decay=0.01, clip=0.5, betas=(0.9, 0.999), seed=2**32 + 5, weights=[1, 1, 1], smoothing=0,
                    layer_decay=0.7, frozen=0),
    "gpt2": dict(family="gpt2", pairs=False, B=7, accum=1, lr=2e-3, min_lr=2e-4, warmup=2, decay_steps=20, decay=0.1,
                 clip=1.0, betas=(0.9, 0.99), seed=7, weights=[1, 1, 1], smoothing=0.05, layer_decay=0.9, frozen=1),
}

if __name__ == "__main__":
    print("/* classify.h: written by classify.py; PyTorch %s. */\n" % torch.__version__.split("+")[0])
    for name, case in CASES.items():
        losses, norms, rates = train(case)
        emit_doubles(f"{name}_loss", losses)
        emit_doubles(f"{name}_norm", norms)
        emit_doubles(f"{name}_lr", rates)
