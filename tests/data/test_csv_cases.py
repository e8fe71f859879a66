"""Files as people really have them: each is read right, or refused in one line that says what to do.

The shapes come from public files and bug reports; sentences and firms are invented.
"""

import io
import json
import zipfile

import pytest

from tuning import paths
from tuning.data import loading
from tuning.data.labels import LABELS
from tuning.errors import DataError

FIRMS = ("Norlyd", "Castrum Foods", "Varnhem Tools", "Lumeride", "Halvik", "Sodrel")
NEWS = {"negative": "fell sharply", "neutral": "is reported twice a year", "positive": "reached a record"}
ROWS = [
    (f"{firm} said that its profit in part {part} {NEWS[label]}.", label)
    for part in range(4)
    for firm in FIRMS
    for label in LABELS
]


def table(rows=ROWS, header: str = "sentence,label", separator: str = ",", end: str = "\n") -> str:
    return end.join([header.replace(",", separator), *(separator.join(row) for row in rows)]) + end


@pytest.fixture
def load(tmp_path):
    def write_and_read(content: str | bytes, name: str = "mine.csv") -> loading.Data:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return loading.load(str(tmp_path / name))

    return write_and_read


def pairs(found: loading.Data) -> list[tuple[str, str]]:
    return list(zip(found.frame["sentence"], found.frame["label"], strict=True))


def refusal(act, *args) -> str:
    with pytest.raises(DataError) as caught:
        act(*args)
    (line,) = str(caught.value).splitlines()
    assert len(line) < 400
    return line


def test_one_old_line_leaves_the_others_as_they_are(load):
    rows = [
        (f"Zürich: {sentence[:-1]} \u2013 about €5m, the group\u2019s desk said.", label) for sentence, label in ROWS
    ]
    lines = [f'"{sentence}",{label}'.encode() for sentence, label in rows]
    lines[40] = lines[40].decode().encode("cp1252")
    found = load(b"\n".join([b"sentence,label", *lines]))
    assert pairs(found) == rows
    (notice,) = found.notices
    assert "line 42 is not UTF-8 (1 of 73 lines)" in notice
    assert "Zürich" in notice


def test_excel_on_windows_keeps_its_euro_signs_and_quotes(load):
    rows = [(f"The group\u2019s “{sentence}” \u2013 to €{at}m… Š", label) for at, (sentence, label) in enumerate(ROWS)]
    found = load(table(rows, end="\r\n").encode("cp1252"))
    assert pairs(found) == rows
    assert "(72 of 73 lines)" in found.notices[0]


def test_a_byte_without_a_meaning_in_cp1252_stays_visible(load):
    found = load(table([*ROWS, ("Up \x81 5%.", "positive")]).encode("latin-1"))
    assert found.frame["sentence"].iloc[-1] == "Up \ufffd 5%."


