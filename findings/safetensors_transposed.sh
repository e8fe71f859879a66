#!/usr/bin/env bash
# Guess: what goes into a safetensors file comes out of it, or saving raises.
# Seen (safetensors 0.8.0, numpy 2.4.6): a transposed array keeps its shape, but its values come back in the order in
# which they lay in memory. Nothing is said. numpy.ascontiguousarray before saving helps.
# Who meets it: anybody who saves the weights of a linear layer the other way round.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" safetensors==0.8.0 numpy==2.4.6 <<'PY'
import numpy as np
from safetensors.numpy import load, save

weights = np.arange(6, dtype=np.float32).reshape(2, 3)
turned = weights.T
back = load(save({"weights": turned}))["weights"]
print("saved:", turned.tolist())
print("read: ", back.tolist())
assert back.shape == turned.shape
assert back.tolist() == [[0, 1], [2, 3], [4, 5]]
assert not np.array_equal(back, turned)
assert np.array_equal(load(save({"weights": np.ascontiguousarray(turned)}))["weights"], turned)
PY
