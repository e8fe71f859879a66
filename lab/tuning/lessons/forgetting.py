"""What did the encoder forget? How its idea of everyday sentences changed.

The encoder gives every sentence a vector: the mean over its tokens. Sixty everyday pairs, from near-paraphrases to
strangers, are ranked by the cosine of their two vectors, before and after training. Where the ranking stays, the
encoder still knows what it knew; where it is scrambled, training has overwritten it.
"""

import numpy as np
import pandas as pd
import torch
from scipy import stats
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuning import paths
from tuning.encoder.pooling_head import mean_of_tokens

PAIRS_FILE = paths.DATA / "everyday_pairs.csv"


def everyday_pairs() -> pd.DataFrame:
    """The sixty pairs of everyday sentences, in the columns ``first`` and ``second``."""
    return pd.read_csv(PAIRS_FILE)


@torch.inference_mode()
def similarities(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: pd.DataFrame) -> np.ndarray:
    """Cosine similarity of the two sentences, ``first`` and ``second``, of each pair, as the encoder sees them.

    Between -1 and 1, shape (pairs,); NaN after a diverged run. The model's head is not used.
    """
    model.eval()
    sentences = [*pairs["first"], *pairs["second"]]
    batch = tokenizer(sentences, padding=True, return_tensors="pt", return_token_type_ids=False).to(model.device)
    hidden = model.base_model(**batch).last_hidden_state.float()
    first, second = mean_of_tokens(hidden, batch["attention_mask"]).split(len(pairs))
    return torch.nn.functional.cosine_similarity(first, second).cpu().numpy()


def rank_correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Spearman's rank correlation of the pairs' similarities: 1 keeps the ranking, 0 has nothing to do with it.

    NaN where it is not defined (a diverged or collapsed encoder gives all pairs one similarity).
    """
    if not np.isfinite(after).all() or np.ptp(after) < 1e-6:
        return float("nan")
    return float(stats.spearmanr(before, after).statistic)
