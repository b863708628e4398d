"""Writes gpt2-relu, bert-relu and roberta-relu: small models whose activation is ReLU, and what transformers computes.

    python3 tests/golden/relu.py        # torch, safetensors and transformers 5 installed; README.md says what is in them
"""
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20261130
V, T, H, C, STEPS = 96, 32, 2, 32, 10
NONE = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, hidden_act="relu")
SIZES = dict(vocab_size=V, hidden_size=C, num_hidden_layers=1, num_attention_heads=H, intermediate_size=C)
MODELS = {
    "gpt2-relu": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=V, n_positions=T, n_embd=C, n_layer=2, n_head=H, n_inner=2 * C, activation_function="relu",
        bos_token_id=V - 1, eos_token_id=V - 1, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0)),
    "bert-relu": lambda: transformers.BertForMaskedLM(transformers.BertConfig(
        max_position_embeddings=T, **SIZES, **NONE)),
    "roberta-relu": lambda: transformers.RobertaForMaskedLM(transformers.RobertaConfig(
        max_position_embeddings=T + 2, type_vocab_size=1, layer_norm_eps=1e-5, **SIZES, **NONE)),
}


def randomize(model, generator):
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = torch.randn(p.shape, generator=generator) * 0.15
            p.copy_(1 + values if p.ndim == 1 and name.endswith("weight") else values)


def loss_of(logits, targets):
    return torch.nn.functional.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), ignore_index=-100)


def no_number_is_near_zero(model):
    """A sum that rounding could take across 0 would have another slope in fp32. Returns what ends the check."""
    def check(module, inputs, output):
        assert inputs[0].abs().min() > 1e-6, inputs[0].abs().min()
    hooks = [m.register_forward_hook(check) for m in model.modules() if isinstance(m, torch.nn.ReLU)]
    assert hooks
    return lambda: [hook.remove() for hook in hooks]


def gradients(model, inputs, targets):
    model.zero_grad()
    out = model(inputs, output_hidden_states=True)
    loss = loss_of(out.logits, targets)
    loss.backward()
    norm = torch.sqrt(sum((p.grad**2).sum() for p in model.parameters()))
    return out, loss, norm


def train(model, tokens, expected):
    """The losses and norms of ten AdamW steps."""
    decayed = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for s in range(STEPS):
        _, loss, norm = gradients(model, tokens[s][:, :-1], tokens[s][:, 1:])
        for p in model.parameters():
            p.grad *= min(1.0, 1 / (norm.item() + 1e-6))
        optimizer.step()
        losses.append(loss.detach())
        norms.append(norm.detach())
    expected["train.loss"], expected["train.grad_norm"] = torch.stack(losses), torch.stack(norms)


def write(name, make, seed):
    generator = torch.Generator().manual_seed(seed)
    folder = HERE / name
    model = make()
    randomize(model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model.double().eval()
    tokens = torch.randint(2, V - 1, (STEPS, 2, T + 1), generator=generator)  # neither padding nor the mask
    expected = {"tokens": tokens.int()}
    inputs, targets = tokens[0][:, :-1].clone(), tokens[0][:, 1:].clone()
    if name != "gpt2-relu":
        counted = torch.arange(T) % 3 == 0
        targets = torch.where(counted, inputs, -100)
        inputs = torch.where(counted, V - 1, inputs)
        expected["inputs"] = inputs.int()
    else:
        expected["greedy"] = model.generate(tokens[0][:1, :4], max_new_tokens=T - 4, do_sample=False, eos_token_id=None,
                                            pad_token_id=0, attention_mask=torch.ones(1, 4)).int()
    end_check = no_number_is_near_zero(model)
    out, loss, norm = gradients(model, inputs, targets)
    end_check()
    expected.update({f"hidden.{i}": h for i, h in enumerate(out.hidden_states)})
    expected.update(targets=targets.int(), logits=out.logits, loss=loss.reshape(1), grad_norm=norm.reshape(1))
    stored = load_file(folder / "model.safetensors")
    expected.update({f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if n in stored})
    assert len([n for n in expected if n.startswith("grad.")]) == len(stored)
    if name == "gpt2-relu":
        train(model, tokens, expected)
    save_file({n: (t if t.dtype == torch.int32 else t.detach().float()).contiguous() for n, t in expected.items()},
              folder / "expected.safetensors")
    print(name, "loss", loss.item(), expected.get("greedy"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for i, (name, make) in enumerate(MODELS.items()):
        write(name, make, SEED + i)
