"""Reading a CSV: each way in which a file can be wrong gets one line, and the parts are always cut alike."""

import hashlib
import itertools
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tuning import paths
from tuning.data import loading
from tuning.data.labels import LABELS
from tuning.data.loading import PARTS
from tuning.errors import DataError

TRACEBACK_WORDS = ("Traceback", "Error:", "Exception", "pandas", "NaN", "None", "object at", "codec")


def rows(each: int = 12, form: str = '"Sales of firm {i}, it said, were {label}.",{label}') -> list[str]:
    return [form.format(i=i, label=label) for i in range(each) for label in LABELS]


def table(*lines: str, header: str = "sentence,label") -> str:
    return "\n".join([header, *lines]) + "\n"


GOOD = table(*rows())


@pytest.fixture
def load(tmp_path):
    """Write a file and read it."""

    def write_and_read(content: str | bytes, name: str = "mine.csv") -> loading.Data:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return loading.load(str(path))

    return write_and_read


def line_of(act, *args) -> str:
    """The text of the DataError that a call raises: one line that starts with the file's name."""
    with pytest.raises(DataError) as caught:
        act(*args)
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert len(text) < 400
    assert not [word for word in TRACEBACK_WORDS if word in text]
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


# Files that cannot be used

WRONG = {
    "no sentence column": (table("1,neutral", header="id,label"), "no sentence column (found: id, label)"),
    "no label column": (table('"Up.",1', header="sentence,id"), "no label column (found: sentence, id)"),
    "no header": ("\n".join(rows()), "the first line looks like a sentence and a label: put sentence,label above it"),
    "a header over two lines": (
        table(*rows(), header='"a\nheader",label'),
        "no sentence column (found: a header, label)",
    ),
    "one column": (table("Sales rose.", header="sentence"), "no label column (found: sentence)"),
    "unknown label": (
        table(*rows(), "Flat.,mixed"),
        "row 38 has the label 'mixed'. Allowed: negative, neutral, positive.",
    ),
    "unknown labels": (table(*["Flat.,mixed"] * 5), "rows 2, 3, 4 and 2 more have the label 'mixed'."),
    "label over two lines": (table(*rows(), '"Flat.","mix\ned"'), r"row 38 has the label 'mix\ned'"),
    "label missing": (table(*rows(), "Flat."), "row 38 has no label. Fill or delete it. Allowed"),
    "empty file": ("", "the file is empty. It needs a header line and sentences."),
    "blank lines only": ("\n \r\n\n", "the file is empty."),
    "mark only": (b"\xef\xbb\xbf", "the table cannot be read"),
    "header only": (table(), "there is a header but no sentence. Add rows."),
    "one class": (table(*[f"Up {i}.,positive" for i in range(30)]), "no sentence is labelled negative or neutral"),
    "two classes": (
        table(*rows(form="Firm {i} is {label}.,{label}")).replace("neutral\n", "positive\n"),
        "no sentence is labelled neutral (negative 12, neutral 0, positive 24). All three labels are needed.",
    ),
    "too few per label": (
        table(*rows(9)),
        "too few sentences are labelled negative or neutral or positive (negative 9",
    ),
    "too few of one label": (table(*rows()[:-9]), "too few sentences are labelled negative or neutral or positive"),
    "fewer rows than classes": (table("Up.,positive", "Down.,negative"), "no sentence is labelled neutral"),
    "empty sentence": (table(*rows(), ",neutral"), "row 38 has an empty sentence. Fill or delete it."),
    "whitespace sentence": (table(*rows(), " \t ,neutral"), "row 38 has an empty sentence."),
    "empty sentences": (
        table(*[",neutral"] * 4),
        "rows 2, 3, 4 and 1 more have an empty sentence. Fill or delete them.",
    ),
    "UTF-16": (GOOD.encode("utf-16"), 'this is not plain text. Save it again as "CSV UTF-8".'),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "this is not plain text."),
    "NUL byte": (GOOD.encode() + b"Up\0.,positive\n", "this is not plain text."),
    "line of a megabyte": (
        table(*rows(), "x" * 1_000_000 + ",neutral"),
        "row 38 has a sentence of 1,000,000 characters (limit 5,000).",
    ),
    "unclosed quote at the end": (table(*rows(), '"Up,positive'), "(a quotation mark in row 38 is never closed)"),
    "unclosed quote at the start": (
        table('"Up,positive', *rows(form="{i},{label}")),
        "(a quotation mark in row 2 is never closed)",
    ),
    "unclosed quote that the next one closes": (
        table(*rows(), '"Up,positive', "Firm 13 is down.,negative", 'It said "so.,neutral', *rows(2, "{i},{label}")),
        "row 38 has other rows inside one of its cells. Look for a quotation mark that is never closed",
    ),
    "unclosed quote behind the label": (
        table('negative,"Down', "positive,Firm 1 is up.", 'neutral,So "it" is.', header="label,sentence"),
        "row 2 has other rows inside one of its cells.",
    ),
    "blank lines above a wrong row": (
        "\n" + table("Up.,positive", "", "  ", "Flat.,mixed").replace("\n", "\r\n"),
        "row 6 has the label 'mixed'",
    ),
    "blank lines and a cell of two lines": (
        table('"Up\n\nand up.",positive', "", "Flat.,mixed"),
        "row 4 has the label 'mixed'",
    ),
    "unclosed quote that another one closes": (
        table('"Up,positive', *rows(200, "Firm {i} is {label}.,{label}"), 'It said "so.,neutral'),
        "row 2 has other rows inside one of its cells. Look for a quotation mark that is never closed",
    ),
    "more cells than columns": (
        table(*rows(), "Up, and up.,positive"),
        "row 38 has more cells than the header (3 in row 38",
    ),
    "more cells than columns from the start": (
        table(*rows(form="Up {i}, said {label}.,{label}")),
        "rows 2, 3, 4 and 33 more have more cells than the header (3 in row 2, 2 in the header). Put",
    ),
    "more cells than columns in the first row": (
        table("Up, and up.,positive", *rows(form="Firm {i} is {label}.,{label}")),
        "row 2 has more cells than the header (3 in row 2, 2 in the header).",
    ),
    "bad split word": (
        table(*rows(form="Firm {i} is {label}.,{label},trian"), header="sentence,label,split"),
        "rows 2, 3, 4 and 33 more have the split 'trian'. Allowed: validation, train, test.",
    ),
    "empty split word": (
        table(*rows(form="Firm {i} is {label}.,{label},train"), "Up.,positive,", header="sentence,label,split"),
        "row 38 has no split. Fill or delete it. Allowed: validation, train, test.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gets_one_line_that_starts_with_its_name(load, name):
    content, said = WRONG[name]
    text = line_of(load, content)
    assert text.startswith("mine.csv: ")
    assert said in text


@pytest.mark.parametrize("part", PARTS)
def test_a_split_column_must_give_every_part_all_labels(load, part):
    lines = [f"{row},{place}" for place in PARTS for row in rows(6, "Firm {i} is {label}.,{label}")]
    lines = [line for line in lines if not line.endswith(f",neutral,{part}")]
    text = line_of(load, table(*lines, header="sentence,label,split"))
    assert text == (
        f"mine.csv: the {part} part of its split column has no neutral sentence."
        " Give every part all three labels, or remove the column."
    )


def test_copies_leave_too_few_different_sentences(load):
    copies = load(table(*rows(form="Firm is {label}.,{label}")))
    text = line_of(loading.split, copies)
    assert text.startswith("mine.csv: too few different sentences are labelled negative or neutral or positive")


@pytest.mark.parametrize("name", ["missing.csv", "x" * 300 + ".csv", "~nobody-of-this-name/mine.csv"])
def test_a_missing_file_is_named(name):
    text = line_of(loading.load, name)
    assert text.startswith(f"{name}: there is no such file.")
    assert 'Set DATA to "bundled"' in text


def test_a_folder_is_no_file(tmp_path):
    assert line_of(loading.load, str(tmp_path)).startswith(f"{tmp_path}: there is no such file.")


# Files that can be used


def test_a_good_file_is_read_whole(load):
    found = load(GOOD)
    assert found.frame["sentence"].iloc[0] == "Sales of firm 0, it said, were negative."
    assert found.frame["label"].tolist() == list(LABELS) * 12
    assert found.frame["id"].tolist() == list(range(1, 37))
    assert found.frame["split"].isna().all()
    assert found.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert (found.path.name, found.notices) == ("mine.csv", ())


SAME_AS_GOOD = {
    "mark at the start": GOOD.encode("utf-8-sig"),
    "Windows lines": GOOD.replace("\n", "\r\n"),
    "old Macintosh lines": GOOD.replace("\n", "\r"),
    "blank lines": "\n\n" + GOOD.replace("\n", "\n\n"),
    "no line end at the end": GOOD.rstrip("\n"),
    "semicolons": table(*rows(form='"Sales of firm {i}, it said, were {label}.";{label}'), header="sentence;label"),
    "tabs": table(*rows(form="Sales of firm {i}, it said, were {label}.\t{label}"), header="sentence\tlabel"),
    "spaces around": table(*rows(form='"  Sales of firm {i}, it said, were {label}. ", {label} ')),
    "columns in another order": table(
        *rows(form='{label},x,"Sales of firm {i}, it said, were {label}."'), header="label,other,sentence"
    ),
    "a header twice": table(
        *rows(form='"Sales of firm {i}, it said, were {label}.",{label},?'), header="sentence,label,label"
    ),
    "a header twice, once in capitals": table(
        *rows(form='"Sales of firm {i}, it said, were {label}.",{label},?'), header="sentence,label,LABEL"
    ),
}


@pytest.mark.parametrize("name", SAME_AS_GOOD)
def test_a_harmless_difference_changes_nothing(load, name):
    expected = load(GOOD, "good.csv").frame
    found = load(SAME_AS_GOOD[name])
    pd.testing.assert_frame_equal(found.frame, expected)
    assert found.notices == ()


@pytest.mark.parametrize("sentence", ["sentence", "Sentence", " TEXT ", "headline", "tweet", "content"])
@pytest.mark.parametrize("label", ["label", "Sentiment", "CLASS", "polarity"])
def test_headers_may_have_their_usual_other_names(load, sentence, label):
    found = load(table(*rows(), header=f"{sentence},{label}"))
    assert loading.label_counts(found.frame) == dict.fromkeys(LABELS, 12)


@pytest.mark.parametrize(
    ("word", "label"), [("neg", "negative"), ("NEU", "neutral"), ("Pos", "positive"), ("POSITIVE", "positive")]
)
def test_labels_may_have_their_usual_other_names(load, word, label):
    found = load(table(*rows(), f"One more.,{word}"))
    assert found.frame["label"].iloc[-1] == label


def test_an_old_encoding_is_read_with_a_notice_that_names_the_line(load):
    found = load(table(*rows(), "Société up 3 £.,positive").encode("latin-1"))
    assert found.frame["sentence"].iloc[-1] == "Société up 3 £."
    (notice,) = found.notices
    assert notice.startswith("mine.csv: line 38 is not UTF-8 (1 of 38 lines), so cp1252 was tried")
    assert "Société up 3 £." in notice


@pytest.mark.parametrize(
    "text", ["Zürich: +3 %, €5, “good” 🚀", "NA to NULL", "007", "1e5", "=1+1", 'He said ""up"".', "a\nb"]
)
def test_a_sentence_stays_as_it_is(load, text):
    found = load(table(*rows(), f'"{text}",neutral'))
    assert found.frame["sentence"].iloc[-1] == text.replace('""', '"')


def test_ids_are_kept_if_no_two_are_alike(load):
    header = "id,sentence,label"
    own = load(table(*rows(form="{label}-{i},Firm {i} is {label}.,{label}"), header=header))
    assert own.frame["id"].tolist()[:2] == ["negative-0", "neutral-0"]
    twice = load(table(*rows(form="{i},Firm {i} is {label}.,{label}"), header=header))
    assert twice.frame["id"].tolist() == list(range(1, 37))


def test_a_relative_path_is_looked_up_here_then_in_lab_and_then_in_the_workshops_folder(tmp_path, monkeypatch):
    (tmp_path / "here.csv").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert loading.load("here.csv").path == (tmp_path / "here.csv").resolve()
    assert loading.load("data/financial_sentiment.csv").path == loading.BUNDLED.resolve()
    assert loading.load("lab/data/financial_sentiment.csv").path == loading.BUNDLED.resolve()


def test_the_bundled_file_needs_no_notice():
    found = loading.load()
    assert found.path == paths.DATA / "financial_sentiment.csv"
    assert found.notices == ()
    assert min(loading.label_counts(found.frame).values()) >= 100
    assert sum(loading.split(found).sizes().values()) == len(found.frame)


# The three parts


def uneven(copies: int = 1) -> str:
    """300 sentences, half of them neutral, each as many times as asked."""
    counts = {"negative": 60, "neutral": 150, "positive": 90}
    lines = [f"Firm {i} is {label}.,{label}" for label, count in counts.items() for i in range(count)]
    return table(*lines * copies)


def test_the_cut_is_seventy_fifteen_fifteen_and_stratified(load):
    parts = loading.split(load(uneven()))
    assert parts.sizes() == {"train": 210, "validation": 45, "test": 45}
    for part in PARTS:
        frame = getattr(parts, part)
        shares = [count / len(frame) for count in loading.label_counts(frame).values()]
        assert shares == pytest.approx([0.2, 0.5, 0.3], abs=0.02)


def test_the_cut_depends_on_the_seed_alone(load):
    found = load(uneven())
    first, again, other = loading.split(found), loading.split(found), loading.split(found, seed=1)
    for part in PARTS:
        pd.testing.assert_frame_equal(getattr(first, part), getattr(again, part))
    assert first.test["sentence"].tolist() != other.test["sentence"].tolist()


def test_no_sentence_is_lost_or_doubled(load):
    found = load(uneven())
    parts = loading.split(found)
    together = pd.concat([parts.train, parts.validation, parts.test])
    assert sorted(together["id"]) == sorted(found.frame["id"])


def test_copies_of_a_sentence_lie_on_one_side(load):
    text = uneven(copies=2).replace("Firm 1 is", "FIRM  1   IS", 1)
    parts = loading.split(load(text))
    seen = {part: {" ".join(line.lower().split()) for line in getattr(parts, part)["sentence"]} for part in PARTS}
    assert not seen["train"] & seen["validation"]
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]
    assert parts.sizes() == {"train": 420, "validation": 90, "test": 90}


