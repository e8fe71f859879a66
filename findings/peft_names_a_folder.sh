#!/usr/bin/env bash
# Guess: base_model_name_or_path in a LoraConfig is what the saved adapter says.
# Seen (peft 0.21.2, transformers 5.23.0): get_peft_model writes the folder that the model was loaded from over it, and
# saving puts that folder, with the user's name in it, into adapter_config.json and twice into the README.
# Who meets it: anybody who hands on or publishes an adapter of a model on their own disk.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" peft==0.21.2 transformers==5.23.0 torch==2.13.0 <<'PY'
import json
from pathlib import Path

from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, BertModel

small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 99}
folder = Path("jo").absolute()
BertModel(BertConfig(**small)).save_pretrained(folder)
model = BertForSequenceClassification.from_pretrained(folder)
config = LoraConfig(base_model_name_or_path="bert-base-uncased", target_modules=["query"])
get_peft_model(model, config).save_pretrained("adapter")
said = json.loads(Path("adapter/adapter_config.json").read_text())["base_model_name_or_path"]
readme = Path("adapter/README.md").read_text()
print("asked: bert-base-uncased, saved:", said, "| in the README:", readme.count(str(folder)), "times")
assert said == str(folder) and readme.count(str(folder)) == 2
PY
