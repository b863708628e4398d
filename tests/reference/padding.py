"""Writes padding.h: what transformers computes of tests/golden/roberta-tiny and bert-tiny where ids are padding: after the
tokens, before them, between them, and with an attention mask.

    python3 tests/reference/padding.py > tests/reference/padding.h       # torch and transformers installed
"""
import pathlib

import torch
import transformers

golden = pathlib.Path(__file__).parent.parent / "golden"
B, T = 2, 16
# padded places (first, end) of both rows of a batch, and whether they are masked: then those at the end are not attended to
BATCHES = {"after": [(16, 16), (9, 16)], "before": [(0, 4), (0, 1)], "between": [(5, 7), (12, 15)]}
MODELS = {"roberta": transformers.RobertaForMaskedLM, "bert": transformers.BertForMaskedLM}


def emit(name, values):
    print(f"static const double {name}[{len(values)}] = {{{', '.join('%.17g' % v for v in values)}}};")


def run(name, model, batch, places, masked):
    ids = torch.tensor([[2 + (7 * i * i + 3 * i + 5 * b) % 94 for i in range(T)] for b in range(B)])
    targets = (ids * 5 + 1) % 96
    mask = torch.ones_like(ids)
    for b, (first, end) in enumerate(places):
        ids[b, first:end] = model.config.pad_token_id
        if masked:
            mask[b, first:end] = 0
    model.zero_grad()
    losses = -model(ids, attention_mask=mask).logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    losses.mean().backward()
    embeddings = getattr(model, name).embeddings
    word, position = embeddings.word_embeddings.weight.grad, embeddings.position_embeddings.weight.grad
    pad = model.config.pad_token_id
    emit(f"{name}_{batch}_losses", losses.flatten().tolist())
    emit(f"{name}_{batch}_norms", [float(x.norm()) for x in (word, word[pad], position, position[pad])])


print(f"/* padding.h: written by padding.py; transformers {transformers.__version__}, PyTorch {torch.__version__}.")
print(" * Norms are those of the gradients of the word table, its padding row, the position table, its row of that number. */\n")
print(f"enum {{ padding_B = {B}, padding_T = {T} }};")
for name, kind in MODELS.items():
    model = kind.from_pretrained(golden / f"{name}-tiny").double().eval()
    for batch, places in BATCHES.items():
        run(name, model, batch, places, False)
    run(name, model, "masked", BATCHES["after"], True)
