"""Small models with random parameters and a trained tokenizer, saved by transformers, and texts."""
import json
import random

import numpy as np
import torch
from safetensors.torch import load_file

from common import WORK, Failed

V, T = 1000, 64
SEED = 20261130


def text(size, seed=SEED):
    """Words, numbers, contractions, code, runs of blanks, and every script that Unicode has, assigned or not."""
    r = random.Random(seed)
    words = ("the of and to in that was his he with as it for is's you'll they're I'd don't DON'T x1 3.14 2026 "
             "na\u00efve \u0153uvre Stra\u00dfe \u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 "
             "\u3053\u3093\u306b\u3061\u306f \u4e16\u754c \ud55c\uad6d\uc5b4 \u05e9\u05dc\u05d5\u05dd "
             "\u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947 \u0e44\u0e17\u0e22 "
             "\U0001f642 \U0001f469\u200d\U0001f467 e\u0301 \u00a0 \u3000 \u2028 "
             "<|endoftext|> <|endoftext <x> [MASK] int main(void) { return 0; } == != -> ...").split(" ")
    out, length = [], 0
    while length < size:
        kind = r.random()
        if kind < 0.7:
            piece = r.choice(words) + " " * (r.random() < 0.9)
        elif kind < 0.78:
            piece = r.choice(" \n\t\r\v\f") * r.randint(1, 9)
        elif kind < 0.86:
            piece = "".join(r.choice("abcdefghijklmnopqrstuvwxyzABCDEF'012345") for _ in range(r.randint(1, 12)))
        elif kind < 0.98:
            start = r.randrange(0x21, 0x30000)
            piece = "".join(chr(c) for c in range(start, start + r.randint(1, 4)) if not 0xD800 <= c < 0xE000)
        else:
            piece = "".join(chr(c) for c in (r.randrange(0x20, 0x110000) for _ in range(3)) if not 0xD800 <= c < 0xE000)
        out.append(piece)
        length += len(piece.encode())
    return "".join(out)


def ids(vocab=V, rows=2, length=T, seed=1):
    return torch.randint(0, vocab, (rows, length), generator=torch.Generator().manual_seed(SEED + seed))


def train_tokenizer(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import GPT2TokenizerFast
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator([text(200_000)], trainers.BpeTrainer(
        vocab_size=V, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    t.model.save(str(folder))
    GPT2TokenizerFast(tokenizer_object=t, model_max_length=T).save_pretrained(folder)


def randomize(model, scale=0.12):
    """The positions are large, so that greedy text is not one token again and again."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = torch.randn(p.shape, generator=generator) * (4 * scale if "wpe" in name else scale)
            p.copy_(1 + 2 * values if p.ndim == 1 and name.endswith("weight") else values)
    return model.eval()


KINDS = {
    "tanh": {},
    "gelu": dict(activation_function="gelu"),
    "relu": dict(activation_function="relu"),
    "untied": dict(tie_word_embeddings=False),
    "scaled": dict(scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True),
    "inner": dict(n_inner=96, layer_norm_epsilon=1e-3),
    "padded": dict(vocab_size=V + 24),
    "wide": dict(n_embd=256, n_layer=2),  # rows of 256, for blocks of that size
}


def source(kind):
    """The folder of a model as transformers 5 saves it; the same for both environments."""
    from transformers import GPT2Config, GPT2LMHeadModel
    folder = WORK / "models" / kind
    if not (folder / "model.safetensors").exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_tokenizer(folder)
        end = json.loads((folder / "vocab.json").read_text())["<|endoftext|>"]
        values = dict(vocab_size=V, n_positions=T, n_embd=64, n_layer=3, n_head=4, bos_token_id=end, eos_token_id=end)
        randomize(GPT2LMHeadModel(GPT2Config(**{**values, **KINDS[kind]}))).save_pretrained(folder)
    return folder


def masked(kind):
    """A BERT or RoBERTa with its masked-LM head."""
    import transformers
    folder = WORK / "models" / kind
    if not (folder / "model.safetensors").exists():
        name = {"bert": "Bert", "roberta": "Roberta"}[kind]
        config = getattr(transformers, name + "Config")(
            vocab_size=V, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
            max_position_embeddings=T + 2, **dict(bert=dict(type_vocab_size=2, pad_token_id=0),
                                                  roberta=dict(type_vocab_size=1, pad_token_id=1))[kind])
        randomize(getattr(transformers, name + "ForMaskedLM")(config)).save_pretrained(folder)
    return folder


def forward(model, input_ids):
    """What transformers computes, in float64 where it can."""
    model = model.float() if getattr(model.config, "reorder_and_upcast_attn", False) else model.double()
    with torch.no_grad():
        return model(torch.as_tensor(np.asarray(input_ids)).long()).logits.float().numpy()


def load(folder, auto="AutoModelForCausalLM", **more):
    """from_pretrained, of which nothing may be left over. Eager: 4.57's default, sdpa, does not scale by layer. A
    gguf_file wants n_positions as well: transformers takes the file's context for n_ctx alone."""
    import transformers
    model, info = getattr(transformers, auto).from_pretrained(folder, output_loading_info=True, attn_implementation="eager",
                                                              **more)
    extra = [n for n in info["unexpected_keys"] if not n.endswith(".masked_bias")]  # which version 5 no longer ignores
    if extra or info["missing_keys"] or info["mismatched_keys"]:
        raise Failed(f"transformers: {info}")
    return model.eval()


_reference = {}


def reference(kind):
    """(ids, logits) of a source by the environment's transformers."""
    if kind not in _reference:
        x = ids()
        _reference[kind] = (x.numpy(), forward(load(source(kind)), x))
    return _reference[kind]


def mean_loss(logits, input_ids):
    x = torch.as_tensor(logits)[:, :-1].double()
    return float(torch.nn.functional.cross_entropy(x.reshape(-1, x.shape[-1]),
                                                   torch.as_tensor(np.asarray(input_ids))[:, 1:].reshape(-1).long()))


def state_of(kind):
    return load_file(source(kind) / "model.safetensors")
