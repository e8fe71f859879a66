"""The page for a manager: facts from the run, nothing that must stay in the house, readable by anybody."""

import re
from pathlib import Path

import numpy as np
import pytest

from tuning import paths
from tuning.data.loading import BUNDLED, load
from tuning.errors import RunError
from tuning.evidence import worksheet
from tuning.evidence.handover import page_text, stakeholder_page, statements
from tuning.runs.symptoms import VERDICTS

JUDGED = {"verdict": "just right", "reasons": ["It learned."], "next_dial": "none"}
# Right, right, surely wrong (positive for negative), wrong and unsure.
LOGITS = np.array([[6, 0, 0], [0, 6, 0], [0, 0, 6], [0, 0.1, 0], [0, 6, 0]], dtype=float)


@pytest.fixture
def run(make_run, keep_run):
    return keep_run(make_run(diagnosis=JUDGED), logits=LOGITS)


def test_the_page_says_what_the_run_says(run):
    said = str(page_text.page_of(run))
    for part in (
        "right on 78 of 100",
        "would be right on 52 of 100",
        "72 to 83 of 100",
        "250 sentences",
        "800 sentences with the right answers",
        "In 0 of its 1 mistakes",
    ):
        assert part in said, part


def test_a_mistake_is_shown_only_from_the_bundled_sentences(run):
    data = load()
    run.data["sha256"] = data.sha256
    folder = run.folder / "predictions.csv"
    sentence = data.frame.iloc[0]
    folder.write_text(folder.read_text().replace("s3,", f"{sentence['id']},"))
    assert sentence["sentence"] in str(page_text.page_of(run))
    run.dials["DATA"] = str(BUNDLED)
    page = str(page_text.page_of(run))
    assert sentence["sentence"] not in page and str(BUNDLED) not in page and BUNDLED.name not in page


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_learned_nothing_is_not_fit_for_use(diverged_run, keep_run, kept):
    diverged_run.diagnosis = JUDGED | {"verdict": "diverged"}
    if kept:
        keep_run(diverged_run, logits=np.full((3, 3), np.nan))
    page = page_text.page_of(diverged_run)
    assert page.answer.startswith("Not fit for use, because its training broke down. It is right on ")
    assert "nobody can say where it fails" in str(page) and not re.search(r"\bnan\b", str(page))


def test_every_verdict_has_its_reason():
    assert {*page_text.WHY_UNFIT} == {*VERDICTS} - {*statements.LEARNED}


def test_it_is_written_once_and_never_over_what_somebody_changed(run, capsys):
    worksheet.own_copy()
    own = worksheet.worksheet_file()
    empty = own.read_text(encoding="utf-8")
    stakeholder_page.hand_over(run)
    assert "C3 of your worksheet is empty" in capsys.readouterr().out
    page = paths.share() / "one_page" / f"{run.run_id}.html"
    place = empty.index("**Your answer:**", empty.index("### C3")) + len("**Your answer:**")
    own.write_text(f"{empty[:place]}\nIt sorts the news <b>for us</b>, at $5 to $6.\n{empty[place:]}", encoding="utf-8")
    picture = stakeholder_page.hand_over(run)
    assert "It sorts the news <b>for us</b>" in picture.words and "empty" not in capsys.readouterr().out
    assert "&lt;b&gt;for us" in page.read_text(encoding="utf-8")
    page.write_text("mine", encoding="utf-8")
    stakeholder_page.hand_over(run)
    assert page.read_text(encoding="utf-8") == "mine"
    assert {path.name for path in page.parent.glob("2*")} == {
        f"{run.run_id}{end}" for end in (".png", ".html", "-2.html")
    }


def test_a_run_without_scores_is_refused_in_one_line(make_run):
    unscored = make_run()
    unscored.final = {}
    with pytest.raises(RunError, match="no scores"):
        stakeholder_page.hand_over(unscored)


@pytest.mark.parametrize("width", [390, 1200])
def test_anybody_can_read_the_page(run, browser, width):
    import axe_playwright_python

    stakeholder_page.hand_over(run)
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.goto((paths.share() / "one_page" / f"{run.run_id}.html").as_uri())
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    faults = page.evaluate("async () => (await axe.run()).violations.map(each => [each.id, each.nodes[0].html])")
    wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    context.close()
    assert not faults and not wide


def test_every_letter_of_the_picture_lies_inside(run):
    picture = stakeholder_page.hand_over(run)
    picture.figure.draw_without_rendering()  # at its own resolution, and not that of the last file
    page = picture.figure.bbox
    for text in picture.figure.texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()
