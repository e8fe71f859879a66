#!/usr/bin/env bash
# Guess: a config class that loads the folder of another kind of model refuses, or becomes its own kind throughout.
# Seen (transformers 5.23.0): it warns and goes on. The object calls itself distilbert, its dictionary and its saved file
# say bert, and it has BERT's 12 layers, although the folder says 2.
# Who meets it: anybody who loads a folder with a named class instead of AutoConfig.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" transformers==5.23.0 <<'PY'
import json
from pathlib import Path

from transformers import BertConfig, DistilBertConfig

DistilBertConfig(n_layers=2).save_pretrained("distilbert")
config = BertConfig.from_pretrained("distilbert")
config.save_pretrained("again")
saved = json.loads(Path("again/config.json").read_text(encoding="utf-8"))
kinds = config.model_type, config.to_dict()["model_type"], saved["model_type"]
print("object, dictionary, file:", *kinds, "| layers:", saved["num_hidden_layers"])
assert kinds == ("distilbert", "bert", "bert")
assert saved["num_hidden_layers"] == 12
PY
