#!/usr/bin/env python3
"""Decoding and prefill of a GPT-2 beside llama.cpp and CTranslate2, alternately in one run.

    pip install llama-cpp-python gguf ctranslate2 transformers torch   # llama-cpp-python compiled for this machine
    bench/peers.py MODEL_FOLDER [--bin build/bin] [--pairs 5] [--out bench/results/MACHINE-DATE.md]

MODEL_FOLDER is in Hugging Face's format, with a tokenizer that has ' the'. Each pair runs our `sample` and each peer
in turn: greedy text after prompts of 128 and of 1000 tokens, sampling included. llama.cpp caches keys and values in 16
bits, gptpipe in fp32, and in a second row in bf16. Decoding is timed from the first new token to the last, as they
arrive, so loading and prefill are not in it; of CTranslate2, which gives no single tokens, as the difference between
one token and many. Prefill is the difference between the two prompts' first tokens. Medians and the range of all pairs,
ratios to ours of the same pair, and bytes of weights a second beside the read bandwidth that eval-mfu measured before
and after, are written as a table."""
import argparse
import ctypes
import datetime
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

CONTEXTS, TOKENS = (128, 1000), 24
FORMATS = (("fp32", "F32", "float32"), ("fp16", "F16", None), ("int8", "Q8_0", "int8"))


class Ours:
    def __init__(self, folder, tools, dtype, threads, cache="auto"):
        self.command = [os.path.join(tools, "sample"), "-c", folder, "-t", "0", "--quiet", "--dtype", dtype,
                        "--threads", str(threads), "--cache-dtype", cache]

    def seconds(self, context):
        """To the first token, and from it to the last."""
        begin, first = time.perf_counter(), None
        with subprocess.Popen(self.command + ["-p", " the" * context, "-n", str(TOKENS)],
                              stdout=subprocess.PIPE) as process:
            while os.read(process.stdout.fileno(), 1 << 16):
                last = time.perf_counter()
                first = first or last
        if process.returncode:
            raise RuntimeError("sample failed")
        return first - begin, last - first


class LlamaCpp:
    def __init__(self, path, threads, repacks=True):
        import llama_cpp as L
        self.L = L
        model = L.llama_model_default_params()
        model.use_extra_bufts = repacks
        self.model = L.llama_model_load_from_file(path.encode(), model)
        p = L.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch = 1024, 1024, 512, threads, threads
        self.context = L.llama_init_from_model(self.model, p)
        self.sampler = L.llama_sampler_chain_init(L.llama_sampler_chain_default_params())
        L.llama_sampler_chain_add(self.sampler, L.llama_sampler_init_greedy())

    def decode(self, ids):
        array = (self.L.llama_token * len(ids))(*ids)
        if self.L.llama_decode(self.context, self.L.llama_batch_get_one(array, len(ids))):
            raise RuntimeError("llama_decode failed")
        return self.L.llama_sampler_sample(self.sampler, self.context, -1)

    def seconds(self, context):
        self.L.llama_memory_clear(self.L.llama_get_memory(self.context), True)
        begin = time.perf_counter()
        token = self.decode([262] * context)
        first = time.perf_counter()
        for _ in range(TOKENS - 1):
            token = self.decode([token])
        return first - begin, time.perf_counter() - first


def decode_repacked(path, threads):
    LlamaCpp(path, threads).seconds(CONTEXTS[0])


def repacks(path, threads):
    """Whether llama.cpp can use its kernels for repacked weights (AMX among them), tried in a process of its own: that
    of llama-cpp-python 0.3.36 for Q8_0 crashes on a Sapphire Rapids. Not forked: OpenMP's threads would be missing."""
    process = multiprocessing.get_context("spawn").Process(target=decode_repacked, args=(path, threads))
    process.start()
    process.join()
    return process.exitcode == 0


class CTranslate2:
    def __init__(self, folder, compute_type, threads):
        import ctranslate2
        self.generator = ctranslate2.Generator(folder, device="cpu", compute_type=compute_type, intra_threads=threads)

    def generate(self, context, tokens):
        begin = time.perf_counter()
        self.generator.generate_batch([["\u0120the"] * context], max_length=tokens, min_length=tokens, sampling_topk=1,
                                      include_prompt_in_result=False)
        return time.perf_counter() - begin

    def seconds(self, context):
        first = self.generate(context, 1)
        return first, max(self.generate(context, TOKENS) - first, 1e-9)


def quantize(source, target, ftype):
    import llama_cpp as L
    p = L.llama_model_quantize_default_params()
    p.ftype = ftype
    if L.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(p)):
        raise RuntimeError(f"llama.cpp cannot write {target}")