def test_contradictions_copies_and_leaks_are_counted_in_one_notice(load):
    (first, label), (second, other) = ROWS[:2]
    rows = [*ROWS, (first.upper(), "positive"), (second.replace(" ", "  "), other), (second, other)]
    (notice,) = load(table(rows)).notices
    assert label == "negative"
    assert "2 sentences appear more than once, after folding case and blanks" in notice
    assert "1 with different labels (contradictions; the first: row 2 and row 74)" in notice
    assert "1 with the same label (copies: 2)" in notice
    assert notice.endswith("mine.csv")
    parts = ["train", "validation", "test"]
    own = [(*row, parts[at % 9 // 3]) for at, row in enumerate(ROWS)] + [(first, label, "test")]
    (notice,) = load(table(own, header="sentence,label,split")).notices
    assert "1 in more than one part of its split (leaks)" in notice


def test_no_sentence_twice_no_notice(load):
    assert load(table()).notices == ()


# Which column

NUMBERS = {"negative": "0", "neutral": "1", "positive": "2"}


@pytest.mark.parametrize("first", [NUMBERS, dict.fromkeys(LABELS, "earnings"), dict.fromkeys(LABELS, "")])
def test_the_column_that_holds_the_words_is_the_label_whatever_its_name(load, first):
    for header in ("text,label,sentiment", "text,label,verdict", "text,score,Annotation by A. B."):
        found = load(table([(sentence, first[label], label) for sentence, label in ROWS], header=header))
        assert pairs(found) == ROWS
        assert header.rpartition(",")[2] in found.notices[0]


def test_a_column_of_a_known_name_that_fits_is_taken_even_with_a_wrong_cell(load):
    rows = [(sentence, label, "neutral" if at % 5 else label) for at, (sentence, label) in enumerate(ROWS)]
    assert pairs(load(table(rows, header="sentence,label,model"))) == ROWS
    rows[3] = (rows[3][0], "mixed", rows[3][2])
    assert "row 5 has the label 'mixed'" in refusal(load, table(rows, header="sentence,label,model"))


@pytest.mark.parametrize("header", ["sentence,annotator 1,annotator 2", "sentence,label,sentiment"])
def test_two_columns_of_labels_that_differ_are_asked_about(load, header):
    rows = [(sentence, label, "neutral" if at == 6 else label) for at, (sentence, label) in enumerate(ROWS)]
    text = refusal(load, table(rows, header=header))
    _, one, two = header.split(",")
    assert f"they differ (row 8: {one} has negative and {two} has neutral). Which one is meant?" in text
    alike = [(sentence, label, label[:3].upper()) for sentence, label in ROWS]
    assert pairs(load(table(alike, header=header))) == ROWS


# Rows that are none

LEFT_OUT = {
    "empty rows and columns of a spreadsheet": (
        table([(*row, "", "") for row in ROWS], header="sentence,label,,") + ",,,\n" * 40,
        None,
    ),
    "a cell too many, which is empty": (table([(*row, "") for row in ROWS]), None),
    "sep= with semicolons": ("sep=;\r\n" + table(separator=";", end="\r\n"), None),
    "sep= with tabs": ("sep=\t\n" + table(separator="\t"), None),
    "bars": (table(separator="|"), None),
    "a title": ("Export of 12 May\n\n" + table(), 'row 1 above the header left out ("Export of 12 May")'),
    "a title with commas": ("Sentiment, by desk,\n12 May,\n,\n" + table(), "rows 1 to 2 above the header left out"),
    "a total": (table() + "Total,72\n", 'row 74 left out: below the table, without a label ("Total 72")'),
    "a total with another name": (table() + "\nn = 72,\nSource: the desk,\n", "rows 75, 76 left out"),
    "a note below a gap": (table() + "\n\nThese rows were read twice by two people,\n", "row 76 left out"),
    "the header again": (table(ROWS[:30]) + table(ROWS[30:]), "row 32 left out: the header again"),
    "a word for nothing": (
        table([*ROWS[:5], ("nan", "neutral"), ("NULL", "positive"), ("-", "neutral"), *ROWS[5:]]),
        "rows 7, 8, 9 left out: a word for nothing where the sentence should be",
    ),
    "unseen signs": (
        table(header="\u200bsentence,la\u200bbel\ufeff").replace(",neutral", ",neu\u00adtral\u200b"),
        None,
    ),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_no_row_is_left_out_and_that_is_said(load, name):
    content, said = LEFT_OUT[name]
    found = load(content)
    assert pairs(found) == ROWS
    assert len(found.notices) == (said is not None)
    assert said is None or said in found.notices[0]


TOTALS = ["Total,72", "TOTAL:,72", "Grand total,,", "Total sentences: 72,", "Number of rows = 72,", "72 rows,", ",72"]


@pytest.mark.parametrize("line", [*TOTALS, "=COUNTA(A2:A73),", "Source: the desk,", "Summe,72", "Average label,1.2"])
def test_totals_below_the_table_are_no_sentences(load, line):
    found = load(table() + line + "\n")
    assert pairs(found) == ROWS
    assert "row 74 left out: below the table" in found.notices[0]


@pytest.mark.parametrize(
    "line", ["Total sales rose.,", "Total costs fell by 5%,mixed", "Sources close to the firm say so.,"]
)
def test_a_last_sentence_without_a_label_is_no_total(load, line):
    assert "row 74 has" in refusal(load, table() + line + "\n")


def test_rows_keep_the_numbers_that_a_spreadsheet_shows(load):
    found = load("Title\n\n" + table(ROWS[:40]) + "\n\n" + "\n".join(map(",".join, ROWS[40:])))
    assert found.rows == (*range(4, 44), *range(46, 78))


# What cannot be guessed

REFUSED = {
    "numbers": (table([(sentence, NUMBERS[label]) for sentence, label in ROWS]), "look up what it means here"),
    "signed numbers": (
        table([(sentence, str(LABELS.index(label) - 1)) for sentence, label in ROWS]),
        "rows 2, 3, 4 and 69 more have the label '-1', '0', '1'. Allowed: negative, neutral, positive. A number means",
    ),
    "numbers with a point": (table([(sentence, f"{LABELS.index(label)}.0") for sentence, label in ROWS]), "A number"),
    "a model's numbers": (table([(sentence, f"LABEL_{NUMBERS[label]}") for sentence, label in ROWS]), "A number means"),
    "the market's words": (
        table().replace(",negative", ",Bearish").replace(",positive", ",Bullish"),
        "the label 'Bearish', 'Bullish'. Allowed: negative, neutral, positive. What the market will do",
    ),
    "no label": (table([*ROWS, ("Sales rose.", "")]), "row 74 has no label. Fill or delete it."),
    "a word for no label": (table([*ROWS, ("Sales rose.", "NaN")]), "row 74 has no label ('NaN'). Fill"),
    "many without": (
        table([*ROWS, *[(f"Sales rose {at}.", "") for at in range(40)]]),
        "rows 74, 75, 76 and 37 more have no label (40 of 112 rows). Fill or delete them.",
    ),
    "a letter that looks alike": (
        table([*ROWS, ("Sales rose.", "p\u043esitive")]),
        "the label 'p\u043esitive' (\u043e is U+043E). Allowed",
    ),
    "a header's letter that looks alike": (
        table(header="s\u0435ntence,label"),
        "(found: s\u0435ntence (\u0435 is U+0435), label)",
    ),
    "another name for sentences": (
        table([("7", *row) for row in ROWS], header="id,Wortlaut,label"),
        "The longest texts stand in 'Wortlaut'.",
    ),
    "no header, sentence first": (table().partition("\n")[2], "put sentence,label above it as a header"),
    "no header, label first": (
        "\n".join(f"{label};{sentence}" for sentence, label in ROWS),
        "looks like a sentence and a label: put label;sentence above it",
    ),
    "no header and numbers": (
        "\n".join(f"{at},{sentence},0.{at}" for at, (sentence, _) in enumerate(ROWS)),
        "looks like a sentence and not like a header",
    ),
    "an index without a name": (
        table([(str(at), *row) for at, row in enumerate(ROWS)]),
        "(3 in row 2, 2 in the header). The header lacks a name: make it 'id,sentence,label'.",
    ),
    "a label without a name": (
        table([(str(at), *row) for at, row in enumerate(ROWS)], header="id,sentence"),
        "make it 'id,sentence,label'.",
    ),
    "curly quotation marks around labels": (
        table([(f"“{sentence}”", f"“{label}”") for sentence, label in ROWS]),
        'a CSV knows straight double ones (") only.',
    ),
    "single quotation marks": (
        table([(f"'{sentence}'", f"'{label}'") for sentence, label in ROWS]),
        "These quotation marks are part of the word",
    ),
    "one column for each label": (
        table([(sentence, *(str(int(own == label)) for own in LABELS)) for sentence, label in ROWS]).replace(
            "sentence,label", "sentence,negative,neutral,positive"
        ),
        "The labels are spread over three columns",
    ),
    "another separator in the rows": (
        table().replace("sentence,label", "sentence;label"),
        "the header has ';' between its cells, and row 2 has ','. Use one of them throughout.",
    ),
    "curly quotation marks": (
        table([(f"“{sentence}, and the board is content”", label) for sentence, label in ROWS]),
        "Its quotation marks are curly",
    ),
    "a bare quotation mark in a tab file": (
        table([('"' + ROWS[0][0], ROWS[0][1]), *ROWS[1:4], ('It "is".', "neutral"), *ROWS], separator="\t"),
        "row 2 has other rows inside one of its cells. Look for a quotation mark that is never closed",
    ),
    "a download that was cut": (table() + '"Sales rose, they', "a quotation mark in row 74 is never closed"),
    "marks of a conflict": (table() + "<<<<<<< HEAD\nUp.,positive\n=======\n", "row 74 holds a mark of a Git conflict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_guessed_is_refused_with_a_row_and_a_way_out(load, name):
    content, said = REFUSED[name]
    line = refusal(load, content)
    assert line.startswith("mine.csv: ")
    assert said in line


def test_a_markdown_table_is_read(load):
    lines = ["| sentence | label |", "|:---|---|", *(f"| {sentence} | {label} |" for sentence, label in ROWS)]
    found = load("\n".join(lines))
    assert pairs(found) == ROWS
    assert "row 2 left out: a line of dashes" in found.notices[0]


# Further shapes of public files


def quoted(text: str) -> str:
    return f'"{text}"'


READ = {
    "a cleaned text": [(sentence, label, "0.9") for sentence, label in ROWS],
    "a short form of neutral": [(sentence, label.replace("neutral", "neutr"), "x") for sentence, label in ROWS],
}


@pytest.mark.parametrize(
    "header", ["clean_text", "OriginalTweet", "News Headline", "message", "Title", "tweet-content", "SENTENCES"]
)
def test_a_column_with_one_of_the_usual_words_in_its_name_holds_the_sentences(load, header):
    for rows in READ.values():
        found = load(table(rows, header=f"{header},sentiment,text_score"))
        assert pairs(found) == ROWS
        assert found.notices == (f"mine.csv: the sentences come from the column {header}.",)


def test_two_such_columns_are_asked_about(load):
    rows = [(sentence[:12], sentence, label) for sentence, label in ROWS]
    line = refusal(load, table(rows, header="title,news_text,label"))
    assert "there is no sentence column" in line
    assert "The longest texts stand in 'news_text'." in line


def test_undecided_labels_are_missing_ones(load):
    assert "row 74 has no label ('unk'). Fill" in refusal(load, table([*ROWS, ("Sales rose.", "unk")]))


def test_labels_in_braces_are_named(load):
    rows = [(quoted(sentence), '"{""firm"": ""neutral""}"') for sentence, _ in ROWS]
    line = refusal(load, table(rows, header="Title,Decisions"))
    assert "The column Decisions holds labels in braces: give each row one label of its own." in line


def test_numbers_below_another_name_get_the_way_out_too(load):
    rows = [(sentence, str(LABELS.index(label) - 1)) for sentence, label in ROWS]
    assert "A number means" in refusal(load, table(rows, header="sentence,sentiment_label"))


@pytest.mark.parametrize("inside", ['"so"', '"so, and so"', 'so"', '6"'])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_marks_that_a_writer_left_inside_quoted_cells_stay(load, inside, separator):
    rows = [(f"{sentence[:10]}{inside} {sentence[10:]}", label) for sentence, label in ROWS]
    found = load(table([(quoted(text), quoted(label)) for text, label in rows], separator=separator))
    assert pairs(found) == rows
    assert found.notices == ()


def test_marks_inside_quoted_cells_that_could_end_them_are_refused_with_the_row(load):
    rows = [(quoted(sentence), label) for sentence, label in ROWS]
    rows[4] = ('"It said "up", and "down"."', "neutral")
    rows[9] = ('"Two\nlines"', "neutral")
    line = refusal(load, table(rows))
    assert "row 6 has" in line
    rows[4] = ('"It "said" up"', "neutral")
    assert "row 6 has a quotation mark inside a cell that is in quotation marks itself" in refusal(load, table(rows))


def test_blanks_after_a_closing_mark_are_no_text(load):
    assert pairs(load(table([(f'"{sentence}" ', label) for sentence, label in ROWS]))) == ROWS


# What it is instead


def zipped(*names: str) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return raw.getvalue()


OTHER_KINDS = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
    "web page": (b"\n <!DOCTYPE html>\n<html></html>", "a web page"),
    "XML": (b'\xef\xbb\xbf<?xml version="1.0"?><rows/>', "a web page or XML"),
    "JSON lines": ("\n".join(json.dumps({"sentence": text}) for text, _ in ROWS).encode(), "JSON lines"),
    "JSON": (json.dumps([{"sentence": text} for text, _ in ROWS], indent=1).encode(), "JSON, not"),
    "notebook": (b'{\n "cells": [], "nbformat": 4}', "a notebook"),
    "zip": (
        zipped("data/all-data.csv"),
        "an archive (zip), not a CSV. Unpack it and set DATA to the CSV file inside. It",
    ),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook (xlsx)"),
    "ods": (zipped("mimetype", "content.xml"), "a document of an office program"),
    "cut zip": (zipped("all-data.csv")[:40], "an archive (zip)"),
    "gzip": (b"\x1f\x8b\x08\x00", "a compressed file (gzip)"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file"),
    "Parquet": (b"PAR1\x15\x04", "a Parquet file"),
    "PDF": (b"%PDF-1.7", "a PDF"),
    "lock": (b",ada,ada-laptop,17.05.2026 11:11,file:///home/ada/.config/libreoffice/4;", "a lock file of LibreOffice"),
    "PhraseBank": (
        "\r\n".join(f"{text[:-1]} ä .@{label}" for text, label in ROWS).encode("latin-1"),
        'PhraseBank\'s own text file, not a CSV. Set DATA = "phrasebank"',
    ),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_what_is_no_csv_is_named(load, name):
    content, said = OTHER_KINDS[name]
    line = refusal(load, content)
    assert line.startswith("mine.csv: this is ")
    assert said in line


@pytest.mark.parametrize(
    "beginning", ["BZhang said so", "{profit} rose", "[1] Sales rose", "<5% growth", "PAR1 said so"]
)
def test_a_sentence_that_begins_like_another_kind_is_a_sentence(load, beginning):
    rows = [(f"{beginning} {at}", label) for at, (_, label) in enumerate(ROWS)]
    assert pairs(load(table(rows))) == rows
    headerless = refusal(load, "\n".join(f"{text} in the last quarter,{label}" for text, label in rows))
    assert "looks like a sentence and a label" in headerless


# Where it is


def test_a_file_beside_the_clone_is_found_as_colab_puts_it_there(tmp_path, monkeypatch):
    lab = tmp_path / "AI6-W6" / "lab"
    lab.mkdir(parents=True)
    monkeypatch.setattr(paths, "LAB", lab)
    monkeypatch.setattr(paths, "ROOT", lab.parent)
    monkeypatch.chdir(lab)
    (tmp_path / "uploaded.csv").write_text(table(), encoding="utf-8")
    assert pairs(loading.load("uploaded.csv")) == ROWS
    assert "Did you mean uploaded.csv?" in refusal(loading.load, "Uploded.csv")
    assert "It is a folder, and holds uploaded.csv." in refusal(loading.load, str(tmp_path))


@pytest.mark.parametrize(
    "typed", ["data\news.csv", "data\tweets.csv", r"data\mine.csv", '"data/mine.csv"', "\u2018data/mine.csv\u2019"]
)
def test_a_path_as_windows_people_type_it_is_found_or_shown_as_typed(tmp_path, monkeypatch, typed):
    monkeypatch.chdir(tmp_path)
    line = refusal(loading.load, typed)
    if "\\" in repr(typed):
        shown = typed if typed.isprintable() else repr(typed)
        assert line.startswith(f"{shown}: there is no such file. Write the path with / in place of each backslash.")
    (tmp_path / "data").mkdir()
    for name in ("news", "tweets", "mine"):
        (tmp_path / "data" / f"{name}.csv").write_text(table(), encoding="utf-8")
    assert pairs(loading.load(typed)) == ROWS


@pytest.mark.parametrize(
    "address", ["https://example.invalid/mine.csv", "HTTP://x.invalid/a", "s3://a/b.csv", "www.x.invalid/a.csv"]
)
def test_an_address_is_refused_and_nothing_is_fetched(address):
    assert "download it first" in refusal(loading.load, address)
