"""Compute what the encoder makes of each sentence once, and train a linear head on that.

A head on a frozen encoder sees the same numbers for a sentence in every epoch. So they need to be computed only once;
what is left is a small linear problem, which scikit-learn solves to its end in moments.
"""

import dataclasses
import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuning.data.loading import load, split, subset
from tuning.dials import EVERYTHING
from tuning.encoder import finding as encoders
from tuning.encoder import freezing
from tuning.encoder.pooling_head import BertMeanPoolingForSequenceClassification, mean_of_tokens
from tuning.encoder.run_models import encoder_of
from tuning.encoder.tokens import batch_of, tokenise, tokenise_splits
from tuning.further.variations import dials_from
from tuning.runs import metrics
from tuning.runs.record import Run
from tuning.training.arguments import autocast
from tuning.training.scoring import evaluation_batches
from tuning.training.speed import embedding_rows

MOST_ROUNDS = 2_000


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """A linear head on features that were computed once."""

    parameters: int  # Weights that were learned.
    # Computing the features of all sentences, and training the head.
    feature_seconds: float
    head_seconds: float
    scores: metrics.Scores  # On validation.
    logits: np.ndarray  # Shape (validation sentences, labels).
    ids: list  # Of the validation sentences, in the order of the logits.


@torch.inference_mode()
def features(model: PreTrainedModel, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, precision: str) -> np.ndarray:
    """What the head reads of each sentence, shape (sentences, width): the mean of its tokens, or the first one."""
    order = np.argsort([len(row) for row in tokens["input_ids"]], kind="stable")
    # GPT-2 and its kin, whose head is called score, read from left to right: their first token knows no sentence.
    pools = isinstance(model, BertMeanPoolingForSequenceClassification) or hasattr(model, "score")
    vectors = []
    for batch in evaluation_batches(model, tokens.select(order), tokenizer):
        with autocast(model, precision):
            hidden = model.base_model(**batch).last_hidden_state
        vectors.append((mean_of_tokens(hidden, batch["attention_mask"]) if pools else hidden[:, 0]).float().cpu())
    return torch.cat(vectors).numpy()[np.argsort(order)]


def linear_head(run_1: Run) -> LinearHead:
    """Train a linear head on the encoder as it was before Run 1, on the data and sentences of that run."""
    dials = dials_from(run_1.dials)
    model, tokenizer = encoders.build(encoder_of(run_1), run_1.seed)
    tokens = tokenise_splits(split(load(dials.DATA, dials.AGREEMENT)), tokenizer, dials)
    began = time.perf_counter()
    train, validation = (
        features(model, part, tokenizer, run_1.machine["precision"]) for part in (tokens.train, tokens.validation)
    )
    computed = time.perf_counter()
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ROUNDS))
    head.fit(train, tokens.train["labels"])
    ended = time.perf_counter()
    logits = head.predict_log_proba(validation)
    fitted = head[-1]
    return LinearHead(
        parameters=fitted.coef_.size + fitted.intercept_.size,
        feature_seconds=computed - began,
        head_seconds=ended - computed,
        scores=metrics.score(logits, tokens.validation["labels"]),
        logits=logits,
        ids=list(tokens.validation["id"]),
    )


def parts(run_1: Run, runs: Mapping[str, Run]) -> pd.DataFrame:
    """What each run learns (``parameters``), holds in memory while it trains, takes and reaches.

    Runs share the dials and the encoder of Run 1, but for the part that learns; the rows have their titles.
    """
    dials, encoder = dials_from(run_1.dials), encoder_of(run_1)
    splits = split(load(dials.DATA, dials.AGREEMENT))
    seen = tokenise_splits(splits, encoders.tokenizer(encoder), dials).seen()
    rows = {}
    for title, run in runs.items():
        model, tokenizer = encoders.build(encoder, run.seed)
        freezing.freeze(model, encoder, dials_from(run.dials).trained)
        tokens = tokenise(subset(splits.train, dials.BATCH_SIZE), tokenizer, dials.MAX_LENGTH, by_length=False)
        batch = batch_of(tokens, tokenizer)
        rows[title] = {
            "parameters": freezing.learning_parameters(model),
            "memory (MB)": round(freezing.memory(model, batch, embedding_rows.unused_weights(model, seen)).total),
            "seconds": round(run.timing["train_seconds"], 1),
            "macro-F1": round(run.final["val_f1_macro"], 3),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def trade(run_1: Run, runs: Mapping[str, Run], head: LinearHead) -> pd.DataFrame:
    """What each way of freezing learns, holds in memory, takes and reaches; in Run 1 all weights learn.

    Columns as :func:`parts` gives them. For features computed once, the seconds are those of computing them and of the
    head.
    """
    table = parts(run_1, {**runs, EVERYTHING: run_1})
    table.loc["features once, linear head"] = {
        "parameters": head.parameters,
        "memory (MB)": round(freezing.BYTES * run_1.encoder["parameters"] / 1e6),
        "seconds": round(head.feature_seconds + head.head_seconds, 1),
        "macro-F1": round(head.scores.f1_macro, 3),
    }
    return table.assign(parameters=table["parameters"].map("{:,.0f}".format))
