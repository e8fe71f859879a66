"""Input that nobody meant: whatever comes is used as it is, or refused in one line; never a traceback, never guessed.

Each property is tried on a few examples in every run of the tests, and on many more in the full set.
"""

import csv
import io
import json
import math
import re
import string
from pathlib import Path

import pandas as pd
import pytest
from helpers.rooms import room_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuning.data import loading
from tuning.data.labels import LABELS, NOTHING
from tuning.dials import Dials, FreezingDials, PlanDials, SgdDials, TrackingDials, parse_settings
from tuning.errors import DataError, DialError, RunError, ShareError, WorksheetError, WorkshopError
from tuning.evidence import experiment_log, markdown_tables, run_tables, worksheet
from tuning.evidence.log_rows import WORKSHEET_COLUMNS
from tuning.evidence.markdown_tables import bare
from tuning.room import board, share
from tuning.runs.record import Run, check, finite
from tuning.sgd import classifier
from tuning.training.scoring import label_probabilities

FEW, MANY = 12, 2_000
# The folder of a test is made once for all examples; each writes its file anew.
ONE_FOLDER = [HealthCheck.function_scoped_fixture]


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=ONE_FOLDER)


COUNTS = [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.full)]


def one_line(problem: WorkshopError) -> None:
    (line,) = str(problem).splitlines()
    assert 0 < len(line) < 600


# A CSV file

GOOD = [(f"Firm {number} said so.", label) for number in range(10) for label in LABELS]


def written(rows: list[tuple[str, str]], separator: str = ",", ending: str = "\n") -> str:
    text = io.StringIO()
    # Python leaves a lone \r bare, which a spreadsheet puts in quotes.
    quoting = csv.QUOTE_ALL if any("\r" in sentence for sentence, _ in rows) else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=separator, lineterminator=ending, quoting=quoting)
    writer.writerows([("sentence", "label"), *rows])
    return text.getvalue()


def load(folder: Path, content: bytes) -> loading.Data:
    path = folder / "mine.csv"
    path.write_bytes(content)
    return loading.load(str(path))


@pytest.mark.parametrize("count", COUNTS)
def test_any_bytes_are_a_data_set_or_one_line(tmp_path, count):
    pieces = st.sampled_from(
        [b"sentence", b"label", b",", b";", b"\t", b"\n", b"\r\n", b'"', b"positive", b"\0", b"\xff"]
    )
    made = st.lists(pieces | st.binary(max_size=6), max_size=60).map(b"".join)

    @examples(count)
    @given(made | made.map(lambda more: written(GOOD).encode() + more))
    def property(raw: bytes) -> None:
        try:
            found = load(tmp_path, raw)
        except DataError as problem:
            one_line(problem)
            return
        assert found.frame["label"].isin(LABELS).all()
        assert found.frame["sentence"].str.strip().ne("").all()
        assert found.frame["sentence"].str.len().max() <= loading.LONGEST_SENTENCE

    property()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(
    lambda text: text.strip().casefold() not in NOTHING
)


@pytest.mark.parametrize("count", COUNTS)
def test_what_a_spreadsheet_writes_comes_back_sentence_for_sentence(tmp_path, count):
    """Never a row lost, joined to another or moved to another label."""

    @examples(count)
    @given(st.lists(TEXT.filter(lambda text: text.strip()), max_size=20), st.sampled_from(",;\t"), st.booleans())
    def property(texts: list[str], separator: str, windows: bool) -> None:
        rows = GOOD + [(text, LABELS[number % 3]) for number, text in enumerate(texts)]
        raw = written(rows, separator, "\r\n" if windows else "\n").encode()
        try:
            found = load(tmp_path, raw)
        except DataError as problem:
            one_line(problem)
            # Its only right to refuse: a sentence whose own line looks like a row of the table.
            assert any(separator in text and ("\n" in text or "\r" in text) for text in texts), problem
            return
        assert list(zip(found.frame["sentence"], found.frame["label"], strict=True)) == [
            (text.strip(), label) for text, label in rows
        ]

    property()


# Words of a page in cp1252 whose bytes are never UTF-8 by chance.
OLD_WORDS = st.sampled_from(
    ["Z\u00fcrich", "\u20ac5", "\u2013", "it\u2019s", "\u201cso\u201d", "caf\u00e9", "profit", "a;b", "c,d", '"e"']
)
OLD_TEXT = st.lists(OLD_WORDS, min_size=1, max_size=6).map(" ".join).filter(lambda text: text not in NOTHING)


