#!/usr/bin/env bash
# Guess: which loss a classifier uses is decided anew by each batch's labels, or by the model's own settings.
# Seen (transformers 5.23.0, torch 2.13.0): the first labels decide for good, because the answer is written into the
# config. One call with labels that are floats fixes multi_label_classification even though that call raises, and then
# every other model made from the same config object refuses ordinary labels.
# Who meets it: anybody who makes several models from one config, for instance a fresh head for each learning rate.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" transformers==5.23.0 torch==2.13.0 <<'PY'
import torch
from transformers import BertConfig, BertForSequenceClassification

small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 20}
config = BertConfig(num_labels=3, **small)
words, labels = torch.tensor([[1, 2, 3]]), torch.tensor([1])


def loss(labels):
    return float(BertForSequenceClassification(config).eval()(words, labels=labels).loss)


for given in (torch.tensor([1.0]), labels):
    try:
        print(given.tolist(), "loss", loss(given))
        raise SystemExit("accepted now")
    except ValueError as error:
        print(given.tolist(), "ValueError:", error, "| problem_type:", config.problem_type)
assert config.problem_type == "multi_label_classification"
config.problem_type = None
print("problem_type set to None again: loss", round(loss(labels), 2))
PY
