"""Low-rank adapters (LoRA): a few new weights learn beside a model that stands still.

Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models (ICLR). Beside the weight W of a layer stand two
narrow matrices, A (`rank` rows) and B (`rank` columns), and the layer computes W x + B A x. A starts at random and B at
zero, so the model starts as it was. Query and value of every block get such a pair; the head learns as it always does.

The library is ``peft``. It is optional; ``requirements/further.txt`` names the version.
"""

import importlib.metadata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from tuning.encoder import run_models
from tuning.errors import EncoderError
from tuning.optional_packages import REQUIREMENTS, are_here
from tuning.runs.record import Run
from tuning.runs.store import ADAPTER

if TYPE_CHECKING:
    from peft import PeftModel

    from tuning.encoder.finding import Encoder

WEIGHTS = "adapter_model.safetensors"
# What the families of BERT and GPT call query and value, or the layer that computes both.
QUERY_AND_VALUE = {"query", "value", "q_lin", "v_lin", "q_proj", "v_proj", "query_proj", "value_proj", "Wqkv", "c_attn"}
# Where a model keeps the wrapper that peft has put around it.
_WRAPPER = "adapter"


def is_here() -> bool:
    """Whether ``peft`` is installed."""
    return are_here(("peft",))


def need() -> None:
    """Make sure that ``peft`` is installed, or say in an `EncoderError` how to get it."""
    if not is_here():
        raise EncoderError(
            f'peft is not installed, and LoRA needs it. Run in a cell of its own: %pip install -r "{REQUIREMENTS}"'
        )


def attach(model: PreTrainedModel, encoder: "Encoder", rank: int, head: set[str]) -> None:
    """Put an adapter beside query and value of each block, in place; all else but the `head` stands still.

    The adapter's files name the encoder and its revision. The rank counts rows of A and columns of B, whose product
    counts in full (``lora_alpha`` is the rank). An `EncoderError` where peft is not installed, or the model's query and
    value layers cannot be told from the others.
    """
    need()
    from peft import LoraConfig, get_peft_model

    layers = sorted(QUERY_AND_VALUE & {name.rpartition(".")[2] for name, _ in model.named_modules()})
    if not layers:
        raise EncoderError(f"{encoder.name}: its query and value layers have other names, so LoRA cannot be used here.")
    # No task type: it would add heads of other names to the saved ones, and forget BERT's pooler.
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=layers,
        modules_to_save=sorted({name.rpartition(".")[0] for name in head}),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers, about calls inside peft
        wrapper = get_peft_model(model, config)
    # It has put the encoder's folder there, which is this machine's business.
    config.base_model_name_or_path, config.revision = encoder.name, encoder.revision
    # Not as a module of the model, which is inside it already.
    vars(model)[_WRAPPER] = wrapper


def facts(model: PreTrainedModel) -> dict[str, Any] | None:
    """What a record says about a model's adapter; None where it has none."""
    wrapper = vars(model).get(_WRAPPER)
    if wrapper is None:
        return None
    config = wrapper.active_peft_config
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return {
        "kind": "LoRA",
        "rank": config.r,
        "alpha": config.lora_alpha,
        "layers": ", ".join(sorted(config.target_modules)),
        "share": round(learning / model.num_parameters(), 6),
        "peft": importlib.metadata.version("peft"),
    }


def merge(model: PreTrainedModel, folder: Path | None = None) -> None:
    """Add a model's adapter, saved first in `folder`, to its weights: the model is of its usual kind again."""
    wrapper = vars(model).pop(_WRAPPER, None)
    if wrapper is None:
        return
    if folder:
        # Left to itself, peft asks the Hub whether the vocabulary has grown.
        wrapper.save_pretrained(folder, save_embedding_layers=False)
        # A form with empty places; the run's own card takes its place.
        (folder / "README.md").unlink()
    wrapper.merge_and_unload()


def load(run: Run) -> "PeftModel":
    """The model that a run started from, with the run's adapter beside its weights, from disk."""
    need()
    if not (run.folder / ADAPTER / WEIGHTS).is_file():
        raise EncoderError(f"{run.run_id} has no adapter on disk. Train it with LoRA again.")
    from peft import PeftModel

    model, _ = run_models.untrained(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(model, run.folder / ADAPTER).eval()
