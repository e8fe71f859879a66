"""A BERT whose classification head reads the mean of its tokens, for the embedded encoder.

all-MiniLM-L6-v2 was trained through the mean of its last layer's token vectors (Reimers and Gurevych 2019,
Sentence-BERT, section 3), and the vector of its first token, which ``BertForSequenceClassification`` reads, was never
trained to stand for a sentence. DistilBERT keeps the standard head.

A folder saved from this model has a model type of its own, so that no other code mistakes it for a standard BERT and
puts a fresh head on it. One line makes the ``Auto`` classes and ``pipeline`` open it::

    import tuning.encoder.pooling_head
"""

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.bert.modeling_bert import BertPreTrainedModel
from transformers.utils.generic import can_return_tuple

MODEL_TYPE = "bert-mean-pooling"


def mean_of_tokens(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Mean of the token vectors of each sentence, padding left out.

    Parameters
    ----------
    hidden : torch.Tensor of shape (sentences, tokens, width)
    attention_mask : torch.Tensor of shape (sentences, tokens)
        1 for a token, 0 for padding.

    Returns
    -------
    torch.Tensor of shape (sentences, width), float32
    """
    mask = attention_mask.unsqueeze(-1)
    return (hidden * mask).sum(dim=1, dtype=torch.float32) / mask.sum(dim=1)


class BertMeanPoolingConfig(BertConfig):
    """A BERT configuration whose type names the head."""

    model_type = MODEL_TYPE


class BertMeanPoolingForSequenceClassification(BertPreTrainedModel):
    """BERT with dropout and one linear layer on the mean of the tokens.

    The layer is called ``classifier``, as in every BERT, so that ``peft`` trains and saves it.
    """

    config_class = BertMeanPoolingConfig
    # The Trainer then divides the loss of each micro-batch by their number, as a mean loss needs.
    accepts_loss_kwargs = False
    _keys_to_ignore_on_load_unexpected = (r"^(bert\.)?pooler\.",)

    def __init__(self, config: BertMeanPoolingConfig) -> None:
        super().__init__(config)
        # A configuration read from a plain BERT's folder still carries that type.
        config.model_type = MODEL_TYPE
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        """Logits of each sentence and, where labels are given, the mean cross-entropy in nats.

        Parameters
        ----------
        input_ids, attention_mask : torch.Tensor of shape (sentences, tokens), integer
        inputs_embeds : torch.Tensor of shape (sentences, tokens, width)
            Instead of `input_ids`.
        labels : torch.Tensor of shape (sentences,), integer
        """
        outputs = self.bert(
            input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, return_dict=True, **kwargs
        )
        hidden = outputs.last_hidden_state
        if attention_mask is None:
            attention_mask = torch.ones(hidden.shape[:2], dtype=torch.long, device=hidden.device)
        logits = self.classifier(self.dropout(mean_of_tokens(hidden, attention_mask).to(self.classifier.weight.dtype)))
        loss = (
            None if labels is None else nn.functional.cross_entropy(logits.view(-1, self.num_labels), labels.view(-1))
        )
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


AutoConfig.register(MODEL_TYPE, BertMeanPoolingConfig, exist_ok=True)
AutoModelForSequenceClassification.register(
    BertMeanPoolingConfig, BertMeanPoolingForSequenceClassification, exist_ok=True
)
AutoTokenizer.register(BertMeanPoolingConfig, BertTokenizer, exist_ok=True)
