"""The pages that open from disk: the playground, and the clinic with its replay.

``python3 workshop.py pages`` writes ``assets/playground.html`` and ``assets/clinic.html`` from the parts in
``assets/pages/``: a template, style sheets, modules of JavaScript, and facts that come from this package. Each page is
one file that asks the network for nothing. The same parts and records give the same bytes.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from maintain import clinic_cases
from tuning import paths
from tuning.command import one_line_errors
from tuning.cost.estimate import PRICE_PER_HOUR
from tuning.data import loading as sentences
from tuning.dials import SgdDials
from tuning.files import write_whole
from tuning.room import run_codec
from tuning.sgd import classifier
from tuning.sgd.surface import BATCH, SHARES, SPRING, STEPS, TwoWeights

ASSETS = paths.ROOT / "assets"
PARTS = ASSETS / "pages"
DIGITS = 6

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.mjs";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def two_words() -> dict[str, Any]:
    """The backup lab's two-weight model as numbers: each sentence's two inputs and its truth, and how it is trained."""
    model = TwoWeights(classifier.features(sentences.split(sentences.load()), SgdDials()))
    return {
        "words": list(model.words),
        "inputs": [[round(float(value), DIGITS) for value in row] for row in model.inputs],
        "truth": [int(value) for value in model.truth],
        "spring": SPRING,
        "steps": STEPS,
    }


def script(modules: list[str]) -> str:
    """Join modules to one script; each keeps a scope of its own.

    Parameters
    ----------
    modules : list of str
        Names of the modules in ``assets/pages/``; each before those that import from it.
    """
    return "\n\n".join(_as_constant(name) for name in modules)


def _as_constant(module: str) -> str:
    text = (PARTS / f"{module}.mjs").read_text(encoding="utf-8").strip()
    exported = ", ".join(name for _, name in _EXPORT.findall(text))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(r"const \1 = \2;", text))
    return f"const {module} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"


def page(template: str, styles: list[str], modules: list[str], facts: dict[str, Any]) -> str:
    """Fill a template: one file with its style, its script and its facts.

    The content security policy lets only this very style and this very script work, and no request go out.
    """
    style = "\n".join((PARTS / name).read_text(encoding="utf-8").strip() for name in styles)
    code = script(modules)
    policy = f"default-src 'none'; script-src '{_digest(code)}'; style-src '{_digest(style)}'; base-uri 'none'"
    # A sentence with "</script>" in it must not end the block of facts.
    packed = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    slots = {"policy": f"{policy}; form-action 'none'", "style": style, "script": code, "facts": packed}
    return _SLOT.sub(lambda slot: slots[slot[1]], (PARTS / template).read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def playground() -> str:
    """The playground as one file."""
    modules = ["arithmetic", "surfaces", "goals", "drawing", "contours", "playground"]
    return page(
        "playground.html",
        ["style.css", "playground.css"],
        modules,
        {"model": two_words(), "shares": SHARES, "batch": BATCH},
    )


def clinic() -> str:
    """The clinic and the replay as one file."""
    modules = ["sealed", "records", "score", "drawing", "runchart", "replay", "clinic"]
    return page(
        "clinic.html",
        ["style.css", "clinic.css"],
        modules,
        clinic_cases.facts() | {"price": PRICE_PER_HOUR, "orders": run_codec.orders()},
    )


PAGES = {"playground.html": playground, "clinic.html": clinic}


def write(folder: Path = ASSETS) -> list[Path]:
    """Write all pages.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    for name, make in PAGES.items():
        write_whole(folder / name, make())
    return [folder / name for name in PAGES]


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py pages``."""
    argparse.ArgumentParser(prog="workshop.py pages", description=__doc__.splitlines()[0]).parse_args(argv)
    for path in write():
        print(f"wrote {paths.short(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
