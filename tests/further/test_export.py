"""A run's model as ONNX and in eight bits: what stays the same, what does not, and what each refusal says."""

import dataclasses

import numpy as np
import pytest
import torch

from tuning import optional_packages, paths
from tuning.dials import FurtherDials
from tuning.encoder import run_models
from tuning.errors import RunError
from tuning.evidence import experiment_log
from tuning.further import comparison
from tuning.further.error_analysis import NARROW
from tuning.further.export import onnx_export, quantisation

pytestmark = pytest.mark.skipif(not onnx_export.is_here(), reason="ONNX is optional: requirements/further.txt")

REQUIREMENT_FILES = ("requirements/further.txt", "requirements/test.txt", "constraints.txt")


@pytest.fixture
def forms(measured_run, run):
    return measured_run[2]


def test_onnx_in_float32_gives_the_models_own_logits_alone_and_in_a_batch(forms):
    for answers in (forms.by_name["ONNX, float32"].alone, forms.by_name["ONNX, float32"].together):
        assert answers.logits == pytest.approx(forms.before, abs=1e-4)
    recorded = quantisation.load_predictions(forms.run).set_index("id").loc[forms.ids, list(quantisation.LABELS)]
    assert recorded.to_numpy() == pytest.approx(forms.before, abs=1e-3)


def test_a_model_that_was_exported_still_answers_without_dropout(run, tmp_path):
    """PyTorch's exporter brings back the mode of the wrapper that it is given, and the model inside follows."""
    model, tokenizer = run_models.trained(run)
    onnx_export.export(model, tokenizer, tmp_path / "model.onnx")
    assert not any(module.training for module in model.modules())


def test_a_graph_that_answers_otherwise_is_refused(run, tmp_path, monkeypatch):
    model, tokenizer = run_models.trained(run)
    monkeypatch.setattr(onnx_export, "ROUNDING", -1.0)
    with pytest.raises(RunError, match="graph differs from the model"):
        onnx_export.export(model, tokenizer, tmp_path / "model.onnx")


def test_eight_bits_are_a_quarter_of_the_size_and_the_table_says_what_they_keep(forms):
    table = quantisation.table(forms)
    assert [*table.index] == ["PyTorch", "ONNX, float32", *quantisation.RECIPES]
    assert forms.chosen.megabytes < 0.3 * forms.by_name["PyTorch"].megabytes
    assert (forms.run.folder / quantisation.INT8_FILE).stat().st_size / 1e6 == forms.chosen.megabytes
    second_float = forms.by_name["the same, second matrices float"]
    assert forms.chosen.megabytes < second_float.megabytes < forms.by_name["PyTorch"].megabytes / 2
    assert table.loc["ONNX, float32", "same label as Run 1"] == "100.0%"
    assert table.loc["ONNX, float32", "labels changed by the batch"] == 0
    off = {name: np.abs(form.alone.logits - forms.before).mean() for name, form in forms.by_name.items()}
    assert off["the same, second matrices float"] < off["one scale a matrix"]


def test_a_sentence_in_eight_bits_depends_on_its_neighbours_and_in_float32_it_does_not(forms):
    def moved(name: str) -> float:
        form = forms.by_name[name]
        return float(np.abs(form.alone.logits - form.together.logits).max())

    assert moved("ONNX, float32") < 1e-4 < 1e-2 < moved(quantisation.CHOSEN)


def test_the_sentences_whose_label_depends_on_the_batch_come_first_then_those_that_moved_most(forms):
    def shares(*rows: list[float]) -> onnx_export.Answers:
        return onnx_export.Answers(np.log(rows), 1.0)

    alone = shares([0.9, 0.05, 0.05], [0.5, 0.4, 0.1], [0.8, 0.1, 0.1], [0.6, 0.3, 0.1])
    together = shares([0.5, 0.3, 0.2], [0.4, 0.5, 0.1], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1])
    made = dataclasses.replace(forms.chosen, alone=alone, together=together)
    forms = dataclasses.replace(forms, by_name=forms.by_name | {quantisation.CHOSEN: made})
    shown = quantisation.neighbours(forms, most=4)
    assert shown["sentence"].tolist() == quantisation._texts(forms, [3, 1, 0, 2])
    assert (shown["said alone"] != shown["said in a batch"]).tolist() == [True, True, False, False]


