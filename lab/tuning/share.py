"""The share line: one line of letters and digits that carries a run through any chat.

``W6W1-<length>-<body>-<checksum>-END``. The body is the run's record, shortened (all step losses of a default run,
numbers to four places), compressed, and written in base 62, so that no chat app finds anything in it to make bold, to
link or to turn into a face. The checksum covers everything before it. What is not in the line: sentences, predictions
of single sentences, weights, paths, names of machines.

A line comes from a stranger. Reading is bounded in size before and after decompression, the checksum is asked first,
and the record must then pass the dials' own checks, narrow rules for every text, and the schema of a run. Whatever does
not is refused with one reason; nothing of its text is repeated.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import re
import string
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from tuning import folders
from tuning.data import LABELS, PARTS
from tuning.diagnosis import diagnose
from tuning.dials import Dials, SgdDials
from tuning.errors import DialError, RunError, ShareError
from tuning.run import BACKUP_NOTEBOOK, Run, check, finite, write_whole

MARK = "W6W"
VERSION = 1
LONGEST_NAME = 40
MOST_STEPS = 200
FIRST_STEPS = 40
LONGEST_BODY = 6_000
LONGEST_RECORD = 60_000
LONGEST_TEXT = 4_000_000
MOST_LINES = 500
LARGEST_NUMBER = 10_000
LAST_STEP = 10_000_000
CALL_WORDS = ("moving", "stalled", "collapsed", "crashed")
ENDINGS = (".json", ".txt", ".md", ".csv")

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_START = re.compile(MARK + r"(\d{1,4})-(\d{1,5})-")
_LINE = re.compile(MARK + r"(\d+)-(\d+)-([0-9A-Za-z]+)-([0-9a-f]{12})")
_NAME = re.compile(r"[^\W_](?:[\w .'-]{0,38}[\w.'])?")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
_VERSION_TEXT = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,30}")
_REVISION = re.compile(r"[0-9A-Za-z][0-9A-Za-z. _-]{0,60}")
_HASH = re.compile(r"[0-9a-f]{64}")

# What may travel as a text of the record; anything else is a learner's own and becomes the last word of its row.
_DATA = {
    "bundled": "lab/data/financial_sentiment.csv",
    "phrasebank": "Financial PhraseBank",
    "own": "a CSV of their own",
}
_MODELS = ("distilbert", "embedded", "own")
_ENCODERS = ("distilbert-base-uncased", "all-MiniLM-L6-v2", "TF-IDF + SGDClassifier", "a model of their own")
_SOURCES = ("hub", "cache", "folder", "embedded", "scikit-learn", "another place")
_PACKAGES = ("python", "torch", "transformers", "scikit-learn", "numpy")

_SCORES = ("train_accuracy", "train_loss", "val_accuracy", "val_f1_macro", "val_loss", "gap_accuracy", "gap_loss")
_SIZES = ("train_size", "val_size")
_INTERVALS = ("val_accuracy_interval", "val_f1_macro_interval", "gap_accuracy_interval")
_EPOCH = (
    "epoch",
    "train_loss_running",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_f1_macro",
    "seconds",
)
_TIMING = ("train_seconds", "total_seconds", "tokens", "peak_memory_mb")
_MACHINE = ("cores", "threads", "device", "precision")
_TEST = ("accuracy", "f1_macro", "loss", "size")
_VERDICTS = ("too low", "just right", "too high", "overfitting", "collapsed", "diverged", "unclear")
_DEVICES = ("cpu", "cuda", "mps", "another device")


@dataclasses.dataclass(frozen=True)
class Shared:
    """A run that came in a line.

    Attributes
    ----------
    name : str
        What the group calls itself.
    run : Run
        The record, as far as it travels: no gradient norms, no platform, numbers to four places.
    word : str or None
        The group's one-word prediction, one of `CALL_WORDS`.
    f1 : float or None
        The macro-F1 that it predicted.
    """

    name: str
    run: Run
    word: str | None = None
    f1: float | None = None

    @functools.cached_property
    def key(self) -> str:
        """Hash that is equal for two copies of one run, whoever sent them, before or after its test part was opened."""
        body = _compact(self.run)
        body.pop("x")
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What was found in a chat or a folder.

    Attributes
    ----------
    shared : list of Shared
        Good lines, in the order in which they came.
    refused : list of tuple of str
        Where a bad line began, and the reason.
    """

    shared: list[Shared]
    refused: list[tuple[str, str]]

    def add(self, shared: Shared, place: str) -> None:
        """Take a run in, once; a copy with its test part opened replaces one without."""
        keys = [one.key for one in self.shared]
        if shared.key not in keys:
            self.shared.append(shared)
            return
        earlier = keys.index(shared.key)
        if shared.run.test and not self.shared[earlier].run.test:
            self.shared[earlier] = shared
        else:
            self.refused.append((place, "is a duplicate: this run is there already."))


