"""What several test files share: folders of their own, and records of runs that nobody had to train."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.programs import program
from helpers.records import MAJORITY, UNTRAINED, epoch_rows, scores, step_rows

from tuning.data.labels import LABELS
from tuning.dials import Dials
from tuning.runs.record import Run, check, finite
from tuning.runs.store import finished_order, order_file, save_predictions


def pytest_configure() -> None:
    """Give each process of several its share of the cores: one that trains on all of them waits for the others."""
    if together := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // int(together), 1)))


FEW = {"train": 60, "validation": 45, "test": 12}


@pytest.fixture(autouse=True)
def workshop_folders(tmp_path_factory, monkeypatch) -> Path:
    """Keep runs and what is remembered about the machine out of the repository and the home folder."""
    folder = tmp_path_factory.mktemp("workshop")
    monkeypatch.setenv("WORKSHOP_RUNS", str(folder / "runs"))
    monkeypatch.setenv("WORKSHOP_CACHE", str(folder / "cache"))
    monkeypatch.setenv("WORKSHOP_WORK", str(folder / "my_work"))
    monkeypatch.setenv("WORKSHOP_SHARE", str(folder / "share"))
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    return program("Chromium", "chromium", "chromium-browser", "google-chrome")


# Not for the whole session: while Playwright is open, nothing else in this thread may start an event loop.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """A real browser without a window, as `playwright.sync_api.Browser`."""
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pdfinfo() -> str:
    """The program that counts the pages of a PDF."""
    return program("pdfinfo (poppler)", "pdfinfo")


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Build a valid record from step losses, the two losses after each epoch, and final scores.

    The defaults describe a good run. A number that is not finite becomes None, as in the file.
    """

    def make(
        losses: Iterable[float] = tuple(np.linspace(1.1, 0.45, 60)),
        epochs: Iterable[tuple[float, float]] = ((0.70, 0.75), (0.45, 0.60)),
        final: dict[str, Any] | None = None,
        *,
        run_id: str = "20260105-090000-just-right",
        rate: float = 1e-4,
        outcome: str = "completed",
        dials: dict[str, Any] | None = None,
        **parts: Any,
    ) -> Run:
        chosen = Dials(**(dials or {}))
        rows = epoch_rows(epochs)
        run = Run(
            run_id=run_id,
            started="2026-01-05T09:00:00+00:00",
            notebook="01",
            dials=chosen.as_dict(),
            learning_rate=rate,
            seed=chosen.seed,
            encoder={"name": "tiny", "source": "a test", "revision": "0", "parameters": 1000},
            data={
                "path": "sentences.csv",
                "sha256": "0" * 64,
                "rows": 1650,
                "train_used": 800,
                "split_sizes": {"train": 1150, "validation": 250, "test": 250},
                "label_counts": {"negative": 400, "neutral": 850, "positive": 400},
            },
            versions={"torch": "2.13.0", "transformers": "5.23.0"},
            machine={
                "platform": "Linux",
                "processor": "a processor",
                "cores": 2,
                "threads": 2,
                "device": "cpu",
                "precision": "fp32",
            },
            steps=step_rows(list(losses), len(rows), rate),
            epochs=rows,
            majority=dict(MAJORITY),
            baseline=dict(UNTRAINED),
            final=scores(**(final or {})),
            outcome=outcome,
            timing={"train_seconds": 24.0, "total_seconds": 30.0, "tokens": 48_000, "peak_memory_mb": 900.0},
        )
        run = dataclasses.replace(run, **parts)
        record = finite(dataclasses.asdict(run))
        check(record, "make_run")
        return Run(**record)

    return make


@pytest.fixture
def diverged_run(make_run) -> Run:
    """A run whose loss stopped being a number in its eighth step."""
    nothing = float("nan")
    return make_run(
        losses=[1.1, 1.3, 2.4, 9.0, 40.0, 95.0, 310.0, nothing],
        epochs=[(nothing, nothing)],
        final=dict.fromkeys(("train_loss", "val_loss", "gap_loss", "weight_movement"), nothing),
        run_id="20260105-091500-too-high",
        outcome="diverged",
        rate=5e-3,
        dials={"LR_PRESET": "TOO_HIGH"},
    )


@pytest.fixture
def keep_run() -> Callable[..., Run]:
    """Write a run to its folder: record and predictions, with weights if asked, as old as `minutes` says."""

    def keep(run: Run, *, weights: bool = False, minutes: float = 0, logits: np.ndarray | None = None) -> Run:
        run.save()
        logits = np.eye(len(LABELS)) if logits is None else logits
        labels = [LABELS[row % len(LABELS)] for row in range(len(logits))]
        save_predictions(run.folder, [f"s{row}" for row in range(len(logits))], labels, logits)
        moment = (run.folder / "run.json").stat().st_mtime - 60 * minutes
        os.utime(run.folder / "predictions.csv", (moment, moment))
        if minutes:
            # As if it had been noted by nobody: only the times of its files say how old it is.
            names = [name for name in finished_order() if name != run.run_id]
            order_file().write_text("".join(f"{name}\n" for name in names))
        if weights:
            (run.folder / "model").mkdir()
            (run.folder / "model" / "model.safetensors").write_bytes(b"weights")
        return run

    return keep


@pytest.fixture(scope="session")
def few(tmp_path_factory) -> Path:
    """A CSV of few bundled sentences with their tags, so that an evaluation takes no time."""
    from tuning.data import loading as sentences

    splits = sentences.split(sentences.load())
    parts = [sentences.subset(getattr(splits, part), size) for part, size in FEW.items()]
    path = tmp_path_factory.mktemp("few") / "few.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def tiny_distilbert(tmp_path_factory) -> Path:
    """A DistilBERT-shaped model folder with tiny random weights and the embedded encoder's tokenizer."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    from tuning.encoder import finding as encoders

    folder = tmp_path_factory.mktemp("tiny-distilbert")
    config = DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2)
    torch.manual_seed(0)
    DistilBertModel(config).save_pretrained(folder)
    encoders.tokenizer(encoders.find("embedded")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    """A BERT-shaped model folder with tiny random weights, a pooler among them."""
    import torch
    from transformers import BertConfig, BertModel

    from tuning.encoder import finding as encoders

    folder = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(**sizes)).save_pretrained(folder)
    encoders.tokenizer(encoders.find("embedded")).save_pretrained(folder)
    return folder
