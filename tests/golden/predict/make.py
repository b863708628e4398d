#!/usr/bin/env python3
"""Makes the tiny models of this folder, and what transformers' pipelines return for texts.

    pip install transformers torch
    python3 tests/golden/predict/make.py

A folder a model, as save_pretrained writes it, and cases.jsonl: {"task", "options", "input", "result"}, where input is
a line of JSON Lines and result what predict prints for it (under "result" if the line has an "id").
"""
import json
import os
import sys

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import pipeline

HERE = os.path.dirname(os.path.abspath(__file__))
SENTENCES = [
    "The capital of France is Paris, and that of Spain is Madrid.",
    "She didn't see the film; it wasn't shown in her town.",
    "A caf\u00e9 na\u00efvely sells cr\u00e8me br\u00fbl\u00e9e (at 3.50)!",
    "Tokyo \u6771\u4eac is a city of 14 million people.",
    "I'm sure we've done what they're asking: he's not here?",
    "good film", "bad film", "the plot was thin , but the cast was good .",
]
L, H, C, T = 2, 2, 32, 128


def train_byte_level(special, size):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(SENTENCES * 3, trainers.BpeTrainer(vocab_size=size, special_tokens=special,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(t.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def train_word_piece(size):
    t = transformers.BertTokenizer(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4})
    t = t.backend_tokenizer
    t.train_from_iterator(SENTENCES * 3, trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    return json.loads(t.to_str())["model"]["vocab"]


def randomize(model):
    generator = torch.Generator().manual_seed(15)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.3 if p.dim() > 1 else 0.1) + (p == 1).float())
    model.tie_weights()
    return model.eval()


def save(name, model, tokenizer):
    folder = os.path.join(HERE, name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def gap(result):
    """The smallest difference of scores: the order must not depend on rounding."""
    rows = result if isinstance(result, list) else []
    if rows and isinstance(rows[0], list) and isinstance(rows[0][0], dict):
        return min(gap(r) for r in rows)
    scores = [r["score"] for r in rows if isinstance(r, dict)]
    return min([1.0] + [a - b for a, b in zip(scores, scores[1:])])


class Cases:
    def __init__(self, name):
        self.path, self.lines = os.path.join(HERE, name, "cases.jsonl"), []

    def add(self, task, options, line, result):
        if gap(result) < 1e-6:
            sys.exit(f"{self.path}: {line}: scores too close: choose another text")
        self.lines.append(json.dumps({"task": task, "options": options, "input": line, "result": result}))

    def write(self):
        with open(self.path, "w") as f:
            f.write("\n".join(self.lines) + "\n")


def fill_mask(cases, model, tokenizer, targets):
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    mask = tokenizer.mask_token
    texts = [f"The capital of France is {mask}.", f"{mask} film", f"good {mask} , he's {mask} here",
             f"Tokyo \u6771\u4eac is a {mask} of 14 million people. {SENTENCES[1]}",
             f"She {mask}n't see the {mask}; it wasn't {mask} in her town.", f"Caf\u00e9 {mask} !"]
    for text in texts:
        cases.add("fill-mask", {}, {"text": text}, fill(text))
        cases.add("fill-mask", {"top_k": 2}, {"text": text}, fill(text, top_k=2))
        cases.add("fill-mask", {"targets": targets}, {"text": text}, fill(text, targets=targets))


def embed(cases, model, tokenizer):
    for text in SENTENCES:
        with torch.no_grad():
            hidden = model.base_model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        for pooling, vector in (("mean", hidden.mean(0)), ("cls", hidden[0]), ("last", hidden[-1])):
            cases.add("embed", {"pooling": pooling}, {"text": text}, vector.tolist())
            cases.add("embed", {"pooling": pooling, "normalize": True}, {"text": text},
                      torch.nn.functional.normalize(vector, dim=0).tolist())


def next_token(cases, model, tokenizer):
    for text in SENTENCES:
        ids = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            probabilities = model(**ids).logits[0, -1].softmax(-1)
        for top_k in (5, 12):
            values, tokens = probabilities.topk(top_k)
            cases.add("next", {"top_k": top_k}, {"text": text},
                      [{"score": v, "token": i, "token_str": tokenizer.decode([i])}
                       for v, i in zip(values.tolist(), tokens.tolist())])


def classify(cases, model, tokenizer, pairs):
    classifier = pipeline("text-classification", model=model, tokenizer=tokenizer)
    lines = [{"text": text} for text in SENTENCES]
    if pairs:
        lines += [{"text": a, "text_pair": b} for a, b in zip(SENTENCES, SENTENCES[3:])]
    for line in lines:
        cases.add("classify", {}, line, classifier([line])[0])
        cases.add("classify", {"top_k": 2}, line, classifier([line], top_k=2)[0])
        cases.add("classify", {"top_k": 9}, line, classifier([line], top_k=9)[0])


LABELS = {"id2label": {0: "negative", 1: "neutral", 2: "positive"},
          "label2id": {"negative": 0, "neutral": 1, "positive": 2}}


def make_roberta():
    vocab, merges = train_byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], 330)
    tokenizer = transformers.RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=T)
    sizes = dict(vocab_size=len(tokenizer), hidden_size=C, num_hidden_layers=L, num_attention_heads=H,
                 intermediate_size=2 * C, max_position_embeddings=T + 2, type_vocab_size=1, pad_token_id=1,
                 bos_token_id=0, eos_token_id=2)
    model = randomize(transformers.RobertaForMaskedLM(transformers.RobertaConfig(**sizes)))
    save("roberta", model, tokenizer)
    cases = Cases("roberta")
    fill_mask(cases, model, tokenizer, ["good", "\u0120film", "is", "Paris"])
    embed(cases, model, tokenizer)
    cases.write()
    model = randomize(transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**sizes, **LABELS)))
    save("roberta-classify", model, tokenizer)
    cases = Cases("roberta-classify")
    classify(cases, model, tokenizer, True)
    cases.write()


