"""Our files, loaded by the projects whose formats they are."""
import json
import pathlib
import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

import theirs
from common import EXACT, FORMATS, Failed, close, convert, row, run, same
from models import KINDS, T, V, forward, ids, load, masked, reference, source, state_of

HALF = {"bf16": 2.0 ** -8, "fp16": 2.0 ** -10}


def for_each(names, *environments):
    def add(function):
        for name in names:
            def one(folder, name=name):
                return function(folder, name)
            one.__name__ = f"{function.__name__}_{name}"
            row(*environments)(one)
    return add


@for_each(KINDS)
def out_hf(folder, kind):
    """A folder for from_pretrained."""
    to = convert(source(kind), f"{folder}/hf/")
    if "n_ctx" not in json.loads((to / "config.json").read_text()):
        raise Failed("config.json has no n_ctx, without which llama.cpp's converter stops")
    return theirs.agrees(load(to), kind, folder=to, vocab=V if kind == "padded" else None)


@row()
def out_hf_keep_padding(folder):
    return theirs.agrees(load(convert(source("padded"), f"{folder}/hf/", None, "--keep-padding")), "padded")


@row()
def out_hf_sharded(folder):
    to = convert(source("wide"), f"{folder}/hf/", None, "--shard-size", 2)
    if not (to / "model.safetensors.index.json").exists():
        raise Failed("no index")
    return theirs.agrees(load(to), "wide", folder=to)


@for_each(HALF)
def out_hf_dtype(folder, dtype):
    """Rounded as PyTorch rounds."""
    to = convert(source("tanh"), f"{folder}/hf/", None, "--dtype", dtype)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    ours, expected = load_file(to / "model.safetensors"), state_of("tanh")
    for name, t in ours.items():
        if t.dtype != half or not torch.equal(t, expected[name].to(half)):
            raise Failed(f"{name} is not what PyTorch rounds it to")
    return theirs.agrees(load(to, dtype=torch.float32), "tanh", 16 * HALF[dtype])


@for_each(("bert", "roberta"))
def out_hf_masked(folder, kind):
    x = ids()
    model, expected = (load(f, "AutoModelForMaskedLM") for f in (convert(masked(kind), f"{folder}/hf/"), masked(kind)))
    return f"logits {close(forward(model, x), forward(expected, x)):.1e}"


HEADS = {"gpt2-classify": "AutoModelForSequenceClassification", "bert-classify": "AutoModelForSequenceClassification",
         "roberta-classify": "AutoModelForSequenceClassification", "bert-none": "AutoModel", "roberta-none": "AutoModel"}


@for_each(HEADS)
def out_hf_heads(folder, name):
    """Classifiers, with their labels, and models without head, one of which has a pooler."""
    golden = FORMATS.parent / f"heads-{name}"
    more = {"add_pooling_layer": False} if name == "roberta-none" else {}
    models = [load(f, HEADS[name], **more) for f in (convert(golden, f"{folder}/hf/"), golden)]
    if models[0].config.id2label != models[1].config.id2label:
        raise Failed(f"labels {models[0].config.id2label}, expected {models[1].config.id2label}")
    ours, expected = (m.double().eval()(ids(48, 2, 12))[0].detach().float().numpy() for m in models)
    return f"outputs {close(ours, expected):.1e}"


@row()
def out_hf_padded_classifier(folder):
    """A batch of texts of several lengths, padded by the token that the conversion names, as each text alone."""
    golden = FORMATS.parent / "predict/gpt2-classify"
    shutil.copytree(golden, f"{folder}/unpadded")
    config = json.loads((golden / "config.json").read_text())
    del config["pad_token_id"]
    (pathlib.Path(folder) / "unpadded/config.json").write_text(json.dumps(config))
    to = convert(f"{folder}/unpadded", f"{folder}/hf/")
    cases = [json.loads(line) for line in (golden / "cases.jsonl").read_text().splitlines()]
    cases = [c for c in cases if c["options"].get("top_k") == 9 and "text_pair" not in c["input"]]
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(to), load(to, HEADS["gpt2-classify"])
    batch = tokenizer([c["input"]["text"] for c in cases], padding=True, return_tensors="pt")
    found = model.eval()(**batch).logits.softmax(-1).detach().float().numpy()
    expected = np.zeros_like(found)
    for i, case in enumerate(cases):
        for one in case["result"]:
            expected[i, model.config.label2id[one["label"]]] = one["score"]
    return f"{len(cases)} texts of {min(batch.attention_mask.sum(1))} to {max(batch.attention_mask.sum(1))} tokens, " \
        f"probabilities {close(found, expected):.1e}"


