"""Reference runs: what the room will see, recorded once. ``maintain/reference_runs.py`` makes them."""

from tuning import paths
from tuning.runs.record import Run

FOLDER = paths.ROOT / "assets" / "reference_runs"


def load(name: str) -> Run:
    """Read one reference run."""
    return Run.load(FOLDER / f"{name}.json")


def names(start: str = "") -> list[str]:
    """Names of the reference runs that are there, in order, from a given beginning on, such as ``fp32/``."""
    return sorted(path.relative_to(FOLDER).as_posix().removesuffix(".json") for path in FOLDER.glob(f"{start}*.json"))