def clean_name(name: str) -> str:
    """Check the name that a group typed.

    Raises
    ------
    ShareError
        If it is empty, too long, or has characters that could do harm in a table, a slide or a spreadsheet.
    """
    name = " ".join(str(name).split())
    if not _NAME.fullmatch(name):
        raise ShareError(
            f"This group name cannot be used. Write 1 to {LONGEST_NAME} letters, digits, spaces, hyphens, full stops or"
            ' apostrophes, beginning with a letter or digit, such as "Blue 4".'
        )
    return name


def line(run: Run, name: str, word: str | None = None, f1: float | None = None) -> str:
    """Write a run as a share line.

    Parameters
    ----------
    run : Run
    name : str
        The group's name, as it will stand on the board.
    word : str, optional
        The group's one-word prediction.
    f1 : float, optional
        The macro-F1 that it predicted.

    Returns
    -------
    str
        Under 1,500 characters for a run with the default dials.

    Raises
    ------
    ShareError
        If the name cannot be used.
    """
    record = {"n": clean_name(name), "p": [word, _short(f1)]} | _compact(run)
    packed = zlib.compress(json.dumps(record, separators=(",", ":"), allow_nan=False).encode(), 9)
    body = _to_base62(packed)
    start = f"{MARK}{VERSION}-{len(body)}-{body}"
    return f"{start}-{_checksum(start)}-END"


def save(run: Run, name: str, word: str | None = None, f1: float | None = None) -> Path:
    """Write the same line as a file, ``share/<group>.json``, for rooms that collect files.

    Returns
    -------
    pathlib.Path
        The file; a group's later run takes a number behind the name.
    """
    text = line(run, name, word, f1)
    stem = re.sub(r"\W+", "-", clean_name(name)).strip("-").lower()
    content = json.dumps({"run_id": run.run_id, "line": text}, indent=1) + "\n"
    number = 1
    while True:
        path = folders.share() / f"{stem}{'' if number == 1 else f'-{number}'}.json"
        if not path.exists():
            write_whole(path, content)
            return path
        if f'"run_id": "{run.run_id}"' in path.read_text(encoding="utf-8", errors="replace"):
            write_whole(path, content)
            return path
        number += 1


def read(text: str) -> Shared:
    """Read one share line, however a chat has wrapped or quoted it.

    Raises
    ------
    ShareError
        If there is no line, more than one, or if it cannot be trusted, with the reason.
    """
    found = gather(text)
    if len(found.shared) == 1:
        return found.shared[0]
    if found.shared:
        raise ShareError(f"{len(found.shared)} share lines of different runs were found; give one.")
    if found.refused:
        raise ShareError(f"The share line {found.refused[0][1]}")
    raise ShareError(f"There is no share line in this text. It begins with {MARK} and ends with END.")


