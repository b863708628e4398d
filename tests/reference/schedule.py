"""Writes schedule.h: learning rates that PyTorch's schedulers give an optimizer, step by step.

    python3 tests/reference/schedule.py > tests/reference/schedule.h      # torch installed

Warm-up and decay are PyTorch's own (LinearLR, CosineAnnealingLR, ConstantLR, one after the other); the decay of wsd,
which PyTorch has not, is LambdaLR over the formula of Haegele et al. 2024, section 3.1.
"""
import math

import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR

LR, MIN_LR, WARMUP, STEPS, FRACTION, PAST = 6e-4, 6e-5, 10, 50, 0.2, 5


def rates(decays):
    """decays: (a function of the optimizer, its first step) behind the warm-up."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    warmup = LinearLR(optimizer, start_factor=1 / (WARMUP + 1), end_factor=1, total_iters=WARMUP)
    schedule = SequentialLR(optimizer, [warmup] + [make(optimizer) for make, _ in decays],
                            milestones=[first for _, first in decays])
    out = []
    for _ in range(STEPS + PAST):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return out


def forever(factor):
    return lambda o: ConstantLR(o, factor=factor, total_iters=10**9)


def one_minus_sqrt(steps):
    least = MIN_LR / LR
    return lambda o: LambdaLR(o, lambda n: least + (1 - least) * (1 - math.sqrt(n / steps)) if n < steps else least)


DECAY = round(FRACTION * STEPS)
schedules = {
    "cosine": [(lambda o: CosineAnnealingLR(o, T_max=STEPS - WARMUP, eta_min=MIN_LR), WARMUP),
               (forever(MIN_LR / LR), STEPS)],
    "linear": [(lambda o: LinearLR(o, start_factor=1, end_factor=MIN_LR / LR, total_iters=STEPS - WARMUP), WARMUP)],
    "constant": [(forever(1), WARMUP)],
    "wsd": [(forever(1), WARMUP), (one_minus_sqrt(DECAY), STEPS - DECAY)],
}

print(f"/* schedule.h: made by tests/reference/schedule.py with PyTorch {torch.__version__.split('+')[0]}. */")
print(f"enum {{ schedule_warmup = {WARMUP}, schedule_steps = {STEPS}, schedule_rates = {STEPS + PAST} }};")
print(f"static const double schedule_lr = {LR}, schedule_min_lr = {MIN_LR}, schedule_fraction = {FRACTION};\n")
for name, decays in schedules.items():
    print(f"static const double schedule_{name}[schedule_rates] = {{")
    items = [f"{x:.15g}" for x in rates(decays)]
    for i in range(0, len(items), 5):
        print("    " + ", ".join(items[i:i + 5]) + ",")
    print("};\n")