def make_bert():
    vocab = train_word_piece(220)
    tokenizer = transformers.BertTokenizer(vocab=vocab, model_max_length=T)
    sizes = dict(vocab_size=len(tokenizer), hidden_size=C, num_hidden_layers=L, num_attention_heads=H,
                 intermediate_size=2 * C, max_position_embeddings=T, pad_token_id=0)
    model = randomize(transformers.BertForMaskedLM(transformers.BertConfig(**sizes)))
    save("bert", model, tokenizer)
    cases = Cases("bert")
    fill_mask(cases, model, tokenizer, ["good", "film", "is", "##s"])
    embed(cases, model, tokenizer)
    cases.write()
    model = randomize(transformers.BertForSequenceClassification(transformers.BertConfig(**sizes, **LABELS)))
    save("bert-classify", model, tokenizer)
    cases = Cases("bert-classify")
    classify(cases, model, tokenizer, True)
    cases.write()


def make_gpt2():
    vocab, merges = train_byte_level(["<|endoftext|>"], 330)
    tokenizer = transformers.GPT2Tokenizer(vocab=vocab, merges=merges, model_max_length=T)
    sizes = dict(vocab_size=len(tokenizer), n_embd=C, n_layer=L, n_head=H, n_positions=T, n_ctx=T,
                 bos_token_id=0, eos_token_id=0)
    model = randomize(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)))
    save("gpt2", model, tokenizer)
    cases = Cases("gpt2")
    next_token(cases, model, tokenizer)
    embed(cases, model, tokenizer)
    cases.write()
    tokenizer.pad_token = "<|endoftext|>"
    config = transformers.GPT2Config(**sizes, **LABELS, pad_token_id=0)
    model = randomize(transformers.GPT2ForSequenceClassification(config))
    save("gpt2-classify", model, tokenizer)
    cases = Cases("gpt2-classify")
    classify(cases, model, tokenizer, False)
    cases.write()


torch.set_num_threads(1)
for make in (make_roberta, make_bert, make_gpt2):
    make()
