"""Writes heads-*: tiny GPT-2, BERT and RoBERTa with each head on padded batches, and what transformers computes.

    python3 tests/golden/heads.py        # torch, safetensors and transformers 5 installed; README.md says what is in them
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
V, T, H, C, L, INNER, LABELS = 48, 12, 2, 16, 2, 32, 3
LENGTHS = [12, 7, 1, 10]
B = len(LENGTHS)
PAD = {"gpt2": 3, "bert": 0, "roberta": 1}
NAMES = {"id2label": {0: "negative", 1: "neutral", 2: "positive"},
         "label2id": {"negative": 0, "neutral": 1, "positive": 2}}
GPT2 = dict(vocab_size=V, n_positions=T, n_embd=C, n_layer=L, n_head=H, n_inner=INNER, bos_token_id=V - 1,
            eos_token_id=V - 1, pad_token_id=PAD["gpt2"])
BERT = dict(vocab_size=V, hidden_size=C, num_hidden_layers=L, num_attention_heads=H, intermediate_size=INNER)


def gpt2(**more):
    return transformers.GPT2Config(**GPT2, **more)


def bert(**more):
    return transformers.BertConfig(max_position_embeddings=T, **BERT, **more)


def roberta(**more):
    return transformers.RobertaConfig(max_position_embeddings=T + 2, type_vocab_size=1, layer_norm_eps=1e-5, **BERT, **more)


MODELS = {
    "gpt2-lm": lambda: transformers.GPT2LMHeadModel(gpt2()),
    "gpt2-classify": lambda: transformers.GPT2ForSequenceClassification(gpt2(**NAMES)),
    "bert-mlm": lambda: transformers.BertForMaskedLM(bert()),
    "bert-classify": lambda: transformers.BertForSequenceClassification(bert(classifier_dropout=0.25, **NAMES)),
    "bert-none": lambda: transformers.BertModel(bert()),
    "roberta-mlm": lambda: transformers.RobertaForMaskedLM(roberta()),
    "roberta-classify": lambda: transformers.RobertaForSequenceClassification(roberta(**NAMES)),
    "roberta-none": lambda: transformers.RobertaModel(roberta(), add_pooling_layer=False),
}


def randomize(model, generator):
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = torch.randn(p.shape, generator=generator) * 0.15
            p.copy_(1 + values if p.ndim == 1 and name.endswith("weight") else values)


def batch_of(family, generator):
    """Ids, mask and token types; every third token is masked for the masked-language heads."""
    ids = torch.randint(4, V - 1, (B, T), generator=generator)
    mask = torch.arange(T) < torch.tensor(LENGTHS)[:, None]
    if family == "gpt2":
        ids[0, 5] = PAD["gpt2"]  # a token of the text all the same
    ids = torch.where(mask, ids, PAD[family])
    types = torch.where(mask & (torch.arange(T) > 4), 1, 0)
    return ids, mask, types


def targets_of(head, family, ids, mask):
    """Inputs and targets of the language models."""
    if head == "lm":
        after = torch.cat([ids[:, 1:], torch.full((B, 1), -100)], 1)
        counts = torch.cat([mask[:, 1:], torch.zeros(B, 1, dtype=torch.bool)], 1)
        return ids, torch.where(counts, after, -100)
    masked = mask & (torch.arange(T) % 3 == 1)
    return torch.where(masked, V - 1, ids), torch.where(masked, ids, -100)


def write(name, seed):
    family, head = name.split("-")
    generator = torch.Generator().manual_seed(seed)
    folder = HERE / f"heads-{name}"
    model = MODELS[name]()
    randomize(model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model.double().eval()
    ids, mask, types = batch_of(family, generator)
    labels = torch.tensor([2, 0, 1, 2])
    weights = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)
    expected = {"lengths": torch.tensor(LENGTHS).int(), "labels": labels.int(), "class_weights": weights}
    if head in ("lm", "mlm"):
        ids, targets = targets_of(head, family, ids, mask)
        expected["targets"] = targets.int()
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    expected["inputs"] = ids.int()
    if family == "bert":
        inputs["token_type_ids"] = types
        expected["types"] = types.int()
    out = model(**inputs, output_hidden_states=True)
    expected["hidden"] = out.hidden_states[-1]
    if head != "none":
        V_out = out.logits.shape[-1]
        logits, wanted = out.logits.reshape(-1, V_out), (labels if head == "classify" else targets).reshape(-1)
        expected["logits"] = out.logits
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        weighted = torch.nn.functional.cross_entropy(logits, wanted, weights if head == "classify" else None,
                                                     label_smoothing=0.1)
        parameters = dict(model.named_parameters())
        expected["weighted.loss"] = weighted.reshape(1)
        gradients = torch.autograd.grad(weighted, list(parameters.values()), retain_graph=True)
        expected["weighted.grad_norm"] = torch.sqrt(sum((g**2).sum() for g in gradients)).reshape(1)
        loss.backward()
        stored = load_file(folder / "model.safetensors")
        expected["loss"] = loss.reshape(1)
        expected["grad_norm"] = torch.sqrt(sum((p.grad**2).sum() for p in parameters.values())).reshape(1)
        expected.update({f"grad.{n}": p.grad for n, p in parameters.items() if n in stored})
        assert len([n for n in expected if n.startswith("grad.")]) == len(stored)
    save_file({n: (t if t.dtype == torch.int32 else t.detach().float()).contiguous() for n, t in expected.items()},
              folder / "expected.safetensors")
    print(name, [float(expected[n]) for n in ("loss", "weighted.loss") if n in expected])


if __name__ == "__main__":
    torch.set_num_threads(1)
    for i, name in enumerate(MODELS):
        write(name, SEED + i)