@for_each(("tanh", "gelu", "relu", "untied", "scaled", "inner"))
def out_pytorch(folder, kind):
    """pytorch_model.bin in a folder for from_pretrained, and by torch.load(weights_only=True)."""
    to = convert(source(kind), f"{folder}/pt/", "torch")
    state = torch.load(to / "pytorch_model.bin", weights_only=True)
    theirs.from_state(state, kind)
    return theirs.agrees(load(to, use_safetensors=False), kind, folder=to)


@for_each(HALF)
def out_pytorch_dtype(folder, dtype):
    to = convert(source("tanh"), f"{folder}/pt/", "torch", "--dtype", dtype)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    expected = state_of("tanh")
    expected["lm_head.weight"] = expected["transformer.wte.weight"]
    for name, t in torch.load(to / "pytorch_model.bin", weights_only=True).items():
        if t.dtype != half or not torch.equal(t, expected[name].to(half)):
            raise Failed(f"{name} is not what PyTorch rounds it to")


@row()
def out_pytorch_sharded(folder):
    to = convert(source("wide"), f"{folder}/pt/", "torch", "--shard-size", 2)
    if not (to / "pytorch_model.bin.index.json").exists():
        raise Failed("no index")
    return theirs.agrees(load(to, use_safetensors=False), "wide", folder=to)


@row("t5")
def out_nanogpt(folder):
    to = convert(source("gelu"), folder / "ckpt.pt", "nanogpt")
    checkpoint = torch.load(to, weights_only=True)
    args = checkpoint["model_args"]
    expected = dict(n_layer=3, n_head=4, n_embd=64, block_size=64, bias=True, vocab_size=V)
    if {k: args.get(k) for k in expected} != expected:
        raise Failed(f"model_args {args}")
    said = theirs.agrees(theirs.from_state(checkpoint["model"], "gelu", out_in=True), "gelu")
    own = theirs.nanogpt(to)
    x, logits = reference("gelu")
    return said + (f"; nanoGPT: logits {close(own(x), logits):.1e}" if own else "; NANOGPT is not set")


@row("t5")
def out_nanogpt_no_bias(folder):
    """Without biases in, without biases out."""
    to = convert(FORMATS / "nanogpt/no-bias.pt", folder / "ckpt.pt", "nanogpt")
    ours, expected = (torch.load(p, weights_only=True) for p in (to, FORMATS / "nanogpt/no-bias.pt"))
    for name, t in expected["model"].items():
        if name not in ours["model"] or not torch.equal(t, ours["model"][name]):
            raise Failed(f"{name} is missing or differs")
    if ours["model_args"]["bias"] is not False or set(ours["model"]) != set(expected["model"]):
        raise Failed(f"{ours['model_args']}, {sorted(ours['model'])}")


@row("t5")
def out_llmc(folder):
    """The bytes that llm.c's write_model writes; and its C program reads ours."""
    for dtype, name in (("fp32", "gpt2.bin"), ("bf16", "gpt2_bf16.bin")):
        to = convert(FORMATS / "hf", folder / name, "llmc", "--dtype", dtype)
        same(np.fromfile(to, np.uint8), np.fromfile(FORMATS / "llmc" / name, np.uint8), name)
    x, expected = reference("tanh")
    got = theirs.llmc(convert(source("tanh"), folder / "tanh.bin", "llmc"), x, folder)
    said = "LLMC is not set" if got is None else f"llm.c: logits {close(got, expected, 1e-4):.1e}"
    return f"the bytes of write_model; {said}"


