"""The dials: what they take, and the one line that a wrong one gets."""

import math

import pytest

from tuning.dials import PRESETS, Dials, FreezingDials, FrozenDials, PlanDials, TrackingDials, parse_settings
from tuning.errors import DialError, WorkshopError, nearest
from tuning.notebook import machine_checks, preflight

NAN, INF = math.nan, math.inf
RATE = "TOO_LOW, JUST_RIGHT, TOO_HIGH or a number above 0 and up to 10"
SUBSET = "0 for all training sentences, or a whole number from 24"
GROUP = "a whole number from 1 to 12"


def line_of(make, *args, **kwargs) -> str:
    """The text of the DialError that a call raises; it must be a single line."""
    with pytest.raises(DialError) as caught:
        make(*args, **kwargs)
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


WRONG = [
    ("LR_PRESET", "JUST_RIHGT", RATE),
    ("LR_PRESET", "", RATE),
    ("LR_PRESET", "fast", RATE),
    ("LR_PRESET", 0, RATE),
    ("LR_PRESET", -1e-4, RATE),
    ("LR_PRESET", 11, RATE),
    ("LR_PRESET", NAN, RATE),
    ("LR_PRESET", INF, RATE),
    ("LR_PRESET", "nan", RATE),
    ("LR_PRESET", "inf", RATE),
    ("LR_PRESET", True, RATE),
    ("LR_PRESET", None, RATE),
    ("LR_PRESET", [1e-4], RATE),
    ("LR_PRESET", "1,0e-4", RATE),
    ("SCHEDULER", "cosin", "constant, linear or cosine"),
    ("SCHEDULER", None, "constant, linear or cosine"),
    ("SCHEDULER", 1, "constant, linear or cosine"),
    ("GROUP", 0, GROUP),
    ("GROUP", 13, GROUP),
    ("GROUP", "five", GROUP),
    ("GROUP", 2.5, GROUP),
    ("GROUP", True, GROUP),
    ("TRAIN_SUBSET", -1, SUBSET),
    ("TRAIN_SUBSET", 23, SUBSET),
    ("TRAIN_SUBSET", 2_000_000, SUBSET),
    ("TRAIN_SUBSET", "all", SUBSET),
    ("TRAIN_SUBSET", 800.5, SUBSET),
    ("TRAIN_SUBSET", NAN, SUBSET),
    ("TRAIN_SUBSET", INF, SUBSET),
    ("TRAIN_SUBSET", None, SUBSET),
    ("MAX_LENGTH", 7, "a whole number from 8 to 512"),
    ("MAX_LENGTH", 513, "a whole number from 8 to 512"),
    ("EPOCHS", 0, "a whole number from 1 to 50"),
    ("EPOCHS", -2, "a whole number from 1 to 50"),
    ("EPOCHS", 51, "a whole number from 1 to 50"),
    ("EPOCHS", 2.5, "a whole number from 1 to 50"),
    ("EPOCHS", "2.5", "a whole number from 1 to 50"),
    ("EPOCHS", "two", "a whole number from 1 to 50"),
    ("EPOCHS", "", "a whole number from 1 to 50"),
    ("EPOCHS", True, "a whole number from 1 to 50"),
    ("EPOCHS", NAN, "a whole number from 1 to 50"),
    ("EPOCHS", INF, "a whole number from 1 to 50"),
    ("EPOCHS", 10**400, "a whole number from 1 to 50"),
    ("EPOCHS", "two\nlines", "a whole number from 1 to 50"),
    ("BATCH_SIZE", 0, "a whole number from 1 to 256"),
    ("BATCH_SIZE", 257, "a whole number from 1 to 256"),
    ("WEIGHT_DECAY", -0.1, "a number from 0 to 1"),
    ("WEIGHT_DECAY", 1.1, "a number from 0 to 1"),
    ("WEIGHT_DECAY", NAN, "a number from 0 to 1"),
    ("WEIGHT_DECAY", False, "a number from 0 to 1"),
    ("MODEL", "  ", "distilbert, embedded or the path of a model folder"),
    ("MODEL", 3, "distilbert, embedded or the path of a model folder"),
    ("DATA", "", "the path of a CSV file"),
    ("DATA", None, "the path of a CSV file"),
    ("PRECISION", "fp64", "auto, fp32, bf16 or fp16"),
    ("ROOM", "embedded", "such as embedded bundled fp32"),
    ("FRESH", "yes", "True or False"),
    ("FRESH", 1, "True or False"),
    ("FRESH", None, "True or False"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_wrong_value_gets_one_line_with_dial_value_and_what_is_allowed(name, value, allowed):
    text = line_of(Dials, **{name: value})
    assert text.startswith(f"{name} = {value!r} cannot be used.")
    assert allowed in text.partition("Allowed:")[2]


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("LR_PRESET", "JUST_RIHGT", "JUST_RIGHT"),
        ("LR_PRESET", "just_right", "JUST_RIGHT"),
        ("LR_PRESET", "TOOHIGH", "TOO_HIGH"),
        ("SCHEDULER", "Linear", "linear"),
        ("SCHEDULER", "cosin", "cosine"),
        ("PRECISION", "FP32", "fp32"),
    ],
)
def test_a_misspelt_choice_hears_what_was_meant(name, value, meant):
    assert f" Did you mean {meant}? Allowed:" in line_of(Dials, **{name: value})


