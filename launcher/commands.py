"""What can be typed after ``workshop.py``: the list of commands, their options, and `main`."""

import argparse
import difflib
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from launcher.children import call
from launcher.installation import complete_environments, ensure, name_damage, python_for_notebook, repair
from launcher.jupyterlab import lab_command, make_worksheet
from launcher.machine import host_of
from launcher.pack import pack_command, take_pack
from launcher.settings import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, MAIN, ROOT, TEST, THIS, WorkshopError, say


def module_command(module: str) -> Callable[[argparse.Namespace], int]:
    """Make a command that starts one of the package's modules with the arguments as they were typed."""

    def start(options: argparse.Namespace) -> int:
        return call_module(ensure(MAIN), module, options.typed)

    return start


def call_module(python: Path, module: str, arguments: Sequence[str]) -> int:
    """Run one of the package's modules; where it ends in an error of its own, name a package that is damaged."""
    # The packages of those who maintain the workshop lie beside this file, not in `lab/`.
    beside = {} if module.startswith("tuning.") else {"PYTHONPATH": str(ROOT)}
    code = call([str(python), "-m", module, *arguments], variables=beside)
    if code == EXIT_FAILED:
        name_damage()
    return code


def audit_command(options: argparse.Namespace) -> int:
    """Look at a CSV; the backup lab's small environment is enough for that. With ``--card`` write the data card."""
    module = "maintain.data_card" if "--card" in options.typed else "tuning.audit.audit"
    return call_module(python_for_notebook("02"), module, options.typed)


def check_command(options: argparse.Namespace) -> int:
    """See whether this machine is ready: first whether the packages are whole, without which nothing can look."""
    python = ensure(MAIN)
    if name_damage():
        return EXIT_FAILED
    return call([str(python), "-m", "tuning.notebook.preflight", *options.typed])


def run_command(options: argparse.Namespace) -> int:
    """Execute a notebook without a screen."""
    return call_module(python_for_notebook(options.notebook), "tuning.notebook.headless", options.typed)


def setup_command(options: argparse.Namespace) -> int:
    """Install everything now, so that nothing has to wait for it later."""
    if options.repair and host_of(os.environ) == "colab":
        raise WorkshopError("in Google Colab choose 'Disconnect and delete runtime' (menu Runtime), and start again")
    whole = complete_environments() if options.repair else []
    for environment in whole:
        repair(environment)
    if not whole:
        ensure(MAIN)
    make_worksheet()
    return 0


# Each process holds PyTorch, about 1 GB. The files keep their order: those that take longest are among the first.
PARALLEL = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]


def test_command(options: argparse.Namespace) -> int:
    """Run the tests."""
    python = ensure(MAIN)
    ensure(TEST)
    marks = {"fast": ["-m", "not slow and not full"], "plain": ["-m", "not full"], "full": []}
    # All tests on several cores, each file in one process; what is named, a file or a few tests, in this one.
    several = [] if any(not word.startswith("-") for word in options.unknown) else PARALLEL
    return call([str(python), "-m", "pytest", *marks[options.extent], *several, *options.unknown], folder=ROOT)


def site_command(options: argparse.Namespace) -> int:
    """Build the site, with what only maintainers install."""
    python = ensure(MAIN)
    ensure(TEST)
    return call_module(python, "maintain.site", options.typed)


def run_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``run``, which ``tuning.notebook.headless`` gets as they were typed."""
    add = parser.add_argument
    add("--notebook", choices=["01", "02", "03", "04"], default="01", help="which notebook (default: 01)")
    add("--preset", metavar="P", help="learning rate: TOO_LOW, JUST_RIGHT, TOO_HIGH, or a number")
    add("--set", metavar="NAME=VALUE", action="append", help="change any dial, or OPTION=B of 04; may be repeated")
    add("--fresh", action="store_true", help="throw away a half-finished run of the same dials, do not continue it")
    add("--out", metavar="DIR", help="folder for the results (default: a new one under lab/runs/check/)")
    add("--mine", action="store_true", help="a run of your own, which log and worksheet count; under lab/runs/")


def setup_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``setup``."""
    told = "compare every installed file with what came, and install again what differs"
    parser.add_argument("--repair", action="store_true", help=told)


def pack_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``pack``."""
    parser.add_argument("folder", metavar="FOLDER", help="where to, such as a folder on a USB stick")


def test_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``test``; all others go to pytest."""
    add = parser.add_mutually_exclusive_group().add_argument
    add("--fast", dest="extent", action="store_const", const="fast", help="only the tests that take a moment")
    add("--full", dest="extent", action="store_const", const="full", help="all, those of many minutes too")
    parser.set_defaults(extent="plain")


