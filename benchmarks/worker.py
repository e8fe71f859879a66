"""Measure one contender in this process, so that its peak memory is its own: ``python -m benchmarks.worker NAME ...``.

`benchmarks.bench` starts it. The result is one JSON object on the last line of the output.
"""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import baselines, side_measurements
from tuning.command import one_line_errors
from tuning.dials import Dials
from tuning.training import machine

CONTENDERS: dict[str, Callable[[Dials, int], dict[str, Any]]] = {
    "common-adamw": lambda dials, validation: baselines.common(dials, validation, "adamw_torch"),
    "common-fused": lambda dials, validation: baselines.common(dials, validation, None),
    "ours": baselines.ours,
    "bare": baselines.bare,
    "limit": baselines.limit,
    "evaluation": side_measurements.evaluation,
    "estimate": side_measurements.estimate,
    "notebook": side_measurements.notebook,
    "board": side_measurements.board,
    "beside": side_measurements.beside,
    "import": side_measurements.importing,
    "sgd": side_measurements.sgd_lab,
}


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Measure one contender; for `benchmarks.bench`, not for people."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--validation", type=int, default=0, help="validation sentences; 0 is all")
    options = parser.parse_args(argv)
    dials = Dials.from_settings(dict(text.split("=", 1) for text in options.set))
    # Progress and tables of the ways of training are of no interest here.
    with contextlib.redirect_stdout(io.StringIO()):
        result = CONTENDERS[options.name](dials, options.validation)
    here = machine.describe(result.get("precision", "fp32"))
    print(json.dumps({"memory_mb": machine.peak_memory_mb(), "machine": here} | result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
