#!/usr/bin/env bash
# Guess: to_markdown() writes a column of text as it is.
# Seen (pandas 3.1.1, tabulate 0.10.0): a column whose texts all look like numbers is read as numbers: version "1.10"
#   becomes 1.1, and a run called "3e4" becomes 30000. One other text in the column, and all are left alone.
# Who meets it: anybody who writes versions, short hashes or names of runs into a report.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" pandas==3.1.1 tabulate==0.10.0 <<'PY'
import pandas as pd

runs = pd.DataFrame({"run": ["3e4", "7e2"], "version": ["1.10", "5.20"]})
print(runs.to_markdown())
assert set(map(str, runs.dtypes)) == {"str"}
assert runs.to_markdown().splitlines()[2].split() == ["|", "0", "|", "30000", "|", "1.1", "|"]
assert "1.10" in runs.to_markdown(disable_numparse=True)
runs.loc[2] = ["abc", "5.20.1"]
assert "3e4" in runs.to_markdown() and "1.10" in runs.to_markdown()
PY
