#!/usr/bin/env bash
# Guess: three points in the same order are weak evidence, so the p-value of Spearman's test is 1/3, or not given.
# Seen (scipy 1.17.1): the p-value is 0.0. Two points give NaN. Kendall's tau says 1/3 for the same three points.
# Who meets it: anybody who asks whether a score falls with the learning rate, and has tried three rates.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" scipy==1.17.1 numpy==2.4.6 <<'PY'
from scipy.stats import kendalltau, spearmanr

rates, scores = [1e-6, 2e-5, 5e-3], [0.3, 0.5, 0.7]
spearman, kendall = spearmanr(rates, scores).pvalue, kendalltau(rates, scores).pvalue
print("Spearman:", spearman, "Kendall:", kendall)
print("Spearman, two points:", spearmanr(rates[:2], scores[:2]).pvalue)
assert spearman == 0.0
assert abs(kendall - 1 / 3) < 1e-12
PY
