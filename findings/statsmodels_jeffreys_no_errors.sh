#!/usr/bin/env bash
# Guess: an interval for a share always contains the share that was seen.
# Seen (statsmodels 0.15.0): the Jeffreys interval of 0 errors in 30 begins at 0.000016, that of 30 in 30 ends below 1.
#   Brown, Cai and DasGupta (2001), who recommend it, set that end to 0 or 1; all four other methods contain it.
# Who meets it: anybody who plots the interval as an error bar round the share: its length below is negative.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" statsmodels==0.15.0 <<'PY'
from statsmodels.stats.proportion import proportion_confint

for method in ("normal", "agresti_coull", "beta", "wilson", "jeffreys"):
    none, all_ = (proportion_confint(errors, 30, method=method) for errors in (0, 30))
    print(method, none, all_)
    assert (none[0] <= 0 and all_[1] >= 1) == (method != "jeffreys")
PY
