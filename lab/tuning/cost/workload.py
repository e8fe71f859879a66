"""How much work a run is, and how fast one machine does it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
    """What a run has to do."""

    steps: int  # Updates of the weights.
    tokens: int  # Tokens trained on, all epochs, without padding.
    read: int  # Tokens of one evaluation: validation and the fixed part of train.
    epochs: int  # There is an evaluation after each, and one before training.
    # Tokens of the evaluation before training, and of one after it, where more validation sentences are scored then.
    ends: int | None = None

    @property
    def tokens_read(self) -> int:
        """Tokens of all evaluations."""
        ends = self.read if self.ends is None else self.ends
        # Otherwise the scores of the last epoch are those after training.
        after = ends if ends > self.read else 0
        return self.read * self.epochs + ends + after


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast one machine trains one encoder; all in seconds."""

    step: float  # For each update, whatever the size of its batch.
    token: float  # For each token trained on.
    read: float  # For each token in evaluation.
    fixed: float  # For all that is done once: reading and writing the weights.
    source: str  # Where these come from, in words.

    def seconds(self, work: Work) -> float:
        """Seconds of a whole run, all evaluations included."""
        return self.fixed + self.step * work.steps + self.token * work.tokens + self.read * work.tokens_read
