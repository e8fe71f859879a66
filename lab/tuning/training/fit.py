"""Fine-tune an encoder with the Hugging Face Trainer and record every step.

The notebook shows the story (`TrainingArguments`, `Trainer`, `trainer.train()`); this is the same loop in one call and
as a script (``python -m tuning.training.fit``).
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback

from tuning.command import one_line_errors
from tuning.data.loading import load, split
from tuning.dials import Dials, parse_settings
from tuning.encoder import finding as encoders
from tuning.evidence import run_tables
from tuning.evidence.handover import model_card
from tuning.runs.record import Run
from tuning.runs.store import copy_results, make_room_in
from tuning.training import processes
from tuning.training.arguments import training_arguments
from tuning.training.live import ProgressLine
from tuning.training.recording import Recording
from tuning.training.trainer import build_trainer, prepare


def fit(
    dials: Dials,
    notebook: str = "script",
    quiet: bool = False,
    watch: Callable[[Run], TrainerCallback] = ProgressLine,
    encoder: encoders.Encoder | None = None,
) -> Run:
    """The notebook's loop in one call: data, encoder, tokens, training and the record under ``lab/runs/``.

    Parameters
    ----------
    notebook : str
        What the record says it came from.
    quiet : bool
        Without a progress bar.
    watch : callable
        Gives what shows the progress of a run: a progress bar by default.
    encoder : Encoder, optional
        One that was found already, and told about; by default the dial ``MODEL`` says which.
    """
    data = load(dials.DATA, dials.AGREEMENT)
    splits = split(data)
    if encoder is None:
        encoder = encoders.find(dials.MODEL)
        for notice in (*data.notices, encoder.banner):
            if notice and not quiet:
                print(notice, file=sys.stderr)
    setup = prepare(dials, encoder, splits)
    for notice in () if quiet else setup.tokens.notices:
        print(notice, file=sys.stderr)
    recording = Recording(dials, data, splits, setup.encoder, setup.precision, notebook)
    args = training_arguments(dials, recording.run.learning_rate, setup.precision, recording.folder)
    callbacks = [recording.recorder] if quiet else [recording.recorder, watch(recording.run)]
    trainer = build_trainer(setup, args, callbacks=callbacks)
    with recording.record_training(trainer, setup.tokens) as run:
        trainer.train(resume_from_checkpoint=recording.checkpoint)
    return run


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """The loop of notebook 01 as a script; see ``python -m tuning.training.fit --help``."""
    parser = argparse.ArgumentParser(prog="python -m tuning.training.fit", description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="CSV", help="a CSV of your own instead of the bundled sentences")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial, such as EPOCHS=3")
    parser.add_argument("--fresh", action="store_true", help="throw away a half-finished run of the same dials")
    parser.add_argument("--out", type=Path, metavar="DIR", help="copy run.json and predictions.csv to this folder")
    parser.add_argument("--save-model", type=Path, metavar="DIR", help="write the trained model to this folder")
    options = parser.parse_args(argv)
    chosen = parse_settings(options.set) | ({"DATA": options.data} if options.data else {})
    for folder in filter(None, (options.out, options.save_model)):
        make_room_in(folder)
    run = fit(Dials.from_settings(chosen | ({"FRESH": True} if options.fresh else {})))
    processes.leave()
    if not processes.is_first():
        return 0
    print(run_tables.before_after(run).to_string())
    print(run_tables.verdict_text(run))
    if options.out:
        copy_results(run.folder, options.out)
    if options.save_model:
        # The folder may hold a card that somebody has written.
        leave = shutil.ignore_patterns(*model_card.FILES)
        shutil.copytree(run.folder / "model", options.save_model, dirs_exist_ok=True, ignore=leave)
        model_card.write_card(run, options.save_model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
