"""The clinic's score line, and what a room's answers say."""

import json
import subprocess
import zlib

import pytest
from helpers.programs import program
from helpers.rooms import room_run
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning import paths
from tuning.errors import ShareError
from tuning.room import board as boards
from tuning.room import clinic, clinic_board, framing, share
from tuning.room.clinic import CAUSES, DIALS, ROUNDS, Answer, Score

# As the page writes it: the page is the other half of this contract.
WRITTEN_BY_THE_PAGE = (
    "W6C1-104-7b226b223a223966303361316337222c226e223a22426c75652034222c2261223a5b5b372c302c322c312c38302c322c315d5d7d"
    "-65e6ef3c-END"
)


def answer(item: int, cause: str, truth: str, when: str = ROUNDS[0], confidence: int = 80, dial_right: bool = True):
    return Answer(item, when, cause, DIALS[0], confidence, truth, dial_right)


def forged(record: dict) -> str:
    return framing.frame(framing.SCORE, json.dumps(record).encode().hex())


RECORD = {"k": "9f03a1c7", "n": "Blue 4", "a": [[7, 0, 2, 1, 80, 2, 1]]}
SCORE = Score(
    "9f03a1c7", "Blue 4", (Answer(7, "Activity 1", "too high", "higher learning rate", 80, "too high", True),)
)


def only(text: str) -> Score:
    (score,) = share.gather(text).scores
    return score


# The line


def test_the_line_is_what_the_page_writes():
    assert clinic.line(SCORE) == WRITTEN_BY_THE_PAGE
    assert only(WRITTEN_BY_THE_PAGE) == SCORE


def test_the_javascript_of_the_page_writes_the_same_line():
    node = program("Node", "node", "nodejs")
    page = (paths.ROOT / "assets" / "pages" / "score.mjs").as_uri()
    score = {"visitor": RECORD["k"], "name": RECORD["n"], "answers": RECORD["a"]}
    script = f"import {{ scoreLine }} from {json.dumps(page)};\nconsole.log(scoreLine({json.dumps(score)}));"
    command = [node, "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == WRITTEN_BY_THE_PAGE


def test_twelve_answers_and_a_long_name_fit_into_a_thousand_characters():
    answers = tuple(answer(item, "overfitting", "overfitting", "practice", 100) for item in range(1, 13))
    text = clinic.line(Score("00000000", "É" * 40, answers))
    assert len(text) < 1_000
    assert set(text) <= set("-WC6END" + "0123456789abcdef")
    assert only(text).answers == answers


def test_it_survives_a_chat_beside_runs(make_run):
    run = share.line(room_run(make_run, 1, "TOO_LOW"), "One")
    wrapped = "\n> ".join(WRITTEN_BY_THE_PAGE[at : at + 30] for at in range(0, len(WRITTEN_BY_THE_PAGE), 30))
    found = share.gather(f"[10:01] Amira: “{wrapped}”  \nBen: {run}\nCem: {WRITTEN_BY_THE_PAGE[:60]}")
    assert (found.scores, [one.name for one in found.shared]) == ([SCORE], ["One"])
    assert [reason.split(":")[0] for _, reason in found.refused] == ["is cut off"]


def test_of_one_visitors_lines_the_longest_counts():
    early, late = [answer(1, "too low", "too low")], [answer(2, "too low", "collapsed", "wrap")]
    short, long = (clinic.line(Score("0000000a", "", tuple(part))) for part in (early, early + late))
    for text in (f"{short}\n{long}", f"{long}\n{short}", f"{short}\n{long}\n{long}"):
        assert len(only(text).answers) == 2
    assert len(share.gather(f"{long}\n{short}").repeated) == 1
    assert len(share.gather(f"{long}\n{WRITTEN_BY_THE_PAGE}").scores) == 2


def test_a_score_line_is_no_run():
    with pytest.raises(ShareError, match="score line of the clinic"):
        share.read(WRITTEN_BY_THE_PAGE)


FORGERIES = {
    "script as a name": {"n": "<script>alert(1)</script>"},
    "formula as a name": {"n": "=1+1"},
    "no name": {"n": None},
    "visitor as a text": {"k": "<b>"},
    "capital visitor": {"k": "9F03A1C7"},
    "no answer": {"a": []},
    "answers as a text": {"a": "7"},
    "one item twice": {"a": [[7, 0, 2, 1, 80, 2, 1]] * 2},
    "too many answers": {"a": [[item, 0, 2, 1, 80, 2, 1] for item in range(1, 15)]},
    "item 0": {"a": [[0, 0, 2, 1, 80, 2, 1]]},
    "item 13": {"a": [[13, 0, 2, 1, 80, 2, 1]]},
    "unknown round": {"a": [[7, 3, 2, 1, 80, 2, 1]]},
    "unknown cause": {"a": [[7, 0, 6, 1, 80, 2, 1]]},
    "negative truth": {"a": [[7, 0, 2, 1, 80, -1, 1]]},
    "unknown dial": {"a": [[7, 0, 2, 8, 80, 2, 1]]},
    "surer than sure": {"a": [[7, 0, 2, 1, 101, 2, 1]]},
    "half sure": {"a": [[7, 0, 2, 1, 0.5, 2, 1]]},
    "true as a number": {"a": [[7, 0, 2, 1, 80, 2, True]]},
    "too short": {"a": [[7, 0, 2, 1, 80, 2]]},
    "another key": {"zz": 1},
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_line_is_refused_and_not_repeated(name):
    found = share.gather(forged(RECORD | FORGERIES[name]))
    assert (found.scores, found.shared) == ([], [])
    assert [reason for _, reason in found.refused] == ["was not written by this workshop's code; it is not used."]


@pytest.mark.parametrize("content", ["[]", "null", "{}", "[" * 900, "NaN", "9" * 900, "not json", "\x00"])
def test_a_body_that_is_no_score_is_refused(content):
    assert len(share.gather(framing.frame(framing.SCORE, content.encode().hex())).refused) == 1


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WRITTEN_BY_THE_PAGE)), st.integers(1, 8), st.text("0123456789abcdef-WC6END \n", max_size=8))
def test_damage_never_gives_other_answers(at, length, noise):
    text = WRITTEN_BY_THE_PAGE[:at] + noise + WRITTEN_BY_THE_PAGE[at + length :]
    assert share.gather(text).scores in ([], [SCORE])


