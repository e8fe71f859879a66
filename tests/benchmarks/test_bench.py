"""The benchmark: what it counts, what it compares, and what it writes. No time is judged here."""

import dataclasses
import json
import subprocess

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import baselines, bench, growth, plan, report, roofline, worker
from benchmarks.clock import Clock
from tuning import paths
from tuning.data import loading as sentences
from tuning.dials import Dials
from tuning.encoder import finding as encoders
from tuning.encoder.tokens import tokenise_splits
from tuning.errors import RunError
from tuning.training.arguments import training_arguments
from tuning.training.speed.batching import LengthGroupedTrainer

MACHINE = {
    "platform": "Linux x86_64",
    "processor": "a processor",
    "cores": 2,
    "threads": 2,
    "memory_gb": 8.0,
    "device": "cpu",
    "precision": "fp32",
}


def test_operations_of_distilbert_by_hand():
    shape = roofline.Shape(layers=6, hidden=768, inner=3072)
    # 7,077,888 weights in the products of a layer; one token attends to itself: 2 x 768 products; the head.
    by_hand = 2 * (6 * (7_077_888 + 2 * 768) + 768 * 771)
    assert roofline.forward_operations(shape, [1]) == by_hand
    assert roofline.forward_operations(shape, [30, 30]) == 2 * roofline.forward_operations(shape, [30])
    assert roofline.forward_operations(shape, [60]) > 2 * roofline.forward_operations(shape, [30]) - 4 * 768 * 771


def test_operations_are_those_that_torch_counts(tiny_distilbert):
    model, _ = encoders.build(encoders.find(str(tiny_distilbert)), 1)
    model.set_attn_implementation("eager")
    batch = torch.ones((3, 17), dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=batch)
    assert roofline.forward_operations(roofline.Shape.of(model.config), [17] * 3) == counter.get_total_flops()


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_fitted_exponent_is_the_true_one(power):
    sizes = np.array([200, 400, 800, 1600])
    assert growth.exponent(sizes, 0.03 * sizes**power) == pytest.approx(power, abs=1e-9)


def test_growth_in_tokens_is_fitted_beyond_the_longest_sentence():
    points = {"tokens": {16: 1.0, 32: 2.0, 64: 4.0, 96: 4.0, 128: 4.0}, "epochs": {1: 3.0, 2: 6.0}}
    fits = growth.exponents(points, longest=60)
    assert fits == {"tokens": pytest.approx(0, abs=1e-9), "epochs": pytest.approx(1)}


def test_a_part_inside_a_part_is_counted_once():
    clock = Clock()
    with clock.part("evaluation"), clock.part("evaluation"), clock.part("checkpoint"):
        pass
    assert list(clock.seconds) == ["evaluation"]


