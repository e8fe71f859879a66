"""The test part, held out until the end: opened once, for the one run that was decided on."""

from datetime import datetime

import numpy as np
import pandas as pd

from tuning.data.loading import load, split
from tuning.encoder.run_models import trained
from tuning.encoder.tokens import tokenise
from tuning.errors import RunError
from tuning.evidence import experiment_log, run_tables
from tuning.runs import metrics
from tuning.runs.record import Run
from tuning.runs.store import last_run
from tuning.training.scoring import predict


def open_test(run: Run) -> pd.DataFrame:
    """Score a run on the test part and write into its record when that was done; gives both parts.

    Opening it again shows the same numbers and the time of the first opening. A `RunError` where the data file has
    changed since the run, or the weights are gone.
    """
    data = load(run.dials["DATA"], run.dials.get("AGREEMENT", "all"))
    if data.sha256 != run.data["sha256"]:
        raise RunError(
            f"{run.run_id}: {run.data['path']} has changed since this run. Train again, then open the test part."
        )
    if run.test is None:
        model, tokenizer = trained(run)
        tokens = tokenise(split(data).test, tokenizer, run.dials["MAX_LENGTH"], by_length=True)
        logits = predict(model, tokens, tokenizer, run.machine["precision"])
        truth = np.asarray(tokens["labels"])
        scores = metrics.score(logits, truth)
        run.test = {
            "opened": datetime.now().astimezone().isoformat(timespec="seconds"),
            "accuracy": scores.accuracy,
            "f1_macro": scores.f1_macro,
            "loss": scores.loss,
            "accuracy_interval": list(metrics.accuracy_interval(scores.correct, scores.size)),
            "f1_macro_interval": list(metrics.f1_interval(logits, truth)),
            "size": scores.size,
        }
        run.save()
        # Its row in the log shows the scores too.
        experiment_log.append(run)
    return run_tables.validation_and_test(run)


def closed_test() -> str:
    """What the cell says that opens the test part while it names no run."""
    try:
        run_id = last_run().run_id
    except RunError as problem:
        return f"The test part stays closed. {problem}"
    return (
        f'The test part stays closed. To open it for your last run, once, write OPEN_TEST = "{run_id}".\n'
        "For another run write that one's Run ID, from the experiment log, or an ending that only it has."
    )