def test_a_value_that_resembles_nothing_gets_no_guess():
    assert "Did you mean" not in line_of(Dials, LR_PRESET="xyzzy")
    assert nearest("xyzzy", PRESETS) == ""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("EPOCH", "EPOCHS"), ("epochs", "EPOCHS"), ("LRPRESET", "LR_PRESET"), ("BATCHSIZE", "BATCH_SIZE")],
)
def test_an_unknown_dial_is_refused_with_the_nearest_name(typed, meant):
    text = line_of(Dials.from_settings, {typed: 3})
    assert text.startswith(f"{typed} is not a dial. Did you mean {meant}? Dials: ")
    assert all(name in text for name in Dials.settable())


def test_an_unknown_dial_like_no_other_still_gets_the_list():
    text = line_of(Dials.from_settings, {"xyzzy": 3})
    assert text.startswith("xyzzy is not a dial. Dials: LR_PRESET, ")


@pytest.mark.parametrize("text", ["EPOCHS", "", "=3", "  =3", "EPOCHS:3"])
def test_a_malformed_setting_is_shown_with_an_example(text):
    said = line_of(parse_settings, [text])
    assert said.startswith(f"--set {text!r} cannot be read.")
    assert "--set EPOCHS=3" in said


def test_settings_are_split_at_the_first_equals_sign():
    assert parse_settings(["EPOCHS=3", " DATA = my=file.csv ", "GROUP="]) == {
        "EPOCHS": "3",
        "DATA": "my=file.csv",
        "GROUP": "",
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("LR_PRESET", "TOO_LOW", "TOO_LOW"),
        ("LR_PRESET", "1e-4", 1e-4),
        ("LR_PRESET", " 0.0003 ", 3e-4),
        ("LR_PRESET", "10", 10.0),
        ("SCHEDULER", "cosine", "cosine"),
        ("GROUP", "7", 7),
        ("GROUP", "None", None),
        ("GROUP", "", None),
        ("TRAIN_SUBSET", "0", 0),
        ("TRAIN_SUBSET", "24", 24),
        ("MAX_LENGTH", "512", 512),
        ("EPOCHS", "3", 3),
        ("EPOCHS", "3.0", 3),
        ("BATCH_SIZE", "256", 256),
        ("WEIGHT_DECAY", "0", 0.0),
        ("WEIGHT_DECAY", "1", 1.0),
        ("MODEL", " embedded ", "embedded"),
        ("DATA", "my.csv", "my.csv"),
        ("PRECISION", "bf16", "bf16"),
        ("FRESH", "True", True),
        ("FRESH", "false", False),
    ],
)
def test_text_and_python_value_give_the_same_dial(name, text, value):
    from_text = getattr(Dials.from_settings({name: text}), name)
    from_value = getattr(Dials(**{name: value}), name)
    assert from_text == from_value == value
    assert type(from_text) is type(from_value) is type(value)


def test_every_dial_has_a_default_that_passes_its_own_check():
    assert Dials().as_dict() == Dials(**Dials().as_dict()).as_dict()
    assert list(Dials().as_dict()) == Dials.names()


def test_starting_anew_decides_no_number_and_is_in_no_record():
    assert Dials(FRESH=True).as_dict() == Dials().as_dict()
    assert "FRESH" not in Dials.names()
    assert Dials.settable() == [*Dials.names(), "ROOM", "FRESH"]
    assert Dials.of({"FRESH": True}).FRESH is True


def test_the_room_card_decides_three_dials_and_is_in_no_record():
    dials = Dials.from_settings({"ROOM": " embedded, bundled fp32 ", "EPOCHS": "3"})
    assert (dials.MODEL, dials.DATA, dials.PRECISION, dials.EPOCHS) == ("embedded", "bundled", "fp32", 3)
    assert dials.as_dict() == Dials(MODEL="embedded", PRECISION="fp32", EPOCHS=3).as_dict()
    # Who set the dial by hand, too, set it right.
    assert Dials(ROOM="embedded bundled fp32", MODEL="embedded").MODEL == "embedded"


