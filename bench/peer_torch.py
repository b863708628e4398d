#!/usr/bin/env python3
"""GPT-2's training step in PyTorch at its best known setting, for bench/gpu.sh: torch.compile, scaled_dot_product_attention,
bf16 autocast, fused AdamW, gradients clipped, the vocabulary padded to a multiple of 128 (as nanoGPT trains).
One line of JSON: tokens a second, the median with the tenth on either side left out, on random tokens."""
import argparse
import contextlib
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

PRESETS = {  # layers, heads, channels
    "nano": (4, 4, 128),
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}


class Block(nn.Module):
    def __init__(self, heads, channels):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.fc, self.out = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2)
                   for t in self.qkv(self.norm1(x)).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.out(F.gelu(self.fc(self.norm2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, layers, heads, channels, vocabulary, positions):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, channels), nn.Embedding(positions, channels)
        self.blocks = nn.ModuleList(Block(heads, channels) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, vocabulary, bias=False)
        self.head.weight = self.wte.weight
        nn.init.normal_(self.wte.weight, std=0.02)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="gpt2")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--sdpa", choices=["auto", "flash", "cudnn"], default="auto",
                        help="which kernels scaled_dot_product_attention takes; auto: PyTorch's own choice")
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    a = parser.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    cuda = a.device == "cuda"
    layers, heads, channels = PRESETS[a.preset]
    vocabulary = 50304
    model = GPT2(layers, heads, channels, vocabulary, a.seq_len).to(a.device)
    decays = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    adamw = torch.optim.AdamW([{"params": decays, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                              lr=3e-4, betas=(0.9, 0.95), fused=cuda)
    compiled = torch.compile(model)
    if a.sdpa == "auto":
        attention = contextlib.nullcontext
    else:
        from torch.nn.attention import SDPBackend, sdpa_kernel
        backend = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}[a.sdpa]

        def attention():
            return sdpa_kernel(backend)
    ids = torch.randint(50257, (a.batch_size, a.seq_len + 1), device=a.device)

    def step():
        with attention(), torch.autocast(a.device, dtype=torch.bfloat16):
            loss = compiled(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    def wait():
        if cuda:
            torch.cuda.synchronize()

    for _ in range(3):  # compiles, and warms up
        step()
    wait()
    took, end = [], time.monotonic() + a.seconds
    while len(took) < 5 or time.monotonic() < end:
        begin = time.monotonic()
        step()
        wait()
        took.append(time.monotonic() - begin)
    tokens = a.batch_size * a.seq_len
    took.sort()
    tenth = len(took) // 10
    print(json.dumps({
        "peer": f"PyTorch {torch.__version__}, compile, SDPA {a.sdpa}, fused AdamW, bf16 autocast",
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "preset": a.preset, "pass": "train", "batch": a.batch_size, "context": a.seq_len, "vocabulary": vocabulary,
        "runs": len(took), "tok_s": round(tokens / statistics.median(took)),
        "tok_s_10": round(tokens / took[-1 - tenth]), "tok_s_90": round(tokens / took[tenth]),
        "memory": torch.cuda.max_memory_allocated() if cuda else 0,
    }))


if __name__ == "__main__":
    main()
