"""A run as it travels in a share line: a short record of numbers, written and read strictly.

`pack` shortens a record: all step losses of a default run to two places, scores to four, texts as places in lists
that both sides know. `unpack` builds the record again and trusts nothing: every text is looked up or matched, every
number has its bounds, the dials pass their own checks, and the whole fits the schema of a run. What does not travel:
sentences, predictions of single sentences, weights, paths, names of machines, gradient norms.

The keys: ``i`` run id, ``t`` start, ``b`` notebook, ``d`` dials in their order, ``r`` learning rate, ``z`` seed,
``e`` encoder (name, source, revision, parameters), ``a`` data (hash, rows, sentences used, sizes of the parts, counts
of the labels), ``v`` versions, ``m`` machine (cores, threads, device, precision), ``s`` steps (steps per epoch,
differences of the step numbers, losses in hundredths, differences of the rates in hundredths of ``r``), ``E`` epochs,
``M`` majority, ``B`` and ``F`` scores before and after, ``w`` weight movement (all, then by layer), ``o`` outcome,
``g`` verdict, ``c`` timing, ``x`` test part. Since version 2 also, each only where there is something to say: ``D``
dials that the first version did not have, by name; ``y`` departures from the dials; ``l`` adapter.

A dial, or a key, that comes later needs no new version: a key that is not known is ignored, and a run with a dial that
is not known stands apart. Whoever changes the meaning of what is here raises the version of `tuning.room.framing.RUN`.
"""

import itertools
import math
import re
from datetime import datetime
from typing import Any

import numpy as np

from tuning.data.labels import LABELS
from tuning.data.loading import PARTS
from tuning.dials import EVERYTHING, Dials, FrozenDials, SgdDials
from tuning.room.validators import LARGEST_NUMBER, count, integer, item, mapping, number, text
from tuning.runs.diagnosis import diagnose
from tuning.runs.record import BACKUP_NOTEBOOK, FIRST_DIALS, RUN_ID, Run, check
from tuning.runs.scores import RecordedScores

MOST_STEPS = 200
FIRST_STEPS = 40
LAST_STEP = 10_000_000
MOST_LAYERS = 50
MOST_DEPARTURES = 20
# A line without one of these is none.
KEYS = frozenset("itbdrzeavmsEMBFwogcx")

_MOMENT = re.compile(r"[0-9T:+.-]{10,40}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,30}")
_REVISION = re.compile(r"[0-9A-Za-z][0-9A-Za-z. _-]{0,60}")
_HASH = re.compile(r"[0-9a-f]{64}")
_FACT = re.compile(r"[a-z_]{1,30}")
_WORDS = re.compile(r"[0-9A-Za-z_.+][0-9A-Za-z_.,+ -]{0,60}")
_DEPARTURE = re.compile(rf"[a-z0-9_ ]{{1,40}}: {_WORDS.pattern}, {_WORDS.pattern}")
ANOTHER_DEPARTURE = "something that this copy of the workshop does not know"

_DIAL = re.compile(r"[A-Z][A-Z_]{0,30}")
# A dial that a line does not name has this value.
_UNSAID = FIRST_DIALS | {"TRAINED": EVERYTHING}

# What may travel as a text of the record; anything else is a learner's own and becomes the last word of its row.
_DATA = {
    "bundled": "lab/data/financial_sentiment.csv",
    "phrasebank": "Financial PhraseBank",
    "own": "a CSV of their own",
}
_MODELS = ("distilbert", "embedded", "own")
_ENCODERS = ("distilbert-base-uncased", "all-MiniLM-L6-v2", "TF-IDF + SGDClassifier", "a model of their own")
_SOURCES = ("hub", "cache", "folder", "embedded", "scikit-learn", "another place")
_DEVICES = ("cpu", "cuda", "mps", "another device")
# The dials that travel as a list, in this order; those that came later travel by name.
_LISTED = (
    "LR_PRESET", "SCHEDULER", "GROUP", "TRAIN_SUBSET", "MAX_LENGTH", "EPOCHS", "BATCH_SIZE", "WEIGHT_DECAY", "MODEL",
    "DATA", "AGREEMENT", "PRECISION",
)  # fmt: skip
_LISTED_BACKUP = (
    "LR_PRESET", "SCHEDULER", "GROUP", "TRAIN_SUBSET", "EPOCHS", "BATCH_SIZE", "ALPHA", "LABEL_NOISE",
    "NOISY_VALIDATION", "DATA", "AGREEMENT",
)  # fmt: skip
VERDICTS = ("too low", "just right", "too high", "overfitting", "collapsed", "diverged", "unclear")
_PACKAGES = ("python", "torch", "transformers", "scikit-learn", "numpy")

