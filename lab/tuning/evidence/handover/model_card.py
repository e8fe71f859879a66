"""The model card: a ``README.md`` beside a run's weights, in the Hugging Face Hub's format, written from the record.

It names no person, no machine and no folder. The one text that is not from the record is the learner's own paragraph,
C3 of the worksheet.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.data.labels import LABELS
from tuning.evidence import run_tables
from tuning.evidence.handover import statements
from tuning.evidence.markdown_tables import table
from tuning.files import AS_WRITTEN, free_name, sign, write_whole
from tuning.runs.energy import footprint
from tuning.runs.record import Run

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

CARD = "README.md"
# What lies beside the weights and belongs to the card: a copy of the folder gets a card of its own.
FILES = (CARD, AS_WRITTEN)
# What tells a folder with an adapter from one with a whole model.
ADAPTER = "adapter_config.json"
HUB_NAMES = {
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
}
OWN_ENCODER = "an encoder of the trainer's own"


def write_card(run: Run, folder: Path | None = None, words: str = "") -> Path | None:
    """Write the card of a run beside its weights.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where the weights are; the run's own folder of weights by default.
    words : str
        The learner's own paragraph about it.

    Returns
    -------
    pathlib.Path or None
        ``README.md``, or ``README-2.md`` and so on where somebody has changed that one; None where no weights are.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    folder = folder or run.folder / "model"
    if not any(folder.glob("*.safetensors")):
        return None
    path = free_name(folder / CARD)
    write_whole(path, model_card(run, words, adapter=(folder / ADAPTER).is_file()).content)
    sign(path)
    return path


def model_card(run: Run, words: str = "", *, adapter: bool = False) -> "ModelCard":
    """The card of a run, or of its adapter, with the learner's own paragraph, as the Hub's own library reads it."""
    from huggingface_hub import ModelCard, ModelCardData

    base = _base(run)
    data = ModelCardData(
        language="en",
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-classification",
        tags=["financial-sentiment", "workshop", *([] if statements.learned(run) else ["not-for-use"])],
        metrics=["accuracy", "f1"],
        model_name=run.run_id,
        eval_results=list(_results(run)),
        **({"base_model": base} if base else {}),
    )
    return ModelCard(
        f"---\n{data.to_yaml()}\n---\n\n{_text(run, words, _opening_adapter(run) if adapter else _opening(run))}"
    )


def _base(run: Run) -> str | None:
    """The Hub's name of the encoder, whose name in the record also says which part learned."""
    return HUB_NAMES.get(run.encoder["name"].partition(" (")[0])


def _results(run: Run) -> Iterator["EvalResult"]:
    from huggingface_hub import EvalResult

    parts = {"validation": {name.removeprefix("val_"): value for name, value in run.final.items()}, "test": run.test}
    for part, scores in parts.items():
        for metric, name, key in (("accuracy", "Accuracy", "accuracy"), ("f1", "Macro-F1", "f1_macro")):
            if scores and scores.get(key) is not None:
                yield EvalResult(
                    task_type="text-classification",
                    dataset_type=run.dials["DATA"] if run.dials["DATA"] == "phrasebank" else "financial-sentiment",
                    dataset_name=statements.data_name(run),
                    dataset_split=part,
                    metric_type=metric,
                    metric_name=name,
                    metric_value=round(scores[key], 4),
                )


def _text(run: Run, words: str, opening: str) -> str:
    encoder = run.encoder["name"] if run.encoder["source"] != "folder" else OWN_ENCODER
    unfit = [] if statements.learned(run) else [_not_learned(run)]
    sections = {
        f"Tone of a financial sentence: {run.run_id}": [
            "It reads one English sentence about finance and answers *negative*, *neutral* or *positive*, with a"
            f" probability for each. It is {encoder}, fine-tuned in a workshop about optimisation.",
        ],
        "In the words of the person who trained it": [_quoted(words)] if words else [],
        "What it must not be used for": [*unfit, _points(statements.UNFIT_FOR)],
        "The data and its limits": [_data(run), _points(statements.data_limits(run))],
        "How it was trained": [_dials(run)],
        "Scores": _scores(run),
        "What training took": [_cost(run)],
        "How to open it": [opening],
        "To publish it": [
            "Nothing was sent anywhere. To put it on the Hub, choose a licence that those of the encoder"
            " and of the sentences allow, ask the owner of the data, and type:",
            '```python\nmodel.push_to_hub("your-account/your-model")\n```',
        ],
    }
    filled = {title: parts for title, parts in sections.items() if parts}
    written = ["\n\n".join([f"## {title}", *parts]) for title, parts in filled.items()]
    return "\n\n".join(written).removeprefix("#") + "\n"


