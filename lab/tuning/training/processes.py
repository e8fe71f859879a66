"""Several processes that train one model together, as ``accelerate launch`` or ``torchrun`` starts them.

Each process trains on its own part of every batch. What is decided or written once (the run's folder, the number
format, records, logs, checkpoints) is decided and written by the first process, and the others are told. Where there
is one process, as in the notebook, nothing here does anything and torch is not imported.
"""

import os
from typing import TypeVar

Value = TypeVar("Value")


def count() -> int:
    """How many processes train together; 1 in a notebook."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that decides and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def agree(value: Value | None) -> Value:
    """Give every process what the first one has; all of them wait here for it."""
    if count() == 1:
        return value
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    # The Trainer finds the group of processes that is made here and uses it.
    PartialState(cpu=not torch.cuda.is_available())
    return broadcast_object_list([value])[0]


def leave() -> None:
    """Wait for the others and take the group of processes apart, at the very end of a script."""
    if count() == 1:
        return
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
