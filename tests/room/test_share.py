"""The share line: it carries a run through any chat, and nothing else comes out of it."""

import dataclasses
import json
import random
import zlib

import numpy as np
import pytest
from helpers.rooms import RATES, room_run
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning import paths
from tuning.dials import FrozenDials, SgdDials
from tuning.errors import ShareError
from tuning.room import framing, run_codec, share
from tuning.runs import reference
from tuning.runs.diagnosis import convergence, diagnose
from tuning.runs.record import FIRST_DIALS, Run, check, finite

SCORES = ("val_accuracy", "val_f1_macro", "val_loss", "train_loss", "gap_accuracy", "val_accuracy_interval")


@pytest.fixture
def line(make_run) -> str:
    return share.line(room_run(make_run, 4, "JUST_RIGHT"), "Blue 4", "moving", 0.7)


def forged(record: dict) -> str:
    """A line with the right checksum and any content: what somebody could make who reads this repository."""
    body = share.to_base62(zlib.compress(json.dumps(record).encode(), 9))
    start = f"W6W2-{len(body)}-{body}"
    return f"{start}-{framing.RUN.checksum(start)}-END"


def compact(run: Run, **changed) -> dict:
    return {"n": "Blue 4", "p": ["moving", 0.7]} | run_codec.pack(run) | changed


# What travels


@pytest.mark.parametrize("preset", RATES)
@pytest.mark.parametrize("scheduler", ["constant", "linear"])
def test_a_default_run_fits_into_1500_characters(make_run, preset, scheduler):
    run = room_run(make_run, 12, preset, dials={"SCHEDULER": scheduler})
    if scheduler == "linear":
        for step in run.steps:
            step["learning_rate"] *= min(step["step"] / 20, (200 - step["step"]) / 180)
    run.final["layer_movement"] = {"embeddings": 0.0123, **{f"layer {layer}": 0.0345 + layer for layer in range(1, 7)}}
    run.versions |= {"python": "3.12.10", "scikit-learn": "1.9.1", "numpy": "2.4.6", "torch": "2.13.0+cpu"}
    run.encoder |= {"revision": "12040accade4e8a0f71eabdb258fecc2e7e948be", "parameters": 66_955_779}
    text = share.line(run, "A group with a name of forty characters!"[:39], "collapsed", 0.713)
    assert len(text) < 1_500
    assert len(share.read(text).run.steps) == 200
    assert set(text) <= set("-" + share._DIGITS)


def test_what_travelled_is_what_was_sent(make_run, line):
    sent, came = room_run(make_run, 4, "JUST_RIGHT"), share.read(line)
    assert (came.name, came.word, came.f1) == ("Blue 4", "moving", 0.7)
    for part in ("run_id", "started", "notebook", "dials", "learning_rate", "seed", "outcome", "majority", "diagnosis"):
        assert getattr(came.run, part) == getattr(sent, part)
    for key in SCORES:
        assert came.run.final[key] == pytest.approx(sent.final[key], abs=5e-5)
    assert came.run.step_losses() == pytest.approx(sent.step_losses(), abs=0.0051)
    assert [step["learning_rate"] for step in came.run.steps] == pytest.approx([1e-4] * 200)
    assert [row["val_loss"] for row in came.run.epochs] == pytest.approx([row["val_loss"] for row in sent.epochs])
    check(finite(vars(came.run)), "came")


@pytest.mark.parametrize("preset", RATES)
def test_verdict_and_convergence_are_the_same_after_the_journey(make_run, preset):
    sent = room_run(make_run, 2, preset)
    came = share.read(share.line(sent, "Two")).run
    assert diagnose(came).verdict == diagnose(sent).verdict
    assert convergence(came).state == convergence(sent).state
    assert convergence(came).slope == pytest.approx(convergence(sent).slope, abs=0.005)