def test_the_runtimes_gain_is_not_credited_to_the_rounding(forms):
    words = quantisation.sizes(forms)
    for name, place in {"PyTorch": " in PyTorch", "ONNX, float32": " in ONNX", quantisation.CHOSEN: " with"}.items():
        assert f"{forms.by_name[name].alone.milliseconds:.1f} ms{place}" in words


def test_the_sentences_that_changed_are_named_with_their_margin(forms):
    before, after = forms.before.argmax(axis=1), forms.chosen.alone.predicted
    changed = quantisation.changed(forms)
    assert len(changed) == (before != after).sum()
    assert (changed["Run 1"] != changed["int8"]).all()
    assert changed["margin"].is_monotonic_decreasing
    narrow = int((quantisation._margins(forms.before) < NARROW).sum())
    words = quantisation.why(forms)
    assert f" of {narrow} changed; of all others " in words
    assert f" of {len(before) - narrow}.\n" in words
    assert "layer." in words.splitlines()[1]


def test_the_result_is_noted_at_run_1_and_adds_no_row(run, forms):
    setup = FurtherDials()
    rounded = quantisation.against_run_1(forms)
    text = comparison.for_worksheet("I", run, {"its weights rounded": rounded}, setup, quantisation.sizes(forms))
    assert f"from Run 1 ({run.run_id}): its weights rounded. The sentences were the same." in text
    assert str(rounded) in text
    assert text.endswith("of the labels stayed.")
    log = experiment_log.read_log()
    assert log["Run ID"].tolist() == [run.run_id]
    assert log["Notes"].tolist() == [f"Option I: {rounded.sentence}"]
    for _ in range(2):
        shipped = comparison.for_worksheet("J", run, {"in a page": rounded}, setup)
    assert (run.folder / "comparison.md").read_text(encoding="utf-8") == f"{text}\n\n{shipped}\n"
    assert experiment_log.read_log()["Notes"].tolist() == [f"Option I: {rounded.sentence} Option J: {rounded.sentence}"]
    comparison.for_worksheet("I", run, {"its weights rounded": rounded}, setup, quantisation.sizes(forms))
    # The options stand one below the other, the latest last.
    assert (run.folder / "comparison.md").read_text(encoding="utf-8") == f"{shipped}\n\n{text}\n"


def test_what_is_kept_is_asked_again_also_when_the_weights_are_gone(run, forms, monkeypatch):
    monkeypatch.setattr(quantisation, "trained", None)
    assert quantisation.kept_against(run) == quantisation.against_run_1(forms)


def test_without_the_packages_one_line_says_how_to_get_them(run, monkeypatch):
    monkeypatch.setattr(optional_packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError) as refused:
        quantisation.measure(run)
    assert str(refused.value).splitlines() == [str(refused.value)]
    assert "%pip install -r ../../requirements/further.txt" in str(refused.value)


def test_without_weights_or_with_other_sentences_one_line_says_so(run, few):
    gone = dataclasses.replace(run, run_id="20260101-000000-gone")
    with pytest.raises(RunError, match="weights are no longer on disk"):
        quantisation.int8_file(gone)
    other = dataclasses.replace(run, data=run.data | {"sha256": "0" * 64})
    with pytest.raises(RunError, match="has changed since this run"):
        quantisation.measure(other)


def test_the_number_of_threads_is_left_as_it_was(forms, run):
    before = torch.get_num_threads()
    quantisation.kept_against(run)
    assert torch.get_num_threads() == before


def test_the_pins_of_the_optional_packages_are_those_of_the_tests():
    pins = {name: (paths.ROOT / name).read_text(encoding="utf-8").splitlines() for name in REQUIREMENT_FILES}
    wanted = {line for line in pins["requirements/further.txt"] if line.startswith(onnx_export.PACKAGES)}
    assert len(wanted) == len(onnx_export.PACKAGES)
    assert wanted <= set(pins["requirements/test.txt"]) & set(pins["constraints.txt"])
