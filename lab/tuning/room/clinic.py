"""The clinic's score line: a learner's answers to recorded curves, from a page in a browser to the class board.

``W6C1-<length>-<body>-<checksum>-END`` (see `tuning.room.framing`), simple enough to be written in JavaScript without a
library. The body is a compact JSON object in UTF-8, each byte as two lower-case hexadecimal digits. *Length* is the
number of these digits. The checksum is the CRC-32 of zlib, PNG and zip (reflected polynomial 0xEDB88320, start and
final exclusive-or 0xFFFFFFFF) of the ASCII text ``W6C1-<length>-<body>``, as eight lower-case hexadecimal digits.

The object has exactly these keys:

- ``k``: eight lower-case hexadecimal digits, drawn at random once per visitor and kept beside the answers. Of two
  lines with the same ``k`` the one with more answers counts. It is no personal data.
- ``n``: the group's name as `tuning.room.validators.clean_name` allows it, or an empty text.
- ``a``: 1 to 12 answers, each item at most once. An answer is a list of seven whole numbers: item (1 to 12), round
  (place in `ROUNDS`), chosen cause (place in `CAUSES`), chosen next dial (place in `DIALS`), confidence in the cause
  (0 to 100), true cause (place in `CAUSES`), and 1 if the next dial is a good one, else 0.

New words go to the end of their list and raise the version of `tuning.room.framing.SCORE`. The page writes the line in
``assets/pages/score.mjs``.
"""

import dataclasses
import json
import re
from typing import Any

from tuning.room import framing, validators

CAUSES = ("too low", "just right", "too high", "collapsed", "diverged", "overfitting")
DIALS = (
    "lower learning rate",
    "higher learning rate",
    "fewer epochs",
    "more epochs",
    "more training sentences",
    "another schedule",
    "more weight decay",
    "change nothing",
)
ROUNDS = ("Activity 1", "wrap", "practice")
ITEMS = 12
SURE = 100

_VISITOR = re.compile(r"[0-9a-f]{8}")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a learner said about one recorded run."""

    item: int  # The clinic's number of the run, 1 to `ITEMS`.
    round: str  # When it was asked, one of `ROUNDS`.
    # The cause that was chosen and the true one, of `CAUSES`.
    cause: str
    dial: str  # The next dial that was chosen, of `DIALS`.
    confidence: int  # In the cause, 0 to `SURE`.
    truth: str
    dial_right: bool  # Whether the dial is a good next one.

    @property
    def right(self) -> bool:
        """Whether the cause is the true one."""
        return self.cause == self.truth


@dataclasses.dataclass(frozen=True)
class Score:
    """All answers of one visitor; `name` is empty where the group gave none."""

    visitor: str
    name: str
    answers: tuple[Answer, ...]


def line(score: Score) -> str:
    """Write a score line, as the page does, of less than 1,000 characters."""
    record = {
        "k": score.visitor,
        "n": score.name,
        "a": [
            [
                answer.item,
                ROUNDS.index(answer.round),
                CAUSES.index(answer.cause),
                DIALS.index(answer.dial),
                answer.confidence,
                CAUSES.index(answer.truth),
                int(answer.dial_right),
            ]
            for answer in score.answers
        ],
    }
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    return framing.frame(framing.SCORE, text.encode().hex())


def unpack(record: Any) -> Score:
    """Build a score from what came in a line and trust nothing; `tuning.room.share.gather` finds the lines."""
    if not isinstance(record, dict) or set(record) != {"k", "n", "a"} or not isinstance(record["a"], list):
        raise ValueError("other keys")
    answers = tuple(_answer(*answer) for answer in record["a"][: ITEMS + 1])
    if not 1 <= len({answer.item for answer in answers}) == len(answers) <= ITEMS:
        raise ValueError("no such answers")
    group = record["n"] if record["n"] == "" else validators.name(record["n"])
    return Score(validators.text(record["k"], _VISITOR), group, answers)


def _answer(item: Any, when: Any, cause: Any, dial: Any, confidence: Any, truth: Any, dial_right: Any) -> Answer:
    if not 1 <= validators.integer(item) <= ITEMS or not 0 <= validators.integer(confidence) <= SURE:
        raise ValueError("no such number")
    if validators.integer(dial_right) not in (0, 1):
        raise ValueError("neither 0 nor 1")
    return Answer(
        item,
        validators.item(ROUNDS, when),
        validators.item(CAUSES, cause),
        validators.item(DIALS, dial),
        confidence,
        validators.item(CAUSES, truth),
        dial_right == 1,
    )