def _not_learned(run: Run) -> str:
    verdict = run.diagnosis.get("verdict", run.outcome)
    return f"**Do not use it at all, except to show what such a run looks like.** The verdict on it is: {verdict}."


def _data(run: Run) -> str:
    data, counts = run.data, run.data["label_counts"]
    sizes = ", ".join(f"{size:,} {part}" for part, size in data["split_sizes"].items())
    labels = ", ".join(f"{count:,} {label}" for label, count in counts.items())
    return (
        f"{statements.data_name(run)[0].upper()}{statements.data_name(run)[1:]}: {data['rows']:,} sentences ({labels};"
        f" {sizes}), of which {data.get('train_used', run.dials['TRAIN_SUBSET']):,} were trained on. SHA-256 of the"
        f" file: `{data['sha256'][:16]}`."
    )


def _dials(run: Run) -> str:
    own = {"DATA": statements.data_name(run)}
    # MODEL is what was asked for. The encoder that was used is named at the top, and can be another one.
    left_out = {"MODEL", "ROOM", "FRESH"}
    rows: list[tuple[str, Any]] = [
        *((f"`{name}`", own.get(name, value)) for name, value in run.dials.items() if name not in left_out),
        ("learning rate", f"{run.learning_rate:g}"),
        ("seed", run.seed),
        ("encoder's revision", run.encoder["revision"]),
        ("parameters", f"{run.encoder['parameters']:,}"),
        ("began", run.started[:10]),
        *((f"adapter, {name}", value) for name, value in (run.adapter or {}).items()),
        *(("differs from the dials", departure) for departure in run.departures),
        ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
    ]
    return table(("setting", "value"), rows)


def _scores(run: Run) -> list[str]:
    scores = run_tables.before_after(run).rename_axis("on validation").reset_index()
    size = run.final.get("val_size", run.data["split_sizes"]["validation"])
    parts = [
        table(scores.columns, scores.to_numpy()),
        f"Measured on {size} sentences that were not trained on; in brackets the 95% interval. The *majority class* row"
        " is a model that always gives the most frequent label. This is one run with one seed, and another"
        " seed gives another score. Choices were made by looking at these sentences.",
        f"Verdict of the workshop's rules: {run.diagnosis.get('verdict', 'none')}."
        f" {' '.join(run.diagnosis.get('reasons', []))}",
    ]
    if run.test:
        tested = run_tables.validation_and_test(run).loc[["test"], ["accuracy", "macro-F1"]]
        parts.append(f"On the test part, opened once: {', '.join(f'{n} {v}' for n, v in tested.iloc[0].items())}.")
    return parts


def _cost(run: Run) -> str:
    took = footprint(run)
    if took.seconds is None:
        return "The record does not say."
    how = "measured" if took.measured else f"{took.watts:g} W assumed"
    return (
        f"{took.seconds:.0f} seconds, evaluations included, on {run.machine['device']}"
        f" ({run.machine['threads']} threads, {run.machine['precision']}); {took.watt_hours:.2f} Wh ({how});"
        f" {took.money:.4f} in your currency at an assumed {took.price_per_hour:g} an hour."
    )


def _opening(run: Run) -> str:
    own_head = "from tuning.encoder import pooling_head  # the workshop's own head: run this in its folder lab/\n"
    return (
        "```python\n"
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n"
        f"{own_head if run.encoder['source'] == 'embedded' else ''}\n"
        'model = AutoModelForSequenceClassification.from_pretrained("this folder")\n'
        'tokenizer = AutoTokenizer.from_pretrained("this folder")\n'
        "```"
    )


def _opening_adapter(run: Run) -> str:
    own_head = run.encoder["source"] == "embedded"
    head = "BertMeanPoolingForSequenceClassification" if own_head else "AutoModelForSequenceClassification"
    where = "tuning.encoder.pooling_head" if own_head else "transformers"
    base = _base(run) or "the folder of the encoder"
    return (
        "It is an adapter: small weights beside those of the encoder, which it needs.\n\n"
        "```python\n"
        f"from peft import PeftModel\nfrom {where} import {head}\n\n"
        f"labels = {dict(enumerate(LABELS))}\n"
        f'base = {head}.from_pretrained("{base}", id2label=labels)\n'
        'model = PeftModel.from_pretrained(base, "this folder")\n'
        "```"
    )


def _points(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
