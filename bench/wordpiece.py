"""How fast one thread encodes text as WordPiece, beside nanotoken and Hugging Face's tokenizers, in one run.

    pip install nanotoken==0.1.0 tokenizers==0.23.3
    TOKENIZERS_PARALLELISM=false python3 bench/wordpiece.py build/lib/libgptpipe.so tokenizer.json FILE...

Each FILE is cut into documents of about 2 KB. "first" is a fresh encoder's pass, "warm" the best of five more; tokenizers
reads the first 4 MB only. Times are those of the processor, for one thread: other programs on the machine disturb them little. The ids of all
three must be equal.
"""
import ctypes
import sys
import time

import nanotoken
import tokenizers

FN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int32), ctypes.c_int64)


class Ours:
    def __init__(self, path, json):
        self.lib = lib = ctypes.CDLL(path)
        lib.gp_tokenizer_from_json.restype = lib.gp_encoder_open.restype = ctypes.c_void_p
        lib.gp_tokenizer_from_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
        lib.gp_encoder_open.argtypes = [ctypes.c_void_p, FN, ctypes.c_void_p]
        lib.gp_encoder_finish.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self.tokenizer = lib.gp_tokenizer_from_json(json, len(json), b"json")
        assert self.tokenizer
        self.keep, self.parts, self.count = False, [], 0
        self.fn = FN(self.take)
        self.encoder = lib.gp_encoder_open(self.tokenizer, self.fn, None)

    def take(self, _, ids, count):
        self.count += count
        if self.keep:
            self.parts += ids[:count]
        return 0

    def encode(self, documents):
        for d in documents:
            self.lib.gp_encoder_finish(self.encoder, d, len(d))


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


def main():
    library, json_path, *files = sys.argv[1:]
    json = open(json_path, "rb").read()
    for path in files:
        documents = documents_of(path)
        texts = [d.decode() for d in documents]
        size = sum(map(len, documents))
        ours, nano, hf = Ours(library, json), nanotoken.Tokenizer.from_json(json), tokenizers.Tokenizer.from_str(json.decode())
        hf.encode_special_tokens = True
        hf.no_truncation()
        hf.no_padding()
        mine = [timed(lambda: ours.encode(documents))]
        theirs = [timed(lambda: nano.encode_batch(documents, add_special_tokens=False, parallel=False))]
        for _ in range(5):
            mine.append(timed(lambda: ours.encode(documents)))
            theirs.append(timed(lambda: nano.encode_batch(documents, add_special_tokens=False, parallel=False)))
        few = next((i for i in range(len(texts)) if sum(map(len, documents[:i])) > 4e6), len(texts)) if size > 4e6 else len(texts)
        part = sum(map(len, documents[:few]))
        slow = timed(lambda: hf.encode_batch_fast(texts[:few], add_special_tokens=False))
        ours.keep = True
        ours.encode(documents[:few])
        want = [i for e in hf.encode_batch_fast(texts[:few], add_special_tokens=False) for i in e.ids]
        other = nano.encode_batch(documents[:few], add_special_tokens=False, parallel=False)
        speeds = [size / mine[0], size / min(mine[1:]), size / theirs[0], size / min(theirs[1:]), part / slow]
        print(f"{path}: {size / 1e6:.1f} MB; MB/s: gptpipe first {speeds[0] / 1e6:.0f}, warm {speeds[1] / 1e6:.0f}; nanotoken "
              f"first {speeds[2] / 1e6:.0f}, warm {speeds[3] / 1e6:.0f}; tokenizers {speeds[4] / 1e6:.2f}; gptpipe is "
              f"{speeds[0] / speeds[2]:.2f} (first), {speeds[1] / speeds[3]:.2f} (warm) of nanotoken, "
              f"{speeds[0] / speeds[4]:.0f} and {speeds[1] / speeds[4]:.0f} of tokenizers; ids equal: "
              f"{ours.parts == want}, nanotoken's: {list(other.ids) == want}", flush=True)


main()