def gather(text: str, where: str = "") -> Gathered:
    """Find all share lines in a text: a whole chat, an e-mail, a file.

    Parameters
    ----------
    text : str
    where : str
        What to call the text in reasons, such as a file's name.

    Returns
    -------
    Gathered
    """
    found = Gathered([], [])
    if len(text) > LONGEST_TEXT:
        found.refused.append((where or "the text", f"is longer than {LONGEST_TEXT:,} characters."))
        return found
    starts = list(_START.finditer(text))
    if len(starts) > MOST_LINES:
        found.refused.append((where or "the text", f"has {len(starts)} share lines; at most {MOST_LINES} are read."))
        starts = starts[:MOST_LINES]
    for number, start in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        row = text.count("\n", 0, start.start()) + 1
        place = f"{where}, line {row}" if where else f"line {row}"
        try:
            shared = _read_piece(text[start.start() : end][: LONGEST_BODY + 3_000])
        except ShareError as problem:
            found.refused.append((place, str(problem)))
            continue
        found.add(shared, place)
    return found


def gather_files(path: Path) -> Gathered:
    """Find all share lines in a file, or in the text files of a folder.

    Raises
    ------
    ShareError
        If the path does not exist or cannot be opened.
    """
    if not path.exists():
        raise ShareError(f"{folders.short(path)}: there is no such file or folder.")
    try:
        files = sorted(one for one in path.iterdir() if one.suffix.lower() in ENDINGS) if path.is_dir() else [path]
    except OSError as problem:
        raise ShareError(f"{folders.short(path)}: cannot be opened ({problem.strerror}).") from None
    texts, refused = [], [(one.name, f"comes after {MOST_LINES} other files.") for one in files[MOST_LINES:]]
    for one in files[:MOST_LINES]:
        try:
            if one.stat().st_size > LONGEST_TEXT:
                refused.append((one.name, "is too large to be a share file."))
                continue
            texts.append((one.name, one.read_bytes().decode("utf-8", errors="replace")))
        except OSError as problem:
            refused.append((one.name, f"cannot be opened ({problem.strerror})."))
    whole = Gathered([], refused)
    for name, text in texts:
        part = gather(text, name)
        whole.refused.extend(part.refused)
        for shared in part.shared:
            whole.add(shared, name)
    return whole


def _read_piece(piece: str) -> Shared:
    """Read the text from one beginning of a line up to the next."""
    head = _START.match(piece)
    if head is None:
        raise ShareError("is altered: its beginning cannot be read.")
    version, length = int(head[1]), int(head[2])
    if version > VERSION:
        raise ShareError("comes from a newer version of the workshop. Update this copy, then read it again.")
    if version < VERSION or length > LONGEST_BODY:
        raise ShareError("is altered: its beginning is not that of a share line.")
    # Chats add line ends, quote marks and blanks; a line itself has only letters, digits and hyphens.
    kept = re.sub(r"[^0-9A-Za-z-]", "", piece)
    body, ending = kept[len(head[0]) :], length + len("-") + 12 + len("-END")
    if "-END" not in body:
        raise ShareError("is truncated: its end is missing. Copy it again, whole.")
    whole = kept[: len(head[0])] + body[:ending]
    match = _LINE.match(whole)
    if match is None or not whole.endswith("-END") or len(match[3]) != length:
        raise ShareError("is altered: characters were lost or added on the way. Copy it again.")
    if _checksum(whole[: match.end(3)]) != match[4]:
        raise ShareError("is altered: its checksum does not fit. Copy it again.")
    return _unpacked(match[3])


def _unpacked(body: str) -> Shared:
    not_ours = "was not written by this workshop's code; it is not used."
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(_from_base62(body), LONGEST_RECORD)
        if not unpacker.eof or unpacker.unused_data:
            raise ShareError(not_ours)
        record = json.loads(raw.decode("utf-8"), parse_constant=_refuse, parse_int=_small_int)
        return _shared(record)
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        ArithmeticError,
        RecursionError,
        zlib.error,
        DialError,
        RunError,
    ):
        raise ShareError(not_ours) from None


