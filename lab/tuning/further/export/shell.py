"""The page with a learner's model, but for the model: where its parts lie, and how it is filled.

``python3 workshop.py pages`` makes the shell of a template, styles, scripts and the two libraries in ``VENDOR``.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

from tuning import paths

PARTS = paths.ROOT / "assets" / "pages"
VENDOR = PARTS / "vendor"
RUNTIME_SCRIPT = "runtime.js"
WASM = "ort-wasm-simd-threaded.wasm.gz"
SHELL = PARTS / "my_model_shell.html"
FACTS, DATA = "{{facts}}", "{{data}}"


def as_block(facts: Any) -> str:
    """Facts as JSON for a block of a page: a text with "</script>" in it must not end the block."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def fill(facts: Mapping[str, Any], blocks: Mapping[str, bytes]) -> str:
    """Put facts, which the page's script reads first, and data by the id of its block, compressed, into the shell."""
    packed = {name: gzip.compress(content, 6, mtime=0) for name, content in blocks.items()}
    packed["wasm"] = (VENDOR / WASM).read_bytes()
    data = "\n".join(
        f'<script type="application/octet-stream" id="{name}">{base64.b64encode(content).decode()}</script>'
        for name, content in packed.items()
    )
    before, after = SHELL.read_text(encoding="utf-8").replace(FACTS, as_block(facts), 1).split(DATA)
    return f"{before}{data}{after}"
