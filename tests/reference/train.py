"""Writes train.h: what PyTorch and transformers compute when they train, in float64 from float32 weights.

    python3 tests/reference/train.py > tests/reference/train.h    # torch, numpy and transformers installed

Weights and tokens are functions of their place (`numbers` and `stream` below), which tests/train/test_train_reference.c
computes again, so that nothing but results is stored.
"""
import math

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import GPT2Config, GPT2LMHeadModel

torch.set_num_threads(2)
STEPS = 50


def mix(x):
    """splitmix64's output function."""
    x = np.asarray(x, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def numbers(name, count, spread):
    """Uniform in [-spread, spread): a function of the tensor's name and the element's place."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    bits = mix(np.uint64(seed) ^ np.arange(count, dtype=np.uint64)) >> np.uint64(40)
    return np.float32(spread) * (bits.astype(np.float32) * np.float32(2.0**-23) - np.float32(1))


def stream(count, vocab):
    """Mostly a walk by small steps, so that there is something to learn."""
    bits, ids = mix(np.arange(count, dtype=np.uint64)), [0]
    for i in range(1, count):
        b = int(bits[i])
        ids.append((ids[-1] + 1 + b % 3) % vocab if b >> 60 else (b >> 8) % vocab)
    return torch.tensor(ids)


def build(case):
    config = GPT2Config(vocab_size=case["V"], n_positions=case["T"], n_embd=case["C"], n_layer=case["L"],
                        n_head=case["H"], resid_pdrop=case.get("dropout", 0), embd_pdrop=case.get("dropout", 0),
                        attn_pdrop=case.get("dropout", 0), tie_word_embeddings=case["tied"],
                        attn_implementation="eager", bos_token_id=None, eos_token_id=None)
    model = GPT2LMHeadModel(config).double()
    for name, p in model.named_parameters():
        if name.endswith(".bias") and not case["bias"]:
            p.data.zero_()
            p.requires_grad_(False)
            continue
        gamma = ".ln_" in name and name.endswith("weight")
        values = numbers(name, p.numel(), 0.1) + (np.float32(1) if gamma else np.float32(0))
        p.data.copy_(torch.from_numpy(values.astype(np.float32)).double().reshape(p.shape))
    return model


def groups(model, decay):
    wanted = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in wanted if p.dim() >= 2], "weight_decay": decay},
            {"params": [p for p in wanted if p.dim() < 2], "weight_decay": 0.0}]


def rate(case, s):
    """nanoGPT's get_lr as docs/formats.md has it: what LambdaLR multiplies --lr with."""
    low = case["min_lr"] / case["lr"]
    if s < case["warmup"]:
        return (s + 1) / (case["warmup"] + 1)
    if s >= case["decay_steps"]:
        return low
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * (s - case["warmup"]) /
                                                 (case["decay_steps"] - case["warmup"])))


def train(case):
    B, T, N = case["B"], case["T"], case["accum"]
    data = stream(STEPS * N * B * T + 1, case["V"])
    model = build(case).train()
    optimizer = torch.optim.AdamW(groups(model, case["decay"]), lr=case["lr"], betas=case["betas"], eps=case["eps"])
    scheduler = LambdaLR(optimizer, lambda s: rate(case, s))
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        total = 0.0
        for micro in range(N):
            at = (step * N + micro) * B * T
            x, y = data[at:at + B * T].reshape(B, T), data[at + 1:at + B * T + 1].reshape(B, T)
            logits = model(x).logits
            loss = torch.nn.functional.cross_entropy(logits.reshape(B * T, -1), y.reshape(-1)) / N
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), case["clip"] or math.inf)
        losses.append(total)
        norms.append(norm.item())
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return losses, norms, rates


CASES = {
    "tied": dict(V=96, C=32, H=2, L=2, T=32, B=4, accum=1, tied=True, bias=True, lr=3e-3, min_lr=3e-4, warmup=5,
                 decay_steps=50, decay=0.1, clip=1.0, betas=(0.9, 0.95), eps=1e-8),
    "untied": dict(V=61, C=24, H=3, L=3, T=17, B=3, accum=2, tied=False, bias=False, lr=5e-3, min_lr=5e-4, warmup=0,
                   decay_steps=30, decay=0.01, clip=0.25, betas=(0.9, 0.999), eps=1e-8),
    "free": dict(V=103, C=20, H=5, L=1, T=9, B=5, accum=3, tied=True, bias=True, lr=1e-3, min_lr=0, warmup=60,
                 decay_steps=100, decay=0, clip=0, betas=(0.8, 0.99), eps=1e-6),
}


def dropout():
    """The loss of one batch under many masks: its mean and standard deviation, and without dropout."""
    case = dict(CASES["tied"], dropout=0.2)
    data = stream(case["B"] * case["T"] + 1, case["V"])
    x, y = data[:-1].reshape(case["B"], -1), data[1:]
    model = build(case)
    losses = []
    torch.manual_seed(1)
    with torch.no_grad():
        for training in [False] + 4000 * [True]:
            logits = model.train(training)(x).logits
            losses.append(torch.nn.functional.cross_entropy(logits.reshape(len(y), -1), y).item())
    kept = np.array(losses[1:])
    return losses[0], kept.mean(), kept.std(ddof=1)


def init():
    """Standard deviations of a fresh model's weights, by kind, over all layers."""
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=1000, n_positions=128, n_embd=128, n_layer=6, n_head=4))
    kinds = ["wte.weight", "wpe.weight", "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight",
             "mlp.c_proj.weight"]
    all_of = {kind: [p.detach().double().flatten() for n, p in model.named_parameters() if n.endswith(kind)]
              for kind in kinds}
    return [torch.cat(all_of[kind]).std().item() for kind in kinds]


def emit_doubles(name, values):
    print(f"static const double {name}[{len(values)}] = {{")
    for i in range(0, len(values), 6):
        print("    " + " ".join("%.9g," % v for v in values[i : i + 6]))
    print("};\n")


if __name__ == "__main__":
    print("/* train.h: written by train.py; PyTorch %s. */\n" % torch.__version__.split("+")[0])
    for name, case in CASES.items():
        losses, norms, rates = train(case)
        emit_doubles(f"{name}_loss", losses)
        emit_doubles(f"{name}_norm", norms)
        emit_doubles(f"{name}_lr", rates)
    emit_doubles("dropout_loss", dropout())  # without, mean of 4000 masks, standard deviation
    emit_doubles("init_std", init())
    emit_doubles("some_numbers", [float(x) for x in numbers("transformer.wte.weight", 4, 0.1)])
    emit_doubles("some_tokens", stream(16, 96).tolist())
