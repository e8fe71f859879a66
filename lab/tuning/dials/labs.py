"""The dials of the two labs: fine-tuning (notebooks 01 and 04) and the backup lab (notebook 02)."""

import dataclasses
import re
from typing import Any

from tuning.dials.checks import FRACTION, NOTHING, number, one_of, optional, text, whole_number, yes_no
from tuning.dials.dial_set import DialSet, dial
from tuning.errors import DialError

PRESETS = ("TOO_LOW", "JUST_RIGHT", "TOO_HIGH")
SCHEDULES = ("constant", "linear", "cosine")
SGD_SCHEDULES = ("constant", "invscaling")
AGREEMENTS = ("50", "66", "75", "all")
SPEEDS = ("fast", "plain")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ROOM_CARD = ("MODEL", "DATA", "PRECISION")
# What each word of the card decides. A number format that each machine chooses for itself (auto) is none of them: the
# card is there to prevent it.
_ROOM_WORDS = {
    "distilbert": "MODEL",
    "embedded": "MODEL",
    "bundled": "DATA",
    "phrasebank": "DATA",
    "fp32": "PRECISION",
    "bf16": "PRECISION",
    "fp16": "PRECISION",
}
EVERYTHING = "everything"
TRAINED_PARTS = ("head only", "head and last block", "all but embeddings", EVERYTHING)
_LORA = re.compile(r"LoRA ([1-9]|[1-5]\d|6[0-4])")


def _subset(value: Any) -> int:
    sentences = whole_number(0, 1_000_000)(value)
    if 0 < sentences < 24:
        raise ValueError
    return sentences


def lora_rank(trained: str) -> int | None:
    """Rank of the adapter that learns; None where weights of the model itself do."""
    match = _LORA.fullmatch(trained)
    return int(match[1]) if match else None


def _trained(value: Any) -> str:
    if lora_rank(text(value)) is None:
        return one_of(TRAINED_PARTS)(value)
    return value


def _room(value: Any) -> str:
    """The card's words in the order of `ROOM_CARD`, in whichever order and spelling they were typed."""
    words = re.findall(r"[^\s,;=\"'`\u2018-\u201f]+", text(value)) if value not in NOTHING[:2] else []
    card: dict[str, str] = {}
    for word in words:
        plain = re.sub(r"[\W_]", "", word.casefold())
        name = _ROOM_WORDS.get(plain) or (
            "DATA" if word.lower().endswith(".csv") else "MODEL" if re.search(r"[/\\]", word) else None
        )
        if word in ROOM_CARD:
            continue
        if name is None or name in card:
            raise ValueError
        card[name] = plain if plain in _ROOM_WORDS else word
    if words and len(card) != len(ROOM_CARD):
        raise ValueError
    return " ".join(card[name] for name in ROOM_CARD if card)


# Both labs have these dials.
_GROUP = (
    None,
    optional(whole_number(1, 12)),
    "None when you work alone, else your group's number, a whole number from 1 to 12",
    "sets the random seed, so that two groups with one preset differ only by chance",
)
_SUBSET = (800, _subset, "0 for all training sentences, or a whole number from 24", "training sentences used")
_DATA = ("bundled", text, "bundled, phrasebank or the path of a CSV file", "the sentences and their labels")
_AGREEMENT = (
    "all",
    lambda value: one_of(AGREEMENTS)(str(value)),
    "50, 66, 75 or all",
    "PhraseBank only: share of its annotators, in percent, that had to agree",
    AGREEMENTS,
)
_LABEL_NOISE = (0.0, FRACTION, "a number from 0 to 1", "share of training labels flipped to another class")


