#!/usr/bin/env bash
# Guess: the same sentences and the same settings train the same vocabulary, as they do with BPE.
# Seen (tokenizers 0.23.3): WordPiece training gives other ids each time, and often other pieces. The trainer takes no
# seed. BPE gives the same vocabulary each time.
# Who meets it: anybody who trains a tokenizer of their own and means to repeat the run.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" tokenizers==0.23.3 <<'PY'
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

SENTENCES = [
    "profit rose in the quarter",
    "profit fell sharply in the supply unit",
    "the supply of capital rose",
] * 5


def vocabulary(model, trainer):
    tokenizer = Tokenizer(model(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(SENTENCES, trainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False))
    return tokenizer.get_vocab()


wordpiece = [vocabulary(models.WordPiece, trainers.WordPieceTrainer) for _ in range(12)]
bpe = [vocabulary(models.BPE, trainers.BpeTrainer) for _ in range(12)]
for name, found in (("WordPiece", wordpiece), ("BPE", bpe)):
    pieces, ids = {tuple(sorted(one)) for one in found}, {tuple(sorted(one.items())) for one in found}
    print(f"{name}: 12 trainings, {len(pieces)} sets of pieces, {len(ids)} numberings")
assert len({tuple(sorted(one)) for one in wordpiece}) > 1
assert len({tuple(sorted(one.items())) for one in bpe}) == 1
PY