def test_a_long_run_keeps_its_first_steps_and_its_last(make_run):
    sent = make_run(losses=np.linspace(1.1, 0.3, 3_000), epochs=[(0.5, 0.6)] * 10, dials={"EPOCHS": 10})
    came = share.read(share.line(sent, "Long")).run
    steps = [step["step"] for step in came.steps]
    assert steps[:40] == list(range(1, 41))
    assert (steps[-1], len(steps)) == (3_000, 200)
    assert came.steps[-1]["epoch"] == pytest.approx(10)
    assert share.read(share.line(came, "Long")).key == share.Shared("x", sent).key


def test_a_diverged_run_travels_with_its_holes(diverged_run):
    came = share.read(share.line(diverged_run, "Red")).run
    assert came.outcome == "diverged"
    assert np.isnan(came.step_losses()[-1])
    assert came.final["val_loss"] is None


def test_a_run_without_steps_or_scores_travels(make_run):
    sent = make_run(losses=[], epochs=[], final=None, baseline={}, majority={}, outcome="interrupted")
    came = share.read(share.line(dataclasses.replace(sent, final={}), "Empty")).run
    assert (came.steps, came.epochs, came.baseline, came.final) == ([], [], {}, {})


def test_a_run_of_the_backup_lab_travels(make_run):
    dials = SgdDials(LR_PRESET="TOO_HIGH", GROUP=3).as_dict()
    sent = dataclasses.replace(make_run(), notebook="02", dials=dials)
    sent.machine["precision"] = "fp64"
    assert share.read(share.line(sent, "SGD")).run.dials == dials


def test_paths_and_names_of_machines_stay_at_home(make_run):
    sent = make_run(dials={"DATA": "C:/Users/amira/secret.csv", "MODEL": "/home/amira/model"})
    sent.encoder["name"] = sent.encoder["source"] = "amira-model"
    sent.data["path"] = "~/amira/secret.csv"
    sent.machine |= {"processor": "amira-cpu", "platform": "amira-os", "device": "amira-gpu"}
    sent.diagnosis = {"verdict": "just right", "reasons": ["amira"], "next_dial": "amira"}
    came = share.read(share.line(sent, "Own")).run
    assert "amira" not in json.dumps(vars(came))
    assert (came.dials["DATA"], came.dials["MODEL"]) == ("own", "own")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "=1+1",
        "@x",
        "-a",
        "<b>x</b>",
        "a|b",
        "a$b",
        "`a`",
        "[x](y)",
        "x" * 41,
        "a\u202eb",
        "_x",
        "a{b}",
        "x" + 7 * "\u0301",
        "\u093ea",
        "a\u2060b",
        "a \u200d",
    ],
)
def test_a_name_that_could_do_harm_is_refused(make_run, name):
    with pytest.raises(ShareError, match="group name cannot be used"):
        share.line(make_run(), name)


