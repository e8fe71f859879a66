"""Model folders of one's own: tiny random models of many kinds, which work or are refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    ViTConfig,
)

from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.encoder.tokens import tokenise
from tuning.encoder.weight_movement import weight_movement
from tuning.errors import DialError, EncoderError
from tuning.further import linear_probe
from tuning.lessons.microscope import Microscope
from tuning.training.scoring import label_probabilities, predict
from tuning.training.speed import embedding_rows

WORDS = 400
SMALL = {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
DEEP = SMALL | {"intermediate_size": 64}
DISTIL = {"vocab_size": WORDS, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}
SENTENCES = pd.DataFrame(
    {
        "id": range(6),
        "sentence": [
            "Profit rose by a fifth.",
            "Losses narrowed.",
            "It met.",
            "Sales fell again in May.",
            "Up.",
            "Down.",
        ],
        "label": ["positive", "neutral", "neutral", "negative", "positive", "negative"],
    }
)


@pytest.fixture(scope="module")
def pieces() -> PreTrainedTokenizerFast:
    """A tokenizer as GPT-2 has one: pieces of bytes, an end mark and no padding token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES["sentence"],
        trainers.BpeTrainer(
            vocab_size=WORDS, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


@pytest.fixture
def folder_of(tmp_path, pieces) -> Callable[..., Path]:
    """Write the folder of a tiny random model; `with_head` keeps a head for as many labels as the settings say."""

    def write(config: PreTrainedConfig, with_head: bool = False) -> Path:
        torch.manual_seed(0)
        (AutoModelForSequenceClassification if with_head else AutoModel).from_config(config).save_pretrained(tmp_path)
        pieces.save_pretrained(tmp_path)
        return tmp_path

    return write


def change(folder: Path, **settings: object) -> Path:
    """Change a folder's config.json; None removes a key."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | settings
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    return folder


def build(folder: Path):
    return encoders.build(encoders.find(str(folder)), 1)


WORKING = {
    "two labels": (DistilBertConfig(**DISTIL, num_labels=2), True),
    "one label": (DistilBertConfig(**DISTIL, num_labels=1), True),
    "no padding token": (BertConfig(**DEEP), False),
    "roberta": (RobertaConfig(**DEEP, max_position_embeddings=34, pad_token_id=1), False),
    "gpt2": (GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=2, n_head=2, n_positions=64), False),
    "llama": (LlamaConfig(**DEEP, num_key_value_heads=2, pad_token_id=None), False),
    "opt": (OPTConfig(**SMALL, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=64), False),
}


@pytest.mark.parametrize("kind", WORKING)
def test_a_folder_of_a_usual_kind_works_in_every_section(folder_of, kind):
    folder = folder_of(*WORKING[kind])
    encoder = encoders.find(str(folder))
    model, tokenizer = encoders.build(encoder, 1)
    assert model.config.num_labels == 3
    tokens = tokenise(SENTENCES, tokenizer, 24, by_length=False)
    lens = Microscope(model, tokens, tokenizer)
    assert lens.gradient() == pytest.approx((lens.loss(1e-2) - lens.loss(-1e-2)) / 2e-2, abs=1e-2)
    before = predict(model, tokens, tokenizer, "fp32")
    with embedding_rows.only_used_rows(model, [tokens]):
        assert predict(model, tokens, tokenizer, "fp32") == pytest.approx(before, abs=1e-5)
    assert linear_probe.features(model, tokens, tokenizer, "fp32").std(axis=0).max() > 0
    assert 0 < freezing.shares(encoder, freezing.LAST_BLOCK)[0] < 1
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.1)
    assert {"all", "embeddings", "layer 1"} <= weight_movement(model, encoder).keys()


def test_a_trained_head_for_other_labels_is_replaced_by_a_fresh_one(folder_of):
    folder = folder_of(DistilBertConfig(**DISTIL, num_labels=2), True)
    first, again = (build(folder)[0].classifier.weight for _ in range(2))
    assert first.shape == (3, 32)
    assert torch.equal(first, again)


@pytest.mark.parametrize(("kind", "most"), [("roberta", 32), ("gpt2", 64)])
def test_max_length_is_refused_above_the_positions_that_there_are(folder_of, kind, most):
    model, tokenizer = build(folder_of(*WORKING[kind]))
    long = SENTENCES.assign(sentence="profit " * 200)
    predict(model, tokenise(long, tokenizer, most, by_length=False), tokenizer, "fp32")
    with pytest.raises(DialError, match=rf"MAX_LENGTH = {most + 1} is more than .* Set it to {most} or less"):
        tokenise(long, tokenizer, most + 1, by_length=False)
    assert len(label_probabilities(model, long["sentence"].tolist(), tokenizer)) == len(long)


BART = BartConfig(
    vocab_size=WORDS, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
)  # fmt: skip


@pytest.mark.parametrize(
    "config", [BART, ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)]
)
def test_a_model_of_another_kind_is_refused_with_the_kind_that_is_wanted(folder_of, config):
    with pytest.raises(EncoderError, match=rf"type {config.model_type} cannot be .* text encoder such as BERT"):
        build(folder_of(config))


@pytest.fixture
def distilbert(folder_of) -> Path:
    return folder_of(DistilBertConfig(**DISTIL))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "is quantised"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "is quantised"),
        ({"model_type": "futurama"}, "config.json cannot be used"),
        ({"model_type": None}, "names no model_type"),
        ({"dim": "many"}, r"config.json is damaged \(dim = 'many'\)"),
        ({"dim": 0}, r"dim = 0"),
        ({"n_layers": -1}, r"n_layers = -1"),
        ({"n_heads": True}, r"n_heads = True"),
        ({"n_heads": 5}, "cannot be loaded"),
        ({"activation": "foo"}, "cannot be loaded"),
        ({"dim": 64}, "do not belong together .* weights are missing or have another size"),
        ({"n_layers": 4}, "do not belong together .* weights are missing"),
        ({"vocab_size": 100}, "do not belong together"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(distilbert, settings, told):
    with pytest.raises(EncoderError, match=told) as caught:
        build(change(distilbert, **settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "null", "[1, 2]", "\xff\xfe", '{"model": 1}'])
def test_a_damaged_file_is_one_line(distilbert, name, content):
    (distilbert / name).write_text(content, encoding="latin-1")
    with pytest.raises(EncoderError, match=rf"{name}|tokenizer cannot be loaded") as caught:
        build(distilbert)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 7, 5_000])
def test_weights_that_were_cut_off_are_one_line(distilbert, size):
    weights = distilbert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(EncoderError, match="cannot be loaded") as caught:
        build(distilbert)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused_and_not_replaced_by_random_ones(distilbert):
    save_file({"wte.weight": torch.zeros(WORDS, 32)}, distilbert / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="do not belong together"):
        build(distilbert)


def test_weights_that_are_not_numbers_are_refused(distilbert):
    weights = load_file(distilbert / "model.safetensors")
    weights["embeddings.LayerNorm.bias"][0] = torch.nan
    save_file(weights, distilbert / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="weights that are not numbers"):
        build(distilbert)
