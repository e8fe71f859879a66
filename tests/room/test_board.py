"""The class board: thirty runs of ten groups, with one of every kind of damaged line."""

import dataclasses
import itertools

import numpy as np
import pytest
from helpers.rooms import GROUPS, RATES, room_lines, room_run
from matplotlib.text import Text

from tuning import paths
from tuning.dials import SgdDials
from tuning.errors import ShareError
from tuning.room import adoption, board_figures, budget_round, share
from tuning.room import board as boards
from tuning.room.share import Gathered, Shared


@pytest.fixture
def lines(make_run) -> list[str]:
    return room_lines(make_run)


@pytest.fixture
def chat(make_run, lines) -> str:
    """A whole chat: good lines, and every kind of bad one."""
    talk = [f"[10:{number:02d}] Person {number}: {line}" for number, line in enumerate(lines)]
    more = share.line(room_run(make_run, 11, "JUST_RIGHT"), "Group 11")
    damaged = [
        more[:600],
        more[:300] + more[310:],
        more.replace("W6W2", "W6W9"),
        more[:99] + "x" + more[100:],
        lines[4],
    ]
    return "\n".join([*talk[:15], "good luck - everybody!", *damaged, *talk[15:]])


def line_of(run, name: str, **prediction) -> str:
    return share.line(run, name, **prediction)


def test_thirty_runs_come_through_and_each_bad_line_has_its_reason(chat):
    board = boards.collect(chat)
    assert (len(board.compared), board.apart, board.backup) == (3 * GROUPS, [], [])
    reasons = boards.refused(board)["reason"].tolist()
    assert [reason.split(":")[0].split(".")[0] for reason in reasons] == [
        "It is cut off", "It is altered", "It comes from a newer version of the workshop", "It is altered",
    ]  # fmt: skip
    assert "Came more than once and count once: 1." in str(board)


def test_the_groups_that_sent_nothing_are_named(make_run):
    runs = [line_of(room_run(make_run, group, "TOO_LOW"), f"Group {group}") for group in (1, 2, 4, 7)]
    assert "No line from GROUP 3, 5, 6." in str(boards.collect("\n".join(runs)))
    assert "No line from" not in str(boards.collect("\n".join(runs[:2])))


def test_the_results_are_in_the_slides_columns_by_preset_and_group(chat):
    table = boards.results(boards.collect(chat))
    assert tuple(table.columns) == boards.COLUMNS
    assert table["LR preset"].tolist() == [preset for preset in RATES for _ in range(GROUPS)]
    assert table["Group"].tolist()[:GROUPS] == [f"Group {number}" for number in range(1, GROUPS + 1)]
    assert table["In one word"].drop_duplicates().tolist() == ["stalled", "moving", "collapsed"]


def test_predictions_stand_beside_results(chat):
    table = boards.predictions(boards.collect(chat))
    assert len(table) == 3 * GROUPS
    assert table.groupby("LR preset")["Right"].unique().map(list).to_dict() == {
        "TOO_LOW": ["yes"], "JUST_RIGHT": ["yes"], "TOO_HIGH": ["no"],
    }  # fmt: skip


def test_the_spread_of_a_preset_is_between_its_own_groups(chat):
    table = boards.luck(boards.collect(chat))
    assert table["runs"].tolist() == table["seeds"].tolist() == [GROUPS] * 3
    low, high = float(table.loc["JUST_RIGHT", "lowest F1"]), float(table.loc["JUST_RIGHT", "highest F1"])
    assert float(table.loc["JUST_RIGHT", "spread"]) == pytest.approx(high - low, abs=0.002)
    assert table.loc["JUST_RIGHT", "one run's interval"] == "0.120 wide"


def test_a_run_that_was_repeated_counts_once(make_run, lines):
    twin = dataclasses.replace(room_run(make_run, 4, "JUST_RIGHT"), run_id="again", started="2026-01-05T15:00:00+00:00")
    table = boards.luck(boards.collect("\n".join([*lines, line_of(twin, "Again")])))
    alone = boards.luck(boards.collect("\n".join(lines)))
    assert (table.loc["JUST_RIGHT", "runs"], table.loc["JUST_RIGHT", "seeds"]) == (GROUPS + 1, GROUPS)
    assert table.drop(columns="runs").equals(alone.drop(columns="runs"))


