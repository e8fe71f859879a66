"""Pairs of sentences that share most of their letters, without comparing every sentence with every other one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from tuning.data.duplicates import folded_sentences

NEAR = 0.8
# Neighbouring letters that make one feature: short enough to survive a changed word, long enough to be rare.
LETTERS = 4
# Letters of a sentence that are compared: a tweet or a headline is shorter.
COMPARED = 600
# A feature that more sentences share than this is followed from one to the next few only. It bounds the work by the
# number of features; below it, no pair is missed.
FOLLOWED = 5
BLOCK = 20_000


def near_pairs(sentences: Sequence[str], at_least: float = NEAR) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different sentences that share most of their letters.

    Parameters
    ----------
    sentences : sequence of str
        Two that are equal after folding case and blanks are copies, and no near pair: of these the first counts.
    at_least : float
        Cosine similarity of the TF-IDF vectors of their character 4-grams.

    Returns
    -------
    pairs : numpy.ndarray of shape (pairs, 2)
        Positions of the two, the nearest pair first.
    cosines : numpy.ndarray of shape (pairs,)
    """
    keys = folded_sentences(pd.Series(list(sentences), dtype=str))
    # In alphabetical order, so that the few sentences that a frequent feature is followed to are similar ones.
    distinct = keys.drop_duplicates().sort_values()
    vectors = letter_vectors([key[:COMPARED] for key in distinct])
    first, second = candidates(vectors, at_least)
    blocks = [slice(at, at + BLOCK) for at in range(0, len(first), BLOCK)]
    cosines = np.concatenate(
        [np.zeros(0), *(vectors[first[block]].multiply(vectors[second[block]]).sum(axis=1) for block in blocks)]
    )
    near = cosines >= at_least
    places, cosines = distinct.index.to_numpy(), cosines[near]
    pairs = np.sort(np.stack([places[first[near]], places[second[near]]], axis=1), axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))
    return pairs[order], cosines[order]


def letter_vectors(texts: list[str]) -> sparse.csr_array:
    """TF-IDF of character 4-grams, each row of length 1; the rarest features have the lowest columns.

    A text of fewer than four letters has no feature.
    """
    lengths = np.array([len(text) for text in texts])
    letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    # Four letters fit into one number: 15 bits for each, and no text here uses more different ones.
    codes = np.unique(letters, return_inverse=True)[1].astype(np.uint64) % (1 << 15)
    grams = np.zeros(max(len(codes) - LETTERS + 1, 0), dtype=np.uint64)
    for place in range(LETTERS):
        grams = (grams << np.uint64(15)) | codes[place : place + len(grams)]
    owner = np.repeat(np.arange(len(texts)), lengths)
    inside = owner[: len(grams)] == owner[LETTERS - 1 :][: len(grams)]
    grams, owner = grams[inside], owner[: len(grams)][inside]
    features = np.unique(grams, return_inverse=True)[1]
    shape = len(texts), int(features.max(initial=-1)) + 1
    counts = sparse.coo_array((np.ones(len(owner), dtype=np.float32), (owner, features)), shape=shape).tocsr()
    used_by = np.bincount(counts.indices, minlength=shape[1])
    rank = np.empty(shape[1], dtype=counts.indices.dtype)
    rank[np.argsort(used_by, kind="stable")] = np.arange(shape[1])
    # As scikit-learn weighs: the logarithm of how rare a feature is, smoothed.
    weights = (np.log((1 + len(texts)) / (1 + used_by)) + 1).astype(np.float32)
    counts.data *= weights[counts.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(counts.data**2, 0), counts.indptr[:-1]) if len(texts) else [])
    counts.data /= np.repeat(lengths, np.diff(counts.indptr))
    counts.indices = rank[counts.indices]
    counts.has_sorted_indices = False
    counts.sort_indices()
    return counts


def candidates(vectors: sparse.csr_array, at_least: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows that can be as near as asked.

    Two rows that share none of their rarest features, down to those whose remainder is shorter than `at_least`, cannot
    have that cosine (Bayardo, Ma and Srikant, 2007, Scaling up all pairs similarity search): the remainder of one times
    the other, of length 1, is less.

    Parameters
    ----------
    vectors : scipy.sparse.csr_array of shape (rows, features)
        Rows of length 1, the rarest features first.

    Returns
    -------
    first, second : numpy.ndarray of int
        Each pair once, `first` below `second`.
    """
    squares = np.concatenate([[0.0], np.cumsum(vectors.data.astype(float) ** 2)])
    starts = np.repeat(vectors.indptr[:-1], np.diff(vectors.indptr))
    before = squares[:-1] - squares[starts]
    # What this feature and all more frequent ones add up to; a little more, for sums in single precision.
    kept = 1 - before >= at_least**2 - 1e-4
    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))[kept]
    features = vectors.indices[kept]
    order = np.lexsort((rows, features))
    rows, features = rows[order].astype(np.int64), features[order]
    pairs = [np.zeros(0, dtype=np.int64)]
    for step in range(1, FOLLOWED + 1):
        same = features[step:] == features[:-step]
        if not same.any():
            break
        pairs.append(rows[:-step][same] * vectors.shape[0] + rows[step:][same])
    # Sorted, for NumPy's own way of finding the different numbers takes several times longer on so many.
    together = np.sort(np.concatenate(pairs))
    together = together[np.diff(together, prepend=-1) > 0]
    return together // max(vectors.shape[0], 1), together % max(vectors.shape[0], 1)
