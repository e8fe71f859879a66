"""Several processes training one model: the same batches, the same losses, and one record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tuning.dials import Dials
from tuning.encoder.tokens import tokenise_splits
from tuning.training import fit, processes
from tuning.training.arguments import training_arguments
from tuning.training.speed.batching import LengthGroupedTrainer

ROOT = Path(fit.__file__).parents[3]
CONFIGS = sorted((ROOT / "scaling" / "accelerate").glob("*.yaml"))
DIALS = ("TRAIN_SUBSET=40", "EPOCHS=2", "MAX_LENGTH=24", "PRECISION=fp32", "LR_PRESET=1e-3")


@pytest.fixture(scope="module")
def still_encoder(tmp_path_factory) -> Path:
    """A tiny random encoder without dropout, so that two processes draw no other numbers than one."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    from tuning.encoder import finding as encoders

    folder = tmp_path_factory.mktemp("still-encoder")
    torch.manual_seed(0)
    sizes = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}
    quiet = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), 0.0)
    DistilBertModel(DistilBertConfig(**sizes, **quiet)).save_pretrained(folder)
    encoders.tokenizer(encoders.find("embedded")).save_pretrained(folder)
    return folder


def test_alone_nothing_is_asked_of_other_processes(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert processes.count() == 1
    assert processes.is_first()
    assert processes.agree("mine") == "mine"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_is_one_that_accelerate_knows(path):
    from accelerate.commands.config import load_config_from_file

    found = load_config_from_file(str(path))
    assert found.num_processes >= found.num_machines
    assert found.use_cpu == ("processors" in path.stem)
    assert set(yaml.safe_load(path.read_text(encoding="utf-8"))) <= set(found.to_dict()) | {"compute_environment"}


def test_the_configurations_of_the_document_are_there():
    told = (ROOT / "benchmarks" / "SCALING.md").read_text(encoding="utf-8")
    assert len(CONFIGS) == 4
    assert all(f"scaling/accelerate/{path.name}" in told for path in CONFIGS)


def batches(trainer: LengthGroupedTrainer, share: int, of: int) -> list[list[list[int]]]:
    """The batches of an epoch that one of several processes gets, as accelerate deals them out."""
    from accelerate.data_loader import BatchSamplerShard

    sampler = trainer.get_train_dataloader().base_dataloader.batch_sampler
    rows = trainer.train_dataset["input_ids"]
    return [[rows[at] for at in batch] for batch in BatchSamplerShard(sampler, num_processes=of, process_index=share)]


def test_two_shares_make_up_the_doubled_batch(still_encoder, monkeypatch):
    from transformers import DataCollatorWithPadding, TrainingArguments

    from tuning.data import loading
    from tuning.encoder import finding

    dials = Dials(MODEL=str(still_encoder), TRAIN_SUBSET=48, MAX_LENGTH=24)
    model, tokenizer = finding.build(finding.find(dials.MODEL), 1)
    tokens = tokenise_splits(loading.split(loading.load()), tokenizer, dials)

    def trainer(batch_size: int) -> LengthGroupedTrainer:
        args = training_arguments(Dials(BATCH_SIZE=batch_size), 1e-4, "fp32")
        return LengthGroupedTrainer(
            model=model,
            args=args,
            train_dataset=tokens.train,
            eval_dataset=tokens.evaluation(),
            data_collator=DataCollatorWithPadding(tokenizer),
        )

    whole = batches(trainer(16), 0, 1)
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    shares = [batches(trainer(8), share, 2) for share in (0, 1)]
    assert len(whole) == len(shares[0]) == len(shares[1]) == 3
    assert [first + second for first, second in zip(*shares, strict=True)] == whole


def start(command: list[str], still_encoder: Path, folder: Path, *dials: str) -> dict:
    """Train through the script and give the record."""
    settings = [part for dial in (f"MODEL={still_encoder}", *DIALS, *dials) for part in ("--set", dial)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"WORKSHOP_RUNS": str(folder / "runs"), "PYTHONPATH": str(ROOT / "lab"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command, "tuning.training.fit", *settings, "--out", str(folder / "out")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("after training") == 1
    return json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.full
def test_two_processes_lose_what_one_with_the_doubled_batch_loses(still_encoder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = start([], still_encoder, tmp_path / "one", "BATCH_SIZE=16")
    launch = ["accelerate.commands.launch", "--config_file", str(ROOT / "scaling/accelerate/two_processors.yaml"), "-m"]
    two = start(launch, still_encoder, tmp_path / "two", "BATCH_SIZE=8")
    # The first step after an incomplete batch differs: accelerate fills that batch up from the beginning of the data.
    full = 40 // 16
    losses = [[step["loss"] for step in run["steps"]] for run in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 6
    assert losses[1][:full] == pytest.approx(losses[0][:full], abs=1e-4)
    assert two["final"]["val_loss"] == pytest.approx(one["final"]["val_loss"], abs=0.01)
    runs = tmp_path / "two" / "runs"
    assert [path.name for path in runs.glob("*/run.json")] == ["run.json"]
    assert not list(runs.glob("*/checkpoints"))
    assert len((runs / "experiment_log.csv").read_text(encoding="utf-8").splitlines()) == 2
