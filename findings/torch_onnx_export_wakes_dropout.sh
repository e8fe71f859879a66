#!/usr/bin/env bash
# Guess: a model in evaluation mode that is wrapped in a module for its export is in evaluation mode afterwards.
# Seen (torch 2.13.0, onnx 1.23.2; dynamo=False): a new module is in training mode, the exporter gives the wrapper that
#   mode back, and with it the model inside: its dropout is on, and each answer is another one.
# Who meets it: anybody who exports a model and then compares it with the export.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" torch==2.13.0 onnx==1.23.2 <<'PY'
import io

import torch
from torch import nn


class Wrapper(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2)).eval()
row = torch.ones(1, 4)
same_before = torch.equal(model(row), model(row))
torch.onnx.export(Wrapper(model), (row,), io.BytesIO(), dynamo=False)
print("the same answer twice, before:", same_before, "and after:", torch.equal(model(row), model(row)))
print("in training mode after the export:", model.training)
assert same_before and model.training
PY