@pytest.mark.parametrize(
    "typed",
    [
        "fp32 embedded bundled",
        "Bundled, FP32, Embedded",
        "\u201cembedded bundled fp32\u201d",
        "MODEL = embedded, DATA = bundled, PRECISION = fp32",
        "FP-32 bundled embedded",
    ],
)
def test_the_room_card_is_understood_in_any_order_and_spelling(typed):
    """In the wrong order it was [OK] with MODEL = bundled; capitals were refused."""
    dials = Dials(ROOM=typed, GROUP=3)
    assert dials.ROOM == "embedded bundled fp32"
    told = str(preflight.room(dials))
    assert told == "[OK]   room card: MODEL = embedded, DATA = bundled, PRECISION = fp32"


def test_a_room_card_may_name_files_of_the_rooms_own():
    dials = Dials(ROOM="bf16 data/ours.csv models/ours")
    assert (dials.MODEL, dials.DATA, dials.PRECISION) == ("models/ours", "data/ours.csv", "bf16")


@pytest.mark.parametrize(
    "card",
    [
        "embedded",
        "embedded bundled auto",
        "embedded bundled fp32 8",
        "bundled fp32",
        "embedded distilbert fp32",
        "embeded bundled fp32",
        3,
    ],
)
def test_a_room_card_that_leaves_something_open_is_refused(card):
    text = line_of(Dials, ROOM=card)
    assert text.startswith(f"ROOM = {card!r} cannot be used.")
    assert "such as embedded bundled fp32" in text


def test_a_dial_that_contradicts_the_room_card_is_named():
    text = line_of(Dials, ROOM="distilbert bundled fp32", MODEL="embedded")
    assert text.startswith("MODEL = 'embedded' contradicts the room card, which says distilbert.")


def test_preflight_says_what_the_room_card_says_and_who_forgot_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert preflight.room(Dials()) == machine_checks.Check("OK", "no room card: you work alone")
    assert preflight.room(Dials(GROUP=3)).status == "WARN"
    kept = preflight.room(Dials(ROOM="embedded bundled fp32", GROUP=3))
    assert str(kept) == "[OK]   room card: MODEL = embedded, DATA = bundled, PRECISION = fp32"
    nobody = preflight.room(Dials(ROOM="embedded bundled fp32"))
    assert (nobody.status, "set your group's number" in nobody.text) == ("WARN", True)
    missing = preflight.room(Dials(ROOM="distilbert bundled fp32", GROUP=3))
    assert missing.status == "WARN"
    assert "DistilBERT is not on this machine yet" in missing.text


def test_dials_come_from_a_notebooks_variables_and_the_rest_stay():
    dials = Dials.of({"EPOCHS": 5, "GROUP": 3, "unrelated": object()})
    assert (dials.EPOCHS, dials.GROUP, dials.LR_PRESET) == (5, 3, "JUST_RIGHT")


def test_the_seed_is_the_group_or_42_alone():
    assert Dials().seed == 42
    assert Dials(GROUP=7).seed == 7


@pytest.mark.parametrize(("scheduler", "share"), [("constant", 0.0), ("linear", 0.1), ("cosine", 0.1)])
def test_only_a_falling_rate_warms_up(scheduler, share):
    assert Dials(SCHEDULER=scheduler).warmup == share


def test_checked_dials_cannot_be_changed_afterwards():
    dials = Dials()
    with pytest.raises(AttributeError):
        dials.EPOCHS = 0


def test_a_dial_error_is_one_of_the_workshops_own():
    assert issubclass(DialError, WorkshopError)


# Going Further


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RUN_1", 5, "a Run ID of your log"),
        ("DIALS", "EPOCHS=1", "dials of notebook 01 in braces"),
        ("DIALS", {"EPOCHS": 0}, "EPOCHS = 0 cannot be used"),
        ("DIALS", {"EPOHCS": 1}, "Did you mean EPOCHS"),
        ("CHANGE", None, "dials of notebook 01 in braces"),
        ("HEAD_RATE", 0, "above 0"),
        ("HEAD_RATE", 11, "up to 10"),
        ("MINUTES", -3, "a number of minutes above 0"),
        ("BUDGET", "much", "an amount of money above 0"),
        ("WATTS", float("inf"), "a number above 0"),
        ("PRICE_PER_HOUR", 0, "a number above 0"),
    ],
)
def test_a_setting_of_going_further_that_cannot_be_used_is_refused(name, value, told):
    with pytest.raises(DialError, match=told):
        next(kind for kind in (PlanDials, FreezingDials, TrackingDials) if name in kind.names())(**{name: value})


def test_settings_of_going_further_are_read_kindly():
    dials = PlanDials(MINUTES="10", DIALS={"EPOCHS": "3"}, RUN_1="")
    assert (dials.MINUTES, dials.DIALS, dials.RUN_1) == (10.0, {"EPOCHS": 3}, None)


def test_frozen_dials_are_dials_with_one_more():
    assert FrozenDials.names() == [*Dials.names(), "TRAINED"]
    assert Dials().trained == FrozenDials().trained == "everything"
    with pytest.raises(DialError, match="Did you mean head only"):
        FrozenDials(TRAINED="head")
