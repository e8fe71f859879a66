"""The audit tool on small made-up files, and the bundled sentences held to what their card promises."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from maintain import data_card
from tuning.audit import audit, findings
from tuning.audit.damaged_signs import damaged
from tuning.audit.near_copies import candidates, letter_vectors, near_pairs
from tuning.data.labels import LABELS
from tuning.data.loading import load, split

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
    assert (found.exact_duplicates, found.contradictions, found.near_duplicates) == (0, 0, 0)
    assert (found.leaks, found.near_leaks, found.damaged) == (0, 0, {})


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
    text = data_card.CARD.read_text(encoding="utf-8")
    inside = text.split(data_card.CARD_MARKS[0])[1].split(data_card.CARD_MARKS[1])[0]
    assert inside.strip() == data_card.card_table(found).strip()


def test_kappa_agrees_with_scikit_learn():
    table = data_card.double_labelling().to_numpy()
    first, second = np.indices(table.shape)
    expected = cohen_kappa_score(first.ravel(), second.ravel(), sample_weight=table.ravel())
    assert data_card.kappa(table) == pytest.approx(expected)


def made_up(tmp_path, rows):
    path = tmp_path / "mine.csv"
    pd.DataFrame(rows, columns=["sentence", "label"]).to_csv(path, index=False)
    return path


def test_a_file_of_ones_own_is_audited_from_the_command(tmp_path, capsys):
    rows = [
        (f"{a.capitalize()} met {b} by the {c} gate, {mood}", label)
        for label, mood in zip(LABELS, ("alas", "so", "hurrah"), strict=True)
        for a, b, c in zip(WORDS, WORDS[1:], WORDS[2:], strict=False)
    ]
    assert audit.main([str(made_up(tmp_path, rows))]) == 0
    shown = capsys.readouterr().out
    assert "mine.csv: 48 sentences" in shown
    assert "if 'hurrah' then positive: 0.667" in shown


def test_a_broken_file_gives_one_line(tmp_path, capsys):
    assert audit.main([str(made_up(tmp_path, [("Profit rose.", "good")]))]) == 2
    assert capsys.readouterr().err.startswith("error: mine.csv: row 2 has the label 'good'")


def test_near_copies_and_frames_are_found():
    sentences = ["Profit of Alder rose by 12% in May", "Profit of Alder rose by 14% in May", "The meeting is on Monday"]
    pairs, cosines = near_pairs(sentences, 0.7)
    assert pairs.tolist() == [[0, 1]]
    assert 0.7 <= cosines[0] < 1
    assert (
        audit.masked(sentences[0]) == audit.masked("Profit of Birch rose by 9% in June") == "profit of X rose by N in X"
    )


# Near pairs without comparing all with all


def tangled(count: int, stock: int = 300) -> list[str]:
    """Sentences from a stock of words, some of which are the one before with a changed word."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghiklmnoprstu"), size=rng.integers(3, 9))) for _ in range(stock)]
    chosen = rng.choice(words, size=(count, 12))
    chosen[1::5, :-1] = chosen[0::5, :-1][: len(chosen[1::5])]
    return [" ".join(row) for row in chosen]


def test_near_pairs_are_those_that_comparing_all_with_all_would_give():
    sentences = tangled(120)
    vectors = letter_vectors(sentences).toarray()
    cosines = vectors @ vectors.T
    expected = {(one, two) for one, two in np.argwhere(np.triu(cosines, 1) >= 0.8).tolist()}
    assert len(expected) >= 20
    # Each feature is followed far enough here: nothing may be missed.
    pairs, _ = near_pairs(sentences)
    assert {tuple(pair) for pair in pairs.tolist()} == expected


def test_vectors_are_of_length_one_with_the_rarest_features_first():
    vectors = letter_vectors(["profit rose", "profit fell", "profit", "abc", "利润增长了利润"])
    lengths = np.sqrt(vectors.multiply(vectors).sum(axis=1))
    assert lengths == pytest.approx([1, 1, 1, 0, 1], abs=1e-6)
    assert (np.diff(np.bincount(vectors.indices)) >= 0).all()


@pytest.mark.parametrize("kind", ["a small stock of words", "one frame and a number"])
def test_the_work_grows_in_proportion_to_the_sentences(kind):
    """Counted in pairs that are compared. All with all would make it sixteen times as many."""
    small = kind == "a small stock of words"
    many = tangled(4_000, stock=60) if small else [f"Profit of firm {number} rose" for number in range(4_000)]
    few, more = (len(candidates(letter_vectors(many[:count]), 0.8)[0]) for count in (1_000, 4_000))
    assert more < 7 * max(few, 10_000)


# Copies, contradictions, leaks, damaged signs


WORDS = [f"{letter}{rest}" for letter in "bcdfgklmnprst" for rest in ("arrow", "ellow")][:18]
MOODS = dict(zip(LABELS, ("alas it fell", "as it was before", "hurrah it rose"), strict=True))