NAMES = [
    "Blue 4", "O'Neill", "O\u2019Neill", "Équipe 2", "group 1.", "x", "7", "مجموعة", "हिन्दी टीम", "தமிழ் குழு",
    "ทีมน้ำเงิน",
    "မြွှေ့", "বাংলা", "קבוצה", "한국", "チーム・青", "क्\u200dष", "ਪੰਜਾਬੀ",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_name_is_kept_in_any_script(make_run, name):
    assert share.read(share.line(make_run(), f"  {name} ")).name == name
    assert share.gather_files(share.save(make_run(), name)).shared[0].name == name


@pytest.mark.parametrize("name", ["Con", "nul", "COM1"])
def test_no_group_is_named_like_a_device_of_windows(make_run, name):
    assert share.save(make_run(), name).name == f"group-{name.lower()}.json"


# What chats do to a line


def wrapped(text: str, width: int, start: str = "") -> str:
    return "\n".join(start + text[at : at + width] for at in range(0, len(text), width))


def numbered(text: str, start: str, width: int = 76) -> str:
    parts = wrapped(text, width).split("\n")
    return "\n".join(start.format(number) + part for number, part in enumerate(parts, start=1))


MANGLED = {
    "name before": lambda text: f"Amira Khan: {text}",
    "time before": lambda text: f"[10:32] Amira W6W fan: here you are {text} thanks!",
    "quotes": lambda text: f'"{text}"',
    "curly quotes": lambda text: f"“{text}”",
    "code": lambda text: f"```\n{text}\n```",
    "trailing spaces": lambda text: f"  {text}   \t\n\n",
    "wrapped": lambda text: wrapped(text, 76),
    "wrapped by Windows": lambda text: wrapped(text, 60).replace("\n", "\r\n"),
    "quoted e-mail": lambda text: wrapped(text, 70, "> "),
    "quoted twice": lambda text: wrapped(text, 70, ">> > "),
    "quoted-printable": lambda text: wrapped(text, 75).replace("\n", "=\n"),
    "zero-width spaces": lambda text: wrapped(text, 30).replace("\n", "\u200b"),
    "non-breaking spaces": lambda text: wrapped(text, 50).replace("\n", "\u00a0"),
    "byte order mark": lambda text: "\ufeff" + text,
    "bold": lambda text: f"**{text}**",
    "line numbers": lambda text: numbered(text, "{:6d}\t"),
    "line numbers with colons": lambda text: numbered(text, "{}: "),
    "name and time before every part": lambda text: numbered(text, "[05/01/2026, 10:32:{:02d}] Amira K: ", 300),
    "quoted in HTML": lambda text: wrapped(text, 80, "&gt; "),
    "wrapped in its beginning": lambda text: "\n> ".join([text[:2], text[2:6], text[6:]]),
    "long hyphens": lambda text: text.replace("-", "\u2013"),
    "wide hyphens": lambda text: text.replace("-", "\uff0d"),
    "soft hyphens": lambda text: wrapped(text, 40).replace("\n", "\u00ad"),
    "WhatsApp": lambda text: f"[05/01/2026, 10:32:11] Amira K: {text}\n[05/01/2026, 10:33:02] Ben: nice - END of story",
    "Slack": lambda text: f"Amira K  10:32 AM\n{text}\n:tada: 2 replies - W6W\nBen  10:33 AM\nthanks",
    "Teams": lambda text: f"Amira K\u200b\u00a0 10:32\n{text}\nLike 1 - \nBen 10:33\nthanks",
    "read as other bytes": lambda text: text.encode("utf-16").decode("utf-8", "replace"),
}


@pytest.mark.parametrize("name", MANGLED)
def test_a_line_survives_a_chat(line, name):
    assert share.read(MANGLED[name](line)).key == share.read(line).key


@pytest.mark.parametrize("width", range(1, 12))
def test_a_line_survives_any_narrow_column(line, width):
    assert share.read(wrapped(line, width)).key == share.read(line).key


def test_a_whole_chat_gives_every_line_once(make_run):
    lines = [share.line(room_run(make_run, group, "JUST_RIGHT"), f"Group {group}") for group in (1, 2, 3)]
    chat = f"Amira: {lines[0]}\nBen: nice - really\nBen: {wrapped(lines[1], 80)}\nCem: > {lines[0]}\n{lines[2]}"
    found = share.gather(chat)
    assert [shared.name for shared in found.shared] == ["Group 1", "Group 2", "Group 3"]
    assert (found.refused, found.repeated) == ([], ['"Cem:"'])


@pytest.mark.parametrize("at", [60, 400, 700, -40, -8])
@pytest.mark.parametrize(
    "between", ["\nAmira, 10:42\n", "\nBen: well done!\n10:43 Amira > ", "\nBen: {other}\nAmira: "]
)
def test_a_line_that_a_chat_split_over_two_messages_is_joined(make_run, line, at, between):
    other = share.line(room_run(make_run, 5, "TOO_LOW"), "Five")
    found = share.gather(f"Amira: {line[:at]}{between.format(other=other)}{line[at:]}\nCem: thanks")
    assert {shared.name for shared in found.shared} == ({"Blue 4", "Five"} if "{other}" in between else {"Blue 4"})
    assert found.refused == []


BAD = {
    "cut off": (lambda text: text[:700], "cut off"),
    "cut in the middle": (lambda text: text[:300] + text[400:], "altered"),
    "one character changed": (lambda text: text[:200] + ("a" if text[200] != "a" else "b") + text[201:], "altered"),
    "all small": (lambda text: text[:9] + text[9:-3].lower() + "END", "altered"),
    "newer": (lambda text: text.replace("W6W2-", "W6W3-", 1), "newer version"),
    "older": (lambda text: text.replace("W6W2-", "W6W0-", 1), "older version"),
    "wrong length": (lambda text: text.replace(text.split("-")[1], "99999", 1), "altered"),
    "checksum gone": (lambda text: text[:-17] + "-END", "altered"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_gets_one_reason(line, name):
    change, reason = BAD[name]
    with pytest.raises(ShareError, match=reason) as told:
        share.read("Amira: " + change(line) + "\nBen: well done")
    assert "\n" not in str(told.value)


def test_a_bad_line_does_not_hurt_its_neighbours(make_run, line):
    other = share.line(room_run(make_run, 5, "TOO_LOW"), "Five")
    found = share.gather(f"{line[:500]}\n{other}\n{line}")
    assert [shared.name for shared in found.shared] == ["Five", "Blue 4"]
    assert [place for place, _ in found.refused] == ["line 1"]


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("Amira Blue (10:42): ", '"Amira Blue (10:42):"'),
        ("Amira\n\n> ", '"Amira"'),
        ("Amira\n\n", '"Amira"'),
        ("<img src=x onerror=alert(1)> $x$ `y` *z* ", '"?img src?x onerror?alert(1)? ?x? ?y? ?z"'),
        ("a" * 300 + " ", f'"{"a" * 40}"'),
        ("[11:31] Ivo: ", '"(11:31) Ivo:"'),
        ("\u202e\x1b[31m ", '"??(31m"'),
    ],
)
def test_a_bad_line_is_known_by_its_senders_words_which_no_page_can_render(line, before, shown):
    """It was "line 73", which nobody in a room can find."""
    ((place, _),) = share.gather(before + line[:500]).refused
    assert place == shown


def test_a_text_without_a_line_says_how_one_begins():
    with pytest.raises(ShareError, match="begins with W6W"):
        share.read("Good morning everybody - see you at ten")


def test_the_line_with_the_opened_test_part_replaces_the_one_without(make_run):
    run = room_run(make_run, 4, "JUST_RIGHT")
    opened = dataclasses.replace(run, test={"opened": "2026-01-05T14:00:00+00:00", "accuracy": 0.7, "f1_macro": 0.66})
    for order in ((run, opened), (opened, run)):
        found = share.gather("\n".join(share.line(one, "Four") for one in order))
        assert [shared.run.test["f1_macro"] for shared in found.shared] == [0.66]


# A line of the first version, as the code wrote it once: whoever has one can still show it.
KEPT = """
W6W1-573-6lHKxnqeZwxJSJBEKcN7DOblWE0cpo0MLtAP8Z22g5w5l9rt0cmOThaGJFNnu6yfJaxoW84JylDl49rBbBMEumXAtbeQ6ZuJ1P3ya
Wn8t4pOH3MO6PfTIiHXyzgrh4BayIjECOPmyYebAHKULqpp3I6YAopi2ykDvH2NY2knX70dg3wvgIdPVwhUvp5qUGJWayDr1SIxNMsyp6ELYrN
D5kOhbwUc7JEjFkdwMXbpUqdwjjXzWe494dsvDfmNXXRpNjYHoXNuMg2aVl76OmxR8FTxQxKY1DXXOHfoCEQOGN8iCWYuAeHxlW6f7mwY3Yx0K
XyZZvEcvR3mu6OixjkHRPRFj1XJlKrwHpezqhtRgOsl2LLTmOtB1qXu8kkIBoCWnyzTHrECV0Y7tbf2CxAuHU32HgYbmGX6hYWGg5JsUAS4qHc
ex2zr6OaIHa9SaHYUViIHcz89zYNSe56CKibFi1vyNf5f0dIV7zb3vkHCNKE0i4aWHAZxtykoqR1Nlccc46NcQSHUxBJBjZp29b1lpHrV6T0Kq
Zng7aN2Mj2izGa8r9RFhwrR91DJ7OYXW-cd4a3165f4d5-END
"""


def test_a_line_that_was_written_once_is_still_read():
    came = share.read(KEPT)
    assert (came.name, came.word, came.f1) == ("Kept", "moving", 0.7)
    assert (came.run.run_id, came.run.preset, came.run.seed) == ("20260105-090000-just-right", "JUST_RIGHT", 42)
    assert came.run.step_losses().tolist() == [1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    assert (came.run.final["val_f1_macro"], came.run.epochs[-1]["val_loss"]) == (0.76, 0.75)
    assert (came.run.departures, came.run.adapter) == ([], None)
    assert FIRST_DIALS.items() >= {name: came.run.dials[name] for name in FIRST_DIALS if name in came.run.dials}.items()


def test_what_the_second_version_added_travels(make_run):
    departures = ["optim: adamw_torch_fused, sgd", "callbacks: none, EarlyStoppingCallback"]
    sent = make_run(departures=departures, adapter={"kind": "lora", "rank": 8, "share": 0.01})
    came = share.read(share.line(sent, "Blue 4")).run
    assert (came.departures, came.adapter) == (departures, sent.adapter)
    assert len(share.line(sent, "Blue 4")) < 1_500


def test_a_run_with_lora_travels_with_what_its_adapter_is(make_run):
    facts = {"kind": "LoRA", "rank": 8, "alpha": 8, "layers": "query, value", "share": 0.003307, "peft": "0.21.2"}
    sent = make_run(adapter=facts)
    sent.dials = FrozenDials(TRAINED="LoRA 8").as_dict()
    came = share.read(share.line(sent, "Blue 4")).run
    assert (came.adapter, came.dials["TRAINED"]) == (facts, "LoRA 8")
    assert came.apart == ["an adapter was trained"]


def test_words_of_a_departure_that_may_not_travel_stay_at_home(make_run):
    came = share.read(share.line(make_run(departures=["data: <amira>, C:/Users/amira"]), "Own")).run
    assert came.departures == [run_codec.ANOTHER_DEPARTURE]


def test_what_a_later_version_adds_is_ignored_but_a_dial_sets_the_run_apart(make_run):
    record = compact(room_run(make_run, 4, "JUST_RIGHT"))
    plain = share.read(forged(record))
    assert share.read(forged(record | {"zz": 1})).key == plain.key
    later = share.read(forged(record | {"D": {"RANK": 8}})).run
    assert later.departures == [run_codec.ANOTHER_DEPARTURE]
    assert later.dials == plain.run.dials


@pytest.mark.parametrize("path", sorted(reference.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_run_fits_and_keeps_its_verdict(path):
    run = Run.load(path)
    text = share.line(run, "Reference")
    assert len(text) < 1_500
    assert share.read(text).run.diagnosis["verdict"] == run.diagnosis["verdict"]


def test_a_run_with_a_frozen_part_says_so(make_run):
    run = make_run()
    run.dials["TRAINED"] = "head only"
    assert share.read(share.line(run, "Ice")).run.dials == run.dials


# Hostile lines


FORGERIES = {
    "script as a name": {"n": "<script>alert(1)</script>"},
    "formula as a name": {"n": "=HYPERLINK(1)"},
    "long name": {"n": "x" * 10_000},
    "no name": {"n": None},
    "path as run id": {"i": "../../etc/passwd"},
    "formula as run id": {"i": "=1+1"},
    "text as time": {"t": "<b>now</b>"},
    "unknown notebook": {"b": "99"},
    "dial beyond its limits": {
        "d": ["JUST_RIGHT", "constant", 1, 800, 96, 10**9, 8, 0.01, "embedded", "bundled", "all", "fp32"]
    },
    "path as dial": {"d": ["JUST_RIGHT", "constant", 1, 800, 96, 2, 8, 0.01, "/etc", "bundled", "all", "fp32"]},
    "too few dials": {"d": ["JUST_RIGHT"]},
    "learning rate zero": {"r": 0},
    "learning rate huge": {"r": 1e300},
    "text as learning rate": {"r": "1e-4"},
    "unknown encoder": {"e": [99, 0, "1", 1]},
    "formula as revision": {"e": [0, 0, "=1+1", 1]},
    "text as hash": {"a": ["x" * 64, 1, 1, 1, 1, 1, 1, 1, 1]},
    "script as version": {"v": ["<script>", None, None, None, None]},
    "list as version": {"v": [[], None, None, None, None]},
    "step backwards": {"s": [100, [1, -1], [100, 100], [100, 0]]},
    "steps of unequal length": {"s": [100, [1, 1], [100], [100, 0]]},
    "no step in an epoch": {"s": [0, [1], [100], [100]]},
    "epoch backwards": {"s": [-5, [1], [100], [100]]},
    "huge step": {"s": [100, [10**11] * 200, [100] * 200, [100] + [0] * 199]},
    "huge loss": {"s": [100, [1], [10**11], [100]]},
    "true as loss": {"s": [100, [1], [True], [100]]},
    "ten thousand steps": {"s": [100, [1] * 10_000, [100] * 10_000, [100] + [0] * 9_999]},
    "negative loss": {"E": [[1, -1, -1, 0.5, -1, 0.5, 0.5, 1]]},
    "accuracy above one": {"M": ["neutral", 1.5, 0.2]},
    "unknown label": {"M": ["<b>", 0.5, 0.2]},
    "scores too short": {"F": [0.5]},
    "a thousand layers": {"w": [0.1] * 1_000},
    "unknown outcome": {"o": "won"},
    "unknown verdict": {"g": 99},
    "negative verdict": {"g": -1},
    "text as time taken": {"c": ["x", 1, 1, 1]},
    "unknown prediction": {"p": ["<b>", 0.5]},
    "predicted beyond one": {"p": ["moving", 7]},
    "test part of text": {"x": ["<b>", 0.5, 0.5, 0.5, 10]},
    "dials that are no object": {"D": ["LABEL_NOISE"]},
    "a later dial beyond its limits": {"D": {"EPOCHS": 10**9}},
    "script as a dial": {"D": {"<script>": 1}},
    "script as a departure": {"y": ["optim: <script>, sgd"]},
    "formula as a departure": {"y": ["=HYPERLINK(1)"]},
    "very many departures": {"y": ["optim: adamw_torch_fused, sgd"] * 1_000},
    "departures that are no list": {"y": 5},
    "script in the adapter": {"l": {"kind": "<script>"}},
    "an adapter that is no object": {"l": [1]},
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_line_is_refused_and_not_repeated(make_run, name):
    record = compact(room_run(make_run, 1, "JUST_RIGHT"))
    assert share.read(forged(record)).name == "Blue 4"
    with pytest.raises(ShareError) as told:
        share.read(forged(record | FORGERIES[name]))
    assert "was not written by this workshop's code" in str(told.value)


@pytest.mark.parametrize(
    "content", ["[]", "null", "7", '"x"', "{}", "[" * 50_000, "NaN", '{"n": 1e999}', "9" * 50_000, "not json"]
)
def test_a_body_that_is_no_record_is_refused(content):
    body = share.to_base62(zlib.compress(content.encode(), 9))
    start = f"W6W2-{len(body)}-{body}"
    with pytest.raises(ShareError):
        share.read(f"{start}-{framing.RUN.checksum(start)}-END")


def test_a_bomb_is_not_unpacked():
    packed = zlib.compress(b" " * 4_000_000, 9)
    body = share.to_base62(packed)
    assert len(body) < framing.RUN.longest
    start = f"W6W2-{len(body)}-{body}"
    with pytest.raises(ShareError, match="was not written"):
        share.read(f"{start}-{framing.RUN.checksum(start)}-END")


def test_a_text_beyond_all_bounds_is_refused_at_once(line):
    assert share.gather("x" * (share.LONGEST_TEXT + 1)).refused
    many = share.gather("W6W2-10-abc-END\n" * (framing.MOST_LINES + 5))
    assert len(many.refused) == framing.MOST_LINES + 1


def same(found: share.Shared, sent: share.Shared) -> bool:
    return (found.key, found.name, found.word, found.f1) == (sent.key, sent.name, sent.word, sent.f1)


def mutated(rng: random.Random, text: str) -> str:
    """A line with a few random accidents."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + rng.choice((1, 1, 2, 40)))
        noise = "".join(rng.choice("aZ09-W6 \n>\u200b\x00END") for _ in range(rng.choice((0, 1, 1, 3, 20))))
        text = rng.choice((text[:at] + noise + text[end:], text[:at] + text[at:end] * 2 + text[end:], text[:at]))
    return text


def never_wrong(line: str, times: int) -> int:
    """Read many damaged copies; each gives the run that was sent, or a reason. Returns how many still came through."""
    rng, sent, came = random.Random(7), share.read(line), 0
    for _ in range(times):
        for shared in share.gather(mutated(rng, line)).shared:
            assert same(shared, sent)
            came += 1
    return came


def test_damage_never_gives_a_wrong_run(line):
    assert never_wrong(line, 400) > 0


@pytest.mark.full
def test_damage_never_gives_a_wrong_run_in_100000_tries(line):
    assert never_wrong(line, 100_000) > 0


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_without_an_exception(text):
    share.gather(text)
    share.gather(f"W6W2-{text}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted("np" + "itbdrzeavmsEMBFwogcx" + "Dyl")), json_values)
def test_any_value_in_any_place_is_refused_or_harmless(key, value):
    record = json.loads(json.dumps(HARMLESS | {key: value}))
    try:
        shared = share.read(forged(record))
    except ShareError:
        return
    check(finite(vars(shared.run)), "forged")
    assert not [text for text in (shared.name, shared.run.run_id) if text[0] in "=+-@<"]
    assert "<" not in json.dumps(vars(shared.run))


HARMLESS = {
    "n": "Blue 4",
    "p": [None, None],
    "i": "run-1",
    "t": "2026-01-05T09:00:00+00:00",
    "b": "01",
    "d": ["JUST_RIGHT", "constant", 1, 800, 96, 2, 8, 0.01, "embedded", "bundled", "all", "fp32"],
    "D": {},
    "y": [],
    "l": None,
    "r": 1e-4,
    "z": 1,
    "e": [1, 3, "0", 1000],
    "a": ["0" * 64, 1650, 800, 1150, 250, 250, 400, 850, 400],
    "v": ["3.12.1", None, None, None, None],
    "m": [2, 2, 0, "fp32"],
    "s": [2, [1, 1], [110, 100], [100, 0]],
    "E": [],
    "M": [None, None, None],
    "B": [],
    "F": [],
    "w": [None],
    "o": "completed",
    "g": 6,
    "c": [1, 1, 1, 1],
    "x": None,
}


# Files


def test_a_line_is_written_as_a_file_and_read_from_the_folder(make_run):
    run = room_run(make_run, 4, "JUST_RIGHT")
    path = share.save(run, "Blue 4", "moving", 0.7)
    assert path == paths.share() / "blue-4.json"
    assert share.save(run, "Blue 4") == path
    second = share.save(room_run(make_run, 4, "TOO_LOW"), "Blue 4")
    assert second.name == "blue-4-2.json"
    (paths.share() / "chat.txt").write_text("Ben: " + share.line(run, "Ben"), encoding="utf-8")
    (paths.share() / "picture.png").write_bytes(b"\x89PNG" + share.line(run, "Cem").encode())
    found = share.gather_files(paths.share())
    assert [shared.run.run_id for shared in found.shared] == [second_id(second), run.run_id]
    assert found.repeated == ["chat.txt"]


def second_id(path) -> str:
    return json.loads(path.read_text(encoding="utf-8"))["run_id"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ShareError, match="no such file or folder"):
        share.gather_files(tmp_path / "none")


def test_a_file_of_any_bytes_is_read_without_an_exception(tmp_path):
    (tmp_path / "noise.txt").write_bytes(bytes(range(256)) * 100 + b"W6W2-5-\xff\xfe-END")
    assert share.gather_files(tmp_path).shared == []
