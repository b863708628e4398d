"""Writes settings.h: what transformers computes of tests/golden/gpt2-tiny under settings of config.json that change
attention's scores, or nothing: the logits of a row, the loss, what each gradient is, and attention's probabilities.

    python3 tests/reference/settings.py > tests/reference/settings.h       # torch and transformers installed
"""
import pathlib

import torch
import transformers
from safetensors.torch import load_file

here = pathlib.Path(__file__).parent
folder = here.parent / "golden" / "gpt2-tiny"
tokens = load_file(folder / "expected.safetensors")["tokens"][0].long()

SETTINGS = {
    "plain": {},
    "unscaled": {"scale_attn_weights": False},
    "by_layer": {"scale_attn_by_inverse_layer_idx": True},
    "both": {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
    "upcast": {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True},
    "padding": {"pad_token_id": int(tokens[0, 3])},  # an id of the batch: GPT-2's embedding has no padding row
}


def emit(name, values, ctype="double"):
    text = ", ".join(("%.12g" if ctype == "double" else "%d") % v for v in values)
    print(f"static const {ctype} {name}[{len(values)}] = {{{text}}};")


print("/* settings.h: made by tests/reference/settings.py with PyTorch %s and transformers %s, in float64. */"
      % (torch.__version__.split("+")[0], transformers.__version__))
for setting, changed in SETTINGS.items():
    config = transformers.GPT2Config.from_pretrained(folder, attn_implementation="eager", **changed)
    model = transformers.GPT2LMHeadModel.from_pretrained(folder, config=config).eval()
    model = model if setting == "upcast" else model.double() # which upcasts to float32 alone
    output = model(tokens[:, :-1], output_attentions=True)
    logits = output.logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1))
    loss.backward()
    parameters = sorted(model.named_parameters())
    emit(f"{setting}_loss", [float(loss)])
    emit(f"{setting}_logits", logits[1, -1].tolist())
    # of each gradient, by the parameters' names: its norm, and its product with cos(0), cos(1), cos(2), ...
    emit(f"{setting}_norms", [float(p.grad.norm()) for _, p in parameters])
    emit(f"{setting}_products", [float((p.grad.flatten().double() * torch.arange(p.numel()).double().cos()).sum())
                                 for _, p in parameters])
    # of the last layer, for each head: what the second row's last query sees of each position
    emit(f"{setting}_attentions", output.attentions[-1][1, :, -1].flatten().tolist())
