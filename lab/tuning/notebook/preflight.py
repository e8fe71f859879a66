"""Is this machine ready? One line per thing: [OK], [WARN] or [FAIL], in plain words.

It imports neither torch nor transformers, so the first cell of a notebook stays quick; only ``workshop.py check`` does,
where it has to measure how fast this machine trains.
"""

import argparse
import re
import sys
from collections.abc import Callable

from tuning import paths
from tuning.command import one_line_errors
from tuning.data import download
from tuning.dials import ROOM_CARD, Dials, parse_settings
from tuning.errors import DataError, DialError, EncoderError, RunError
from tuning.notebook.machine_checks import Check, checks, program_output

MINUTES = 10.0
# The first cell is not kept waiting; the command has the time.
HUB_SECONDS = {"notebook": 1.0, "command": 4.0}


def _hub(reason: str | None, dials: Dials) -> Check:
    if reason is None:
        return Check("OK", "the Hugging Face Hub answers")
    wanted, there = ("DistilBERT", "encoder") if _wants_distilbert(dials) else ("PhraseBank", "bundled sentences")
    return Check("WARN", f"{reason} Without {wanted} this run uses the {there} installed here, and a banner says so.")


def of_dials(dials: Dials) -> list[Check]:
    """What the first cell cannot look at, because the dials come after it.

    That is the room card, a model folder or CSV file of one's own, and the Hub where a dial wants something from there.
    """
    asked = _asked(dials)
    checked = [room(dials), *_own_files(dials)]
    return [*checked, _hub(asked(HUB_SECONDS["notebook"]), dials)] if asked else checked


def _asked(dials: Dials) -> Callable[[float], str | None] | None:
    """Ask for the first file that a dial wants from the Hub and that is not here; None where nothing is wanted."""
    from tuning.data import loading
    from tuning.encoder import finding

    if _wants_distilbert(dials):
        return download.ask(finding.DISTILBERT)
    wants_data = dials.DATA == "phrasebank" and not (paths.models() / loading.PHRASEBANK_FOLDER).is_dir()
    return download.ask(loading.phrasebank()) if wants_data else None


def _wants_distilbert(dials: Dials) -> bool:
    from tuning.encoder import finding

    return dials.MODEL == "distilbert" and not finding.distilbert_is_here()


def _own_files(dials: Dials) -> list[Check]:
    """What cannot be used of the model folder and the CSV file that the dials name, and what is special about them."""
    from tuning.encoder import finding

    try:
        if dials.MODEL not in ("distilbert", "embedded"):
            finding.find(dials.MODEL)
        return _scored(dials)
    except (DialError, EncoderError, DataError) as problem:
        return [Check("FAIL", str(problem))]


def _scored(dials: Dials) -> list[Check]:
    """How many sentences are scored of a validation part that is too large to score it whole each time."""
    from tuning.data import loading, splits

    if dials.DATA in ("bundled", "phrasebank"):
        return []
    parts = loading.split(loading.load(dials.DATA))
    sizes, whole = splits.scored_sizes(parts), len(parts.validation)
    if sizes["epoch"] == whole:
        return []
    scored = f"{whole:,} validation sentences: {sizes['epoch']:,} of them are scored after each epoch"
    return [Check("OK", f"{scored} and {sizes['end']:,} before and after training, the same ones every time")]


def room(dials: Dials) -> Check:
    """Whether this machine can keep to the coach's room card, and whether the card was forgotten."""
    from tuning.encoder import finding

    if not dials.ROOM:
        if dials.GROUP is None:
            return Check("OK", "no room card: you work alone")
        return Check("WARN", "no room card: put its three words into ROOM, or your run may stand apart on the board")
    card = f"room card: {', '.join(f'{name} = {getattr(dials, name)}' for name in ROOM_CARD)}"
    if dials.MODEL == "distilbert" and not finding.distilbert_is_here():
        return Check(
            "WARN",
            f"{card}. DistilBERT is not on this machine yet. If the section Tokenise does not bring it, your run will"
            " stand apart: tell the coach.",
        )
    if dials.GROUP is None:
        return Check(
            "WARN", f"{card}. GROUP is None: set your group's number. Groups without one all have the same seed"
        )
    return Check("OK", card)


