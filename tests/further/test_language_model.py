"""Option G: the page to copy, what an assistant may answer in every shape, and the score of it beside two models."""

import json

import numpy as np
import pandas as pd
import pytest

from tuning import paths
from tuning.data.labels import LABELS
from tuning.data.loading import load, split
from tuning.dials import LanguageModelDials
from tuning.errors import DataError, RunError
from tuning.evidence import experiment_log
from tuning.further.language_model import answers, page, scoring
from tuning.runs.paired_comparison import accuracy_difference
from tuning.runs.store import COMPARISON_FILE, save_predictions

TRUE = ["neutral", "negative", "positive"] * 10


def ids() -> list[str]:
    return [f"S{number:02}" for number in range(1, 31)]


@pytest.fixture(scope="module")
def asked() -> page.Page:
    sentences = [f"Sentence {number}: {number}% more, it was positive." for number in range(1, 31)]
    frame = pd.DataFrame({"id": [f"fs{n}" for n in range(30)], "sentence": sentences, "label": TRUE}, index=ids())
    return page.Page(frame, page.BUNDLED_RULE, bundled=True)


def as_json() -> str:
    return json.dumps(dict(zip(ids(), TRUE, strict=True)), indent=1)


def lines(form: str) -> str:
    return "\n".join(
        form.format(id=name, label=label, Label=label.title(), number=number)
        for number, (name, label) in enumerate(zip(ids(), TRUE, strict=True), start=1)
    )


def groups(form: str, between: str) -> str:
    by_label = {label: [name for name, true in zip(ids(), TRUE, strict=True) if true == label] for label in LABELS}
    return "\n".join(form.format(label=label.title(), ids=between.join(names)) for label, names in by_label.items())


