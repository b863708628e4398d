"""The logit lens of gpt2-tiny and bert-tiny: from expected.safetensors, of the first row, what final norm and head of
transformers give for each of output_hidden_states; the ten most likely tokens, in float64, stored as float32. Writes
lens.safetensors into both folders. Needs torch, transformers and safetensors."""

import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import BertForMaskedLM, GPT2LMHeadModel

here = pathlib.Path(__file__).parent

for folder, kind in ("gpt2-tiny", GPT2LMHeadModel), ("bert-tiny", BertForMaskedLM):
    model = kind.from_pretrained(here / folder, dtype=torch.float64, attn_implementation="eager").eval()
    expected = load_file(here / folder / "expected.safetensors")
    ids = expected["tokens"][0][:1, :-1] if folder.startswith("gpt2") else expected["inputs"][:1]
    with torch.no_grad():
        hidden = model(ids.long(), output_hidden_states=True).hidden_states
        if kind is GPT2LMHeadModel:  # the last of them is after the final norm
            logits = [model.lm_head(model.transformer.ln_f(h)) for h in hidden[:-1]] + [model.lm_head(hidden[-1])]
        else:
            logits = [model.cls(h) for h in hidden]
    top = torch.stack(logits, 1).softmax(-1).topk(10)
    save_file(
        {"tokens": ids.int().contiguous(), "lens.ids": top.indices.int(), "lens.probabilities": top.values.float()},
        here / folder / "lens.safetensors",
    )
