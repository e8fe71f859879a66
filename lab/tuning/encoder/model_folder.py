"""What a model folder of one's own must be, and one line where it is something else.

Any text model of transformers that classifies sentences with one stack of blocks will do: BERT and its kin, and GPT-2
and its kin. Its weights must be plain numbers, and belong to its ``config.json`` and ``tokenizer.json``.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning import paths
from tuning.errors import EncoderError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

WANTED = "Choose the folder of a text encoder such as BERT, DistilBERT, RoBERTa, ELECTRA or ModernBERT."
AGAIN = "Download the folder again."
FILES = ("config.json", "model.safetensors", "tokenizer.json")
WIDTHS = ("hidden_size", "dim", "n_embd", "d_model")
SIZES = (*WIDTHS, "vocab_size", "num_hidden_layers", "n_layers", "n_layer", "num_attention_heads", "n_heads", "n_head")
# These count positions from behind the padding token's number, so that the first ones are never used.
POSITIONS_AFTER_PADDING = ("roberta", "mpnet", "camembert", "longformer", "xmod", "ibert", "data2vec")
REASON_LENGTH = 150


def settings(folder: Path) -> dict[str, Any]:
    """Read a model folder's ``config.json``, without loading transformers; refuse what cannot be used."""
    name = paths.short(folder)
    for needed in FILES:
        if not (folder / needed).is_file():
            raise EncoderError(f"{name}: {needed} is missing. A model folder holds {', '.join(FILES)}. {WANTED}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        raise EncoderError(f"{name}: config.json is damaged (not JSON). {AGAIN}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise EncoderError(f"{name}: config.json is damaged (it names no model_type). {AGAIN}")
    if "auto_map" in config:
        raise EncoderError(f"{name}: this model needs code of its own, and the workshop never runs that. {WANTED}")
    if "quantization_config" in config:
        raise EncoderError(
            f"{name}: this model is quantised, so its weights cannot be trained. Choose the folder with the weights in"
            " float32, float16 or bfloat16."
        )
    for size in SIZES:
        value = config.get(size, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise EncoderError(f"{name}: config.json is damaged ({size} = {value!r}). {AGAIN}")
    return config


def width(config: dict[str, Any], usual: int) -> int:
    """Numbers per token, as ``config.json`` says; `usual` where it does not."""
    return next((config[size] for size in WIDTHS if size in config), usual)


def kind(folder: Path) -> "PreTrainedConfig":
    """The model's settings as transformers reads them."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoConfig

    name = paths.short(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as problem:  # every settings class of transformers has errors of its own
        raise EncoderError(f"{name}: config.json cannot be used ({reason(problem)}). {WANTED}") from None
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING or config.is_encoder_decoder:
        raise EncoderError(
            f"{name}: a model of the type {config.model_type} cannot be fine-tuned here to classify sentences. {WANTED}"
        )
    return config


def positions(config: "PreTrainedConfig", longest: int) -> int:
    """Tokens that the model can read at once, at most `longest`."""
    places = getattr(config, "max_position_embeddings", None) or longest
    if any(part in config.model_type for part in POSITIONS_AFTER_PADDING):
        places -= (config.pad_token_id or 0) + 1
    return min(places, longest)


def add_padding(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Fill short sentences up with a token that is there, where the tokenizer has none for it, as GPT-2's.

    The attention mask hides it from the model.
    """
    if tokenizer.pad_token is None:
        there = (tokenizer.eos_token, tokenizer.unk_token, tokenizer.convert_ids_to_tokens(0))
        tokenizer.pad_token = next(token for token in there if token is not None)


def check_loaded(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", report: dict[str, Any], folder: Path
) -> None:
    """Make sure that weights, settings and tokenizer belong together: transformers fills gaps with random numbers.

    A head of another size, or none, is no gap: a fresh one is put on. `report` is what ``from_pretrained`` gives with
    ``output_loading_info=True``.
    """
    inside = f"{model.base_model_prefix}."
    gaps = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    # Checkpoints of language models come without a pooler.
    gaps = [key for key in gaps if key.startswith(inside) and "pooler" not in key]
    if gaps:
        raise EncoderError(
            f"{paths.short(folder)}: model.safetensors and config.json do not belong together ({len(gaps)} weights"
            f" are missing or have another size, such as {gaps[0]}). {AGAIN}"
        )
    highest, rows = max(tokenizer.get_vocab().values()), model.get_input_embeddings().num_embeddings
    if highest >= rows:
        raise EncoderError(
            f"{paths.short(folder)}: tokenizer.json and model.safetensors do not belong together (token number"
            f" {highest}, and the model knows {rows}). {AGAIN}"
        )


def check_finite(model: "PreTrainedModel", folder: Path) -> None:
    """Refuse a model some of whose weights are no numbers: nothing can be learned from there."""
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise EncoderError(f"{paths.short(folder)}: model.safetensors holds weights that are not numbers. {AGAIN}")


def reason(problem: BaseException) -> str:
    """The first line of an error, cut short."""
    lines = str(problem).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__)[:REASON_LENGTH]
