#!/usr/bin/env bash
# Guess: to_json writes a float so that read_json gives it back, as to_csv and read_csv do.
# Seen (pandas 3.1.1): numbers are cut to ten decimals, so a small rate loses figures, and 2.5e-12 becomes 0.0. Below
# that they are whole again: 1e-20 is written as it is. double_precision=15 moves the edge and does not remove it.
# Who meets it: anybody who keeps learning rates, gradients or p-values as JSON.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" pandas==3.1.1 <<'PY'
import io
import json

import pandas as pd

values = [1.23456789012e-05, 2.5e-12, 1e-20]
frame = pd.DataFrame({"value": values})
written = frame.to_json(orient="records")
read = [row["value"] for row in json.loads(written)]
csv = pd.read_csv(io.StringIO(frame.to_csv(index=False)))["value"].tolist()
print("values:", values)
print("JSON:  ", read)
print("CSV:   ", csv)
assert csv == values
assert read == [1.23457e-05, 0.0, 1e-20]
fine = [row["value"] for row in json.loads(frame.to_json(orient="records", double_precision=15))]
print("JSON with 15 decimals:", fine)
assert fine != values
PY
