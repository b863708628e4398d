#!/usr/bin/env python3
"""Embeddings of 256-word texts: predict beside onnxruntime, alternately in one run, in batches of 1 and 32.

    pip install onnxruntime tokenizers numpy
    bench/embed.py MODEL_FOLDER MODEL.onnx [THREADS [DTYPE]]

MODEL.onnx gives the last hidden states from input_ids, attention_mask and token_type_ids. Both sides go from text to
normalized mean vectors. predict runs as one process that reads lines from a pipe, so loading is not counted, and the
JSON of its answers is. Prints texts/s of each, the median of the rounds, their ratio, the smallest cosine between the
two, and predict's peak resident memory beside the size of the weights. DTYPE is predict's; onnxruntime's is the
file's."""
import json
import os
import random
import statistics
import subprocess
import sys
import time

import numpy
import onnxruntime
from tokenizers import Tokenizer

WORDS, ROUNDS, SECONDS = 256, 5, 2


class Peer:
    def __init__(self, folder, onnx, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.enable_padding()

    def embed(self, texts):
        encodings = self.tokenizer.encode_batch(texts)
        mask = numpy.array([e.attention_mask for e in encodings])
        hidden = self.session.run(None, {"input_ids": numpy.array([e.ids for e in encodings]), "attention_mask": mask,
                                         "token_type_ids": numpy.array([e.type_ids for e in encodings])})[0]
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1)[:, None]
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)


class Ours:
    def __init__(self, folder, threads, dtype):
        self.process = subprocess.Popen(["predict", folder, "--task", "embed", "--normalize", "--lines", "--quiet",
                                         "--threads", str(threads), "--dtype", dtype],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def embed(self, texts):
        self.process.stdin.write("".join(t + "\n" for t in texts).encode())
        self.process.stdin.flush()
        return [self.process.stdout.readline() for _ in texts]

    def peak(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def rate(side, texts, batch):
    count, began = 0, time.monotonic()
    while time.monotonic() - began < SECONDS:
        at = count % len(texts)
        side.embed(texts[at:at + batch])
        count += batch
    return count / (time.monotonic() - began)


def main():
    folder, onnx, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else os.cpu_count()
    dtype = sys.argv[4] if len(sys.argv) > 4 else "fp32"
    vocabulary = [w for w in Tokenizer.from_file(os.path.join(folder, "tokenizer.json")).get_vocab() if w.isalpha()]
    draw = random.Random(1)
    texts = [" ".join(draw.choices(sorted(vocabulary), k=WORDS)) for _ in range(64)]
    peer, ours = Peer(folder, onnx, threads), Ours(folder, threads, dtype)
    theirs = peer.embed(texts)
    vectors = numpy.array([json.loads(line) for line in ours.embed(texts)])
    print(f"smallest cosine of {len(texts)} pairs: {(vectors * theirs).sum(1).min():.8f}")
    for batch in (1, 32):
        rates = [(rate(ours, texts, batch), rate(peer, texts, batch)) for _ in range(ROUNDS)]
        mine, other = (statistics.median(r) for r in zip(*rates))
        ratios = sorted(a / b for a, b in rates)
        print(f"batch {batch}, {threads} threads: predict in {dtype} {mine:.1f} texts/s, onnxruntime "
              f"{onnxruntime.__version__} {other:.1f}; ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f})")
    weights = os.path.getsize(os.path.join(folder, "model.safetensors")) / 2**20
    print(f"predict's peak resident memory {ours.peak():.0f} MiB, weights {weights:.0f} MiB")


main()