def time_needed(dials: Dials | None = None, minutes: float = MINUTES, *, probe: bool = False) -> Check:
    """How long training takes here, and the dials that fit the minutes left; ``WARN`` where these dials take longer.

    With `probe`, where nothing is known of this machine yet, it is measured: some seconds of training, after torch is
    loaded.
    """
    from tuning.cost import estimate, planning

    dials = dials or Dials()
    try:
        encoder = estimate.at_hand(dials.MODEL)
        speed = estimate.known(dials, encoder) or (estimate.probe(dials, encoder) if probe else None)
        if speed is None:
            return Check("OK", "how long training takes here is not known yet: python3 workshop.py check measures it")
        needed = estimate.estimate(dials, speed)
        plan = planning.plan(minutes, base=dials, speed=speed)
        fits = f"In {plan.limit} fit TRAIN_SUBSET = {plan.dials.TRAIN_SUBSET}, EPOCHS = {plan.dials.EPOCHS}."
    except RunError as problem:
        fits = str(problem)
    except (EncoderError, DataError, DialError) as problem:
        return Check("FAIL", str(problem))
    status = "OK" if needed.seconds <= 60 * minutes else "WARN"
    what = "default dials take" if dials == Dials() else "these dials take"
    return Check(status, f"{what} about {estimate.clock(needed.seconds)} here (from {needed.source}). {fits}")


def _for_the_coach(results: list[Check], hub_check: Check | None, time_check: Check | None) -> str:
    """The last line of the command, which learners send: result, encoder, time and version decide the room card."""
    from tuning.encoder import finding as encoders

    failed, warned = (sum(check.status == status for check in results) for status in ("FAIL", "WARN"))
    result = f"NOT READY, {failed} [FAIL]" if failed else "READY"
    if encoders.distilbert_is_here():
        encoder = "DistilBERT is here"
    else:
        hub_says = {None: "was not asked", "OK": "answers"}.get(hub_check and hub_check.status, "does not answer")
        encoder = f"DistilBERT is not here, the Hub {hub_says}"
    measured = re.search(r"about (.+?) here", time_check.text) if time_check else None
    version = program_output(["git", "-C", str(paths.ROOT), "rev-parse", "--short", "HEAD"]) or "unknown"
    needed = f"a run takes {measured[1]}" if measured else "time not measured"
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return f"SEND THIS LINE: {result}, {warned} [WARN]; {encoder}; {needed}; version {version}; {python}"


def report(dials: Dials | None = None, minutes: float = MINUTES, *, probe: bool = False) -> int:
    """Print all checks, and how long training takes here; returns 1 if one failed, else 0."""
    # It is asked first and heard last: meanwhile the rest is looked at. Before there are dials nobody has wanted it.
    asked = None if dials is None else _asked(dials)
    results = checks()
    more = [] if dials is None else [*([room(dials)] if dials.ROOM else []), *_own_files(dials)]
    # Timing needs what a failed check says is missing.
    time_check = None
    if all(check.status != "FAIL" for check in (*results, *more)):
        time_check = time_needed(dials, minutes, probe=probe)
        more.append(time_check)
    hub_check = None
    if asked is not None:
        hub_check = _hub(asked(HUB_SECONDS["command" if probe else "notebook"]), dials)
        results.append(hub_check)
    results += more
    print(*results, sep="\n")
    if probe:
        print(_for_the_coach(results, hub_check, time_check))
    return int(any(check.status == "FAIL" for check in results))


@one_line_errors
def main(argv: list[str] | None = None) -> int:
    """Command line of ``workshop.py check``."""
    parser = argparse.ArgumentParser(prog="workshop.py check", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time left for training (default: %(default)g)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial, such as EPOCHS=3")
    options = parser.parse_args(argv)
    return report(Dials.from_settings(parse_settings(options.set)), options.minutes, probe=True)


if __name__ == "__main__":
    sys.exit(main())