_SCORES = ("train_accuracy", "train_loss", "val_accuracy", "val_f1_macro", "val_loss", "gap_accuracy", "gap_loss")
_SIZES = ("train_size", "val_size")
_INTERVALS = ("val_accuracy_interval", "val_f1_macro_interval", "gap_accuracy_interval")
# All scores of a part in one list: F1 and number of predictions by label stand behind the sizes.
_LENGTH = len(_SCORES) + len(_SIZES) + 2 * len(LABELS) + 2 * len(_INTERVALS)
_EPOCH = (
    "epoch", "train_loss_running", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_f1_macro",
    "seconds",
)  # fmt: skip
_TIMING = ("train_seconds", "total_seconds", "tokens", "peak_memory_mb")
_TEST = ("accuracy", "f1_macro", "loss", "size")


def pack(run: Run) -> dict[str, Any]:
    """Shorten a record, its keys in a fixed order, to what JSON can hold; `unpack` is the mirror image."""
    dials, encoder, data, machine = _travelling_dials(run), run.encoder, run.data, run.machine
    identity = _place(encoder["name"], _ENCODERS), _place(encoder["source"], _SOURCES)
    listed = _LISTED_BACKUP if run.is_backup else _LISTED
    later = {
        "D": {name: value for name, value in dials.items() if name not in listed and value != _UNSAID.get(name)},
        "y": _travelling_departures(run),
        "l": run.adapter,
    }
    return {
        "i": run.run_id,
        "t": run.started,
        "b": run.notebook,
        "d": [dials[name] for name in listed],
        "r": run.learning_rate,
        "z": run.seed,
        "e": [*identity, encoder["revision"], encoder["parameters"]],
        "a": [data["sha256"], data["rows"], data.get("train_used", 0)]
        + [data["split_sizes"][part] for part in PARTS]
        + [data["label_counts"][label] for label in LABELS],
        "v": [run.versions.get(name) for name in _PACKAGES],
        "m": [machine["cores"], machine["threads"], _place(machine["device"], _DEVICES), machine["precision"]],
        "s": _pack_steps(run),
        "E": [[short(row.get(key)) for key in _EPOCH] for row in run.epochs],
        "M": [run.majority.get("label"), short(run.majority.get("accuracy")), short(run.majority.get("f1_macro"))],
        "B": _pack_scores(run.baseline),
        "F": _pack_scores(run.final),
        "w": [
            short(moved, places=6)
            for moved in (run.final.get("weight_movement"), *(run.final.get("layer_movement") or {}).values())
        ],
        "o": run.outcome,
        "g": _place(run.diagnosis.get("verdict", "unclear"), VERDICTS),
        "c": [short(run.timing.get("train_seconds"), 1), short(run.timing.get("total_seconds"), 1)]
        + [_whole(run.timing.get(key)) for key in ("tokens", "peak_memory_mb")],
        "x": None if run.test is None else [run.test["opened"], *(short(run.test.get(key)) for key in _TEST)],
    } | {key: value for key, value in later.items() if value}


def short(value: float | None, places: int = 4) -> float | None:
    """A number to so many places, without a trailing zero; None where it is missing or beyond all use."""
    if value is None or not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
        return None
    rounded = round(float(value), places)
    return int(rounded) if rounded == int(rounded) else rounded


def _whole(value: float | None) -> int | None:
    """A count, or a size that may be large."""
    return None if value is None else round(value)


def _place(value: str, choices: tuple[str, ...]) -> int:
    """Place among the texts that may travel; what is not among them is the last, "another"."""
    return choices.index(value) if value in choices else len(choices) - 1


def _kind(notebook: Any, frozen: bool) -> type[Dials] | type[SgdDials]:
    """Which dials a run has."""
    return SgdDials if notebook == BACKUP_NOTEBOOK else FrozenDials if frozen else Dials


def _travelling_dials(run: Run) -> dict[str, Any]:
    """The dials without the paths that a learner may have typed."""
    kind = _kind(run.notebook, frozen="TRAINED" in run.dials)
    # A record from before a dial existed was made with its default.
    dials = kind().as_dict() | {name: run.dials[name] for name in kind.names() if name in run.dials}
    if dials["DATA"] not in _DATA:
        dials["DATA"] = "own"
    if "MODEL" in dials and dials["MODEL"] not in _MODELS:
        dials["MODEL"] = "own"
    return dials


