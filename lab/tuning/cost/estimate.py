"""What a run will cost, before it is made: seconds, energy and money.

A run's time is that of its steps, its training tokens, its evaluation passes (one before training and one after each
epoch) and a fixed part around them::

    seconds = fixed + step x steps + token x tokens per pass x passes + read x tokens per evaluation x evaluations

The four factors belong to one machine, encoder and number format. They come from the last runs in the log that were
made here, else from a probe of a few seconds on real batches, which is remembered. Energy and money follow from the
time and from assumptions that are always shown (`tuning.runs.energy`).

Nothing here imports torch until a probe is asked for, so the preflight stays quick.
"""

import dataclasses
import importlib.metadata
import json
import os
from functools import cache
from pathlib import Path

import numpy as np

from tuning.cost.workload import Speed, Work
from tuning.data.loading import load, split, subset
from tuning.data.splits import MOST_AFTER_EPOCH, scored
from tuning.dials import EVERYTHING, Dials
from tuning.encoder import finding as encoders
from tuning.encoder.finding import Encoder
from tuning.files import write_whole
from tuning.runs.energy import PRICE_PER_HOUR, WATTS
from tuning.runs.metrics import CHECK_SIZE
from tuning.runs.record import Run
from tuning.runs.store import adopted_from, finished_runs
from tuning.training import machine

