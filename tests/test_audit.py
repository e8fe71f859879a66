"""The audit tool on small made-up files, and the bundled sentences held to what their card promises."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from tuning import audit
from tuning.data import LABELS, load, split

PHENOMENA = [
    "plain",
    "comparison",
    "reversal",
    "negation",
    "expectation",
    "mixed",
    "hedged",
    "neutral_emotional",
    "neutral_figures",
    "jargon",
    "third_party",
    "quotation",
]
STYLES = [
    "press_release",
    "regulatory_notice",
    "newswire",
    "headline",
    "analyst_note",
    "earnings_call",
    "market_tweet",
    "desk_chat",
]
TOPICS = [
    "results",
    "guidance",
    "orders",
    "deals",
    "financing",
    "dividends",
    "costs",
    "product",
    "regulation",
    "management",
    "ratings",
    "macro",
    "operations",
]


@pytest.fixture(scope="module")
def bundled():
    return load()


@pytest.fixture(scope="module")
def found(bundled):
    return audit.audit(bundled)


def test_the_bundled_file_has_its_final_columns_and_known_tags(bundled):
    frame = bundled.frame
    assert list(pd.read_csv(bundled.path, nrows=1)) == [
        "id",
        "sentence",
        "label",
        "topic",
        "style",
        "phenomenon",
        "split",
    ]
    assert frame["id"].is_unique
    assert set(frame["topic"]) == set(TOPICS)
    assert set(frame["style"]) == set(STYLES)
    assert set(frame["phenomenon"]) <= {*PHENOMENA, "disputed"}
    assert (frame["phenomenon"] == "disputed").mean() <= 0.03
    assert frame["phenomenon"].value_counts()[PHENOMENA].min() >= 100


def test_neutral_tags_are_neutral(bundled):
    neutral = bundled.frame[bundled.frame["phenomenon"].str.startswith("neutral_")]
    assert set(neutral["label"]) == {"neutral"}


def test_the_label_shares_are_those_of_real_text(found):
    shares = {label: count / found.sizes["all"] for label, count in found.labels.items()}
    assert shares["neutral"] == pytest.approx(0.58, abs=0.02)
    assert shares["positive"] == pytest.approx(0.25, abs=0.02)
    assert shares["negative"] == pytest.approx(0.17, abs=0.02)


def test_the_parts_are_stratified_and_nothing_leaks(bundled, found):
    total = found.sizes["all"]
    assert total >= 3_000
    assert found.sizes["train"] / total == pytest.approx(0.70, abs=0.01)
    assert found.sizes["validation"] / total == pytest.approx(0.15, abs=0.01)
    parts = split(bundled)
    for label in LABELS:
        shares = [(getattr(parts, part)["label"] == label).mean() for part in ("train", "validation", "test")]
        assert np.ptp(shares) < 0.02
    assert (found.exact_duplicates, found.leaks, found.near_duplicates) == (0, 0, [])


def test_shape_and_variety_are_those_of_real_text(found):
    assert 22 <= found.mean_tokens <= 30
    assert found.distinct_words >= 5_000
    assert found.words_in_sample >= 2_500
    assert found.with_digit >= 0.5
    assert found.most_used_frame[0] <= 5


def test_lazy_rules_do_not_solve_it_and_a_linear_model_learns_something(found):
    assert found.one_word[0][2] < 0.66
    assert 0.66 <= found.linear_accuracy <= 0.84
    assert 0.50 <= found.linear_f1 <= 0.78


def test_the_card_shows_what_the_audit_finds(found):
    text = audit.CARD.read_text(encoding="utf-8")
    inside = text.split(audit.CARD_MARKS[0])[1].split(audit.CARD_MARKS[1])[0]
    assert inside.strip() == audit.card_table(found).strip()


def test_kappa_agrees_with_scikit_learn():
    table = audit.double_labelling().to_numpy()
    first, second = np.indices(table.shape)
    expected = cohen_kappa_score(first.ravel(), second.ravel(), sample_weight=table.ravel())
    assert audit.kappa(table) == pytest.approx(expected)


def made_up(tmp_path, rows):
    path = tmp_path / "mine.csv"
    pd.DataFrame(rows, columns=["sentence", "label"]).to_csv(path, index=False)
    return path


def test_a_file_of_ones_own_is_audited_from_the_command(tmp_path, capsys):
    words = [
        "amber",
        "birch",
        "cedar",
        "daisy",
        "elder",
        "fern",
        "gorse",
        "hazel",
        "ivy",
        "juniper",
        "kelp",
        "laurel",
        "maple",
        "nettle",
        "oak",
        "pine",
    ]
    rows = [
        (f"{a.capitalize()} met {b} by the {c} gate, {mood}", label)
        for label, mood in zip(LABELS, ("alas", "so", "hurrah"), strict=True)
        for a, b, c in zip(words, words[1:], words[2:], strict=False)
    ]
    assert audit.main([str(made_up(tmp_path, rows))]) == 0
    shown = capsys.readouterr().out
    assert "mine.csv: 42 sentences" in shown
    assert "if 'hurrah' then positive: 0.667" in shown


def test_a_broken_file_gives_one_line(tmp_path, capsys):
    assert audit.main([str(made_up(tmp_path, [("Profit rose.", "good")]))]) == 2
    assert capsys.readouterr().err.startswith("error: mine.csv: row 2 has the label 'good'")


def test_near_copies_and_frames_are_found():
    sentences = ["Profit of Alder rose by 12% in May", "Profit of Alder rose by 14% in May", "The meeting is on Monday"]
    [(one, two, cosine)] = audit.near_pairs(sentences, 0.7)
    assert (one, two) == (0, 1)
    assert 0.7 <= cosine < 1
    assert (
        audit.masked(sentences[0]) == audit.masked("Profit of Birch rose by 9% in June") == "profit of X rose by N in X"
    )
