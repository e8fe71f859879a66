"""Curves A to D, the clinic and the documents from DistilBERT's runs: ``python3 workshop.py redraw``.

The first time it records them, which takes hours on two cores; what is recorded already is not trained again. From then
on `figures`, `pages`, `slides` and `documents` draw from them as well (`maintain.reference_runs.drawn_from`).
"""

import argparse
import sys
from pathlib import Path

from maintain import clinic_cases, curve_figures, pages, reference_runs
from maintain.documents import markdown_blocks
from tuning import paths
from tuning.command import one_line_errors
from tuning.errors import RunError
from tuning.runs import reference


def missing() -> list[str]:
    """DistilBERT's runs that are not recorded yet, as `reference_runs.record` names them."""
    start = reference_runs.DISTILBERT
    there = {*reference.names(), *reference.names(reference_runs.FP32)}
    return [
        name.replace(start, "") for name in reference_runs.plan("distilbert") if start in name and name not in there
    ]


def draw(folder: Path = curve_figures.ASSETS) -> list[Path]:
    """Draw curves, playground and clinic from the runs that are recorded.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    RunError
        If two curves of Activity 1 show the same cause, or the clinic has too few runs of one.
    """
    verdicts = {letter: run.diagnosis["verdict"] for letter, run in curve_figures.curve_runs().items()}
    if len({clinic_cases.CAUSE_OF.get(verdict) for verdict in verdicts.values()}) < len(clinic_cases.OFFERED):
        shown = ", ".join(f"{letter.upper()} {verdict}" for letter, verdict in verdicts.items())
        raise RunError(
            f"assets/reference_runs: the four curves do not show four causes ({shown}). Choose runs of other seeds in"
            " CURVES of maintain/curve_figures.py."
        )
    return [*curve_figures.write(folder), *pages.write(folder)]


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py redraw``."""
    argparse.ArgumentParser(prog="workshop.py redraw", description=__doc__.splitlines()[0]).parse_args(argv)
    if names := missing():
        reference_runs.record("distilbert", names)
    for path in draw():
        print(paths.short(path))
    markdown_blocks.main([])
    print("Look at the four curves and the clinic. Then: python3 workshop.py slides")
    return 0


if __name__ == "__main__":
    sys.exit(main())