@dataclasses.dataclass(frozen=True)
class Dials(DialSet):
    """The dials of one fine-tuning run, checked.

    The field names are the names that a learner sees in the notebook. Build it with keyword arguments, from a
    notebook's variables with :meth:`of`, or from ``NAME=VALUE`` texts with :meth:`from_settings`.
    """

    LR_PRESET: str | float = dial(
        "JUST_RIGHT",
        one_of(PRESETS, number(0, 10, above=True)),
        "TOO_LOW, JUST_RIGHT, TOO_HIGH or a number above 0 and up to 10, such as 1e-4",
        "learning rate: a preset, or the rate itself",
        PRESETS,
    )
    SCHEDULER: str = dial(
        "constant",
        one_of(SCHEDULES),
        "constant, linear or cosine",
        "how the rate changes over the run; linear and cosine warm up over the first 10% of steps",
        SCHEDULES,
    )
    GROUP: int | None = dial(*_GROUP)
    TRAIN_SUBSET: int = dial(*_SUBSET)
    MAX_LENGTH: int = dial(
        96, whole_number(8, 512), "a whole number from 8 to 512", "longest sentence in tokens; the rest is cut off"
    )
    EPOCHS: int = dial(2, whole_number(1, 50), "a whole number from 1 to 50", "passes over the training sentences")
    BATCH_SIZE: int = dial(8, whole_number(1, 256), "a whole number from 1 to 256", "sentences per step")
    WEIGHT_DECAY: float = dial(
        0.01, FRACTION, "a number from 0 to 1", "strength of the spring that pulls weights to zero (AdamW)"
    )
    MODEL: str = dial(
        "distilbert", text, "distilbert, embedded or the path of a model folder", "the pretrained encoder"
    )
    DATA: str = dial(*_DATA)
    AGREEMENT: str = dial(*_AGREEMENT)
    LABEL_NOISE: float = dial(*_LABEL_NOISE)
    PRECISION: str = dial(
        "auto", one_of(PRECISIONS), "auto, fp32, bf16 or fp16", "number format of the arithmetic", PRECISIONS
    )
    SPEED: str = dial(
        "fast", one_of(SPEEDS), "fast or plain", "plain trains with the unchanged Trainer, and takes longer", SPEEDS
    )
    ROOM: str = dial(
        "",
        _room,
        "empty, or the three words of the room card, such as embedded bundled fp32, in any order (fp32, bf16 or fp16,"
        " never auto)",
        "the coach's room card: decides MODEL, DATA and PRECISION for the whole room",
        decides=False,
    )
    FRESH: bool = dial(
        False,
        yes_no,
        "True or False",
        "throw a half-finished run of the same dials away instead of going on with it; changes no number of the run",
        decides=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        for name, card in zip(ROOM_CARD, self.ROOM.split(), strict=False):
            own = getattr(self, name)
            if own not in (card, usual[name]):
                raise DialError(
                    f"{name} = {own!r} contradicts the room card, which says {card}."
                    ' Correct one of them; to leave the room\'s experiment, set ROOM = "".'
                )
            object.__setattr__(self, name, card)

    @property
    def warmup(self) -> float:
        """Share of the steps over which the rate climbs to its value: 0 for a constant rate, else 0.1."""
        return 0.0 if self.SCHEDULER == "constant" else 0.1

    @property
    def trained(self) -> str:
        """Which weights learn: here all of them; see :class:`FrozenDials`."""
        return EVERYTHING


@dataclasses.dataclass(frozen=True)
class FrozenDials(Dials):
    """The dials of a run in which a part of the encoder stands still; only Going Further has them."""

    TRAINED: str = dial(
        EVERYTHING,
        _trained,
        f"{', '.join(TRAINED_PARTS)}, or LoRA and its rank, from LoRA 1 to LoRA 64",
        "the weights that learn",
        TRAINED_PARTS,
    )

    @property
    def trained(self) -> str:
        """Which weights learn."""
        return self.TRAINED


@dataclasses.dataclass(frozen=True)
class SgdDials(DialSet):
    """The dials of one run of the backup lab (TF-IDF and `SGDClassifier`), checked."""

    LR_PRESET: str | float = dial(
        "JUST_RIGHT",
        one_of(PRESETS, number(0, 1000, above=True)),
        "TOO_LOW, JUST_RIGHT, TOO_HIGH or a number above 0 and up to 1000, such as 0.5",
        "learning rate: a preset, or the rate itself",
        PRESETS,
    )
    SCHEDULER: str = dial(
        "constant",
        one_of(SGD_SCHEDULES),
        "constant or invscaling",
        "how the rate changes over the run; invscaling divides it by the square root of the step's number",
        SGD_SCHEDULES,
    )
    GROUP: int | None = dial(*_GROUP)
    TRAIN_SUBSET: int = dial(*_SUBSET)
    EPOCHS: int = dial(8, whole_number(1, 100), "a whole number from 1 to 100", "passes over the training sentences")
    BATCH_SIZE: int = dial(8, whole_number(1, 256), "a whole number from 1 to 256", "sentences per recorded step")
    ALPHA: float = dial(
        1e-5, FRACTION, "a number from 0 to 1", "strength of the regularisation: the pull of the weights to zero"
    )
    LABEL_NOISE: float = dial(*_LABEL_NOISE)
    NOISY_VALIDATION: bool = dial(False, yes_no, "True or False", "flip the same share of validation labels too")
    DATA: str = dial(*_DATA)
    AGREEMENT: str = dial(*_AGREEMENT)
