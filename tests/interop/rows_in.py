"""Files of the other projects, opened by our tools."""
import json
import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import theirs
from common import FORMATS, Failed, close, convert, greedy, logits, row, run, same, score, tensors, trace
from models import KINDS, T, V, forward, ids, load, masked, mean_loss, reference, source, state_of
from rows_out import for_each


def opened(checkpoint, kind, *more, vocab=None):
    """sample opens it: logits, loss and greedy ids of transformers with the source."""
    x, expected = reference(kind)
    got = logits(checkpoint, x, *more)
    difference = close(got[..., :vocab], expected[..., :vocab])
    if abs(mean_loss(got, x) - mean_loss(expected, x)) > 1e-5 and not vocab:
        raise Failed(f"loss {mean_loss(got, x)}, theirs {mean_loss(expected, x)}")
    return f"logits {difference:.1e}"


@for_each(KINDS)
def in_hf(folder, kind):
    """transformers' save_pretrained, and what sample --score and greedy sampling say of it."""
    from transformers import AutoTokenizer
    model = load(source(kind))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source(kind)).save_pretrained(folder)
    said = opened(folder, kind, vocab=V if kind == "padded" else None)
    if kind != "padded":
        same(greedy(folder, theirs.PROMPT, 24)["ids"], theirs.greedy_of(model, theirs.PROMPT, 24), "greedy ids")
        scored = score(folder, "The cat sat on the mat, and 12 dogs did not.")
        loss = mean_loss(forward(model, [scored["ids"]]), [scored["ids"]])
        ours = -scored["total"]["logprob"] / scored["total"]["scored"]
        if abs(loss - ours) > 1e-5:
            raise Failed(f"loss of a text {ours}, theirs {loss}")
    return said


@for_each(("bert", "roberta"))
def in_hf_masked(folder, kind):
    x = ids()
    expected = forward(load(masked(kind), "AutoModelForMaskedLM"), x)
    return f"logits {close(logits(masked(kind), x), expected):.1e}"


