"""Writes wordpiece_train.json: texts and the WordPiece vocabularies that tokenizers trains on them, and ids by them.

    pip install tokenizers==0.23.3
    python3 tests/reference/wordpiece_train.py > tests/reference/wordpiece_train.json

WordPieceTrainer numbers the characters inside words ("##x") in the order of a hash table of words, which is another
one in each run, and breaks ties by these numbers. To give it an order, here that of the text, the characters are given
to it as special tokens in that order: the trainer leaves known tokens where they are, and adds no others to the alphabet.
"""
import json
from collections import Counter

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ALICE = """Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to
do: once or twice she had peeped into the book her sister was reading, but it had no pictures or
conversations in it, "and what is the use of a book," thought Alice "without pictures or
conversations?"

So she was considering in her own mind (as well as she could, for the hot day made her feel very
sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the trouble of
getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.

There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to
hear the Rabbit say to itself, "Oh dear! Oh dear! I shall be late!" (when she thought it over
afterwards, it occurred to her that she ought to have wondered at this, but at the time it all
seemed quite natural); but when the Rabbit actually took a watch out of its waistcoat-pocket, and
looked at it, and then hurried on, Alice started to her feet, for it flashed across her mind that
she had never before seen a rabbit with either a waistcoat-pocket, or a watch to take out of it."""
MIXED = """Être ou ne pas être, là est la question. L'été, les élèves étaient déjà à l'école; éte\u0301 e\u0301te\u0301.
Über allen Gipfeln ist Ruh, über allen Wipfeln spürest du kaum einen Hauch; die Vögelein schweigen. STRASSE, straße.
今日は今日、明日は明日。こんにちは こんにちは カタカナ 한국어 한국어 한글
Привет, мир! привет привет миру мира мир ПРИВЕТ
السلام عليكم ورحمة الله السلام السَّلَام שלום שלום עולם
नमस्ते नमस्ते दुनिया Việt Nam tiếng Việt tiếng İstanbul ıstanbul
x#y ##z 12 123 1234 12.34 a\u200bb a\ufeffb\u00a0c\ttab\r\n"""
YI = [chr(c) for c in range(0xA000, 0xA48D)]
OFTEN, RARE = YI[:998], YI[998:]  # with a and b, the 1000 characters that remain; the others occur once
MANY = " ".join(["".join(OFTEN[i:i + 5]) for i in range(0, 998, 5)] + [c + "ab" for c in OFTEN] +
                ["".join(RARE[i:i + 3]) + "ab" for i in range(0, len(RARE), 3)])
LATIN = "hahahahaha hahaha haha aaaaaaa aaaa aaa aa abababab bababa banana bananas mississippi mississippi"


def words_of(t, documents):
    for d in documents:
        for word, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(d)):
            yield word


def train(documents, size, cased):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = Counter(c for w in words_of(t, documents) for c in w)
    kept = sorted(counts, key=lambda c: (-counts[c], c))[:1000]
    assert len(counts) <= 1000 or counts[kept[-1]] > sorted(counts.values(), reverse=True)[1000]
    inside = dict.fromkeys("##" + c for w in dict.fromkeys(words_of(t, documents)) for c in w[1:] if c in set(kept))
    trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=2, limit_alphabet=1000, show_progress=False,
                                        special_tokens=SPECIAL + sorted(kept) + list(inside))
    t.train_from_iterator(documents, trainer)
    vocab = t.get_vocab()
    model = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    model.normalizer, model.pre_tokenizer = t.normalizer, t.pre_tokenizer
    text = documents[0][-400:]
    e = model.encode(text)
    return {"cased": cased, "size": size, "documents": documents, "vocab": sorted(vocab, key=vocab.get), "text": text,
            "ids": e.ids, "offsets": [len(text[:k].encode()) for o in e.offsets for k in o]}


cases = [train([ALICE], 400, False), train(ALICE.split("\n\n"), 300, True), train([LATIN], 40, False),
         train([MIXED], 330, False), train(MIXED.split("\n"), 330, True), train([MANY], 2100, False)]
print("[" + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases) + "]")
