#!/usr/bin/env bash
# Guess: an adapter that was saved and is loaded on the same checkpoint gives the answers it gave before.
# Seen (peft 0.21.2, transformers 5.23.0): not for a BERT whose checkpoint has no pooler, as those of language models have
# none. The classifier then reads a random pooler, which LoRA with task_type "SEQ_CLS" neither trains nor saves, so a
# model loaded later has another one. modules_to_save=["pooler.dense", "classifier"] mends it.
# Who meets it: anybody who trains a classifier with LoRA on such a checkpoint and opens it elsewhere.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" peft==0.21.2 transformers==5.23.0 torch==2.13.0 <<'PY'
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, BertModel

small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 99}
BertModel(BertConfig(**small), add_pooling_layer=False).save_pretrained("encoder")
words, labels = torch.arange(5, 29).reshape(3, 8), torch.tensor([0, 1, 2])


def built(seed):
    torch.manual_seed(seed)
    return BertForSequenceClassification.from_pretrained("encoder", num_labels=3)


def difference(**settings):
    model = get_peft_model(built(1), LoraConfig(target_modules=["query", "value"], **settings)).train()
    step = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(3):
        model(input_ids=words, labels=labels).loss.backward()
        step.step()
    model.save_pretrained("adapter")
    again = PeftModel.from_pretrained(built(2), "adapter").eval()
    with torch.inference_mode():
        return float((model.eval()(input_ids=words).logits - again(input_ids=words).logits).abs().max())


lost, kept = difference(task_type="SEQ_CLS"), difference(modules_to_save=["pooler.dense", "classifier"])
print(f"largest difference of a logit after loading: {lost:.3f} with SEQ_CLS, {kept:.1e} with the pooler saved")
assert lost > 1e-3 > 1e-5 > kept
PY