def test_the_smallest_file_has_all_labels_in_all_parts(load):
    parts = loading.split(load(table(*rows(loading.FEWEST_PER_LABEL))))
    assert all(min(loading.label_counts(getattr(parts, part)).values()) > 0 for part in PARTS)


def test_the_files_own_split_decides(load):
    words = {"train": "Train", "validation": "dev", "test": "TEST"}
    lines = [f"{row},{word}" for word in words.values() for row in rows(4, "Firm {i} is {label}.,{label}")]
    parts = loading.split(load(table(*lines, header="sentence,label,fold")))
    assert parts.sizes() == {"train": 12, "validation": 12, "test": 12}


# Subsets


@pytest.fixture
def train(load) -> pd.DataFrame:
    return loading.split(load(uneven())).train


def test_a_subset_has_the_size_asked_for_and_no_sentence_twice(train):
    for size in (24, 50, 209):
        assert loading.subset(train, size)["id"].nunique() == size


@pytest.mark.parametrize("size", [0, 210, 5000])
def test_zero_or_too_many_means_all(train, size):
    assert sorted(loading.subset(train, size)["id"]) == sorted(train["id"])


@pytest.mark.parametrize("size", [24, 50, 100, 200])
def test_a_subset_is_stratified(train, size):
    counts = loading.label_counts(loading.subset(train, size))
    whole = loading.label_counts(train)
    assert all(abs(counts[label] - size * whole[label] / len(train)) <= 1 for label in LABELS)


def test_a_smaller_subset_begins_a_larger_one(train):
    sizes = [24, 30, 100, 200, 0]
    drawn = [loading.subset(train, size)["id"].tolist() for size in sizes]
    for small, large in itertools.pairwise(drawn):
        assert large[: len(small)] == small


def test_a_subset_depends_on_the_seed_alone(train):
    assert loading.subset(train, 50)["id"].tolist() == loading.subset(train, 50)["id"].tolist()
    assert Counter(loading.subset(train, 50)["id"]) != Counter(loading.subset(train, 50, seed=1)["id"])


def test_label_counts_name_all_labels_even_of_nothing():
    assert loading.label_counts(pd.DataFrame({"label": ["neutral"]})) == {"negative": 0, "neutral": 1, "positive": 0}


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path: Path = tmp_path / "secret.csv"
    path.write_text(GOOD)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        assert line_of(loading.load, str(path)).startswith("secret.csv: the file cannot be opened (Permission denied).")
    else:
        pytest.skip("this user may read every file")