SHAPES = {
    "json": as_json(),
    "fenced": f"S01 to S30, negative or positive:\n```json\n{as_json()}\n```\nShall I explain S03, a negative one?",
    "json in prose": f"Here you are: {as_json()} Ask me more.",
    "python": as_json().replace('"', "'"),
    "list of objects": json.dumps(
        {"answers": [{"id": n, "sure": 1, "label": t.upper()} for n, t in zip(ids(), TRUE, strict=True)]}
    ),
    "objects by id": json.dumps({n: {"label": t, "why": "not negative"} for n, t in zip(ids(), TRUE, strict=True)}),
    "by label": json.dumps({label: [n for n, t in zip(ids(), TRUE, strict=True) if t == label] for label in LABELS}),
    "numbers as keys": json.dumps({str(n): t for n, t in enumerate(TRUE, start=1)}),
    "labels alone": json.dumps(TRUE),
    "cut off": as_json() + ' "S3',
    "table": "| id | label | reason |\n|---|---|---|\n" + lines("| {id} | **{Label}** | not positive or negative |"),
    "csv": "id,sentence,label\n" + lines('{id},"Up, and positive",{label}'),
    "tabs": lines("{id}\t{label}"),
    "semicolons": lines("{id};{label}"),
    "list": lines("- **{id}**: {Label} (it could be negative, but no)"),
    "numbered": lines("{number}. {Label}: nothing negative or positive follows"),
    "numbered with ids": lines("{number}. {id}: {label}"),
    "short words": lines("{id} {label}").replace("negative", "neg").replace("positive", "pos"),
    "label below": lines("{id}\n\n{Label}\n"),
    "label below, with an arrow": lines("{id} Up by 3%\n\u2192 {Label}."),
    "below a title": "S01 to S30 (positive/negative/neutral):\n" + lines("{id} {label}"),
    "labels line by line": lines("{label}"),
    "prose": lines("I would say that s{number} is not mixed but {label}, for a shareholder."),
    "prose in groups": groups("{label}: {ids}.", ", "),
    "prose in one paragraph": groups("{label} are {ids}.", " and ").replace("\n", " "),
    "headings": groups("## {label}\n- {ids}", "\n- "),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_answer_is_read(asked, shape):
    read = answers.read(SHAPES[shape], asked)
    assert read.labels == dict(zip(ids(), TRUE, strict=True))
    assert not read.missing


@pytest.mark.parametrize("shape", ["table", "csv", "prose", "fenced"])
def test_the_page_and_its_sentences_around_an_answer_do_no_harm(asked, shape):
    wrapped = asked.text.replace(" it was", "\nit was").replace("negative, ", "negative,\n")
    for copied in (asked.text, wrapped):
        read = answers.read(f"{copied}\n\n{SHAPES[shape]}", asked)
        assert read.labels == dict(zip(ids(), TRUE, strict=True))
    beside = "\n".join(
        f"| {n} | {asked.sentences.loc[n, 'sentence']} | {t} |" for n, t in zip(ids(), TRUE, strict=True)
    )
    assert answers.read(beside, asked).labels == read.labels


def test_gaps_copies_contradictions_and_inventions_are_named(asked):
    text = "S01: neutral,S02: negative,S02: negative,S03: positive,S03: neutral,S04: negative or neutral,S05: mixed"
    read = answers.read(text.replace(",", "\n") + "\nS31: neutral", asked)
    assert read.labels == {"S01": "neutral", "S02": "negative"}
    assert read.notices == [
        "1 not on the page, so passed over: S31.",
        "1 answered more than once, with one label: S02.",
        "1 given two different labels, so not counted as answered: S03.",
        "2 without one clear label: S04, S05.",
        "25 left out: S06, S07, S08, S09, S10 and others.",
    ]
    assert len(read.missing) == 28


def test_a_range_of_ids_is_spelt_out(asked):
    read = answers.read("S01-S03: neutral; S06 to S10 positive", asked)
    assert sorted(read.labels) == ["S01", "S02", "S03", "S06", "S07", "S08", "S09", "S10"]


def test_of_two_json_entries_with_one_id_both_count(asked):
    read = answers.read('{"S01": "neutral", "S01": "positive", "S02": "negative"}', asked)
    assert read.labels == {"S02": "negative"}


BAD = {
    "refusal": ("I'm sorry, but I can't help with that.", "There is no answer in this text, which begins with \"I'm"),
    "the page": ("PAGE", "This is the page itself"),
    "labels without ids": ("positive, negative, neutral", "no ids beside them"),
    "stars": (lines("{id}: 4 stars"), "none of the labels"),
    "numbers": (
        as_json().replace("neutral", "0").replace("positive", "1").replace("negative", "-1"),
        "none of the labels",
    ),
    "another scheme": (lines("{id}: bullish"), "none of the labels"),
    "another page": ("S41: neutral\nS42: positive", "names S41 and no id of this page"),
    "other ids": ("fs0001: neutral\nfs0002: positive", "no ids beside them"),
    "too long": ("S01: neutral " * 20_000, "letters; an answer has a few hundred"),
    "numbers only": ("[1, 0, -1]", "There is no answer in this text"),
    "html": ("<html><body>Sign in to continue</body></html>", "There is no answer in this text"),
    "deep": ("[" * 90_000 + "]" * 90_000, "There is no answer"),
    "rather deep": ("[" * 990 + "]" * 990, "There is no answer"),
    "code": ("import openai\nclient = openai.OpenAI()", "There is no answer in this text"),
    "the page, line by line": ("PAGE\r", "This is the page itself"),
    "signs": ("\u0000\u0001 \U0001f600", "no answer"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_paste_that_cannot_be_used_is_one_line(asked, case):
    text, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        answers.read(text.replace("PAGE\r", asked.text.replace("\n", "\r\n")).replace("PAGE", asked.text), asked)
    assert "\n" not in str(caught.value)


@pytest.fixture
def run_1(make_run, keep_run):
    data = load()
    run = make_run()
    run.data["sha256"] = data.sha256
    keep_run(run)
    part = split(data).validation
    truth = part["label"].map(LABELS.index).to_numpy()
    said = np.where(np.arange(len(part)) % 5 == 0, 1, truth)
    save_predictions(run.folder, part["id"].tolist(), part["label"].tolist(), 5 * np.eye(3)[said])
    return run


def test_the_page_shows_thirty_validation_sentences_without_labels_in_one_random_order(run_1):
    drawn = page.draw(run_1)
    assert drawn.text == page.draw(run_1).text
    assert len(drawn.sentences) == 30
    assert set(drawn.sentences["id"]) <= set(split(load()).validation["id"])
    assert dict(drawn.sentences["label"].value_counts()) == {"neutral": 17, "positive": 8, "negative": 5}
    assert list(drawn.sentences["label"]) != sorted(drawn.sentences["label"])
    written = page.write(drawn, may_leave=False).read_text(encoding="utf-8")
    assert written.count("neutral") == drawn.prompt.count("neutral")
    assert not any(name in written for name in drawn.sentences["id"])


def test_sentences_of_the_learners_own_leave_only_where_the_dial_says_so(run_1):
    drawn = page.Page(page.draw(run_1).sentences, page.OWN_RULE, bundled=False)
    with pytest.raises(RunError, match="TEXT_MAY_LEAVE is False"):
        page.write(drawn, may_leave=False)
    assert not list(paths.work().rglob("*.txt"))
    path = page.write(drawn, may_leave=True)
    path.write_text("mine", encoding="utf-8")
    assert page.write(drawn, may_leave=True) != path


def test_the_practice_sheet_belongs_to_the_page(run_1):
    drawn = page.draw(run_1)
    read = answers.read(answers.PRACTICE.read_text(encoding="utf-8"), drawn)
    right = [name for name, label in read.labels.items() if drawn.sentences.loc[name, "label"] == label]
    assert len(right) == 24 and read.missing == ["S14", "S19"]
    assert [notice.rpartition(": ")[2] for notice in read.notices] == ["S31.", "S25.", "S14, S19."]


def test_the_assistant_stands_beside_the_runs_on_the_same_sentences(run_1):
    drawn = page.draw(run_1)
    read = answers.read("\n".join(f"{name}: {label}" for name, label in drawn.sentences["label"].items()), drawn)
    del read.labels["S01"]
    seen = scoring.side_by_side(drawn, read, {"Run 1": run_1})
    wrong = int((seen["Run 1"] != seen["label"]).sum())
    table = scoring.scores(seen)
    assert list(table["right"]) == [f"{30 - wrong} of 30", "29 of 30", "17 of 30"]
    assert table.loc["the assistant", "not answered"] == 1
    (words,) = scoring.compared(seen)
    low, high = accuracy_difference(*scoring.disagreeing(seen, "Run 1"), 30)
    assert f"between {100 * low:.1f} and {100 * high:.1f}: " in words and "Run 1 alone has" in words
    shown = scoring.disagreements(seen)
    assert shown.index[0] == "S01" and shown.loc["S01", "the assistant"] == "(no answer)"
    assert len(shown) in (wrong, wrong + 1)
    assert "at least 5 of them right" in scoring.can_show(seen, "Run 1")
    # Nobody differs from anybody: no difference, and still no certainty.
    same = scoring.compared(seen.assign(**{"the assistant": seen["Run 1"]}))[0]
    assert "is as good as Run 1; between -8.7 and 8.7: not shown" in same


def test_costs_are_those_of_the_learners_numbers_and_of_the_record(run_1):
    drawn = page.draw(run_1)
    run_1.timing["evaluation_seconds"] = 5.5
    run_1.data["scored"] = {"epoch": 250, "end": 250}
    table = scoring.costs(drawn, LanguageModelDials(SECONDS=15, PRICE=0.03, PRICE_PER_HOUR=3.6), {"Run 1": run_1})
    assert list(table.loc["the assistant"])[:2] == ["500", "1.00"]
    assert list(table.loc["Run 1"])[:2] == ["10.0", "0.01000"]
    table = scoring.costs(drawn, LanguageModelDials(), {"Run 1": run_1})
    assert list(table.loc["the assistant"])[:2] == ["not typed"] * 2


def test_part_d_says_whether_the_backup_run_was_trained_for_it(run_1, make_run, keep_run, monkeypatch):
    drawn = page.draw(run_1)
    read = answers.read("S01: neutral", drawn)
    seen = scoring.side_by_side(drawn, read, {"Run 1": run_1})
    keep_run(make_run(run_id="backup", notebook="02"))
    text = scoring.for_worksheet("G", run_1, seen, read, LanguageModelDials())
    assert "What I changed: the backup lab's model was trained for the comparison. Run 1 (" in text
    # As in a new kernel.
    monkeypatch.setattr("tuning.runs.store._results_here", [])
    text = scoring.for_worksheet("G", run_1, seen, read, LanguageModelDials())
    assert "What I changed: no new model was needed. Run 1 (" in text


def test_part_d_is_kept_with_run_1_and_its_row_gets_a_note_but_not_from_the_practice_sheet(run_1, capsys):
    drawn, setup = page.draw(run_1), LanguageModelDials()
    experiment_log.append(run_1)
    for pasted, noted in (("", False), ("S01: neutral", True)):
        read = answers.read_or_practise(pasted, drawn)
        assert ("practice sheet" in capsys.readouterr().out) is not noted
        text = scoring.for_worksheet("G", run_1, scoring.side_by_side(drawn, read, {"Run 1": run_1}), read, setup)
        assert "Option: G, " in text and (run_1.folder / COMPARISON_FILE).read_text(encoding="utf-8") == text + "\n"
        (row,) = experiment_log.read_log().to_dict("records")
        assert row["Notes"].startswith("Option G: On these 30 sentences") is noted
        who = "the assistant" if noted else "the practice sheet (not an assistant)"
        assert f"On these 30 sentences {who} is " in text and f" and {who} alone" in text
    with pytest.raises(DataError, match="the practice sheet answers the bundled sentences only"):
        answers.read_or_practise(" \n", page.Page(drawn.sentences, page.OWN_RULE, bundled=False))