class Command(NamedTuple):
    """One word after ``workshop.py``.

    Attributes
    ----------
    summary : str
        The line in the list of commands.
    details : str
        What ``--help`` says above the options.
    examples : sequence of str
        What ``--help`` shows below them, without the program's name.
    start : callable
        Gets the options and gives the exit code. ``options.typed`` holds the arguments as typed, and
        ``options.unknown`` those that `add_options` does not describe.
    add_options : callable, optional
        Describes the options.
    """

    summary: str
    details: str
    examples: Sequence[str]
    start: Callable[[argparse.Namespace], int]
    add_options: Callable[[argparse.ArgumentParser], None] | None = None


COMMANDS = {
    "run": Command(
        "run a notebook from its first cell to its last, without a browser",
        "Runs a whole notebook in this terminal, shows how far it is, and prints the scores before and after "
        "training with a verdict. It checks the machine: the dials have their defaults, and the records, in "
        "lab/runs/check/, count nowhere. With --mine the run is your own, with what you typed into the notebook.",
        [
            "run",
            "run --preset TOO_HIGH --set EPOCHS=1 --set TRAIN_SUBSET=200",
            "run --mine --notebook 02 --set GROUP=4",
        ],
        run_command,
        run_options,
    ),
    "lab": Command(
        "open the notebooks in a browser (JupyterLab)",
        "Starts JupyterLab, for this machine only, and opens notebook 01 in the browser. If no browser "
        "opens, copy the address with its token from the terminal. Ctrl-C in the terminal ends it. Other "
        "options go to JupyterLab.",
        ["lab", "lab --no-browser --port 9999"],
        lab_command,
    ),
    "setup": Command(
        "install everything now, and start nothing",
        "For the day before: afterwards every other command starts at once. It needs about 2 GB of disk and, the first "
        "time, a network.",
        ["setup", "setup --repair"],
        setup_command,
        setup_options,
    ),
    "pack": Command(
        "put everything into one folder, for a room without a network",
        "Brings the packages for machines like this one, the encoder and the workshop itself into FOLDER, for a USB "
        "stick. There, 'run --from-pack FOLDER' (or setup, lab, check) needs no network at all. The machines must have "
        "the same system and the same version of Python as this one.",
        ["pack /media/stick/workshop", "run --from-pack /media/stick/workshop"],
        pack_command,
        pack_options,
    ),
    "audit": Command(
        "look at a CSV of labelled sentences before anybody trains on it",
        "Shows what is in the file, what stands there twice or with two labels, what leaks from one part into another, "
        "how far a lazy rule gets, and which labels look wrong. Without FILE it looks at the bundled sentences; with "
        "--json it prints the findings for a program.",
        ["audit", "audit FILE.csv"],
        audit_command,
    ),
    "check": Command(
        "see whether this machine is ready, and how long a run will take on it",
        "Prints [OK], [WARN] or [FAIL] for everything that the notebooks need, in plain words. Other "
        "options go to the check itself.",
        ["check"],
        check_command,
    ),
    "fetch-model": Command(
        "bring DistilBERT (and, if asked, PhraseBank) to this machine ahead of the day",
        "Downloads the pinned files from the Hugging Face Hub into lab/models/, checks them, and goes on where an "
        "earlier try broke off. Without it the notebooks ask the Hub themselves, or use the built-in encoder.",
        ["fetch-model", "fetch-model --phrasebank"],
        module_command("tuning.encoder.fetch"),
    ),
    "sweep": Command(
        "train many runs at once: a grid over any dials, or a search for a learning rate",
        "Trains every combination of the values after --over, several at a time with --jobs, in the main lab or with "
        "--lab backup. What the log has already is not trained again. --set NAME=VALUE fixes a dial. With --search "
        "TRIALS Optuna (or --engine ray) chooses rate and weight decay instead.",
        ["sweep --over LR_PRESET=1e-5,3e-5 --over GROUP=1,2 --set MODEL=embedded", "sweep --search 20"],
        module_command("scaling.sweep"),
    ),
    "reference": Command(
        "record the reference runs again (for maintainers and coaches)",
        "Trains the presets with three seeds, runs that over-fit, a sweep of learning rates and the budget round, and "
        "keeps their records in assets/reference_runs/. It takes a while: about half an hour with the built-in "
        "encoder.",
        ["reference --model embedded", "reference --model distilbert --only just_right-seed1"],
        module_command("maintain.reference_runs"),
    ),
    "figures": Command(
        "draw the curve pictures from the reference runs (for maintainers)",
        "Writes the neutral pictures of Activity 1 to assets/ and the explained ones to assets/coach_only/.",
        ["figures"],
        module_command("maintain.curve_figures"),
    ),
    "redraw": Command(
        "draw curves A to D, the clinic and all tables from DistilBERT (for maintainers)",
        "Records DistilBERT's reference runs, all but those that are there already, then draws the curve pictures, "
        "playground and clinic from them and writes the documents. It needs DistilBERT on this machine (fetch-model) "
        "and, the first time, hours. 'slides' then builds the deck.",
        ["redraw"],
        module_command("maintain.redraw"),
    ),
    "pages": Command(
        "write the playground and the clinic again from their parts (for maintainers)",
        "Joins the parts in assets/pages/, the two-word model and the reference runs to assets/playground.html and "
        "assets/clinic.html: one file each, which needs no network. Also the page that option J fills with a model; "
        "--runtime brings its two libraries anew, which needs npm.",
        ["pages", "pages --runtime"],
        module_command("maintain.pages"),
    ),
    "documents": Command(
        "write the tables in the documents again from their sources (for maintainers)",
        "Fills every block between the marks 'figures: NAME begin' and 'figures: NAME end' in the Markdown documents: "
        "dials, rates, minutes, the reference runs. With --check it only says which are out of date.",
        ["documents", "documents --check"],
        module_command("maintain.documents.markdown_blocks"),
    ),
    "handouts": Command(
        "write handouts, room card and group cards as pages to print",
        "Makes a web page of each handout in my_work/handouts/, and in large print beside it, and what the room needs: "
        "the room card with the words after --room, the four curves, group cards, and working/stuck cards. Print them "
        "from a browser on A4. The cheat sheet and the glossary take one page each.",
        ["handouts", 'handouts --room "distilbert bundled fp32"'],
        module_command("maintain.handouts"),
    ),
    "site": Command(
        "build the documents as a site for the web (for maintainers)",
        "Makes pages of README, TROUBLESHOOTING, activities and handouts, with one navigation and a search, in site/. "
        "Pages for coaches, which hold the answers, come with --coach only.",
        ["site", "site --coach --out /tmp/pages"],
        site_command,
    ),
    "slides": Command(
        "build the slides of the day from slides/workshop.md (for maintainers)",
        "Writes slides/workshop.pptx, which PowerPoint can edit, the empty group-results slides and their design, and "
        "prints the PDF from the PowerPoint through LibreOffice.",
        ["slides", "slides --no-pdf"],
        module_command("maintain.slides.deck"),
    ),
    "bench": Command(
        "measure this lab beside common practice and the limit of the machine (for maintainers)",
        "Trains the same sentences in several ways, each in a process of its own, three times in turn, and writes the "
        "tables in benchmarks/README.md. It takes hours and goes on where it was cut off; --quick takes minutes and "
        "changes no file. --list says what is done.",
        ["bench --quick", "bench --only limit 'ours-*' --model embedded", "bench --list"],
        module_command("benchmarks.bench"),
    ),
    "test": Command(
        "run the project's tests (for maintainers)",
        "Installs the test tools and runs the tests; without an option, all but those of many minutes. Other "
        "options go to pytest.",
        ["test --fast", "test tests/launcher -k stamp"],
        test_command,
        test_options,
    ),
}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Turn a wrong option into an error that a person reads."""
        raise WorkshopError(f"{message} ({self.prog} --help lists the options)", EXIT_USAGE)


def overview() -> str:
    """Write the help that lists the commands."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name.ljust(width)}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"Usage: {THIS} COMMAND [options]",
            "",
            *lines,
            "",
            "The first use installs what is needed into a folder of its own; later uses start at once.",
            "With --from-pack FOLDER, a command takes everything from what 'pack' wrote, and needs no network.",
            f"More about a command: {THIS} COMMAND --help. Which version this is: {THIS} --version",
        ]
    )