def test_the_plan_interleaves_its_repeats():
    contest = {*plan.CONTENDERS, "limit"}
    names = [(task.model, task.name) for task in plan.plan()]
    first = [name for name in names if name[1] in contest]
    assert names[: len(first)] == first
    for part in (first, [name for name in names[len(first) :] if not name[1].startswith("growth")]):
        once = part[: len(part) // plan.REPEATS]
        assert part == once * plan.REPEATS
        assert len(set(once)) == len(once)
    assert len({task.key for task in plan.plan()}) == len(plan.plan())
    assert all(task.contender in worker.CONTENDERS for task in [*plan.plan(), *plan.quick_plan()])


@pytest.mark.parametrize(
    ("kept", "told"), [(3, "measured 3 times"), (2, "measured twice"), (1, "measured once"), (None, "2 to 3 times")]
)
def test_the_report_says_how_often_was_measured(kept, told):
    found = [row for row in rows() if row["repeat"] <= (kept or 3)]
    assert f"Contenders and limit were measured {told.removeprefix('measured ')}" in report.report(
        found if kept else found[:-1]
    )


def test_every_task_has_dials_that_can_be_set():
    for task in [*plan.plan(), *plan.quick_plan()]:
        dials = Dials.from_settings(dict(task.dials))
        assert dials.seed == task.repeat
        assert dials.BATCH_SIZE == 8


def test_all_ways_train_on_the_same_sentences_and_ours_and_the_bare_loop_on_the_same_batches(tiny_distilbert):
    from transformers import DataCollatorWithPadding

    dials = Dials(MODEL=str(tiny_distilbert), TRAIN_SUBSET=52, MAX_LENGTH=24, GROUP=3)
    model, tokenizer = encoders.build(encoders.find(dials.MODEL), dials.seed)
    _, splits = baselines.material(dials, validation=24)
    tokens = tokenise_splits(splits, tokenizer, dials)
    trainer = LengthGroupedTrainer(
        model=model,
        args=training_arguments(dials, 1e-4, "fp32"),
        train_dataset=tokens.train,
        eval_dataset=tokens.evaluation(),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    ours, bare = trainer.get_train_dataloader(), baselines.batches(tokens, tokenizer)
    for epoch in range(2):
        ours.set_epoch(epoch)
        bare.sampler.set_epoch(epoch)
        both = list(zip(ours, bare, strict=True))
        assert len(both) == 7
        assert all(torch.equal(one[name], other[name]) for one, other in both for name in other)
    padded = baselines.padded(sentences.subset(splits.train, dials.TRAIN_SUBSET), tokenizer, dials)
    assert {len(row) for row in padded["input_ids"]} == {24}
    kept = [
        [token for token, seen in zip(row, mask, strict=True) if seen]
        for row, mask in zip(padded["input_ids"], padded["attention_mask"], strict=True)
    ]
    assert kept == tokens.train["input_ids"][:]


def rows(**changed) -> list[dict]:
    """Results as the children give them, with round numbers."""
    seconds = {"common-adamw": 400.0, "common-fused": 200.0, "ours-fp32": 50.0, "bare-fp32": 48.0}
    found = []
    for task in plan.plan():
        if task.name in seconds and task.model == plan.EMBEDDED:
            result = {
                "seconds": seconds[task.name] + task.repeat - 2,
                "parts": {"evaluation": 5.0},
                "val_f1_macro": 0.7,
            }
            result |= {
                "precision": "fp32",
                "val_loss": 0.6 + 0.01 * task.repeat,
                "memory_mb": 1500.0,
                "machine": MACHINE,
            }
            found.append(dataclasses.asdict(task) | {"result": result | changed})
        elif task.name == "limit" and task.model == plan.EMBEDDED:
            result = {"limits": {"fp32": 30.0, "bf16": 10.0}, "operations": 3e12, "bytes": 2e11, "machine": MACHINE}
            result |= {"products_per_second": {"fp32": 1.3e11, "bf16": 4e11}, "bytes_per_second": 1e10}
            found.append(dataclasses.asdict(task) | {"result": result})
    return found


def test_the_table_says_what_was_measured():
    text = report.report(rows())
    line = next(line for line in text.splitlines() if line.startswith("| ours, fp32"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == ["50.0 s", "8.00x", "4.00x", "1.04x", "60%", "0.620 (0.610 to 0.630)", "1,500 MB"]
    assert "a processor, 2 cores" in text
    assert "evaluation 10.0%" in text
    assert "automatic" not in text.split("Where the time goes")[0].split("| ours, fp32")[1].split("\n\n")[0]


def test_a_diverged_contender_does_not_break_the_table():
    assert "not a number" in report.report(rows(val_loss=None))


def test_the_document_keeps_what_stands_outside_the_marks(tmp_path):
    path = tmp_path / bench.TABLE
    path.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n", encoding="utf-8")
    bench.write(rows(), tmp_path)
    once = path.read_text(encoding="utf-8")
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once
    bench.write(rows(), tmp_path)
    assert path.read_text(encoding="utf-8") == once
    path.write_text("no marks", encoding="utf-8")
    with pytest.raises(RunError, match="marks"):
        bench.write(rows(), tmp_path)


def test_a_bench_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    file, tasks, done = tmp_path / bench.RESULTS, plan.quick_plan()[:3], []

    def quickly(task):
        if len(done) == 2:
            raise RunError("cut off")
        done.append(task)
        return dataclasses.asdict(task) | {"result": {"seconds": 1.0}}

    monkeypatch.setattr(bench, "measure", quickly)
    with pytest.raises(RunError):
        bench.run(tasks, file)
    with file.open("a", encoding="utf-8") as opened:
        opened.write('{"name": "half a li')
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    done.clear()
    found = bench.run(tasks, file)
    assert [task.name for task in done] == [tasks[2].name]
    assert [row["name"] for row in found] == [task.name for task in tasks]
    assert len(bench.results(file)) == 3


def test_growth_is_drawn_with_its_exponents(tmp_path):
    made = [
        dataclasses.asdict(task)
        | {"result": {"seconds": 3.0 + 2.0 * int(dict(task.dials)["EPOCHS"]), "parts": {"evaluation": 3.0}}}
        for task in plan.plan()
        if task.name == "growth-epochs"
    ]
    found = growth.training_times(made)
    assert found == {"epochs": {1: 2.0, 2: 4.0, 4: 8.0, 8: 16.0}}
    shown = growth.picture(found, longest=60)
    shown.save(tmp_path / "growth.png")
    assert "epochs: exponent 1.00" in shown.words
    assert (tmp_path / "growth.png").stat().st_size > 5000


def test_the_document_of_the_project_has_its_marks():
    text = (bench.FOLDER / bench.TABLE).read_text(encoding="utf-8")
    assert text.count(bench.BEGIN) == text.count(bench.END) == 1
    kept = bench.FOLDER / bench.RESULTS
    if kept.is_file():
        assert all(json.loads(line)["result"] for line in kept.read_text(encoding="utf-8").splitlines())


@pytest.mark.slow
def test_a_contender_runs_in_a_process_of_its_own(monkeypatch, tiny_distilbert):
    monkeypatch.setattr(bench, "model_folder", lambda: tiny_distilbert)
    task = plan.training_task("ours-fp32", plan.DISTILBERT_SIZE, 1, 24, TRAIN_SUBSET=24, EPOCHS=1, MAX_LENGTH=16)
    found = bench.measure(task)["result"]
    assert found["precision"] == "fp32"
    assert found["memory_mb"] > 100
    assert set(found["parts"]) >= {"forward and backward", "evaluation", "live figure"}
    assert sum(found["parts"].values()) <= found["seconds"] <= found["total_seconds"]


def test_the_earlier_lab_is_measured_with_its_own_code(monkeypatch, tmp_path):
    old = tmp_path / "previous" / "lab"
    started = []

    def start(command, **options):
        started.append((command, options))
        return subprocess.CompletedProcess(command, 0, stdout='{"seconds": 1}', stderr="")

    monkeypatch.setattr(bench, "previous_code", lambda: old.parent)
    monkeypatch.setattr(bench.subprocess, "run", start)
    bench.measure(plan.training_task("previous-fp32", plan.EMBEDDED, 1))
    bench.measure(plan.training_task("ours-fp32", plan.EMBEDDED, 1))
    (command, earlier), (same_command, now) = started
    assert command[2:3] + same_command[2:3] == [bench.PREVIOUS_MODULE, bench.MODULE]
    assert command[3:] == same_command[3:]
    assert earlier["env"]["PYTHONPATH"] == str(old)
    assert now["env"]["PYTHONPATH"] == str(paths.ROOT)
