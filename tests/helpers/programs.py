"""Programs that a laptop may lack."""

import os
import shutil

import pytest


def program(title: str, *names: str) -> str:
    """Path of a program that a laptop may lack: skipped with its name there, a failure where ``CI=true``."""
    for name in names:
        if found := shutil.which(name):
            return found
    told = f"{title} is not installed here"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)