def plain_rows() -> list[tuple[str, str]]:
    return [
        (f"{a.capitalize()} met {b} by the {c} gate, {mood}", label)
        for label, mood in MOODS.items()
        for a, b, c in zip(WORDS, WORDS[1:], WORDS[2:], strict=False)
    ]


def audited(tmp_path, rows) -> findings.Audit:
    return audit.audit(load(str(made_up(tmp_path, rows))))


def test_contradictions_copies_and_near_pairs_are_told_apart_with_rows_and_labels(tmp_path):
    rows = plain_rows()
    first, second, third = rows[0][0], rows[1][0], rows[2][0]
    rows += [(first.upper(), "positive"), (f" {second.replace(' ', '  ')}", "negative"), (third + "!", "positive")]
    found = audited(tmp_path, rows)
    assert (found.contradictions, found.exact_duplicates) == (1, 1)
    assert found.shown["contradictions"] == [f"row 2 (negative), row 50 (positive): {first}"]
    assert found.shown["copies"] == [f"row 3 (negative), row 51 (negative): {second}"]
    # Copies are no near pairs, whichever labels they have.
    assert not [line for line in found.shown["near pairs"] if line.startswith("1.00")]
    assert any("row 4" in line and "row 52" in line for line in found.shown["near pairs"])


def test_leaks_of_an_own_split_come_first(tmp_path):
    rows = [(*row, part) for part in ("train", "validation", "test") for row in plain_rows()[::2]]
    path = tmp_path / "mine.csv"
    table = pd.DataFrame(rows, columns=["sentence", "label", "split"])
    table["sentence"] = [f"{sentence} {part}" for sentence, _, part in rows]
    table.loc[24, "sentence"] = table.loc[0, "sentence"]
    table.to_csv(path, index=False)
    data = load(str(path))
    assert any("1 in more than one part of its split (leaks)" in notice for notice in data.notices)
    lines = audit.audit(data).text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("Leaks: 1 "))
    assert "row 2 (train, negative), row 26 (validation, negative)" in lines[at + 1]
    assert at < next(number for number, line in enumerate(lines) if line.startswith("Contradictions"))


def test_only_rows_on_which_the_model_differs_are_doubtful(tmp_path):
    rows = plain_rows()
    rows[4] = (rows[4][0], "positive")
    found = audited(tmp_path, rows)
    assert found.doubtful >= 1
    assert found.suspicious[0][2].startswith("row 6 (positive)")
    assert all(f"({other})" not in row for _, other, row in found.suspicious)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("the group\ufffds profit", "replacement sign (U+FFFD)"),
        ("the groupâ€™s profit", "mojibake (UTF-8 read as cp1252)"),
        ("in ZÃ¼rich", "mojibake (UTF-8 read as cp1252)"),
        ("при it said".encode().decode("cp1252"), "mojibake (UTF-8 read as cp1252)"),
        ("profit &amp; loss", "HTML entity"),
        ("it&#39;s so", "HTML entity"),
        ("to \x80 5 mn", "control character"),
        ("Ärger im “Café”, “Spaß” in Zürich, École à “Nîmes”; €5 \u2013 AT&T; R&D", None),
        ("Прибыль выросла, 利润增长了 🚀", None),
    ],
)
def test_damaged_signs_are_counted_and_foreign_ones_are_not(text, kind):
    assert list(damaged(["fine", text])) == ([kind] if kind else [])


def test_the_longest_text_and_damaged_rows_are_named(tmp_path):
    rows = [*plain_rows(), ("word " * 300 + "&quot;end", "neutral")]
    text = audited(tmp_path, rows).text()
    assert "Longest: 301 words" in text
    assert "Damaged signs, HTML entity: in 1 sentences" in text
    assert "row 50 (neutral): \u2026" in text


@pytest.mark.parametrize(
    "signs",
    [("\U0001f4c9", "\U0001f610", "\U0001f680"), ("跌 了", "平 稳", "涨 了")],
    ids=["emoji", "letters with blanks"],
)
def test_texts_without_words_are_audited(tmp_path, signs):
    rows = [(signs[LABELS.index(label)] * (number + 1), label) for number in range(15) for label in LABELS]
    found = audited(tmp_path, rows)
    assert found.doubtful <= 5
    assert found.linear_accuracy > 0.8


def test_every_step_is_shown_while_it_works(tmp_path, capsys):
    steps = []
    audit.audit(load(str(made_up(tmp_path, plain_rows()))), steps.append)
    assert tuple(steps) == audit.STEPS
    assert audit.main([str(made_up(tmp_path, plain_rows()))]) == 0
    bar = capsys.readouterr().err
    assert all(step in bar for step in audit.STEPS)


def test_the_audit_needs_nothing_that_the_backup_lab_lacks(tmp_path):
    code = (
        "import sys; from tuning.audit import audit; code = audit.main([sys.argv[1]]);"
        "lacking = {'torch', 'transformers', 'datasets', 'safetensors', 'accelerate'} & sys.modules.keys();"
        "print(lacking or '', file=sys.stderr); sys.exit(code or len(lacking))"
    )
    path = made_up(tmp_path, plain_rows())
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout.startswith("mine.csv: 48 sentences")) == (0, True), done.stderr
