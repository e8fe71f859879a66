"""The pages that open from disk: the playground, the clinic with its replay, and the shell for a learner's model.

``python3 workshop.py pages`` writes ``assets/playground.html`` and ``assets/clinic.html`` from the parts in
``assets/pages/``: a template, style sheets, modules of JavaScript, and facts that come from this package. Each page is
one file that asks the network for nothing. The same parts and records give the same bytes. The page that will hold a
learner's model is written as a shell, without the model.
"""

import argparse
import base64
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

from maintain import clinic_cases, vendored
from tuning import paths
from tuning.command import one_line_errors
from tuning.cost.estimate import PRICE_PER_HOUR
from tuning.data import loading as sentences
from tuning.dials import SgdDials
from tuning.files import write_whole
from tuning.further.export.shell import PARTS, RUNTIME_SCRIPT, SHELL, VENDOR, as_block
from tuning.room import run_codec
from tuning.sgd import classifier
from tuning.sgd.surface import BATCH, SHARES, SPRING, STEPS, TwoWeights

ASSETS = paths.ROOT / "assets"
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
    return _filled(template, styles, script(modules), {"facts": as_block(facts)})


def _filled(template: str, styles: list[str], code: str, slots: dict[str, str], may: str = "") -> str:
    style = "\n".join((PARTS / name).read_text(encoding="utf-8").strip() for name in styles)
    policy = f"default-src 'none'; script-src '{_digest(code)}'{may}; style-src '{_digest(style)}'; base-uri 'none'"
    slots = {"policy": f"{policy}; form-action 'none'", "style": style, "script": code} | slots
    return _SLOT.sub(lambda slot: slots.get(slot[1], slot[0]), (PARTS / template).read_text(encoding="utf-8"))


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


def model_shell() -> str:
    """The page with a learner's model, but for the model: :func:`tuning.further.export.page.write` fills it.

    Its policy lets WebAssembly be compiled, which the runtime is, and no request go out.
    """
    library = (VENDOR / RUNTIME_SCRIPT).read_text(encoding="utf-8").strip()
    code = f"{library}\n\n{script(['packed', 'reading', 'my_model'])}"
    return _filled("my_model.html", ["style.css", "my_model.css"], code, {}, may=" 'wasm-unsafe-eval'")


PAGES = {"playground.html": playground, "clinic.html": clinic}


def write(folder: Path = ASSETS) -> list[Path]:
    """Write all pages.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    made = {folder / name: make() for name, make in PAGES.items()}
    made[SHELL if folder == ASSETS else folder / SHELL.name] = model_shell()
    for path, text in made.items():
        write_whole(path, text)
    return list(made)


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py pages``."""
    parser = argparse.ArgumentParser(prog="workshop.py pages", description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", action="store_true", help="bring the libraries of the model's page anew, with npm")
    brought = vendored.bring() if parser.parse_args(argv).runtime else []
    for path in [*brought, *write()]:
        print(f"wrote {paths.short(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
