"""The check for Task 6: only what the learner wrote is evidence."""

import textwrap

import pytest

from tuning import paths
from tuning.errors import WorksheetError
from tuning.evidence import task6, worksheet
from tuning.evidence.task6 import own_words, sections
from tuning.evidence.worksheet import TEMPLATE
from tuning.notebook import progress

TEXT = TEMPLATE.read_text(encoding="utf-8")
ANSWER = "The loss fell quickly at first, then each further epoch bought us almost nothing."
WRITTEN = ("A4", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "D", "E")


def states() -> dict[str, str]:
    return task6.evidence()["state"].to_dict()


def write(text: str) -> None:
    paths.work().mkdir(exist_ok=True)
    worksheet.worksheet_file().write_text(text, encoding="utf-8")


def answered(text: str, places=WRITTEN, answer: str = ANSWER) -> str:
    """The worksheet with an answer under each heading named."""
    lines = text.splitlines()
    for place in places:
        heading = f"## Part {place}:" if len(place) == 1 else f"### {place}."
        at = next(number for number, line in enumerate(lines) if line.startswith(heading))
        lines.insert(at + 5, answer)
    return "\n".join(lines)


def noted(text: str, note: str, run_id: str = "just-right") -> str:
    """The worksheet with a note in its first block of a run."""
    block = text.index("- Run ID:\n")
    below = text[block:].replace("- Run ID:", f"- Run ID: {run_id}", 1).replace("- Notes:", f"- Notes: {note}", 1)
    return text[:block] + below


@pytest.fixture
def filled(make_run, keep_run) -> str:
    """A worksheet filled by the code alone."""
    keep_run(make_run())
    worksheet.fill_worksheet()
    return worksheet.worksheet_file().read_text(encoding="utf-8")


def test_without_a_worksheet_everything_is_missing():
    found = task6.evidence()
    assert list(found.index) == [
        "Before and after", "Metrics", "Horizon scan", "Maths link", "Initiative", "Data quality", "Communication",
    ]  # fmt: skip
    assert set(found["state"]) == {"missing"}
    assert all(found["to do"])


def test_a_worksheet_filled_by_the_code_is_not_evidence(filled):
    assert set(states().values()) == {"missing"}
    assert "a note of your own" in task6.evidence().loc["Before and after", "to do"]


def test_with_notes_and_answers_everything_is_ready(filled):
    write(noted(answered(filled), "rate good, more sentences next"))
    found = task6.evidence()
    assert set(found["state"]) == {"ready"}
    assert set(found["to do"]) == {""}


def test_without_the_code_typed_numbers_count_and_words_in_their_place_do_not():
    told = "to do"
    text = noted(TEXT, "rate good, more sentences next", "a run on paper")
    write(text)
    assert task6.evidence().loc["Before and after", told] == (
        "Part B needs the baseline's numbers, a run's numbers, a note of your own on a run"
    )
    write(text.replace("- Accuracy:", "- Accuracy: it rose"))
    assert "a run's numbers" in task6.evidence().loc["Before and after", told]
    write(text.replace("- Accuracy:", "- Accuracy: 0.3", 2))
    assert states()["Before and after"] == "ready"


def test_an_item_needs_all_its_places(filled):
    write(answered(filled, ["C1"]))
    assert task6.evidence().loc["Maths link", "to do"] == "write C4 (0 words of your own so far)"


def test_the_extension_adds_but_is_not_needed(filled):
    write(answered(filled, ["C7"]))
    assert states()["Initiative"] == "ready"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "TODO",
        "...",
        "x " * 30,
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "see above",
        "<!-- The loss fell quickly at first, then each further epoch bought us nothing. -->",
        "Use the convergence table. How did you spend the budget round's sentence-passes, and why?",
        "In optimisation words: loss, gradient, learning rate, step, epoch. In whole sentences.",
    ],
)
def test_what_is_not_the_learners_text_does_not_count(filled, answer):
    write(answered(filled, WRITTEN, answer))
    assert set(states().values()) == {"missing"}


@pytest.mark.parametrize("width", [20, 60, 1_000])
def test_the_template_wrapped_anew_is_still_the_template(width):
    write(
        "\n\n".join(
            textwrap.fill(part, width) if "|" not in part and "#" not in part else part for part in TEXT.split("\n\n")
        )
    )
    assert set(states().values()) == {"missing"}


def test_a_note_stays_with_its_run_after_going_further_and_one_that_fits_two_is_named(filled, make_run, keep_run):
    write(noted(answered(filled), "fell fast then flat"))
    ready = states()
    assert set(ready.values()) == {"ready"}
    for second, notebook in enumerate(("04", "02"), start=1):
        keep_run(make_run(run_id=f"20260105-10000{second}-just-right", notebook=notebook))
    assert states() == ready
    keep_run(make_run(run_id="20260105-110000-just-right"))
    to_do = task6.evidence().loc["Before and after", "to do"]
    assert 'Run ID "just-right" of Part B fits several runs: 20260105-' in to_do and "\n" not in to_do
    told = progress.report("activity-7").splitlines()
    assert sum("[warning]" in line and "fits several runs: 20260105-" in line for line in told) == 1


def test_an_answer_behind_its_prompt_counts(filled):
    write(filled.replace("**Your answer:**", f"**Your answer:** {ANSWER}"))
    assert [states()[item] for item in ("Metrics", "Maths link", "Data quality", "Communication")] == ["ready"] * 4


def test_a_heading_that_is_gone_is_named(filled):
    write(filled.replace("### C5. Two limits of the data, and next month", ""))
    assert 'the heading of C5 is gone: put "C5." back' in task6.evidence().loc["Data quality", "to do"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("| KSBs |", "|"), "its heading was changed"),
        (lambda text: "", "its heading was changed"),
    ],
)
def test_an_empty_form_without_its_mapping_is_one_line(monkeypatch, tmp_path, change, told):
    form = tmp_path / "form.md"
    form.write_text(change(TEXT), encoding="utf-8")
    monkeypatch.setattr(worksheet, "TEMPLATE", form)
    with pytest.raises(WorksheetError, match=told):
        task6.evidence()
    form.unlink()
    with pytest.raises(WorksheetError, match="cannot be opened"):
        task6.evidence()


def test_own_words_are_those_that_the_template_has_not():
    assert own_words("Use the convergence table but then some words of mine", TEXT) == 6
    assert own_words(TEXT, TEXT) == 0


def test_sections_hold_text_without_tables():
    found = sections(TEXT)
    numbered = {*(f"A{n}" for n in range(1, 5)), "B1", *(f"C{n}" for n in range(1, 8))}
    assert set(found) == {"A", "B", "C", "D", "E"} | numbered
    assert not any("|" in text for text in found.values())
