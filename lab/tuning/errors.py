"""The errors that a learner may meet: each is one line that names the thing, what was found and what to do."""

import difflib
from collections.abc import Iterable


class WorkshopError(Exception):
    """Something a person can put right. Notebooks and commands print its text alone, without a traceback."""


class DialError(WorkshopError):
    """A dial has a name or a value that cannot be used."""


class DataError(WorkshopError):
    """A data file cannot be used as it is."""


class EncoderError(WorkshopError):
    """A pretrained encoder is missing, incomplete or not the one that was asked for."""


class RunError(WorkshopError):
    """A recorded run is missing, damaged or not complete enough for what was asked."""


class ShareError(WorkshopError):
    """A share line cannot be read or written."""


class WorksheetError(WorkshopError):
    """The worksheet is missing or cannot be used."""


class KeepsakeError(WorkshopError):
    """The file with everything of the learner's cannot be written, found or trusted."""


class DocumentError(WorkshopError):
    """A document of the workshop (an activity, a handout) is missing or not as its checks want it."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which of `choices` a misspelt `word` may have meant: ``" Did you mean X?"``, or nothing if none is near."""
    by_folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.5)
    return f" Did you mean {by_folded[near[0]]}?" if near else ""
