"""One training step under the microscope: one batch, one weight, no dropout, float32.

Autograd's gradient of the loss in that weight stands beside what nudging the weight shows, and then one optimiser
step is taken. Every weight is put back bit for bit, so the model that is trained later is the one that was looked at;
a copy of it, with the gradients and moving averages of all its weights, would need more memory than the training does.
"""

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuning.encoder.tokens import batch_of


class Microscope:
    """One batch and one weight of a model.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokens : datasets.Dataset
        Training sentences as `tuning.encoder.tokens.tokenise` gives them; the first `batch_size` are the batch.
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
        self._model = model.eval()
        self._batch = batch_of(tokens, tokenizer, slice(batch_size)).to(model.device)
        inside = f"{model.base_model_prefix}."
        names = [name for name, weight in model.named_parameters() if not name.startswith(inside) and weight.ndim == 2]
        self._weight = model.get_parameter(names[-1])
        (self._slopes,) = torch.autograd.grad(model(**self._batch).loss, self._weight)
        self._at = divmod(int(self._slopes.abs().argmax()), self._weight.shape[1])
        self.where = f"{names[-1]}[{self._at[0]}, {self._at[1]}]"
        self.value = float(self._weight.detach()[self._at])

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
        return float(self._slopes[self._at])

    def step(self, learning_rate: float) -> float:
        """Take one AdamW step with all weights and give the same batch's loss afterwards, in nats; then step back."""
        before: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
        self._model(**self._batch).loss.backward()
        try:
            # The first step of one weight does not depend on the others, so their moving averages come and go in turn.
            for weight in self._model.parameters():
                before.append((weight, weight.detach().clone()))
                torch.optim.AdamW([weight], lr=learning_rate, weight_decay=0.01).step()
                weight.grad = None
            return self.loss()
        finally:
            with torch.no_grad():
                for weight, old in before:
                    weight.copy_(old)
            self._model.zero_grad()