def test_the_checksum_is_that_of_zlib():
    start, checksum = WRITTEN_BY_THE_PAGE.removesuffix("-END").rsplit("-", 1)
    assert int(checksum, 16) == zlib.crc32(start.encode())


# What the day taught


@pytest.fixture
def scores() -> list[Score]:
    """Three people; overfitting is still taken for just right at the wrap, by somebody who is sure."""
    morning = answer(1, "too low", "collapsed", confidence=50)
    learned = answer(2, "collapsed", "collapsed", "wrap", 70)
    misread = answer(3, "just right", "overfitting", "wrap", 90, dial_right=False)
    known = answer(3, "overfitting", "overfitting", "wrap", 90)
    return [
        Score("00000001", "One", (morning, learned, misread)),
        Score("00000002", "", (morning, learned, misread)),
        Score("00000003", "", (morning, learned, known)),
    ]


def test_each_cause_is_counted_before_and_after(scores):
    table = clinic_board.by_cause(scores)
    assert table.index.tolist() == ["collapsed", "overfitting"]
    assert table.loc["collapsed"].tolist() == [6, "3 of 6", "0 of 3", "3 of 3", "too low (3)", "6 of 6"]
    assert table.loc["overfitting"].tolist() == [3, "1 of 3", "", "1 of 3", "just right (2)", "1 of 3"]


def test_confidence_stands_beside_what_was_right(scores):
    table = clinic_board.by_confidence(scores)
    assert table.to_dict("index") == {
        "40 to 59%": {"answers": 3, "mean confidence": "50%", "right": "0 of 3"},
        "60 to 79%": {"answers": 3, "mean confidence": "70%", "right": "3 of 3"},
        "80 to 94%": {"answers": 3, "mean confidence": "90%", "right": "1 of 3"},
    }


def test_the_cause_that_is_still_misread_is_named(scores):
    told = clinic_board.misread(scores)
    assert "Answers at the wrap: 4 of 6 right; score lines: 3." in told
    assert "Still misread: overfitting (1 of 3 right, most often taken for just right (2))." in told
    assert "Mean confidence 80%, right 67%." in told


def test_without_the_wrap_all_answers_count_and_without_mistakes_none_is_named():
    early = Score("00000001", "", (answer(1, "diverged", "diverged"),))
    assert "Answers so far: 1 of 1 right" in clinic_board.misread([early])
    assert "Every cause was recognised." in clinic_board.misread([early])


def test_an_empty_clinic_has_empty_tables_and_says_so():
    assert clinic_board.by_cause([]).empty and clinic_board.by_confidence([]).empty
    assert clinic_board.misread([]) == "No score line of the clinic yet."
    assert clinic_board.picture([]).words.endswith("No score line of the clinic yet.")
    assert clinic_board.picture([]).png()[:4] == b"\x89PNG"


def test_the_picture_shows_each_cause_and_each_bin(scores):
    picture = clinic_board.picture(scores)
    left, right = picture.figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["collapsed", "overfitting"]
    assert {text.get_text() for text in left.texts} == {"0 of 3", "3 of 3", "1 of 3"}
    assert len(right.texts) == 3
    assert "Still misread: overfitting" in picture.words


def test_the_board_takes_the_answers_out_of_the_chat(scores):
    board = boards.collect("\n".join(clinic.line(score) for score in scores))
    assert board.scores == scores
    assert "sent their answers in the clinic: 3." in str(board)


def test_the_words_of_cause_are_those_of_the_diagnosis():
    from tuning.room.run_codec import VERDICTS

    assert set(CAUSES) == set(VERDICTS) - {"unclear"}
