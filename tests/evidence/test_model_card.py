"""The model card: every fact from the record, nothing of a person or a machine, and nothing of a learner's lost."""

import re

import pytest
from huggingface_hub import ModelCard

from tuning import paths
from tuning.evidence import task6, worksheet
from tuning.evidence.handover import model_card


@pytest.fixture
def run(make_run, keep_run):
    judged = {"verdict": "just right", "reasons": ["It learned."], "next_dial": "none"}
    embedded = {"name": "all-MiniLM-L6-v2", "source": "embedded", "revision": "0", "parameters": 1000}
    return keep_run(make_run(diagnosis=judged, encoder=embedded), weights=True)


def test_the_hubs_own_library_reads_what_the_record_says(run):
    run.test = {"opened": "2026-01-05T14:00:00+00:00", "accuracy": 0.77, "f1_macro": 0.74, "size": 250}
    card = ModelCard.load(model_card.write_card(run, words="It sorts news.\n\nA person checks."))
    results = {(each.dataset_split, each.metric_type): each.metric_value for each in card.data.eval_results}
    assert results[("validation", "f1")] == 0.76 and results[("test", "accuracy")] == 0.77
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert card.data.model_name == run.run_id and "not-for-use" not in card.data.tags
    for part in (
        "0.760 (0.70 to 0.81)",
        "majority class | 0.520",
        "just right",
        "Wh",
        "`SCHEDULER` | constant",
        "| seed | 42 |",
        "> It sorts news.\n>\n> A person checks.",
        "push_to_hub",
        "pooling_head",
    ):
        assert part in card.text, part
    assert run.dials["MODEL"] == "distilbert" and "distilbert" not in card.text.lower()


def test_a_run_that_learned_nothing_says_so_first(diverged_run, keep_run):
    diverged_run.diagnosis = {"verdict": "diverged", "reasons": [], "next_dial": "the rate"}
    card = model_card.model_card(keep_run(diverged_run, weights=True))
    assert "not-for-use" in card.data.tags and "Do not use it at all" in card.text
    assert "nan" not in card.content.lower().replace("finan", "")


def test_no_folder_no_file_name_and_no_person(run):
    run.dials |= {"DATA": "/home/jo/ledger.csv", "MODEL": "/home/jo/models/secret-model"}
    run.data["path"] = "~/ledger.csv"
    run.encoder |= {"name": "secret-model", "source": "folder"}
    content = model_card.model_card(run).content
    assert not re.search(r"/home|~/|jo\b|ledger|secret", content)
    assert "a file of the trainer's own" in content and str(paths.ROOT) not in content


def test_a_card_that_somebody_changed_stays(run):
    first = model_card.write_card(run)
    assert model_card.write_card(run, words="Now with mine.") == first and "Now with mine" in first.read_text()
    first.write_text("my own words")
    assert model_card.write_card(run).name == "README-2.md" and first.read_text() == "my own words"


def test_without_weights_there_is_no_card(make_run, keep_run):
    assert model_card.write_card(keep_run(make_run())) is None


def test_only_what_the_learner_wrote_is_an_answer():
    worksheet.own_copy()
    assert task6.answer("C3") == ""
    own, mine = worksheet.worksheet_file(), "It learned to tell good news from bad.\n\nI would not promise more."
    form = own.read_text(encoding="utf-8")
    head, rest = form.split("### C3", 1)
    for between in ("\n\n", " "):
        changed = rest.replace("**Your answer:**", f"**Your answer:**{between}{mine}", 1)
        own.write_text(f"{head}### C3{changed}", encoding="utf-8")
        assert task6.answer("C3") == mine