@st.composite
def spreadsheets(draw: st.DrawFn) -> tuple[list[tuple[str, str]], bytes, int]:
    """Rows of sentence and label, what a program may write for them, and how many rows that has."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]))
    texts = draw(st.lists(OLD_TEXT if encoding == "cp1252" else TEXT.filter(str.strip), max_size=12))
    rows = GOOD + [(text, LABELS[number % 3]) for number, text in enumerate(texts)]
    separator, ending = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    names = draw(
        st.sampled_from([("sentence", "label"), ("Text ", " SENTIMENT"), ("headline", "class"), ("tweet", "verdict")])
    )
    others = draw(st.lists(st.sampled_from(["", "note", "Unnamed: 0"]), max_size=3))
    columns = draw(st.permutations([*names, *others]))
    lines = [columns]
    for number, (text, label) in enumerate(rows):
        written = dict(
            zip(names, (text, draw(st.sampled_from([label, label.upper(), f" {label} ", label[:3]]))), strict=True)
        )
        lines.append([written.get(name, str(number) if name == "note" else "") for name in columns])
    for place in sorted(draw(st.lists(st.integers(1, len(lines)), max_size=3)), reverse=True):
        lines.insert(place, draw(st.sampled_from([[], [""] * len(columns), [" ", ""]])))
    text = io.StringIO()
    risky = any(sign in cell for line in lines for cell in line for sign in "\r\n")
    quoting = csv.QUOTE_ALL if risky else draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(text, delimiter=separator, lineterminator=ending, quoting=quoting).writerows(lines)
    first = draw(st.sampled_from(["", f"sep={separator}{ending}"]))
    return rows, (first + text.getvalue()).encode(encoding), len(lines)


@pytest.mark.parametrize("count", [pytest.param(50, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.full)])
def test_the_sentences_of_a_spreadsheet_come_out_as_they_went_in_or_a_row_is_named(tmp_path, count):
    @examples(count)
    @given(spreadsheets())
    def property(made: tuple[list[tuple[str, str]], bytes, int]) -> None:
        rows, raw, lines = made
        try:
            found = load(tmp_path, raw)
        except DataError as problem:
            one_line(problem)
            named = re.search(r"\brow (\d+)", str(problem))
            assert named, problem
            assert 1 < int(named[1]) <= lines
            # Its only right to refuse: a sentence whose own line looks like a row of the table.
            assert "has other rows inside one of its cells" in str(problem)
            return
        assert list(zip(found.frame["sentence"], found.frame["label"], strict=True)) == [
            (text.strip(), label) for text, label in rows
        ]

    property()


@pytest.mark.parametrize("count", COUNTS)
def test_the_row_that_is_named_is_the_row_of_the_file(tmp_path, count):
    """Blank lines and cells of several lines do not move it: a spreadsheet shows the same number."""

    @examples(count)
    @given(st.lists(st.sampled_from(["", "Up.,positive", '"Two\nlines.",negative', '"A\n\nB",neutral']), max_size=12))
    def property(lines: list[str]) -> None:
        text = "\n".join(["sentence,label", *lines, "Flat.,mixed"]) + "\n"
        with pytest.raises(DataError) as caught:
            load(tmp_path, text.encode())
        assert f"row {len(lines) + 2} has the label 'mixed'" in str(caught.value)

    property()


@pytest.mark.parametrize("opened", range(0, 27, 5))
@pytest.mark.parametrize("closed", [1, 2, 3, 10])
def test_a_forgotten_quotation_mark_never_joins_rows(tmp_path, opened, closed):
    rows = [f"Firm {number} said so.,{label}" for number in range(12) for label in LABELS]
    rows[opened] = '"' + rows[opened]
    rows[min(opened + closed, 35)] = rows[min(opened + closed, 35)].replace("said", 'said "it')
    with pytest.raises(DataError, match=r"quotation mark|double quotes|cannot be read"):
        load(tmp_path, "\n".join(["sentence,label", *rows]).encode())


SPECIAL = {
    "formulas": ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", '=HYPERLINK("http://x.invalid","y")'],
    "right to left": ["ارتفعت الأرباح بنسبة 5%", "הרווח עלה ברבעון השלישי", "\u202eevil\u202c profit"],
    "emoji": ["Profit 📈🚀", "👩🏽‍💻 hired", "🇫🇮 +3%"],
    "other scripts": ["利润增长了", "Прибыль выросла", "λόγος", "Ergebnis über Plan", "e\u0301 and é"],
    "odd blanks": ["Profit\u00a0rose", "Profit\u2028fell", "Profit\x0bheld", "zero\u200bwidth"],
    "control characters": ["bell\x07", "escape\x1b[31mred", "delete\x7f"],
    "html": ["<script>alert(1)</script>", "<b>Profit</b> & loss"],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_odd_sentences_are_read_whole_and_a_run_on_them_works(tmp_path, name):
    rows = [(f"{text} {number}", LABELS[number % 3]) for number in range(36) for text in SPECIAL[name]]
    rows += GOOD
    found = load(tmp_path, written(rows).encode())
    assert found.frame["sentence"].tolist() == [text for text, _ in rows]
    splits = loading.split(found)
    run = classifier.train(classifier.features(splits, SgdDials(TRAIN_SUBSET=24, EPOCHS=1)), found, splits)
    assert run.outcome == "completed"
    assert math.isfinite(run.final["val_loss"])
    assert Run.load(run.folder).final == run.final


def test_odd_sentences_of_ones_own_are_scored(tiny_distilbert):
    from tuning.encoder import finding as encoders

    model, tokenizer = encoders.build(encoders.find(str(tiny_distilbert)), 1)
    texts = [text for texts in SPECIAL.values() for text in texts] + ["", " ", "word " * 5_000]
    table = label_probabilities(model, texts, tokenizer)
    assert table.shape == (len(texts), 3)
    assert table.sum(axis=1).sub(1).abs().max() < 1e-5


@pytest.mark.parametrize(
    "label", ["positiv", "négatif", "neutraali", "积极", "إيجابي", "POSITIVE!", "1", "true", "=positive"]
)
def test_labels_in_another_language_are_refused_with_what_is_allowed(tmp_path, label):
    with pytest.raises(DataError, match=r"row 32 has the label .*Allowed: negative, neutral, positive") as caught:
        load(tmp_path, written([*GOOD, ("Up.", label)]).encode())
    one_line(caught.value)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman", "utf-16", "utf-32", "shift-jis", "cp437"])
def test_an_encoding_that_is_not_utf8_is_said(tmp_path, encoding):
    sentence = "利益は5%増" if encoding == "shift-jis" else "Profit of £5m in the café"
    content = written([*GOOD, (sentence, "positive")]).encode(encoding)
    try:
        found = load(tmp_path, content)
    except DataError as problem:
        one_line(problem)
        assert "not plain text" in str(problem)
        return
    assert "not UTF-8" in found.notices[0]


def test_two_encodings_in_one_file_are_said_with_the_line(tmp_path):
    mixed = written(GOOD).encode() + "Café,positive\n".encode() + "Café,positive\n".encode("cp1252")
    assert "line 33 is not UTF-8" in load(tmp_path, mixed).notices[0]


def test_a_sentence_of_ten_megabytes_is_refused_with_its_row(tmp_path):
    with pytest.raises(DataError, match="row 32 has a sentence of 10,000,000 characters"):
        load(tmp_path, written([*GOOD, ("x" * 10_000_000, "neutral")]).encode())


@pytest.mark.full
def test_a_million_rows_work(tmp_path):
    rows = (f"Firm {number} made {number * 7} of it,{LABELS[number % 3]}" for number in range(1_000_000))
    found = load(tmp_path, "\n".join(["sentence,label", *rows]).encode())
    splits = loading.split(found)
    assert sum(splits.sizes().values()) == len(found.frame) == 1_000_000
    run = classifier.train(classifier.features(splits, SgdDials(EPOCHS=1)), found, splits)
    assert run.outcome == "completed"


# Dials

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    | st.sampled_from(["1e400", "٣", "1_0", "0x10", " 2 ", "2.0", "-0", "nan", "None", "TOO_LOW", "cosine"])
)


@pytest.mark.parametrize("kind", [Dials, SgdDials, PlanDials, FreezingDials, TrackingDials])
@pytest.mark.parametrize("count", COUNTS)
def test_any_value_of_any_dial_is_kept_in_its_range_or_refused(kind, count):
    @examples(count)
    @given(st.sampled_from(kind.settable()), VALUES)
    def property(name: str, value: object) -> None:
        try:
            dials = kind(**{name: value})
        except DialError as problem:
            one_line(problem)
            assert name in str(problem) or (name in ("DIALS", "CHANGE") and "is not a dial" in str(problem))
            return
        # What was taken is what it would be taken for again, and goes into a record as it is.
        assert kind(**{name: getattr(dials, name)}) == dials
        json.dumps(dials.as_dict(), allow_nan=False, default=dict)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert getattr(dials, name) in (value, str(value))

    property()


@pytest.mark.parametrize("count", COUNTS)
def test_any_setting_of_the_command_line_is_read_or_refused(count):
    @examples(count)
    @given(st.lists(st.text(max_size=20) | st.builds("{}={}".format, st.sampled_from(Dials.settable()), st.text())))
    def property(texts: list[str]) -> None:
        try:
            Dials.from_settings(parse_settings(texts))
        except DialError as problem:
            one_line(problem)

    property()


# A record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where a value could be put into a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@pytest.mark.parametrize("count", COUNTS)
def test_a_record_with_any_value_anywhere_is_refused_or_fit_for_every_reader(tmp_path, make_run, count):
    record = finite(vars(make_run(losses=[1.1, 0.9, 0.7, 0.5])))
    everywhere = places(record)[1:]

    @examples(count)
    @given(st.sampled_from(everywhere), JSON)
    def property(place: tuple, value: object) -> None:
        changed = json.loads(json.dumps(record))
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        (tmp_path / "run.json").write_text(json.dumps(changed), encoding="utf-8")
        try:
            run = Run.load(tmp_path)
        except RunError as problem:
            one_line(problem)
            return
        check(finite(vars(run)), "again")
        for read in (
            run_tables.before_after,
            worksheet.worksheet_row,
            worksheet.baseline_row,
            run_tables.labs_compared,
        ):
            read(run) if read is not run_tables.labs_compared else read()

    property()


@pytest.mark.parametrize("count", COUNTS)
def test_any_text_as_a_record_is_one_line(tmp_path, count):
    @examples(count)
    @given(st.binary(max_size=80) | st.sampled_from([b"[" * 100_000, b"1" * 10_000, b'{"a":' * 5_000, b"\xff\xfe{}"]))
    def property(raw: bytes) -> None:
        (tmp_path / "run.json").write_bytes(raw)
        with pytest.raises(RunError) as caught:
            Run.load(tmp_path)
        one_line(caught.value)

    property()


# A share line, and the chat around it


@pytest.mark.parametrize("count", COUNTS)
def test_a_chat_of_anything_is_gathered_and_a_good_line_in_it_is_found(make_run, count):
    run = room_run(make_run, 4, "JUST_RIGHT")
    line = share.line(run, "Blue 4", "moving", 0.7)

    @examples(count)
    @given(st.text(max_size=80), st.text(max_size=80))
    def property(before: str, after: str) -> None:
        found = share.gather(f"{before}\n{line}\n{after}")
        assert [shared.run.run_id for shared in found.shared] == [run.run_id]
        board.collect(f"{before}\n{line}\n{after}")

    property()


@pytest.mark.parametrize("count", COUNTS)
def test_a_line_cut_anywhere_or_with_one_letter_changed_never_gives_another_run(make_run, count):
    run = room_run(make_run, 4, "JUST_RIGHT")
    line = share.line(run, "Blue 4", "moving", 0.7)
    key = share.read(line).key

    @examples(count)
    @given(st.integers(0, len(line) - 1), st.sampled_from(string.printable), st.booleans())
    def property(at: int, letter: str, cut: bool) -> None:
        try:
            found = share.read(line[:at] if cut else line[:at] + letter + line[at + 1 :])
        except ShareError as problem:
            one_line(problem)
            return
        assert found.key == key

    property()


# The worksheet


@pytest.mark.parametrize("count", COUNTS)
def test_a_worksheet_with_anything_typed_anywhere_is_filled_and_loses_no_word(make_run, count):
    text = worksheet.TEMPLATE.read_text(encoding="utf-8")
    runs = [make_run(run_id="run-1"), make_run(run_id="run-2")]
    typed = st.text(max_size=60) | st.sampled_from(
        ["|" * 30, "| Run ID |", "\r", "\x0c", "```\n", "<!--", "|\n|---|\n"]
    )

    @examples(count)
    @given(typed, st.integers(0, len(text)), st.integers(0, 200))
    def property(words: str, at: int, gone: int) -> None:
        before = text[:at] + words + text[at + gone :]
        after, _ = worksheet.filled(before, runs)
        known, typed_in, kept = ({*re.findall(r"\w+", part)} for part in (text, before, after))
        assert typed_in - known <= kept, "a word was lost"
        table = markdown_tables.find_table(after, WORKSHEET_COLUMNS)
        assert isinstance(table, str) or {"run-1", "run-2"} <= {bare(row[0]) for row in table.rows}

    property()


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff\xfe", "Löhne".encode("latin-1"), b"# x" * 1_000_000])
def test_a_worksheet_of_any_bytes_is_filled_or_left_alone(make_run, keep_run, raw):
    keep_run(make_run())
    path = worksheet.worksheet_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    try:
        assert isinstance(worksheet.fill_worksheet(), str)
    except WorksheetError as problem:
        one_line(problem)
    assert path.read_bytes() == raw


def test_the_log_edited_by_a_spreadsheet_loses_nothing(make_run, keep_run):
    """Formula cells in notes are text again, and a log that is none any more is kept aside."""
    experiment_log.append(keep_run(make_run()))
    frame = pd.read_csv(experiment_log.log_file(), dtype=str)
    frame["Notes"] = "=1+1"
    frame.to_csv(experiment_log.log_file(), index=False)
    experiment_log.append(make_run(run_id="run-2"))
    assert experiment_log.read_log()["Notes"].tolist()[0].lstrip("'") == "=1+1"
