"""One training step under the microscope: one batch, one weight, no dropout, float32.

Autograd's gradient of the loss in that weight stands beside what nudging the weight shows, and then one optimiser
step is taken. All of it happens on a copy: the model that is trained later is not touched.
"""

import copy

import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase


class Microscope:
    """One batch and one weight of a copy of the model.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokens : datasets.Dataset
        Training sentences as :func:`tuning.training.tokenise` gives them; the first `batch_size` are the batch.
    tokenizer : transformers.PreTrainedTokenizerBase
    batch_size : int

    Attributes
    ----------
    where : str
        Which weight it is: the one of the head with the largest gradient.
    value : float
        Its value.
    """

    def __init__(
        self, model: PreTrainedModel, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, batch_size: int = 8
    ) -> None:
        self._model = copy.deepcopy(model).float().cpu().eval()
        kept = tokens.select_columns(["input_ids", "attention_mask", "labels"])
        self._batch = DataCollatorWithPadding(tokenizer)(kept[:batch_size])
        names = [name for name, _ in self._model.named_parameters() if "classifier" in name and name.endswith("weight")]
        self._name = names[-1]
        self._weight = self._model.get_parameter(self._name)
        self._gradients()
        self._at = divmod(int(self._weight.grad.abs().argmax()), self._weight.shape[1])
        self.where = f"{self._name}[{self._at[0]}, {self._at[1]}]"
        self.value = float(self._weight.detach()[self._at])

    def _gradients(self) -> None:
        self._model.zero_grad()
        self._model(**self._batch).loss.backward()

    @torch.no_grad()
    def loss(self, nudge: float = 0.0) -> float:
        """Mean loss of the batch in nats, with the weight moved by `nudge` for this one question."""
        self._weight[self._at] += nudge
        try:
            return float(self._model(**self._batch).loss)
        finally:
            self._weight[self._at] = self.value

    def gradient(self) -> float:
        """Slope of the batch's loss in this weight, by autograd (backpropagation)."""
        return float(self._weight.grad[self._at])

    def step(self, learning_rate: float) -> float:
        """Take one AdamW step with all weights and give the batch's loss afterwards; then step back.

        Parameters
        ----------
        learning_rate : float
            Step length.

        Returns
        -------
        float
            Loss of the same batch after the step, in nats; may be infinite at an absurd rate.
        """
        before = [weight.detach().clone() for weight in self._model.parameters()]
        self._gradients()
        torch.optim.AdamW(self._model.parameters(), lr=learning_rate, weight_decay=0.01).step()
        with torch.no_grad():
            after = float(self._model(**self._batch).loss)
            for weight, old in zip(self._model.parameters(), before, strict=True):
                weight.copy_(old)
        return after
