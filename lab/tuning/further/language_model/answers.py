"""What an assistant answered, read from whatever it wrote: JSON, a table, CSV, a list or prose.

Nothing is guessed: a sentence without one clear label counts as not answered, and what was passed over is said.
"""

import csv
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tuning import paths
from tuning.data.labels import LABEL_WORDS, bare
from tuning.errors import DataError
from tuning.further.language_model.page import SIZE, Page

ASSISTANT = "the assistant"
# Written by hand for the draw of the bundled sentences.
PRACTICE = paths.DATA / "practice_answers.txt"
LONGEST_TEXT = 200_000
NAMES_SHOWN = 5

_FENCE = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
_ID = re.compile(r"(?<![A-Za-z0-9])S[ _-]?0*(\d{1,3})(?!\d)", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[>|*_#\-\s]*0*(\d{1,3})(?:\s*[.):,;|\t]|\*\*|\s*$)")
_RANGE = re.compile(r"\bS0*(\d{1,3})[ \t]*(?:-|\u2013|to|through|until)[ \t]*S0*(\d{1,3})(?!\d)", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")
_EDGES = re.compile(r"^\W+|\W+$")
_CELLS = re.compile(r"[|,;\t]")
# Between two labels these leave the choice open.
_OPEN = re.compile(r"[\s*_`\"']*(?:/|or|to|and)[\s*_`\"']*$", re.IGNORECASE)
# Before a label these deny it, with at most two words between that are no label themselves.
_NOT = re.compile(
    r"(?:\bnot|\bnor|\bneither|n't|\brather than|\binstead of)\W+(?:(?!neg|neu|pos|but)\w+\W+){0,2}$", re.IGNORECASE
)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What could be read."""

    labels: dict[str, str]  # By the page's id; sentences that were not answered are left out.
    asked: tuple[str, ...]  # All ids of the page.
    notices: list[str]  # What was passed over, a line each.
    practice: bool = False  # Whether these are the practice sheet's answers, which no assistant gave.

    @property
    def who(self) -> str:
        """Who gave them, in words."""
        return "the practice sheet (not an assistant)" if self.practice else ASSISTANT

    @property
    def missing(self) -> list[str]:
        """Ids without an answer."""
        return [name for name in self.asked if name not in self.labels]


def read_or_practise(pasted: str, page: Page) -> Answers:
    """Read what was pasted and say what was passed over; where nothing was, read the practice sheet.

    A `DataError` as of :func:`read`, or where nothing is pasted and the sentences are not the bundled ones.
    """
    practice = not pasted.strip()
    if practice and not page.bundled:
        raise DataError(
            "Nothing is pasted, and the practice sheet answers the bundled sentences only. Paste what the assistant"
            " answered, or start from a run on the bundled sentences."
        )
    answers = read(PRACTICE.read_text(encoding="utf-8") if practice else pasted, page)
    if practice:
        print(
            "Nothing is pasted, so the practice sheet is read. It was written by hand for this, with mistakes on"
            " purpose: its score says nothing about any assistant."
        )
    print(f"{len(answers.labels)} of {len(answers.asked)} sentences have an answer.", *answers.notices, sep="\n")
    return dataclasses.replace(answers, practice=practice)


def read(text: str, page: Page) -> Answers:
    """Read an assistant's answer to a page, as it was pasted, whatever stands around it.

    A `DataError` where it holds no answer to any sentence, with what was seen in its place.
    """
    if len(text) > LONGEST_TEXT:
        raise DataError(
            f"The pasted text has {len(text):,} letters; an answer has a few hundred. Copy the answer alone."
        )
    answer = _without_the_page(text, page)
    if answer != text and not any(map(_label, _WORD.findall(answer))):
        raise DataError("This is the page itself. Paste what the assistant answered.")
    pairs = _from_json(answer) or _from_rows(_RANGE.sub(_spelt_out, answer)) or _in_order(answer, page)
    if not pairs:
        raise DataError(_nothing_in(answer))
    return _checked(pairs, page)


def _without_the_page(text: str, page: Page) -> str:
    """The text without the prompt and the sentences: people copy the whole chat, and assistants repeat sentences."""
    for part in (page.text, *page.prompt.splitlines(), *sorted(page.sentences["sentence"], key=len, reverse=True)):
        # A notebook and a chat wrap long lines, each in its own way.
        text = re.sub(r"\s+".join(map(re.escape, part.split())), " ", text)
    return text


def _from_json(text: str) -> list[tuple[str, Any]]:
    """Pairs of id and answer from JSON: inside a fence, around all of the text, or somewhere in it."""
    candidates = [*_FENCE.findall(text), text]
    candidates += [text[text.find(first) : text.rfind(last) + 1] for first, last in ("{}", "[]")]
    for candidate in candidates:
        try:
            # As pairs: of two entries with one id a dictionary would keep the last and say nothing.
            pairs = list(_pairs_in(json.loads(candidate, object_pairs_hook=_Pairs)))
        except (ValueError, RecursionError):
            continue
        if pairs:
            return pairs
    return []


class _Pairs(list):
    """The entries of a JSON object."""


def _pairs_in(value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, list):
        return
    if not isinstance(value, _Pairs):
        for item in value:
            yield from _pairs_in(item)
        return
    texts = [str(item) for _, item in value if isinstance(item, str | int)]
    names = [text for text in texts if text[:1] in "Ss" and _id_of(text)] or [text for text in texts if _id_of(text)]
    labels = [text for text in texts if _label(text)]
    if len(names) == len(labels) == 1:
        yield _id_of(names[0]), labels[0]
        return
    for key, item in value:
        if (name := _id_of(key)) and isinstance(item, _Pairs):
            yield name, next((inner for _, inner in item if _label(inner)), None)
        elif name and not isinstance(item, list):
            yield name, item
        elif (label := _label(key)) and isinstance(item, list):
            yield from ((inner, label) for inner in map(_id_of, map(str, item)) if inner)
        else:
            yield from _pairs_in(item)


def _from_rows(text: str) -> list[tuple[str, Any]]:
    """Pairs from lines: a table, CSV, a list or prose. Without ids the numbers at the beginning of lines count."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not any(_ID.search(line) for line in lines):
        numbered = [(match[1], _label_in(line[match.end() :])) for line in lines if (match := _NUMBER.match(line))]
        return [(_name(number), label) for number, label in numbered if label]
    pairs: list[tuple[str, Any]] = []
    heading = None
    for line in lines:
        label = _label(_EDGES.sub("", line))
        if label and pairs and pairs[-1][1] is None:  # the label stands below its id
            pairs[-1] = pairs[-1][0], label
        elif label:
            heading = label
        pairs += [(name, said or heading) for name, said in _of_line(line)]
    return pairs


def _spelt_out(ids: re.Match) -> str:
    """All ids of a range such as "S06 to S10"; one as long as a page is a title and no answer."""
    first, last = int(ids[1]), int(ids[2])
    return ", ".join(map(_name, range(first, last + 1))) if 0 < last - first < SIZE - 1 else ids[0]


def _of_line(line: str) -> Iterator[tuple[str, str | None]]:
    """Ids of one line with their labels, which stand behind them, or before them as in "Positive: S05, S08"."""
    ids = list(_ID.finditer(line))
    if not ids:
        return
    cells = [cell for cell in _cells(line) if _label(cell)]
    if len(ids) == len(cells) == 1:
        yield _name(ids[0][1]), cells[0]
        return
    ends = [*(match.start() for match in ids[1:]), len(line)]
    before = _label_in(line[: ids[0].start()])
    behind = [_label_in(line[match.end() : end]) for match, end in zip(ids, ends, strict=True)]
    if before and not behind[-1]:
        labels = [before]
        for label in behind[:-1]:
            labels.append(label or labels[-1])
    else:  # "S02 and S03 are neutral": an id without a label has that of the next
        labels = behind
        for at in range(len(labels) - 2, -1, -1):
            labels[at] = labels[at] or labels[at + 1]
    yield from zip([_name(match[1]) for match in ids], labels, strict=True)


def _cells(line: str) -> list[str]:
    if "|" not in line and "\t" not in line:
        try:
            return next(csv.reader([line]))
        except (csv.Error, StopIteration):
            return []
    return _CELLS.split(line)


def _label_in(text: str) -> str | None:
    """The label that a piece of text gives: the first that is not denied; where the next leaves it open, both."""
    said = [word for word in _WORD.finditer(text) if _label(word[0]) and not _NOT.search(text[: word.start()])]
    if (
        len(said) > 1
        and _label(said[0][0]) != _label(said[1][0])
        and _OPEN.match(text[said[0].end() : said[1].start()])
    ):
        return f"{said[0][0]} or {said[1][0]}"
    return said[0][0] if said else None


def _in_order(text: str, page: Page) -> list[tuple[str, Any]]:
    """One label a line and nothing else, as many as there are sentences: they are taken in the page's order."""
    lines = [line for line in re.split(r"[\n,]", text) if line.strip()]
    labels = [line for line in lines if _label(line)]
    return list(zip(page.sentences.index, labels, strict=True)) if len(labels) == len(page.sentences) else []


def _label(text: Any) -> str | None:
    """The label that a word or a cell is, whatever marks stand around it."""
    return LABEL_WORDS.get(bare(text).strip("*_`'\"()[]{}.,:;! ").casefold()) if isinstance(text, str) else None


def _id_of(text: str) -> str | None:
    match = re.fullmatch(r"S?[ _-]?0*(\d{1,3})[.):]?", bare(text), re.IGNORECASE)
    return _name(match[1]) if match else None


def _name(number: str | int) -> str:
    return f"S{int(number):02}"


def _checked(pairs: Iterable[tuple[str, Any]], page: Page) -> Answers:
    """The pairs as answers: what is invented, given twice, contradicted or no label is passed over and said."""
    given: dict[str, list[str | None]] = {}
    for name, said in pairs:
        given.setdefault(name, []).append(_label(said))
    asked = tuple(page.sentences.index)
    # A clear label counts, also where the text has named that id before without one.
    known = {name: [each for each in said if each] or [None] for name, said in given.items() if name in asked}
    labels = {name: said[0] for name, said in known.items() if set(said) == {said[0]} and said[0]}
    answers = Answers(labels, asked, [])
    kinds = {
        "not on the page, so passed over": [name for name in given if name not in asked],
        "answered more than once, with one label": [name for name in labels if len(known[name]) > 1],
        "given two different labels, so not counted as answered": [
            name for name, said in known.items() if len(set(said)) > 1
        ],
        "without one clear label": [name for name, said in known.items() if set(said) == {None}],
        "left out": [name for name in asked if name not in known],
    }
    if not labels:
        raise DataError(_no_label(kinds))
    answers.notices.extend(f"{len(names)} {kind}: {_shown(names)}." for kind, names in kinds.items() if names)
    return answers


def _no_label(kinds: dict[str, list[str]]) -> str:
    strange = next(iter(kinds["not on the page, so passed over"]), None)
    if strange and not kinds["without one clear label"]:
        return f"The answer names {strange} and no id of this page. Ask again with the page as it is."
    return (
        "The answer gives none of the labels negative, neutral and positive. Ask again, and name the three words in"
        " the prompt."
    )


def _shown(names: list[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (" and others" if len(names) > NAMES_SHOWN else "")


def _nothing_in(text: str) -> str:
    """What a text is in which no answer was found, and what to do."""
    if any(map(_label, _WORD.findall(text))):
        return (
            "There are labels in this text, but no ids beside them. Ask again, and keep the ids S01, S02 and so on in"
            " the prompt."
        )
    return (
        f"There is no answer in this text, which begins with {text.strip()[:30]!r}. It needs ids such as S01 and the"
        " labels negative, neutral or positive: copy the assistant's whole answer."
    )