GGUF = {"f32": (EXACT, 1e-2), "f16": (2e-2, 2e-2), "bf16": (1e-1, 1e-1), "q8_0": (1e-1, 2e-1)}


def to_gguf(folder, kind, dtype):
    return convert(source(kind), folder / "model.gguf", "gguf", "--dtype", dtype.replace("f", "fp", dtype[0] == "f"))


@for_each(GGUF, "t5")
def out_gguf(folder, dtype):
    """The numbers that llama.cpp's own converter writes; logits by transformers' gguf_file and by llama.cpp."""
    import gguf
    to = to_gguf(folder, "tanh", dtype)
    ours = {t.name: t for t in gguf.GGUFReader(to).tensors}
    expected = gguf.GGUFReader(theirs.convert_hf_to_gguf(with_n_ctx(folder, "tanh"), folder / "theirs.gguf", dtype))
    for t in expected.tensors:
        mine = ours.pop(t.name, None)
        if mine is None or mine.tensor_type != t.tensor_type or not np.array_equal(mine.data, t.data):
            raise Failed(f"{t.name}: {mine and mine.tensor_type.name}, theirs {t.tensor_type.name}, or other numbers")
    if ours:
        raise Failed(f"unknown to llama.cpp's converter: {sorted(ours)}")
    fields = gguf.GGUFReader(to).fields
    for name, field in expected.fields.items():
        if name.startswith(("gpt2.", "tokenizer.", "general.architecture", "general.file_type")):
            mine, want = name in fields and fields[name].contents(), field.contents()
            if mine != want:
                raise Failed(f"{name}: {str(mine)[:80]}, theirs {str(want)[:80]}")
    strict, loose = GGUF[dtype]
    model = load(folder, gguf_file=to.name, n_positions=T)
    return f"{theirs.agrees(model, 'tanh', strict)}; {theirs.llama_agrees(to, 'tanh', loose)}"


@row("t4")
def out_gguf_file(folder):
    to = to_gguf(folder, "tanh", "f32")
    model = load(folder, gguf_file=to.name, n_positions=T)
    return theirs.agrees(model, "tanh", folder=folder, gguf_file=to.name)


@for_each(("untied", "inner", "padded", "wide"), "t5")
def out_gguf_of(folder, kind):
    if kind == "padded":  # its rows are cut
        to = to_gguf(folder, kind, "f32")
        x, expected = reference(kind)
        return f"llama.cpp: logits {close(theirs.Llama(to).logits(x), expected[..., :V], 1e-2):.1e}"
    return theirs.llama_agrees(to_gguf(folder, kind, "f32"), kind)


def with_n_ctx(folder, kind):
    """What llama.cpp's converter takes: our folder of it, since transformers' has no n_ctx."""
    return convert(source(kind), f"{folder}/for-llama/")


REFUSED = (
    ("gguf", "gelu", {}, "activation_function"),
    ("gguf", "scaled", {}, "scale_attn_by_inverse_layer_idx"),
    ("nanogpt", "tanh", {}, "gelu_new"),
    ("nanogpt", "gelu", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
    ("nanogpt", "gelu", {"layer_norm_epsilon": 1e-3}, "epsilon"),
    ("llmc", "gelu", {}, "gelu"),
    ("llmc", "tanh", {"layer_norm_epsilon": 1e-3}, "epsilon"),
    ("llmc", "scaled", {}, "scale_attn_by_inverse_layer_idx"),
    ("llmc", "untied", {}, "tie_word_embeddings"),
    ("llmc", "inner", {"layer_norm_epsilon": 1e-5}, "n_inner"),
)


@row()
def out_refused(folder):
    """What the target's readers would compute otherwise."""
    for k, (to, kind, changes, said) in enumerate(REFUSED):
        shutil.copytree(source(kind), folder / f"{k}")
        config = json.loads((folder / f"{k}/config.json").read_text())
        (folder / f"{k}/config.json").write_text(json.dumps({**config, **changes}))
        run("convert-gpt2", folder / f"{k}", "--to", to, "-o", folder / "out", refused=said)
        if (folder / "out").exists():
            raise Failed(f"{kind} as {to}: something is under the final name")
    return f"{len(REFUSED)} settings"