def release() -> str:
    """Read the workshop's version from pyproject.toml, line by line: an old Python cannot read TOML."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^\[project\]\n(?:[^\[].*\n)*?version = "([^"]+)"$', text, re.MULTILINE)
    return version[1] if version else "unknown"


def parse(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments of a command; see `Command` for what the result holds.

    Raises
    ------
    WorkshopError
        For a command that does not exist, or a value that an option does not take.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(COMMANDS)}"
        raise WorkshopError(f"there is no command '{name}'; {hint}", EXIT_USAGE)
    command = COMMANDS[name]
    examples = "".join(f"\n  {THIS} {example}" for example in command.examples)
    parser = OneLineParser(
        prog=f"{THIS} {name}",
        description=textwrap.fill(command.details, 80),
        epilog=f"examples:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.add_options:
        command.add_options(parser)
    options, unknown = parser.parse_known_args(arguments)
    options.typed, options.unknown = list(arguments), unknown
    return options


def main(arguments: Sequence[str]) -> int:
    """Carry out one command.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``workshop.py`` on the command line.

    Returns
    -------
    int
        The exit code: that of the program that was started, or 1 if it could not be set up, 2 for a command
        or option that does not exist, 130 after Ctrl-C.
    """
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(overview())
            return 0 if arguments else EXIT_USAGE
        if arguments[0] == "--version":
            print(release())
            return 0
        options = parse(arguments[0], take_pack(arguments[1:]))
        return COMMANDS[arguments[0]].start(options)
    except WorkshopError as error:
        say(str(error))
        return error.code
    except OSError as error:
        say(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return EXIT_FAILED
    except KeyboardInterrupt:
        say("stopped by Ctrl-C")
        return EXIT_INTERRUPTED