DIFFERENT = {
    "dials": ({"dials": {"MAX_LENGTH": 64}}, "MAX_LENGTH 64 (most: 96)"),
    "epochs": ({"dials": {"EPOCHS": 3}}, "EPOCHS 3 (most: 2)"),
    "data": ({"data": {"sha256": "1" * 64}}, "data 11111111 (most: 00000000)"),
    "encoder": (
        {"encoder": {"name": "all-MiniLM-L6-v2", "revision": "7"}},
        "encoder all-MiniLM-L6-v2 (most: a model of their own)",
    ),
    "precision": ({"machine": {"precision": "bf16"}}, "precision bf16 (most: fp32)"),
    "stopped": ({"outcome": "interrupted"}, "stopped by hand"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_run_that_differs_in_more_is_marked_with_what_is_different(make_run, lines, name):
    changes, told = DIFFERENT[name]
    run = room_run(make_run, 11, "JUST_RIGHT", dials=changes.get("dials", {}))
    for part, values in changes.items():
        if part == "outcome":
            run.outcome = values
        elif part != "dials":
            getattr(run, part).update(values)
    board = boards.collect("\n".join([*lines, line_of(run, "Odd one")]))
    assert [(shared.name, told in reason) for shared, reason in board.apart] == [("Odd one", True)]
    assert "Odd one" not in boards.results(board)["Group"].tolist()
    assert boards.not_comparable(board)["Group"].tolist() == ["Odd one"]


def test_the_backup_labs_runs_stand_apart_with_the_reason(make_run, lines):
    backup = dataclasses.replace(make_run(), notebook="02", dials=SgdDials(GROUP=5).as_dict())
    board = boards.collect("\n".join([*lines, line_of(backup, "Backup")]))
    assert [shared.name for shared in board.backup] == ["Backup"]
    assert "Backup" not in boards.results(board)["Group"].tolist()
    assert "another model" in boards.not_comparable(board)["Why apart"].tolist()[0]


def test_a_room_that_used_the_backup_lab_alone_has_a_board(make_run):
    backup = [
        dataclasses.replace(
            room_run(make_run, group, preset), notebook="02", dials=SgdDials(LR_PRESET=preset, GROUP=group).as_dict()
        )
        for group in (1, 2)
        for preset in RATES
    ]
    noisy = dataclasses.replace(backup[1], run_id="noisy", dials=backup[1].dials | {"LABEL_NOISE": 0.25})
    board = boards.collect("\n".join(line_of(run, f"Group {run.seed}") for run in [*backup, noisy]))
    assert (len(board.compared), board.backup) == (6, [])
    assert [reason for _, reason in board.apart] == ["LABEL_NOISE 0.25 (most: 0.0)"]
    assert boards.not_comparable(board)["Why apart"].tolist() == ["LABEL_NOISE 0.25 (most: 0.0)"]


def test_a_record_from_before_a_dial_existed_counts_with_its_default(make_run, keep_run):
    for group in (1, 2, 3):
        run = room_run(make_run, group, "JUST_RIGHT")
        if group == 2:
            del run.dials["WEIGHT_DECAY"]
        if group == 3:
            run.dials["TRAINED"] = "head only"
        keep_run(run)
    board = boards.collect()
    assert len(board.compared) == 2
    assert [reason for _, reason in board.apart] == ["TRAINED head only (most: everything)"]


def test_own_rates_are_not_taken_for_luck(make_run):
    text = [
        line_of(
            room_run(make_run, group, "JUST_RIGHT", run_id=f"r-{group}", rate=rate, dials={"LR_PRESET": rate}), "One"
        )
        for group, rate in ((1, 2e-5), (2, 2e-5), (3, 3e-4))
    ]
    table = boards.luck(boards.collect("\n".join(text)))
    assert table["runs"].to_dict() == {"rate 2e-05": 2, "rate 0.0003": 1}
    assert table.loc["rate 0.0003", "spread"] == ""


def budget_run(make_run, group: int, epochs: int, f1: float, **changed):
    run = room_run(make_run, group, "JUST_RIGHT", dials={"EPOCHS": epochs}, epochs=[(0.5, 0.6)] * epochs, **changed)
    run.final["val_f1_macro"] = f1
    return run


def test_the_budget_round_has_a_winner_and_shows_its_slip(make_run, lines):
    test = {"opened": "2026-01-05T14:00:00+00:00", "accuracy": 0.75, "f1_macro": 0.75}
    entries = [
        line_of(budget_run(make_run, 1, 6, 0.80, run_id="b-1", test=test), "One"),
        line_of(budget_run(make_run, 2, 5, 0.78, run_id="b-2"), "Two"),
        line_of(budget_run(make_run, 3, 7, 0.95, run_id="b-3"), "Three"),
        line_of(budget_run(make_run, 4, 3, 0.99, run_id="b-4"), "Four"),
    ]
    table = budget_round.budget(boards.collect("\n".join(lines + entries)))
    assert table["Group"].tolist() == ["One", "Two", "Four", "Three"]
    assert table["Spent"].tolist() == [4_800, 4_000, 2_400, 5_600]
    assert table["Verdict"].tolist() == ["winner on validation", "", "half the budget or less", "over the budget"]
    assert table["Slip"].tolist() == ["-0.050", "", "", ""]
    assert table["Test F1"].tolist() == ["0.750", *["closed"] * 3]


def test_the_budget_round_names_every_dial_that_was_turned(make_run, lines):
    run = budget_run(make_run, 1, 6, 0.8, run_id="b-1")
    run.dials |= {"BATCH_SIZE": 16, "MAX_LENGTH": 64}
    table = budget_round.budget(boards.collect("\n".join([*lines, line_of(run, "One")])))
    assert table["How"].tolist() == ["800 sentences x 6 epochs, JUST_RIGHT, constant, MAX_LENGTH 64, BATCH_SIZE 16"]


def test_without_budget_runs_the_round_is_empty(chat):
    assert budget_round.budget(boards.collect(chat)).empty
    assert budget_round.budget(boards.collect()).empty


def test_the_mornings_runs_of_the_backup_lab_are_not_over_the_budget(make_run):
    """They spend more, for its default is eight epochs, but they were made before there was a budget."""
    room = [
        dataclasses.replace(
            room_run(make_run, group, "JUST_RIGHT", epochs=[(0.5, 0.6)] * epochs, run_id=f"run-{group}"),
            notebook="02",
            dials=SgdDials(GROUP=group, EPOCHS=epochs).as_dict(),
        )
        for group, epochs in ((1, 8), (2, 8), (3, 6), (4, 7))
    ]
    table = budget_round.budget(boards.collect("\n".join(line_of(run, f"Group {run.seed}") for run in room)))
    assert table["Group"].tolist() == ["Group 3", "Group 4"]
    assert table["Verdict"].tolist() == ["winner on validation", "over the budget"]


def test_by_default_the_board_shows_this_machines_runs(make_run, keep_run, lines):
    keep_run(room_run(make_run, 12, "JUST_RIGHT"))
    adoption.adopt(lines[0])
    board = boards.collect("  \n ")
    assert sorted(shared.name for shared in board.compared) == ["Group 1", "group 12"]


def test_a_file_and_a_folder_are_read_too(tmp_path, chat, lines):
    (tmp_path / "chat.txt").write_text(chat, encoding="utf-8")
    (tmp_path / "more.json").write_text(lines[0], encoding="utf-8")
    assert len(boards.collect(str(tmp_path / "chat.txt")).compared) == 30
    board = boards.collect(f'"{tmp_path}"')
    assert (len(board.compared), board.repeated) == (30, 2)


def test_a_folder_without_lines_and_runs_is_said_in_one_line(tmp_path):
    (tmp_path / "chat.txt").write_text("Good morning", encoding="utf-8")
    with pytest.raises(ShareError, match="has no share line and no run in it"):
        boards.collect(str(tmp_path))


def test_a_folder_of_records_is_read_too(make_run, keep_run, tmp_path):
    for group in (1, 2):
        keep_run(room_run(make_run, group, "JUST_RIGHT"))
    sweep = paths.runs().rename(tmp_path / "sweep")
    (sweep / "20260105-090100-just-right" / "run.json").write_text("damaged")
    board = boards.collect(str(sweep))
    assert [shared.name for shared in board.compared] == ["group 2"]
    assert [place for place, _ in board.refused] == ["20260105-090100-just-right"]


def test_a_damaged_run_on_this_machine_gets_a_reason_and_hurts_no_other(make_run, keep_run):
    for group in (1, 2):
        keep_run(room_run(make_run, group, "JUST_RIGHT"))
    (paths.runs() / "20260105-090100-just-right" / "run.json").write_text("damaged")
    board = boards.collect()
    assert [shared.name for shared in board.compared] == ["group 2"]
    reason = boards.refused(board).loc[0, "reason"]
    assert reason.startswith("It cannot be read: ") and "this run is damaged" in reason


@pytest.mark.parametrize("source", ["nothing/here", "good morning", "x" * 5_000, "a\x00b", "~nobody"])
def test_what_is_neither_chat_nor_path_is_said_in_one_line(source):
    with pytest.raises(ShareError, match="no share line in it, and there is no file"):
        boards.collect(source)


def test_an_empty_board_has_empty_tables_and_says_so_in_its_pictures():
    board = boards.collect()
    for table in (
        boards.results,
        boards.not_comparable,
        boards.refused,
        boards.predictions,
        boards.luck,
        budget_round.budget,
    ):
        assert table(board).empty
    for picture in (board_figures.overlay, board_figures.small_multiples, board_figures.scores_and_gaps):
        assert picture(board).words.endswith("No runs yet.")
        assert picture(board).png()[:4] == b"\x89PNG"


def test_nothing_of_a_chat_reaches_a_table_as_html(chat):
    board = boards.collect("<script>alert(1)</script>\n" + chat + "\n<img src=x onerror=y> W6W1-9-<b>bold</b>-END")
    for table in (boards.results, boards.refused, boards.predictions):
        assert not [tag for tag in ("<script", "<img", "<b>") if tag in table(board).to_html()]


def test_the_pictures_say_in_words_what_they_show(chat, diverged_run):
    board = boards.collect(chat + "\n" + line_of(diverged_run, "Gone"))
    assert "TOO_HIGH: 11 runs" in board_figures.overlay(board).words
    axes = board_figures.overlay(board).figure.axes[0]
    assert (axes.get_ylim()[1], axes.get_ylabel()) == (3.0, "loss (nats), cut off at 3")
    assert len(axes.lines) == 31 + 1
    assert len(board_figures.small_multiples(board).figure.axes) == 3


# Very many runs


def many(make_run, count: int) -> boards.Board:
    """A board of so many runs, made from those of one room."""
    room = [room_run(make_run, group, preset) for group in range(1, 5) for preset in RATES]
    shared = [
        Shared(f"Group {at}", dataclasses.replace(room[at % len(room)], run_id=f"run-{at:04d}")) for at in range(count)
    ]
    return boards.sort(Gathered(shared))


def test_pictures_of_many_runs_show_their_middle_and_their_range(make_run):
    board = many(make_run, 60)
    one = board_figures.overlay(board)
    axes = one.figure.axes[0]
    assert (len(axes.lines), len(axes.collections)) == (3 + 1, 3)
    assert "their middle, and the range of 8 in 10" in axes.get_title(loc="left")
    assert "JUST_RIGHT: 20 runs" in one.words and "range of 8 in 10" in one.words
    low, middle = axes.collections[1].get_paths()[0].vertices[:, 1].min(), axes.lines[1].get_ydata()
    assert low <= middle.min() and np.isfinite(middle).all()
    panels = board_figures.small_multiples(board).figure.axes
    assert [panel.get_xlabel() for panel in panels] == ["step\n20 runs"] * 3
    assert len(board_figures.scores_and_gaps(board).figure.axes[0].lines) == 1 + 3 * 3


def test_many_runs_of_different_lengths_are_drawn_on_one_axis(make_run):
    board = many(make_run, 20)
    runs = [shared.run for shared in board.compared if shared.run.preset == "JUST_RIGHT"]
    runs[0].steps = runs[0].steps[:50]
    runs[1].steps = []
    steps, losses = board_figures._on_one_grid(runs)
    assert (len(steps), losses.shape) == (200, (len(runs) - 1, 200))
    assert np.isnan(losses[0, 50:]).all() and np.isfinite(losses[1:]).all()


def test_points_of_a_rate_stand_apart_from_those_of_the_next(make_run):
    board = boards.collect("\n".join(room_lines(make_run)))
    points = [line for line in board_figures.scores_and_gaps(board).figure.axes[0].lines if line.get_marker() != "None"]
    reach = [(min(line.get_xdata()), max(line.get_xdata())) for line in points]
    assert all(one[1] < other[0] for one, other in itertools.pairwise(sorted(reach)))


def test_the_summary_has_the_middle_of_each_rate(make_run):
    table = boards.summary(many(make_run, 60))
    assert tuple(table.columns) == boards.COLUMNS
    assert table["Group"].tolist() == ["20 runs"] * 3
    assert table["In one word"].tolist() == ["stalled", "moving", "collapsed"]
    assert table["LR value"].tolist() == ["1e-06", "0.0001", "0.005"]


@pytest.mark.slow
def test_a_board_reads_a_folder_of_a_thousand_runs(make_run, keep_run, tmp_path):
    """How long it takes is measured by `workshop.py bench`."""
    room = [keep_run(room_run(make_run, 1, preset)) for preset in RATES]
    records = [(run.run_id, (run.folder / "run.json").read_text(encoding="utf-8")) for run in room]
    for at in range(1_000):
        run_id, text = records[at % len(records)]
        folder = tmp_path / f"run-{at:04d}"
        folder.mkdir()
        (folder / "run.json").write_text(text.replace(run_id, folder.name), encoding="utf-8")
    board = boards.collect(str(tmp_path))
    for table in (boards.results, boards.predictions, boards.luck, budget_round.budget, boards.not_comparable):
        table(board)
    for picture in (board_figures.overlay, board_figures.small_multiples, board_figures.scores_and_gaps):
        assert picture(board).png()
    assert len(board.compared) == 1_000


def test_a_name_that_the_pictures_font_lacks_is_named_by_its_script(make_run):
    names = ["हिन्दी टीम", "Équipe 2", "青"]
    found = [Shared(name, room_run(make_run, at, "JUST_RIGHT")) for at, name in enumerate(names, start=1)]
    parts = board_figures.small_multiples(boards.sort(Gathered(found))).figure.findobj(Text)
    drawn = " ".join(" ".join(part.get_text() for part in parts).split())
    assert "Équipe 2, (name in Devanagari), (name in Cjk)" in drawn
