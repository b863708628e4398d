"""Writes ops.h: what PyTorch and transformers compute for small cases, in float64 from float32 inputs.

    python3 tests/reference/ops.py > tests/reference/ops.h        # torch, numpy and transformers installed
"""
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from transformers.generation.logits_process import (
    MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

torch.manual_seed(1)
ACTIVATIONS = {"gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "gelu_erf": F.gelu, "relu": F.relu,
               "tanh": torch.tanh}


def emit(name, values, ctype="float"):
    values = values.detach().reshape(-1).tolist() if torch.is_tensor(values) else list(values)
    def text(v):
        if ctype == "float":
            v = float(np.float32(v))
            return "0" if v == 0 else v.hex().replace("0000000p", "p") + "f"
        return {"int": "%d", "uint32_t": "0x%08x", "uint16_t": "0x%04x", "uint64_t": "0x%016x"}[ctype] % v
    items = [text(v) for v in values]
    print(f"static const {ctype} {name}[{len(items)}] = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) > 108:
            print(line)
            line = "   "
        line += " " + item + ","
    print(line + "\n};\n")


def inputs(*shape, scale=1.0):
    """Float32 numbers, held in float64 so that what follows is exact to fp32."""
    return (torch.randn(*shape) * scale).double().requires_grad_()


def embed():
    tokens = torch.tensor([[0, 3, 1, 3], [2, 0, 3, 4]])
    positions = torch.tensor([[0, 1, 2, 3], [1, 1, 2, 3]])
    types = torch.tensor([[0, 0, 1, 1], [1, 0, 0, 1]])
    wte, wpe, wtt = inputs(5, 3), inputs(4, 3), inputs(2, 3)
    dy = inputs(2, 4, 3)
    y = (F.embedding(tokens, wte, padding_idx=0) + F.embedding(positions, wpe, padding_idx=1)
         + F.embedding(types, wtt))
    y.backward(dy)
    for name, value in (("tokens", tokens), ("positions", positions), ("types", types)):
        emit("embed_" + name, value, "int")
    for name, value in (("wte", wte), ("wpe", wpe), ("wtt", wtt), ("dy", dy), ("y", y),
                        ("dwte", wte.grad), ("dwpe", wpe.grad), ("dwtt", wtt.grad)):
        emit("embed_" + name, value)


def norm():
    residual, branch = inputs(2, 3, 17, scale=3), inputs(2, 3, 17)
    gamma, beta, dy = inputs(17), inputs(17), inputs(2, 3, 17)
    total = residual + branch
    y = F.layer_norm(total, (17,), gamma, beta, eps=1e-5)
    y.backward(dy)
    for name, value in (("residual", residual), ("branch", branch), ("gamma", gamma), ("beta", beta), ("dy", dy),
                        ("y", y), ("mean", total.mean(-1)),
                        ("rstd", (total.var(-1, unbiased=False) + 1e-5).rsqrt()),
                        ("dsum", residual.grad), ("dgamma", gamma.grad), ("dbeta", beta.grad)):
        emit("norm_" + name, value)


def linear():
    x, w, bias, dy = inputs(3, 7), inputs(7, 5), inputs(5), inputs(3, 5)
    for name, value in (("x", x), ("w", w), ("bias", bias), ("dy", dy)):
        emit("linear_" + name, value)
    for name, activation in ACTIVATIONS.items():
        for t in (x, w, bias):
            t.grad = None
        y = activation(x @ w + bias)
        y.backward(dy)
        emit(f"linear_{name}_y", y)
        emit(f"linear_{name}_dx", x.grad)
        emit(f"linear_{name}_dw", w.grad)
        emit(f"linear_{name}_dbias", bias.grad)


def activations():
    x = torch.tensor([-20, -6, -3, -1, -0.5, -1e-3, 0, 1e-3, 0.5, 1, 3, 6, 20]).float().double().requires_grad_()
    emit("act_x", x)
    for name, activation in ACTIVATIONS.items():
        x.grad = None
        y = activation(x)
        y.sum().backward()
        emit(f"act_{name}", y)
        emit(f"act_{name}_slope", x.grad)


def attention():
    B, T, H, D = 2, 5, 2, 3
    qkv, dout = inputs(B, T, 3 * H * D), inputs(B, T, H * D)
    lengths = torch.tensor([5, 3])
    emit("attention_qkv", qkv)
    emit("attention_dout", dout)
    emit("attention_lengths", lengths, "int")
    q, k, v = (t.view(B, T, H, D).transpose(1, 2) for t in qkv.split(H * D, dim=2))
    causal = torch.ones(T, T, dtype=torch.bool).tril()[None, None]
    padded = (torch.arange(T)[None, :] < lengths[:, None])[:, None, None, :]
    for name, mask in (("causal", causal), ("full", torch.ones_like(causal)), ("padded", padded),
                       ("causal_padded", causal & padded)):
        qkv.grad = None
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(B, T, H * D)
        scores = (q @ k.transpose(2, 3) / math.sqrt(D)).masked_fill(~mask, -math.inf)
        out.backward(dout, retain_graph=True)
        emit(f"attention_{name}_out", out)
        emit(f"attention_{name}_lse", scores.logsumexp(-1))
        emit(f"attention_{name}_dqkv", qkv.grad)


def head():
    N, C, V = 6, 5, 11
    x, w, bias = inputs(N, C), inputs(V, C), inputs(V)
    targets = torch.tensor([3, -100, 0, 10, -100, 3])
    logits = x @ w.T + bias
    losses = F.cross_entropy(logits, targets, ignore_index=-100, reduction="none")
    loss = F.cross_entropy(logits, targets, ignore_index=-100)
    loss.backward()
    emit("head_targets", targets, "int")
    for name, value in (("x", x), ("w", w), ("bias", bias), ("logits", logits), ("losses", losses),
                        ("loss", loss), ("dx", x.grad), ("dw", w.grad), ("dbias", bias.grad)):
        emit("head_" + name, value)


def class_weights():
    """CrossEntropyLoss(weight, label_smoothing): of eleven classes either and both; of two classes, one row, both."""
    smoothing = float(np.float32(0.1))
    for prefix, N, C, targets in (("classes", 6, 5, [3, -100, 0, 10, -100, 3]), ("labels", 1, 4, [1])):
        V = 11 if N > 1 else 2
        x, w, bias, targets = inputs(N, C), inputs(V, C), inputs(V), torch.tensor(targets)
        weight = inputs(V).detach().abs()
        emit(prefix + "_targets", targets, "int")
        for name, value in (("x", x), ("w", w), ("bias", bias), ("weight", weight)):
            emit(f"{prefix}_{name}", value)
        for name, how in (("weighted", dict(weight=weight)), ("smoothed", dict(label_smoothing=smoothing)),
                          ("both", dict(weight=weight, label_smoothing=smoothing)))[0 if N > 1 else 2:]:
            for t in (x, w, bias):
                t.grad = None
            logits = x @ w.T + bias
            loss = F.cross_entropy(logits, targets, ignore_index=-100, **how)
            loss.backward()
            losses = F.cross_entropy(logits, targets, ignore_index=-100, reduction="none", **how)
            for value_name, value in (("losses", losses), ("loss", loss), ("dx", x.grad), ("dw", w.grad),
                                      ("dbias", bias.grad)):
                emit(f"{prefix}_{name}_{value_name}", value)


def adamw():
    """Five steps; the norm is over both tensors, of which the first alone decays. eps is large enough to show."""
    steps, sizes, rates = 5, (7, 3), (1e-2, 2e-2, 2e-2, 1e-2, 5e-3)
    params = [torch.nn.Parameter(inputs(n).detach()) for n in sizes]
    grads = [inputs(steps, n, scale=2).detach() for n in sizes]
    for i, p in enumerate(params):
        emit(f"adamw_start{i}", p)
        emit(f"adamw_grads{i}", grads[i])
    optimizer = torch.optim.AdamW([{"params": params[:1], "weight_decay": 0.1},
                                   {"params": params[1:], "weight_decay": 0.0}], betas=(0.9, 0.95), eps=1e-3)
    norms, after = [], [[] for _ in sizes]
    for step in range(steps):
        for p, g in zip(params, grads):
            p.grad = g[step].clone()
        norms.append(torch.nn.utils.clip_grad_norm_(params, 3.0))
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        optimizer.step()
        for i, p in enumerate(params):
            after[i].append(p.detach().clone())
    emit("adamw_lr", rates)
    emit("adamw_norms", torch.stack(norms))
    for i in range(len(sizes)):
        emit(f"adamw_after{i}", torch.stack(after[i]))


def numbers():
    """fp32 bit patterns with their bf16 and fp16, then hashes over many more."""
    bits = [0, 0x80000000, 0x3f800000, 0x3f808000, 0x3f818000, 0x3f80ffff, 0x7f7fffff, 0xff7fffff, 0x7f7f8000,
            0x7f7f7fff, 0x7f800000, 0xff800000, 1, 0x807fffff, 0x00008000, 0x00018000, 0x33000000, 0x33000001,
            0x33800000, 0x33c00000, 0x38800000, 0x387fffff, 0x387fe000, 0x387fc000, 0x477fe000, 0x477fefff,
            0x477ff000, 0xc77ff000, 0x3f801000, 0x3f803000, 0x3f801001, 0x40490fdb]
    f = torch.from_numpy(np.array(bits, dtype=np.uint32).view(np.float32).copy())
    emit("f32_bits", bits, "uint32_t")
    emit("bf16_bits", f.bfloat16().view(torch.int16).numpy().view(np.uint16).tolist(), "uint16_t")
    emit("f16_bits", f.half().view(torch.int16).numpy().view(np.uint16).tolist(), "uint16_t")

    def fnv(words, size):
        h = 0xcbf29ce484222325
        for b in words.astype(f"<u{size}").tobytes():
            h = ((h ^ b) * 0x100000001b3) & (1 << 64) - 1
        return h

    half = np.arange(65536, dtype=np.uint16)
    wide = half.view(np.float16).astype(np.float32)
    emit("f16_to_f32_hash", [fnv(wide[~np.isnan(wide)].view(np.uint32), 4)], "uint64_t")
    wide = torch.from_numpy(half.view(np.int16).copy()).view(torch.bfloat16).float().numpy()
    emit("bf16_to_f32_hash", [fnv(wide[~np.isnan(wide)].view(np.uint32), 4)], "uint64_t")
    mixed = (np.arange(100000, dtype=np.uint64) * 2654435761 % 2**32).astype(np.uint32)
    for name, pattern in (("any", mixed), ("small", mixed & 0x8fffffff | 0x30000000)): # small: 2^-31 to 2
        values = pattern.view(np.float32)
        values = torch.from_numpy(values[~np.isnan(values)].copy())
        for kind, narrow in (("bf16", values.bfloat16()), ("f16", values.half())):
            emit(f"{name}_f32_to_{kind}_hash", [fnv(narrow.view(torch.int16).numpy().view(np.uint16), 2)], "uint64_t")


def sample():
    """Probabilities that transformers' warpers leave."""
    logits = torch.randn(1, 40).float() * 2
    logits[0, 7] = logits[0, 21] = logits.max()  # two equals at the top
    emit("sample_logits", logits)
    cases = [("plain", 1.0, 0, 1.0, 0.0), ("hot", 1.7, 0, 1.0, 0.0), ("top_k", 0.8, 5, 1.0, 0.0),
             ("top_p", 1.0, 0, 0.8, 0.0), ("min_p", 1.3, 0, 1.0, 0.1), ("all", 1.2, 12, 0.7, 0.05)]
    for name, temperature, top_k, top_p, min_p in cases:
        scores = TemperatureLogitsWarper(temperature)(None, logits.double())
        if top_k:
            scores = TopKLogitsWarper(top_k)(None, scores)
        if top_p < 1:
            scores = TopPLogitsWarper(top_p)(None, scores)
        if min_p:
            scores = MinPLogitsWarper(min_p)(None, scores)
        emit(f"sample_{name}", scores.softmax(-1))


print("/* ops.h: made by tests/reference/ops.py with PyTorch %s, transformers %s and NumPy %s. */"
      % (torch.__version__.split("+")[0], transformers.__version__, np.__version__))
print("#include <stdint.h>\n")
for part in (embed, norm, linear, activations, attention, head, adamw, numbers, sample, class_weights):
    part()