def _refuse(text: str) -> None:
    raise ValueError(text)


def _small_int(text: str) -> int:
    if len(text) > 12:
        raise ValueError(text)
    return int(text)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _to_base62(raw: bytes) -> str:
    # A leading 1 keeps zero bytes at the front.
    number, found = int.from_bytes(b"\x01" + raw), []
    while number:
        number, digit = divmod(number, 62)
        found.append(_DIGITS[digit])
    return "".join(reversed(found))


def _from_base62(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 62 + _DIGITS.index(character)
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    if raw[:1] != b"\x01":
        raise ValueError("no leading mark")
    return raw[1:]


def _short(value: float | None, places: int = 4) -> float | None:
    """A number to so many places, without a trailing zero; None where it is missing or beyond all use."""
    if value is None or not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
        return None
    rounded = round(float(value), places)
    return int(rounded) if rounded == int(rounded) else rounded


def _large(value: float | None) -> int | None:
    """A count or a size, which may be large."""
    return None if value is None else round(value)


def _known(value: str, choices: tuple[str, ...]) -> int:
    """Position among the texts that may travel; what is not among them is the last, "another"."""
    return choices.index(value) if value in choices else len(choices) - 1


def _kept_steps(run: Run) -> list[dict[str, Any]]:
    if len(run.steps) <= MOST_STEPS:
        return run.steps
    rest = np.linspace(FIRST_STEPS, len(run.steps) - 1, MOST_STEPS - FIRST_STEPS)
    return run.steps[:FIRST_STEPS] + [run.steps[round(place)] for place in rest]


def _differences(values: list[int]) -> list[int]:
    return [value - before for before, value in zip([0, *values], values, strict=False)]


def _sums(differences: list[int]) -> list[int]:
    return list(itertools.accumulate(map(_integer, differences)))


def _compact(run: Run) -> dict[str, Any]:
    """The record with short keys and numbers, in a fixed order; `_shared` is its mirror image."""
    steps = _kept_steps(run)
    per_epoch = steps[-1]["step"] / steps[-1]["epoch"] if steps and steps[-1]["epoch"] else 1
    rates = [round(100 * (step["learning_rate"] or 0) / run.learning_rate) for step in steps]
    losses = [None if (loss := _short(step["loss"])) is None else round(100 * loss) for step in steps]
    return {
        "i": run.run_id,
        "t": run.started,
        "b": run.notebook,
        "d": list(_travelling_dials(run).values()),
        "r": run.learning_rate,
        "z": run.seed,
        "e": [
            _known(run.encoder["name"], _ENCODERS),
            _known(run.encoder["source"], _SOURCES),
            run.encoder["revision"],
            run.encoder["parameters"],
        ],
        "a": [
            run.data["sha256"],
            run.data["rows"],
            run.data.get("train_used", 0),
            *(run.data["split_sizes"][part] for part in PARTS),
            *(run.data["label_counts"][label] for label in LABELS),
        ],
        "v": [run.versions.get(name) for name in _PACKAGES],
        "m": [
            run.machine["cores"],
            run.machine["threads"],
            _known(run.machine["device"], _DEVICES),
            run.machine["precision"],
        ],
        "s": [round(per_epoch, 4), _differences([step["step"] for step in steps]), losses, _differences(rates)],
        "E": [[_short(row.get(key)) for key in _EPOCH] for row in run.epochs],
        "M": [run.majority.get("label"), _short(run.majority.get("accuracy")), _short(run.majority.get("f1_macro"))],
        "B": _compact_scores(run.baseline),
        "F": _compact_scores(run.final),
        "w": [
            _short(moved, places=6)
            for moved in (run.final.get("weight_movement"), *(run.final.get("layer_movement") or {}).values())
        ],
        "o": run.outcome,
        "g": _known(run.diagnosis.get("verdict", "unclear"), _VERDICTS),
        "c": [_short(run.timing.get("train_seconds"), 1), _short(run.timing.get("total_seconds"), 1)]
        + [_large(run.timing.get(key)) for key in ("tokens", "peak_memory_mb")],
        "x": None if run.test is None else [run.test["opened"], *(_short(run.test.get(key)) for key in _TEST)],
    }


def _travelling_dials(run: Run) -> dict[str, Any]:
    """The dials without the paths that a learner may have typed."""
    kind = SgdDials if run.notebook == BACKUP_NOTEBOOK else Dials
    # A record from before a dial existed was made with its default.
    dials = kind().as_dict() | {name: run.dials[name] for name in kind.names() if name in run.dials}
    if dials["DATA"] not in _DATA:
        dials["DATA"] = "own"
    if "MODEL" in dials and dials["MODEL"] not in _MODELS:
        dials["MODEL"] = "own"
    return dials


def _compact_scores(scores: dict[str, Any]) -> list[Any]:
    if not scores:
        return []
    found: list[Any] = [_short(scores.get(key)) for key in _SCORES] + [_large(scores.get(key)) for key in _SIZES]
    found += [_short((scores.get("val_f1") or {}).get(label)) for label in LABELS]
    found += [_large((scores.get("val_predicted") or {}).get(label)) for label in LABELS]
    return found + [_short(end) for key in _INTERVALS for end in scores.get(key) or (None, None)]


# From here on nothing is trusted: every text is looked up or matched, every number has its bounds.


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_NUMBER:
        raise ValueError("not a number")
    return value


def _count(value: Any) -> int | None:
    return None if value is None else _integer(value)


def _text(value: Any, pattern: re.Pattern) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not this text")
    return value


def _moment(value: Any) -> str:
    return datetime.fromisoformat(_text(value, re.compile(r"[0-9T:+.-]{10,40}"))).isoformat()


def _item(choices: tuple[str, ...], place: Any) -> str:
    if not 0 <= _integer(place) < len(choices):
        raise ValueError("no such text")
    return choices[place]


def _shared(record: dict[str, Any]) -> Shared:
    """Build and check what a line carries."""
    expected = {"n", "p", *"itbdrzeavmsEMBFwogcx"}
    if not isinstance(record, dict) or set(record) != expected:
        raise ValueError("other keys")
    backup = record["b"] == BACKUP_NOTEBOOK
    kind = SgdDials if backup else Dials
    dials = kind(**dict(zip(kind.names(), record["d"], strict=True))).as_dict()
    if dials["DATA"] not in _DATA or ("MODEL" in dials and dials["MODEL"] not in _MODELS):
        raise ValueError("a path")
    encoder, source, revision, parameters = record["e"]
    sha256, rows, used, *sizes = record["a"]
    cores, threads, device, precision = record["m"]
    word, f1 = record["p"]
    final = _scores(record["F"])
    moved, *layers = map(_number, record["w"])
    if final:
        final["weight_movement"] = moved
        if layers:
            final["layer_movement"] = dict(zip(_layer_names(len(layers)), layers, strict=True))
    run = Run(
        run_id=_text(record["i"], _RUN_ID),
        started=_moment(record["t"]),
        notebook=record["b"],
        dials=dials,
        learning_rate=_number(record["r"]),
        seed=_integer(record["z"]),
        encoder={
            "name": _item(_ENCODERS, encoder),
            "source": _item(_SOURCES, source),
            "revision": _text(revision, _REVISION),
            "parameters": _integer(parameters),
        },
        data={
            "path": _DATA[dials["DATA"]],
            "sha256": _text(sha256, _HASH),
            "rows": _integer(rows),
            "train_used": _integer(used),
            "split_sizes": dict(zip(PARTS, map(_integer, sizes[:3]), strict=True)),
            "label_counts": dict(zip(LABELS, map(_integer, sizes[3:]), strict=True)),
        },
        versions={
            name: _text(version, _VERSION_TEXT)
            for name, version in zip(_PACKAGES, record["v"], strict=True)
            if version is not None
        },
        machine={
            "platform": "",
            "processor": "",
            "cores": _count(cores),
            "threads": _count(threads),
            "device": _item(_DEVICES, device),
            "precision": precision,
        },
        steps=_steps(record["s"], record["r"]),
        epochs=[dict(zip(_EPOCH, map(_number, row), strict=True)) for row in record["E"]],
        majority=_majority(*record["M"]),
        baseline=_scores(record["B"]),
        final=final,
        outcome=record["o"],
        timing=dict(zip(_TIMING, [*map(_number, record["c"][:2]), *map(_count, record["c"][2:])], strict=True)),
        test=_test(record["x"]),
    )
    check(finite(vars(run)), "the line")
    run.diagnosis = _diagnosis(run, _item(_VERDICTS, record["g"]))
    if word is not None and word not in CALL_WORDS:
        raise ValueError("no such word")
    if f1 is not None and not 0 <= (_number(f1) or 0) <= 1:
        raise ValueError("no such score")
    return Shared(_text(record["n"], _NAME), run, word, f1)


def _steps(packed: list[Any], rate: float) -> list[dict[str, Any]]:
    per_epoch, gaps, losses, rates = packed
    if len(gaps) > MOST_STEPS or any(_integer(gap) < 1 for gap in gaps):
        raise ValueError("no such steps")
    numbers = _sums(gaps)
    if not 0 < per_epoch <= LAST_STEP or (numbers and numbers[-1] > LAST_STEP):
        raise ValueError("no such steps")
    return [
        {
            "step": number,
            "epoch": number / per_epoch,
            "loss": None if loss is None else _number(_integer(loss) / 100),
            "grad_norm": None,
            "learning_rate": rate * share / 100,
        }
        for number, loss, share in zip(numbers, losses, _sums(rates), strict=True)
    ]


def _majority(label: Any, accuracy: Any, f1_macro: Any) -> dict[str, Any]:
    return {} if label is None else {"label": label, "accuracy": _number(accuracy), "f1_macro": _number(f1_macro)}


def _scores(packed: list[Any]) -> dict[str, Any]:
    if packed == []:
        return {}
    one, two, three = len(_SCORES), len(_SIZES), len(LABELS)
    edges = np.cumsum([0, one, two, three, three])
    values, sizes, f1, predicted = ([*packed[start:end]] for start, end in itertools.pairwise(edges))
    found: dict[str, Any] = dict(zip(_SCORES, map(_number, values), strict=True))
    found |= {key: size for key, size in zip(_SIZES, map(_count, sizes), strict=True) if size is not None}
    if None not in f1:
        found["val_f1"] = dict(zip(LABELS, map(_number, f1), strict=True))
    if None not in predicted:
        found["val_predicted"] = dict(zip(LABELS, map(_count, predicted), strict=True))
    ends = [_number(end) for end in packed[edges[-1] :]]
    for key, pair in zip(_INTERVALS, zip(ends[::2], ends[1::2], strict=True), strict=True):
        found[key] = None if None in pair else sorted(pair)
    return found


def _layer_names(count: int) -> list[str]:
    if count > 50:
        raise ValueError("too many layers")
    return ["embeddings", *(f"layer {number}" for number in range(1, count))]


def _test(packed: list[Any] | None) -> dict[str, Any] | None:
    if packed is None:
        return None
    opened, *scores = packed
    found: dict[str, Any] = dict(zip(_TEST, map(_number, scores), strict=True))
    return {"opened": _moment(opened)} | found


def _diagnosis(run: Run, verdict: str) -> dict[str, Any]:
    """The verdict as it was given; its reasons are written anew from the numbers, since no free text travels."""
    again = diagnose(run).as_dict()
    if again["verdict"] == verdict:
        return again
    return {"verdict": verdict, "reasons": ["The reasons did not travel with the line."], "next_dial": ""}