@for_each(("float16", "bfloat16"))
def in_hf_dtype(folder, dtype):
    model = load(source("tanh"), dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    x, _ = reference("tanh")
    return f"logits {close(logits(folder, x), forward(model, x)):.1e}"


@row()
def in_hf_sharded(folder):
    load(source("wide")).save_pretrained(folder, max_shard_size="2MB")
    return opened(folder, "wide")


@for_each(("transformer.", "model.", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "none"))
def in_prefix(folder, prefix):
    """A state_dict of DistributedDataParallel, torch.compile, or of GPT2Model."""
    shutil.copy(source("tanh") / "config.json", folder)
    state = state_of("tanh")
    strip = {"transformer.": "", "none": "transformer."}.get(prefix, "")
    added = "" if prefix in ("transformer.", "none") else prefix
    state = {added + n.removeprefix(strip): t for n, t in state.items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return opened(folder, "tanh")


@row("t4")
def in_pytorch_folder(folder):
    """pytorch_model.bin as transformers 4 writes it, whole and in shards."""
    said = []
    for name, kind, size in (("one", "tanh", "5GB"), ("untied", "untied", "5GB"), ("many", "wide", "2MB")):
        load(source(kind)).save_pretrained(folder / name, safe_serialization=False, max_shard_size=size)
        said.append(opened(folder / name, kind))
    return "; ".join(said)


@row()
def in_pytorch_state(folder):
    """A bare state_dict, told its heads and activation; the same in the old format, in halves, as parameters."""
    said = []
    told = ("--heads", 4, "--activation", "gelu_new")
    model = load(source("tanh"))
    torch.save(model.state_dict(), folder / "new.pt")
    torch.save(model.state_dict(), folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({n: p for n, p in model.named_parameters()}, folder / "parameters.pt")
    for name in ("new", "old", "parameters"):
        out = convert(folder / f"{name}.pt", folder / f"{name}.safetensors", None, *told)
        said.append(opened(out, "tanh"))
    run("convert-gpt2", folder / "new.pt", "-o", folder / "no", refused="--heads")
    return "; ".join(said)


@for_each(("ckpt", "no-bias"), "t5")
def in_nanogpt(folder, name):
    expected = load_file(FORMATS / f"nanogpt/{name}.expected.safetensors")
    return f"logits {close(logits(FORMATS / f'nanogpt/{name}.pt', expected['tokens']), expected['logits']):.1e}"


@for_each(("gpt2", "gpt2_bf16"), "t5")
def in_llmc(folder, name):
    expected = load_file(FORMATS / "hf/expected.safetensors")
    want = expected["logits"]
    if name == "gpt2_bf16":
        model = load(FORMATS / "hf", dtype=torch.bfloat16)
        want = forward(model, expected["tokens"])
    return f"logits {close(logits(FORMATS / f'llmc/{name}.bin', expected['tokens']), want):.1e}"


@for_each(("one", "sharded"), "t5")
def in_tensorflow(folder, how):
    """Saver's bundle with OpenAI's names; in shards: variables on two devices."""
    import tensorflow as tf
    tf1 = tf.compat.v1
    state = {n: t.numpy() for n, t in state_of("tanh").items()}
    last = {"weight": {"ln": "g", "c": "w"}, "bias": {"ln": "b", "c": "b"}}
    with tf1.Graph().as_default(), tf1.Session(config=tf1.ConfigProto(device_count={"CPU": 2})) as session:
        for k, (name, value) in enumerate(state.items()):
            parts = name.split(".")[1:]
            if parts[0] == "h":
                parts[:2] = ["h" + parts[1]]
            path = parts[:-1] if parts[0] in ("wte", "wpe") else [*parts[:-1], last[parts[-1]][parts[-2].split("_")[0]]]
            value = value[None] if path[-1] == "w" else value
            with tf1.device(f"/cpu:{k % 2 if how == 'sharded' else 0}"):
                tf1.get_variable("/".join(["model", *path]), initializer=value, use_resource=False)
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver(sharded=how == "sharded", save_relative_paths=True).save(session, str(folder / "model.ckpt"))
    (folder / "hparams.json").write_text(json.dumps(dict(n_vocab=V, n_ctx=T, n_embd=64, n_head=4, n_layer=3)))
    shutil.copy(source("tanh") / "vocab.json", folder / "encoder.json")
    shutil.copy(source("tanh") / "merges.txt", folder / "vocab.bpe")
    return f"{opened(folder, 'tanh')}, {len(list(folder.glob('*.data-*')))} data files"


@for_each(("f32", "f16", "bf16", "q8_0"), "t5")
def in_gguf(folder, kind):
    """llama.cpp's converter; the numbers as gguf dequantizes them."""
    path = theirs.convert_hf_to_gguf(with_n_ctx(folder, "wide"), folder / "model.gguf", kind)
    return gguf_agrees(path)


@for_each(("Q4_0", "Q8_0", "Q4_K_M", "Q4_K_S"), "t5")
def in_gguf_quantized(folder, kind):
    """llama.cpp's quantizer."""
    path = theirs.convert_hf_to_gguf(with_n_ctx(folder, "wide"), folder / "f32.gguf", "f32")
    return gguf_agrees(theirs.quantize(path, folder / "model.gguf", kind))


@row("t5")
def in_gguf_quantized_narrow(folder):
    """Rows that are no multiple of 256 have other types."""
    path = theirs.convert_hf_to_gguf(with_n_ctx(folder, "tanh"), folder / "f32.gguf", "f32")
    return gguf_agrees(theirs.quantize(path, folder / "model.gguf", "Q4_K_M"))


def with_n_ctx(folder, kind):
    """transformers' folder with what llama.cpp's converter asks for."""
    to = folder / "for-llama"
    shutil.copytree(source(kind), to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({"n_ctx": T, **config}))
    return to


def gguf_agrees(path):
    import gguf
    model = load(path.parent, gguf_file=path.name, n_positions=T)
    state = model.state_dict()
    kinds = sorted({t.tensor_type.name for t in gguf.GGUFReader(path).tensors})
    for name, t in tensors(path).items():
        same(t, state[name].numpy(), name)
    x = ids()
    return f"{', '.join(kinds)}: logits {close(logits(path, x), forward(model, x)):.1e}"


@row("t5")
def in_gguf_bert(folder):
    """The encoder of a BERT, which is all that llama.cpp's converter keeps: its last hidden state."""
    expected = load_file(FORMATS / "hf-bert/expected.safetensors")
    encoder = convert(FORMATS / "gguf/bert-f32.gguf", folder / "bert.safetensors")
    for one, want in zip(expected["tokens"].tolist(), expected["hidden"].numpy()):
        got = trace(encoder, one)["hidden.2"][0]
        difference = close(got, want, what="hidden state")
    return f"hidden state {difference:.1e}"