RUNS_LOOKED_AT = 5
# Where only whole runs were timed: the part of a step that does not depend on its tokens (the update of all weights).
STEP_SHARE = 0.4


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What some work is expected to take, with the assumptions that the figures stand on."""

    seconds: float
    source: str  # Where the speed comes from.
    watts: float = WATTS  # Assumed power of the machine while it trains.
    price_per_hour: float = PRICE_PER_HOUR  # Assumed price, in any currency.

    @property
    def watt_hours(self) -> float:
        """Energy in Wh."""
        return self.watts * self.seconds / 3600

    @property
    def money(self) -> float:
        """Price, in the currency of the price per hour."""
        return self.price_per_hour * self.seconds / 3600

    def __str__(self) -> str:
        return (
            f"about {clock(self.seconds)} (from {self.source}), {self.watt_hours:.2f} Wh at {self.watts:g} W,"
            f" {self.money:.4f} at {self.price_per_hour:g} an hour"
        )


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, ``3:05``."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def at_hand(model: str) -> Encoder:
    """The encoder that a run would use, without asking the Hub: the embedded one where DistilBERT is not here."""
    return encoders.find(model if model != "distilbert" or encoders.distilbert_is_here() else "embedded")


class Counter:
    """Count what runs have to do; the data is read and cut into tokens once for all of them.

    Parameters
    ----------
    dials : Dials
        Their data, length limit and encoder count.
    encoder : Encoder, optional
        Whose tokenizer counts; the one at hand by default.

    Attributes
    ----------
    sentences : int
        Training sentences that there are.
    """

    def __init__(self, dials: Dials, encoder: Encoder | None = None) -> None:
        folder = (encoder or at_hand(dials.MODEL)).folder
        splits = split(load(dials.DATA, dials.AGREEMENT))
        # A smaller subset is the beginning of a larger one.
        lengths = _lengths(folder, tuple(subset(splits.train, 0)["sentence"]), dials.MAX_LENGTH)
        self.sentences = len(lengths)
        self._tokens = np.cumsum(lengths)
        self._validation, self._ends = (
            sum(_lengths(folder, tuple(part["sentence"]), dials.MAX_LENGTH))
            for part in (scored(splits, MOST_AFTER_EPOCH), scored(splits))
        )

    def work(self, dials: Dials) -> Work:
        """What a run with these dials has to do."""
        size = min(dials.TRAIN_SUBSET or self.sentences, self.sentences)
        tokens = int(self._tokens[size - 1])
        checked = round(tokens * min(CHECK_SIZE, size) / size)
        steps = dials.EPOCHS * -(-size // dials.BATCH_SIZE)
        return Work(steps, tokens * dials.EPOCHS, self._validation + checked, dials.EPOCHS, ends=self._ends + checked)


def work(dials: Dials, encoder: Encoder | None = None) -> Work:
    """Count what a run with these dials has to do; see :class:`Counter`."""
    return Counter(dials, encoder).work(dials)


_lengths = cache(encoders.token_lengths)


def estimate(
    dials: Dials,
    speed: Speed | None = None,
    encoder: Encoder | None = None,
    watts: float = WATTS,
    price_per_hour: float = PRICE_PER_HOUR,
) -> Estimate:
    """What a run with these dials will take; the speed is by default the known one, else that of a short probe."""
    encoder = encoder or at_hand(dials.MODEL)
    speed = speed or known(dials, encoder) or probe(dials, encoder)
    return Estimate(speed.seconds(work(dials, encoder)), speed.source, watts, price_per_hour)


def for_part(speed: Speed, dials: Dials, encoder: Encoder) -> Speed:
    """The speed where a part of the model learns, from that of all: a shorter way back, fewer weights to update."""
    if dials.trained == EVERYTHING:
        return speed
    from tuning.encoder import freezing

    weights, blocks = freezing.shares(encoder, dials.trained)
    # The way back costs twice the way there.
    return dataclasses.replace(speed, step=speed.step * weights, token=speed.token * (1 + 2 * blocks) / 3)


def known(dials: Dials, encoder: Encoder | None = None) -> Speed | None:
    """The speed as far as it is known without computing: from the last runs here, else from a remembered probe.

    Runs with another batch size or number format do not count.
    """
    encoder = encoder or at_hand(dials.MODEL)
    remembered = _remembered().get(_key(dials, encoder))
    probed = None if remembered is None else Speed(*remembered, "an earlier probe here")
    runs = _runs_here(dials, encoder)
    if not runs:
        return probed
    speeds = np.array([dataclasses.astuple(_of_run(run, probed))[:4] for run in runs])
    # The median by steps: a run that slept over lunch counts for one.
    steps = [len(run.steps) for run in runs]
    middle = np.quantile(speeds, 0.5, axis=0, weights=steps, method="inverted_cdf")
    return Speed(*middle.tolist(), "your last run here" if len(runs) == 1 else f"your last {len(runs)} runs here")


def _runs_here(dials: Dials, encoder: Encoder) -> list[Run]:
    """The newest whole runs that this machine made with this encoder, batch size and number format."""
    runs: list[Run] = []
    for folder in reversed(finished_runs()):
        run = Run.load(folder)
        same = (
            not run.is_backup
            and run.outcome == "completed"
            and adopted_from(run) is None
            and run.encoder["revision"] == encoder.revision
            and run.dials.get("BATCH_SIZE") == dials.BATCH_SIZE
            and run.dials.get("PRECISION") == dials.PRECISION
            and run.dials.get("SPEED", dials.SPEED) == dials.SPEED
            and run.dials.get("TRAINED", EVERYTHING) == EVERYTHING
            and not run.departures
            and run.machine["processor"] == machine.processor()
            and run.machine["cores"] == os.cpu_count()
        )
        if same and run.steps and run.timing.get("tokens") and run.timing.get("total_seconds"):
            runs.append(run)
        if len(runs) == RUNS_LOOKED_AT:
            break
    return runs


def _of_run(run: Run, probed: Speed | None) -> Speed:
    """Speed from one timed run: its evaluations and its steps."""
    train, total, tokens = (run.timing[key] for key in ("train_seconds", "total_seconds", "tokens"))
    steps, epochs = len(run.steps), run.steps[-1]["epoch"]
    per_sentence = tokens / (run.data["train_used"] * epochs)
    after_epoch = run.data.get("scored", {}).get("epoch", run.final["val_size"]) + run.final["train_size"]
    # Older runs do not say how long an evaluation took, but had two outside training.
    at_ends = (total - train) / 2
    evaluation = run.timing.get("evaluation_seconds") or (
        at_ends * after_epoch / (run.final["val_size"] + run.final["train_size"])
    )
    per_step = max(train - evaluation * epochs, 0.2 * train) / steps
    share = STEP_SHARE if probed is None else probed.step * steps / (probed.step * steps + probed.token * tokens)
    return Speed(
        share * per_step,
        (1 - share) * per_step * steps / tokens,
        evaluation / (per_sentence * after_epoch),
        0.0,
        "a run",
    )


def probe(dials: Dials, encoder: Encoder | None = None) -> Speed:
    """Measure the speed with these dials on real batches, in about three seconds, and remember it for this machine."""
    from tuning.cost import speed_probe

    encoder = encoder or at_hand(dials.MODEL)
    speed = speed_probe.measure(dials, encoder)
    everything = _remembered() | {_key(dials, encoder): dataclasses.astuple(speed)[:4]}
    write_whole(_memory_file(), json.dumps(everything, indent=1) + "\n")
    return speed


def _key(dials: Dials, encoder: Encoder) -> str:
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    here = f"{machine.processor()} | {os.cpu_count()} cores, {threads} threads"
    torch = importlib.metadata.version("torch")
    return f"{here} | torch {torch} | {encoder.revision} | {dials.PRECISION}, {dials.SPEED}"


def _memory_file() -> Path:
    return machine.memory_folder() / "speed.json"


def _remembered() -> dict[str, list[float]]:
    try:
        remembered = json.loads(_memory_file().read_text(encoding="utf-8"))
        return {key: [float(factor) for factor in speed] for key, speed in remembered.items() if len(speed) == 4}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