def prepare(args, work):
    """Each peer's files, beside the folder; those of an earlier run are used again."""
    import llama_cpp as L
    f32 = os.path.join(work, "F32.gguf")
    if not os.path.exists(f32):
        subprocess.run([os.path.join(args.bin, "convert-gpt2"), args.folder, "--to", "gguf", "-o", f32], check=True)
    for name, ftype in (("F16", L.LLAMA_FTYPE_MOSTLY_F16), ("Q8_0", L.LLAMA_FTYPE_MOSTLY_Q8_0)):
        path = os.path.join(work, name + ".gguf")
        if not os.path.exists(path):
            quantize(f32, path, ftype)
    ct2 = os.path.join(work, "ct2")
    try:
        import ctranslate2
        if not os.path.exists(ct2):
            ctranslate2.converters.TransformersConverter(args.folder).convert(ct2)
    except (ImportError, OSError, RuntimeError, ValueError) as e:
        print(f"without CTranslate2: {e}", file=sys.stderr)
        ct2 = None
    return ct2


def versions():
    import llama_cpp as L
    found = [f"llama-cpp-python {L.__version__} ({L.llama_print_system_info().decode().strip(' |')})"]
    for name in ("ctranslate2", "onnxruntime", "torch"):
        try:
            found.append(f"{name} {__import__(name).__version__}")
        except ImportError:
            found.append(f"{name}: not installed")
    return found


def bandwidth(args):
    out = subprocess.run([os.path.join(args.bin, "eval-mfu"), "--preset", "nano", "--passes", "decode", "--seconds",
                          "0.5", "--threads", str(args.threads)], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"bandwidth\s+([0-9.]+) GB/s", out).group(1))


def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def measure(sides, pairs):
    """{(side, context): [tokens/s]} of decoding, and {side: [tokens/s]} of prefill."""
    decode, prefill = {}, {}
    for _ in range(pairs):
        for name, side in sides.items():
            took = {c: side.seconds(c) for c in CONTEXTS}
            for c in CONTEXTS:
                decode.setdefault((name, c), []).append((TOKENS - 1) / took[c][1])
            seconds = took[CONTEXTS[1]][0] - took[CONTEXTS[0]][0]
            prefill.setdefault(name, []).append((CONTEXTS[1] - CONTEXTS[0]) / seconds)
    return decode, prefill


def rows(dtype, sides, decode, prefill, weights, rate):
    ours = next(iter(sides))
    for name in sides:
        cells = []
        for what in [decode[name, c] for c in CONTEXTS] + [prefill[name]]:
            base = [decode[ours, c] for c in CONTEXTS][len(cells)] if len(cells) < len(CONTEXTS) else prefill[ours]
            ratio = statistics.median(a / b for a, b in zip(base, what))
            cells.append(spread(what) + ("" if name == ours else f", ours x {ratio:.2f}"))
        share = statistics.median(decode[name, CONTEXTS[0]]) * weights / rate
        yield f"| {dtype} | {name} | " + " | ".join(cells) + f" | {share:.0%} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--formats", default="fp32,fp16,int8")
    parser.add_argument("--work", default=tempfile.gettempdir() + "/gptpipe-peers", help="where peers' files go")
    parser.add_argument("--out", help="file to append to (default: stdout)")
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    ct2 = prepare(args, args.work)
    lines = [f"# {platform.node()}, {args.threads} threads, {datetime.date.today()}", "", *versions(), "",
             "| weights | side | decode at 128, tok/s | at 1000 | prefill of 872, tok/s | of the bandwidth at 128 |",
             "|---|---|---|---|---|---|"]
    for dtype, gguf, compute_type in FORMATS:
        if dtype not in args.formats.split(","):
            continue
        path = os.path.join(args.work, gguf + ".gguf")
        repacked = repacks(path, args.threads)
        sides = {"gptpipe": Ours(args.folder, args.bin, dtype, args.threads),
                 "gptpipe, cache in bf16": Ours(args.folder, args.bin, dtype, args.threads, "bf16"),
                 "llama.cpp " + gguf + ("" if repacked else " (not repacked: that crashes)"):
                     LlamaCpp(path, args.threads, repacked)}
        if ct2 and compute_type:
            sides["CTranslate2 " + compute_type] = CTranslate2(ct2, compute_type, args.threads)
        before = bandwidth(args)
        decode, prefill = measure(sides, args.pairs)
        after = bandwidth(args)
        lines += rows(dtype, sides, decode, prefill, os.path.getsize(path), max(before, after) * 1e9)
        lines += [f"| {dtype} | bandwidth | {before} GB/s before, {after} after | | | |"]
    text = "\n".join(lines) + "\n"
    if args.out:
        with open(args.out, "a", encoding="utf-8") as f:
            f.write(text)
    print(text)


if __name__ == "__main__":
    main()