def _travelling_departures(run: Run) -> list[str]:
    """What the dials do not say, in words that may travel."""
    known = FrozenDials.names() + SgdDials.names()
    departures = [text if _DEPARTURE.fullmatch(text) else ANOTHER_DEPARTURE for text in run.departures]
    if not set(run.dials) <= set(known):
        departures.append(ANOTHER_DEPARTURE)
    return list(dict.fromkeys(departures))[:MOST_DEPARTURES]


def _pack_steps(run: Run) -> list[Any]:
    steps = _thinned(run.steps)
    per_epoch = steps[-1]["step"] / steps[-1]["epoch"] if steps and steps[-1]["epoch"] else 1
    losses = [None if (loss := short(step["loss"])) is None else round(100 * loss) for step in steps]
    rates = [round(100 * (step["learning_rate"] or 0) / run.learning_rate) for step in steps]
    return [round(per_epoch, 4), _differences([step["step"] for step in steps]), losses, _differences(rates)]


def _thinned(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All steps, or the first ones, where the preset shows, and every so many of the others."""
    if len(steps) <= MOST_STEPS:
        return steps
    rest = np.linspace(FIRST_STEPS, len(steps) - 1, MOST_STEPS - FIRST_STEPS)
    return steps[:FIRST_STEPS] + [steps[round(place)] for place in rest]


def _differences(values: list[int]) -> list[int]:
    return [value - before for before, value in itertools.pairwise([0, *values])]


def _pack_scores(scores: RecordedScores) -> list[Any]:
    if not scores:
        return []
    return [
        *(short(scores.get(key)) for key in _SCORES),
        *(_whole(scores.get(key)) for key in _SIZES),
        *(short((scores.get("val_f1") or {}).get(label)) for label in LABELS),
        *(_whole((scores.get("val_predicted") or {}).get(label)) for label in LABELS),
        *(short(end) for key in _INTERVALS for end in scores.get(key) or (None, None)),
    ]


def orders() -> dict[str, Any]:
    """What stands where in the lists, for the replay page, which reads the lines in JavaScript."""
    return {
        "labels": LABELS,
        "verdicts": VERDICTS,
        "epoch": _EPOCH,
        "scores": _SCORES,
        "predicted": len(_SCORES) + len(_SIZES) + len(LABELS),
    }


def unpack(record: dict[str, Any]) -> Run:
    """Build a run from what came in a line; what `pack` did not write raises one of many errors."""
    later = mapping(record.get("D", {}))
    dials, departures = _dials(record["b"], record["d"], later), _departures(record.get("y", []))
    if set(later) - set(dials):
        departures.append(ANOTHER_DEPARTURE)
    encoder, source, revision, parameters = record["e"]
    sha256, rows, used, *sizes = record["a"]
    cores, threads, device, precision = record["m"]
    label, accuracy, f1_macro = record["M"]
    run = Run(
        run_id=text(record["i"], RUN_ID),
        started=_moment(record["t"]),
        notebook=record["b"],
        dials=dials,
        learning_rate=number(record["r"]),
        seed=integer(record["z"]),
        encoder={
            "name": item(_ENCODERS, encoder),
            "source": item(_SOURCES, source),
            "revision": text(revision, _REVISION),
            "parameters": integer(parameters),
        },
        data={
            "path": _DATA[dials["DATA"]],
            "sha256": text(sha256, _HASH),
            "rows": integer(rows),
            "train_used": integer(used),
            "split_sizes": dict(zip(PARTS, map(integer, sizes[:3]), strict=True)),
            "label_counts": dict(zip(LABELS, map(integer, sizes[3:]), strict=True)),
        },
        versions={
            name: text(version, _VERSION)
            for name, version in zip(_PACKAGES, record["v"], strict=True)
            if version is not None
        },
        machine={
            "platform": "",
            "processor": "",
            "cores": count(cores),
            "threads": count(threads),
            "device": item(_DEVICES, device),
            "precision": precision,
        },
        steps=_unpack_steps(record["s"], record["r"]),
        epochs=[dict(zip(_EPOCH, map(number, row), strict=True)) for row in record["E"]],
        majority={"label": label, "accuracy": number(accuracy), "f1_macro": number(f1_macro)}
        if label is not None
        else {},
        baseline=_unpack_scores(record["B"]),
        final=_final(record["F"], record["w"]),
        outcome=record["o"],
        timing=dict(zip(_TIMING, [*map(number, record["c"][:2]), *map(count, record["c"][2:])], strict=True)),
        test=_test(record["x"]),
        departures=list(dict.fromkeys(departures)),
        adapter=None if record.get("l") is None else _adapter(record["l"]),
    )
    check(run.as_record(), "the line")
    run.diagnosis = _diagnosis(run, item(VERDICTS, record["g"]))
    return run


def _dials(notebook: Any, values: list[Any], later: dict[str, Any]) -> dict[str, Any]:
    listed = _LISTED_BACKUP if notebook == BACKUP_NOTEBOOK else _LISTED
    if len(values) == len(_LISTED) + 1 and notebook != BACKUP_NOTEBOOK:
        # So the first version wrote it.
        listed = (*_LISTED, "TRAINED")
    given = dict(zip(listed, values, strict=True)) | {text(name, _DIAL): value for name, value in later.items()}
    kind = _kind(notebook, frozen="TRAINED" in given)
    given = _UNSAID | given
    dials = kind(**{name: given[name] for name in kind.names() if name in given}).as_dict()
    if dials["DATA"] not in _DATA or ("MODEL" in dials and dials["MODEL"] not in _MODELS):
        raise ValueError("a path")
    return dials


def _departures(packed: list[Any]) -> list[str]:
    if len(packed) > MOST_DEPARTURES:
        raise ValueError("too many departures")
    return [words if words == ANOTHER_DEPARTURE else text(words, _DEPARTURE) for words in packed]


def _adapter(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        text(name, _FACT): text(value, _WORDS) if isinstance(value, str) else number(value)
        for name, value in mapping(facts).items()
    }


def _moment(value: Any) -> str:
    moment = datetime.fromisoformat(text(value, _MOMENT))
    if moment.tzinfo is None:
        raise ValueError("a time without its offset")
    return moment.isoformat()


def _unpack_steps(packed: list[Any], rate: float) -> list[dict[str, Any]]:
    per_epoch, gaps, losses, rates = packed
    if len(gaps) > MOST_STEPS or any(integer(gap) < 1 for gap in gaps):
        raise ValueError("no such steps")
    steps = _sums(gaps)
    if not 0 < per_epoch <= LAST_STEP or (steps and steps[-1] > LAST_STEP):
        raise ValueError("no such steps")
    return [
        {
            "step": step,
            "epoch": step / per_epoch,
            "loss": None if loss is None else number(integer(loss) / 100),
            "grad_norm": None,
            "learning_rate": rate * share / 100,
        }
        for step, loss, share in zip(steps, losses, _sums(rates), strict=True)
    ]


def _sums(differences: list[int]) -> list[int]:
    return list(itertools.accumulate(map(integer, differences)))


def _unpack_scores(packed: list[Any]) -> RecordedScores:
    if packed == []:
        return {}
    if len(packed) != _LENGTH:
        raise ValueError("too few or too many scores")
    rest = iter(packed)
    scores: RecordedScores = {key: number(next(rest)) for key in _SCORES}
    sizes = {key: count(next(rest)) for key in _SIZES}
    scores |= {key: size for key, size in sizes.items() if size is not None}
    for key, read in (("val_f1", number), ("val_predicted", count)):
        values = {label: read(next(rest)) for label in LABELS}
        if None not in values.values():
            scores[key] = values
    for key in _INTERVALS:
        ends = [number(next(rest)), number(next(rest))]
        scores[key] = None if None in ends else sorted(ends)
    return scores


def _final(packed: list[Any], movement: list[Any]) -> RecordedScores:
    scores = _unpack_scores(packed)
    moved, *layers = map(number, movement)
    if len(layers) > MOST_LAYERS:
        raise ValueError("too many layers")
    if scores:
        scores["weight_movement"] = moved
        if layers:
            names = ["embeddings", *(f"layer {place}" for place in range(1, len(layers)))]
            scores["layer_movement"] = dict(zip(names, layers, strict=True))
    return scores


def _test(packed: list[Any] | None) -> dict[str, Any] | None:
    if packed is None:
        return None
    opened, *scores = packed
    return {"opened": _moment(opened)} | dict(zip(_TEST, map(number, scores), strict=True))


def _diagnosis(run: Run, verdict: str) -> dict[str, Any]:
    """The verdict as it was given; its reasons are written anew from the numbers, since no free text travels."""
    again = diagnose(run).as_dict()
    if again["verdict"] == verdict:
        return again
    return {"verdict": verdict, "reasons": ["The reasons did not travel with the line."], "next_dial": ""}
