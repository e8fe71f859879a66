"""The two libraries that work inside the page with a learner's model, brought from npm and kept in the repository.

``python3 workshop.py pages --runtime`` writes ``assets/pages/vendor/`` anew: ONNX Runtime and the tokenizer as one
script, the runtime's WebAssembly compressed, their licences, and ``vendored.json`` with versions and hashes. It needs
``npm`` and the network; nobody but a maintainer runs it. The same versions give the same bytes.
"""

import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from tuning.errors import WorkshopError
from tuning.files import write_whole
from tuning.further.export.shell import RUNTIME_SCRIPT, VENDOR, WASM

RUNTIME, TOKENIZER, BUNDLER = "onnxruntime-web", "@huggingface/tokenizers", "esbuild"
VERSIONS = {RUNTIME: "1.30.0", TOKENIZER: "0.2.0", BUNDLER: "0.28.2"}
LICENCES = {RUNTIME: "MIT", TOKENIZER: "Apache-2.0"}
# What the page uses of them, as one constant of the page's script.
ENTRY = f"""\
export {{ Tokenizer }} from "{TOKENIZER}";
export {{ env, InferenceSession, Tensor }} from "{RUNTIME}/wasm";
"""
BUNDLE = ["--bundle", "--minify", "--format=iife", "--global-name=vendor", "--platform=browser", "--charset=ascii"]
# The package of the runtime names its licence and brings no text of it.
MIT = """\
MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def bring(folder: Path = VENDOR) -> list[Path]:
    """Bring the libraries in their pinned versions and write what the page holds of them.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    WorkshopError
        If npm or its network is missing.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise WorkshopError("npm is not installed; it brings the libraries of the page. Install Node.js.")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        wanted = [f"{name}@{version}" for name, version in VERSIONS.items()]
        _run([npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", *wanted], place)
        (place / "entry.mjs").write_text(ENTRY, encoding="utf-8")
        _run([str(place / "node_modules/.bin/esbuild"), "entry.mjs", *BUNDLE, "--outfile=out.js"], place)
        packages = place / "node_modules"
        # A script that stands inside a page must not hold what ends it.
        script = (place / "out.js").read_bytes().replace(b"</script", b"<\\/script")
        wasm = (packages / RUNTIME / "dist/ort-wasm-simd-threaded.wasm").read_bytes()
        texts = {RUNTIME: MIT, TOKENIZER: (packages / TOKENIZER / "LICENSE").read_text(encoding="utf-8")}
    contents = {
        RUNTIME_SCRIPT: script,
        WASM: gzip.compress(wasm, 9, mtime=0),
        "LICENCES.txt": "\n".join(f"{name} {VERSIONS[name]}\n\n{text}" for name, text in texts.items()).encode(),
    }
    about = {
        "libraries": [
            {"name": name, "version": VERSIONS[name], "licence": licence} for name, licence in LICENCES.items()
        ],
        "bundled with": f"{BUNDLER} {VERSIONS[BUNDLER]}",
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "sha256 of the WebAssembly, unpacked": hashlib.sha256(wasm).hexdigest(),
    }
    contents["vendored.json"] = (json.dumps(about, indent=2) + "\n").encode()
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WorkshopError(f"{Path(command[0]).name} failed: {last}")
