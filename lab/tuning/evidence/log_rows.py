"""One run as a row of the experiment log and of the worksheet's Part B: the columns, and what stands in them."""

from typing import Any

from tuning.runs.energy import PRICE_PER_HOUR, WATTS, footprint
from tuning.runs.record import Run
from tuning.runs.store import adopted_from

# Part B of the worksheet.
WORKSHEET_COLUMNS = (
    "Run ID", "LR preset", "LR value", "Scheduler", "Epochs", "Train subset", "Train loss (end)", "Val loss",
    "Accuracy", "F1-macro", "Gen. gap", "Notes",
)  # fmt: skip
LOG_COLUMNS = (
    *WORKSHEET_COLUMNS, "Source", "Outcome", "Verdict", "Started", "Notebook", "Group", "Seed", "Batch size",
    "Max length", "Weight decay", "Model", "Other dials", "Encoder", "Encoder revision", "Data", "Data SHA-256",
    "Precision", "Threads", "Device", "Processor", "System", "Train seconds", "Total seconds", "Versions",
    "Energy (Wh)", "Energy from", "Cost", "Cost from", "Departures", "Test accuracy", "Test F1-macro", "Test opened",
)  # fmt: skip
# Dials with a column of their own; all others stand together in "Other dials".
_OWN_COLUMN = {
    "LR_PRESET", "SCHEDULER", "EPOCHS", "TRAIN_SUBSET", "GROUP", "BATCH_SIZE", "MAX_LENGTH", "WEIGHT_DECAY", "MODEL",
    "DATA",
}  # fmt: skip


def number(value: float | None, places: int) -> str:
    """A number as tables show it; one that does not exist stays empty."""
    return "" if value is None else f"{value:.{places}f}"


def signed(value: float | None, places: int) -> str:
    """A difference as tables show it, with its sign; nearly nothing is ``+0.00`` and never ``-0.00``."""
    return "" if value is None else f"{round(value, places) + 0.0:+.{places}f}"


def worksheet_values(run: Run) -> dict[str, str]:
    """Part B of the worksheet for one run, column by column; a number that does not exist stays empty."""
    return {
        "Run ID": run.run_id,
        "LR preset": run.preset,
        "LR value": f"{run.learning_rate:g}",
        "Scheduler": str(run.dials["SCHEDULER"]),
        "Epochs": str(run.dials["EPOCHS"]),
        "Train subset": str(run.data.get("train_used", run.dials["TRAIN_SUBSET"])),
        **_scores(run.final),
        "Notes": "",
    }


def _scores(scores: dict[str, Any]) -> dict[str, str]:
    return {
        "Train loss (end)": number(scores.get("train_loss"), 3),
        "Val loss": number(scores.get("val_loss"), 3),
        "Accuracy": number(scores.get("val_accuracy"), 3),
        "F1-macro": number(scores.get("val_f1_macro"), 3),
        "Gen. gap": signed(scores.get("gap_accuracy"), 3),
    }


def baseline_values(run: Run) -> dict[str, str]:
    """The worksheet's first row: the model before training."""
    untrained = "head of an earlier run" if run.encoder.get("keeps_head") else "untrained head"
    notes = f"{'all weights zero' if run.is_backup else untrained}; {run.encoder['name']}"
    return dict.fromkeys(WORKSHEET_COLUMNS, "") | {"Run ID": "Baseline", **_scores(run.baseline), "Notes": notes}


def log_values(run: Run) -> dict[str, str]:
    """One row of the experiment log: the worksheet's columns, then what is needed to repeat the run."""
    dials, timing = run.dials, run.timing
    group = adopted_from(run)
    rest: dict[str, Any] = {
        "Source": "own" if group is None else f"group: {group}",
        "Outcome": run.outcome,
        "Verdict": run.diagnosis.get("verdict", ""),
        "Started": run.started,
        "Notebook": run.notebook,
        "Group": "" if dials["GROUP"] is None else dials["GROUP"],
        "Seed": run.seed,
        "Batch size": dials.get("BATCH_SIZE", ""),
        "Max length": dials.get("MAX_LENGTH", ""),
        "Weight decay": dials.get("WEIGHT_DECAY", ""),
        "Model": dials.get("MODEL", ""),
        "Other dials": " ".join(f"{name}={value}" for name, value in dials.items() if name not in _OWN_COLUMN),
        "Encoder": run.encoder["name"],
        "Encoder revision": run.encoder["revision"],
        "Data": run.data["path"],
        "Data SHA-256": run.data["sha256"],
        "Precision": run.machine["precision"],
        "Threads": run.machine["threads"],
        "Device": run.machine["device"],
        "Processor": run.machine["processor"],
        "System": run.machine["platform"],
        "Train seconds": number(timing.get("train_seconds"), 1),
        "Total seconds": number(timing.get("total_seconds"), 1),
        "Versions": " ".join(f"{name}={version}" for name, version in run.versions.items()),
        "Departures": "; ".join(run.departures),
        "Test accuracy": number((run.test or {}).get("accuracy"), 3),
        "Test F1-macro": number((run.test or {}).get("f1_macro"), 3),
        "Test opened": (run.test or {}).get("opened", ""),
    }
    costs = cost_values(run, WATTS, PRICE_PER_HOUR)
    return worksheet_values(run) | {name: str(value) for name, value in rest.items()} | costs


def cost_values(run: Run, watts: float, price_per_hour: float) -> dict[str, str]:
    """Energy and cost of a run, each with where it comes from."""
    took = footprint(run, watts, price_per_hour)
    return {
        "Energy (Wh)": number(took.watt_hours, 3),
        "Energy from": "a meter" if took.measured else f"{watts:g} W assumed",
        "Cost": number(took.money, 5),
        "Cost from": f"{price_per_hour:g} an hour assumed",
    }
