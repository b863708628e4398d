"""Token ids and tokenizers."""
import base64
import shutil

import theirs
from common import REAL, close, convert, logits, row, same, token_ids
from models import T, V, forward, ids, load, source, text

SPLIT = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def plain(size):
    return text(size).replace("<|endoftext|>", "")


def gpt2_encoding():
    """GPT-2's real ranks in tiktoken."""
    import tiktoken
    lines = (line.split() for line in (REAL / "gpt2.tiktoken").read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding("gpt2", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})


@row("t5")
def text_gpt2(folder):
    x = text(3_000_000)
    ours = token_ids(REAL / "gpt2.tiktoken", x)
    same(ours, gpt2_encoding().encode_ordinary(x), "ids")
    return f"{len(x.encode()) / 1e6:.1f} MB, {len(ours)} tokens"


@row("t5")
def text_gpt2_converted(folder):
    """GPT-2's ranks beside a model of its vocabulary, converted: the ids of transformers and of llama.cpp."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, n_positions=T)).save_pretrained(folder / "in")
    shutil.copy(REAL / "gpt2.tiktoken", folder / "in")
    x = plain(100_000)
    expected = gpt2_encoding().encode_ordinary(x)
    tokenizer = AutoTokenizer.from_pretrained(convert(folder / "in", f"{folder}/hf/"))
    same(tokenizer(x)["input_ids"], expected, "ids of transformers")
    llama = theirs.Llama(convert(folder / "in", folder / "model.gguf", "gguf"))
    same(llama.tokens(x), expected, "ids of llama.cpp")
    # llama.cpp's converter knows this tokenizer by what it does to a text
    to = theirs.convert_hf_to_gguf(folder / "hf", folder / "theirs.gguf", "f32", pre="")
    same(token_ids(convert(to, f"{folder}/back/"), x), expected, "ids of llama.cpp's file")
    return f"{len(expected)} tokens"


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


@row()
def text_added_tokens(folder):
    """A fine-tune with added tokens, special and not: its ids and logits, in and out."""
    from transformers import AddedToken, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(source("tanh"))
    tokenizer.add_tokens([AddedToken("<x>", lstrip=True), AddedToken("[MASK]", special=True), AddedToken("int main")])
    model = load(source("tanh"))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for it in (tokenizer, model):
        it.save_pretrained(folder / "in")
    x = text(200_000)
    expected = tokenizer(x)["input_ids"]
    to = convert(folder / "in", f"{folder}/hf/")
    same(token_ids(folder / "in", x, "--allow-special"), expected, "ids")
    same(AutoTokenizer.from_pretrained(to)(x)["input_ids"], expected, "ids of transformers with ours")
    some = ids(len(tokenizer))
    want = forward(model, some)
    close(forward(load(to), some), want)
    return f"{len(expected)} tokens, {len(tokenizer) - V} added; logits {close(logits(to, some), want):.1e}"
