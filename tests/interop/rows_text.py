"""Token ids and tokenizers."""
import base64
import shutil

import theirs
from common import REAL, convert, row, same, token_ids
from models import source, text

SPLIT = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def plain(size):
    return text(size).replace("<|endoftext|>", "")


@row("t5")
def text_gpt2(folder):
    """GPT-2's real ranks, against tiktoken."""
    import tiktoken
    lines = (line.split() for line in (REAL / "gpt2.tiktoken").read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    encoding = tiktoken.Encoding("gpt2", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
    x = text(3_000_000)
    ours = token_ids(REAL / "gpt2.tiktoken", x)
    same(ours, encoding.encode_ordinary(x), "ids")
    return f"{len(x.encode()) / 1e6:.1f} MB, {len(ours)} tokens"


@row()
def text_tokenizer_json(folder):
    """A trained tokenizer, against tokenizers: tokenizer.json, vocab.json + merges.txt, encoder.json + vocab.bpe."""
    from tokenizers import Tokenizer
    x = plain(2_000_000)
    kind = source("tanh")
    expected = Tokenizer.from_file(str(kind / "tokenizer.json")).encode(x).ids
    for name in ("vocab", "openai"):
        (folder / name).mkdir()
        for ours, theirs_ in (("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")):
            shutil.copy(kind / ours, folder / name / (ours if name == "vocab" else theirs_))
    for which in (kind / "tokenizer.json", folder / "vocab", folder / "openai"):
        same(token_ids(which, x), expected, str(which))
    return f"{len(x.encode()) / 1e6:.1f} MB, {len(expected)} tokens"


@row("t5")
def text_gguf(folder):
    """A tokenizer in GGUF: ours in llama.cpp, and llama.cpp's here."""
    x = plain(20_000)
    pieces = [x[i:i + 400] for i in range(0, len(x), 400)]
    to = convert(source("tanh"), folder / "model.gguf", "gguf")
    llama = theirs.Llama(to)
    for piece in pieces:
        same(token_ids(source("tanh"), piece), llama.tokens(piece), repr(piece))
    back = convert(theirs.convert_hf_to_gguf(convert(source("tanh"), f"{folder}/hf/"), folder / "theirs.gguf", "f32"),
                   f"{folder}/back/")
    same(token_ids(back, x), token_ids(source("tanh"), x), "ids of llama.cpp's file")
    return f"{len(pieces)} texts"


@row()
def text_carried(folder):
    """The tokenizer that a conversion carries, in transformers."""
    from transformers import AutoTokenizer
    x = text(200_000)
    expected = AutoTokenizer.from_pretrained(source("tanh"))(x)["input_ids"]
    one = convert(source("tanh"), folder / "one.safetensors")
    to = convert(one, f"{folder}/hf/")
    same(AutoTokenizer.from_pretrained(to)(x)["input_ids"], expected, "ids")
    return f"{len(expected)} tokens"
