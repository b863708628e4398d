"""Expected values of the page that explains GPT and BERT (pipelines/explain.sh gpt), from PyTorch and transformers in float64:
what its functions compute, and what it shows of the models in tests/golden/predict. Writes explain.json beside itself. Needs
torch and transformers."""

import json
import pathlib

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

here = pathlib.Path(__file__).parent
TEXTS = {"gpt2": "Once upon a time", "bert": "the cat [MASK] on the mat"}
torch.set_default_dtype(torch.float64)


def functions():
    x = [-9.0, -4.0, -2.6, -2.4, -1.0, -0.1, 0.0, 1e-8, 0.5, 1.0, 2.45, 2.55, 3.0, 6.0]
    row, gain, bias = [1.0, -2.0, 0.5, 4.0], [1.0, 2.0, 0.5, -1.0], [0.0, 0.1, -0.2, 0.3]
    logits = torch.tensor([[0.3, 2.0, -1.0, 1.9, 0.0, 2.2, -3.0, 0.7]])
    cases = []
    for temperature, k, p in [(1, 0, 1), (0.5, 0, 1), (2, 3, 1), (1, 2, 1), (1, 0, 0.5), (0.7, 4, 0.8), (1, 0, 0.01), (1.5, 8, 0.95)]:
        scores = TemperatureLogitsWarper(float(temperature))(None, logits)
        scores = TopKLogitsWarper(k)(None, scores) if k else scores
        scores = TopPLogitsWarper(float(p))(None, scores) if p < 1 else scores
        cases.append({"temperature": temperature, "topK": k, "topP": p, "p": scores.softmax(-1)[0].tolist()})
    entropy = torch.distributions.Categorical(logits=logits[0]).entropy().item()
    norm = F.layer_norm(torch.tensor(row), [4], torch.tensor(gain), torch.tensor(bias), 1e-5).tolist()
    tensor = torch.tensor(x)
    return {"x": x, "gelu": F.gelu(tensor).tolist(), "gelu_tanh": F.gelu(tensor, approximate="tanh").tolist(),
            "row": row, "gain": gain, "bias": bias, "norm": norm, "logits": logits[0].tolist(), "entropy": entropy, "cases": cases}


def model(kind, text):
    """Of the first layer and the last: each head's attention from the last token but one, the norms, the activation; the
    logit lens and the ten most likely tokens there."""
    folder, seen = here / "predict" / kind, {}
    auto = AutoModelForCausalLM if kind == "gpt2" else AutoModelForMaskedLM
    m = auto.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt").input_ids
    at = ids[0].tolist().index(4) if kind == "bert" and 4 in ids[0] else ids.shape[1] - 2
    for name, module in m.named_modules():
        module.register_forward_hook(lambda _, inputs, out, name=name: seen.__setitem__(name, (inputs, out)))
    with torch.no_grad():
        out = m(ids, output_hidden_states=True, output_attentions=True)
        if kind == "gpt2":
            lens = [m.lm_head(m.transformer.ln_f(h)) for h in out.hidden_states[:-1]] + [out.logits]
        else:
            lens = [m.cls(h) for h in out.hidden_states]
    tops = [logits[0, at].softmax(-1).topk(10) for logits in lens]
    norm, act = (("transformer.h.0.ln_1", "transformer.h.0.mlp.act") if kind == "gpt2" else
                 ("bert.encoder.layer.0.attention.output.LayerNorm", "bert.encoder.layer.0.intermediate.intermediate_act_fn"))
    return {"text": text, "ids": ids[0].tolist(), "at": at,
            "attention": [[a[0, h, at].tolist() for h in range(a.shape[1])] for a in out.attentions],
            "lens": [{"ids": t.indices.tolist(), "p": t.values.tolist()} for t in tops],
            "norm": {"x": seen[norm][0][0][0, at].tolist(), "y": seen[norm][1][0, at].tolist()},
            "act": {"x": seen[act][0][0][0, at].tolist(), "y": seen[act][1][0, at].tolist()},
            "parameters": sum(p.numel() for p in m.parameters()),
            "decays": sum(p.numel() for p in m.parameters() if p.ndim > 1)}


if __name__ == "__main__":
    golden = {"functions": functions(), **{kind: model(kind, text) for kind, text in TEXTS.items()}}
    (here / "explain.json").write_text(json.dumps(golden) + "\n")
