"""How fast one thread encodes text as WordPiece, beside nanotoken and Hugging Face's tokenizers, alternately in one run.

    pip install nanotoken==0.1.0 tokenizers==0.23.3
    TOKENIZERS_PARALLELISM=false python3 bench/wordpiece.py build/lib/libgptpipe.so tokenizer.json FILE...

In each round, new encoders read a FILE for the first time ("first") and three times more ("warm": the fastest). gptpipe
reads it in one call; nanotoken as documents of about 2 KB or in one call, whichever is faster; tokenizers the first 2 MB as
documents. Printed are the medians of the rounds, and the median ratios with their ranges. Times are those of the
processor, for one thread: other programs on the machine disturb them little. The ids of all three must be equal.
"""
import ctypes
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time

import nanotoken
import tokenizers

COPY_C = """#include <stdint.h>
#include <string.h>
int copy_ids(void *end, const int32_t *ids, int64_t count)
{
    char **to = end;
    memcpy(*to, ids, (size_t)count * sizeof *ids);
    *to += (size_t)count * sizeof *ids;
    return 0;
}
"""


def compiled(source):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "copy.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=source.encode(), check=True)
        return ctypes.CDLL(path)


COPY = compiled(COPY_C)


ROUNDS, WARM, PART = 7, 3, 2_000_000


class Ours:
    def __init__(self, path, json, size):
        self.lib = lib = ctypes.CDLL(path)
        lib.gp_tokenizer_from_json.restype = lib.gp_encoder_open.restype = ctypes.c_void_p
        lib.gp_tokenizer_from_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
        lib.gp_encoder_open.argtypes = [ctypes.c_void_p] * 3
        lib.gp_encoder_allow_special.argtypes = [ctypes.c_void_p]
        lib.gp_encoder_finish.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        lib.gp_encoder_close.argtypes = lib.gp_tokenizer_close.argtypes = [ctypes.c_void_p]
        self.tokenizer = lib.gp_tokenizer_from_json(json, len(json), b"json")
        assert self.tokenizer
        self.ids, self.end = (ctypes.c_int32 * size)(), ctypes.c_void_p()
        self.encoder = lib.gp_encoder_open(self.tokenizer, ctypes.cast(COPY.copy_ids, ctypes.c_void_p),
                                           ctypes.addressof(self.end))
        lib.gp_encoder_allow_special(self.encoder)

    def encode(self, text):
        self.end.value = ctypes.addressof(self.ids)
        self.lib.gp_encoder_finish(self.encoder, text, len(text))
        self.count = (self.end.value - ctypes.addressof(self.ids)) // 4

    def close(self):
        self.lib.gp_encoder_close(self.encoder)
        self.lib.gp_tokenizer_close(self.tokenizer)


def documents_of(path):
    text = open(path, "rb").read().decode("utf-8", "replace").encode()
    at, out = 0, []
    while at < len(text):
        end = text.find(b"\n", at + 2048)
        end = len(text) if end < 0 else end + 1
        out.append(text[at:end])
        at = end
    return out


def timed(f):
    start = time.thread_time()
    f()
    return time.thread_time() - start


def nano_encode(tokenizer, texts):
    return tokenizer.encode_batch(texts, add_special_tokens=False, parallel=False)


def one_round(library, json, text, documents):
    """Times of gptpipe and nanotoken, first and warm, and of tokenizers per byte; whether all ids are equal."""
    ours, hf = Ours(library, json, len(text)), tokenizers.Tokenizer.from_str(json.decode())
    nanos = [(nanotoken.Tokenizer.from_json(json), texts) for texts in (documents, [text])]
    mine, theirs = [], [[], []]
    for _ in range(1 + WARM):
        mine.append(timed(lambda: ours.encode(text)))
        for times, (nano, texts) in zip(theirs, nanos):
            times.append(timed(lambda: nano_encode(nano, texts)))
    hf.no_truncation()
    hf.no_padding()
    ends = list(itertools.accumulate(map(len, documents)))
    few = next((i + 1 for i, end in enumerate(ends) if end >= PART), len(ends))
    part = [d.decode() for d in documents[:few]]
    slow = timed(lambda: hf.encode_batch_fast(part, add_special_tokens=False)) / ends[few - 1]
    want = [i for e in hf.encode_batch_fast(part, add_special_tokens=False) for i in e.ids]
    nano = nano_encode(nanos[0][0], documents).ids
    equal = (ours.ids[: len(want)] == want and ours.count == len(nano) and
             bytes(memoryview(ours.ids).cast("B")[: 4 * ours.count]) == nano.tobytes())
    ours.close()
    return [t / len(text) for t in (mine[0], min(mine[1:]), min(t[0] for t in theirs),
                                    min(min(t[1:]) for t in theirs))] + [slow, equal]


def ratio(above, below):
    all_of = sorted(a / b for a, b in zip(above, below))
    return f"{statistics.median(all_of):.2f} ({all_of[0]:.2f} .. {all_of[-1]:.2f})"


def main():
    library, json_path, *files = sys.argv[1:]
    with open(json_path, "rb") as f:
        json = f.read()
    for path in files:
        documents = documents_of(path)
        text = b"".join(documents)
        first, warm, nano_first, nano_warm, hf, equal = zip(*(one_round(library, json, text, documents)
                                                              for _ in range(ROUNDS)))
        speeds = [f"{1 / statistics.median(t) / 1e6:.{digits}f}" for t, digits in
                  ((first, 0), (warm, 0), (nano_first, 0), (nano_warm, 0), (hf, 2))]
        print(f"{path}: {len(text) / 1e6:.1f} MB; MB/s: gptpipe {speeds[0]} first, {speeds[1]} warm; nanotoken {speeds[2]}, "
              f"{speeds[3]}; tokenizers {speeds[4]}\n  times as fast as nanotoken: {ratio(nano_first, first)} first, "
              f"{ratio(nano_warm, warm)} warm; as tokenizers: {ratio(hf, first)}, {ratio(hf, warm)}; ids equal: "
              f"{all(equal)}", flush=True)


main()
