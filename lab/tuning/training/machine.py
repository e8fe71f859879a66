"""What this machine is, how much memory it has used, and which number format it trains fastest in."""

import contextlib
import ctypes
import errno
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tuning import paths
from tuning.files import write_whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tuning.encoder.tokens import Tokens

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "evaluate",
    "accelerate",
    "scikit-learn",
    "pandas",
    "numpy",
)
BF16_MUST_WIN = 1.05
PROBE_SECONDS = 0.5
# Options of glibc's mallopt, as malloc.h numbers them, and the size in bytes below which a block is kept.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 2**30
# Numbers that a block keeps for the backward pass, per token and unit of its width.
NUMBERS_KEPT = 17
OUT_OF_DISK = ("No space left", "PytorchStreamWriter failed", "unexpected pos", "iostream error")
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")
SMALLER = (
    'Close other notebooks, turn BATCH_SIZE or MAX_LENGTH down, set MODEL = "embedded", or take the backup lab'
    " (notebook 02)."
)


def versions() -> dict[str, str]:
    """Versions of the workshop, of Python and of what decides a run's numbers, read without importing it."""
    versions = {"workshop": paths.version(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def processor_kind() -> str:
    """The processor's instruction set, such as ``x86_64`` or ``arm64``."""
    return platform.machine()


def computes_bf16() -> bool | None:
    """Whether the processor multiplies bf16 numbers itself; None where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & {*flags.split()})


def measured_precision() -> str | None:
    """The number format that was measured to be the fastest here for the encoder trained last; None if none was."""
    return next((fastest for key, fastest in reversed(_remembered().items()) if key.startswith(processor())), None)


def describe(precision: str, torch_is_used: bool = True) -> dict[str, Any]:
    """The machine's part of a run's record; the backup lab does without torch, on one thread of the processor."""
    device, threads = "cpu", 1
    if torch_is_used:
        import torch

        threads = torch.get_num_threads()
        if torch.cuda.is_available():
            device = torch.cuda.get_device_name(0)
        elif torch.backends.mps.is_available():
            device = "mps"
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "device": device,
        "precision": precision,
    }


def free_memory() -> float:
    """Bytes that this process may still take: what the system has free, or less where a container sets a limit.

    A container's programs see the memory of the whole machine, and are ended without a word at their own limit.
    """
    limits = [float(psutil.virtual_memory().available), *_left_in_container()]
    if sys.platform == "linux":
        import resource

        used = psutil.Process().memory_info()
        for kind, taken in ((resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, used.data)):
            limit = resource.getrlimit(kind)[0]
            if limit != resource.RLIM_INFINITY:
                limits.append(float(limit - taken))
    return max(min(limits), 0.0)


CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Limit and use, and in the file of details the part of the use that the system takes back when it is needed.
_VERSION_2 = ("memory.max", "memory.current", "file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")


def _left_in_container() -> list[float]:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        base = CONTROL_GROUPS / kinds
        # Inside a container its own folder is the root.
        for folder in (base / path.lstrip("/"), base):
            with contextlib.suppress(OSError, ValueError):
                limit, used, given_back = _VERSION_1 if kinds else _VERSION_2
                details = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
                most = int((folder / limit).read_text())
                left.append(float(most - int((folder / used).read_text()) + int(details.get(given_back, 0))))
    return left


def what_ran_out(problem: BaseException) -> str:
    """Say it in a line where training failed because memory or disk was full; empty where it failed otherwise."""
    text = str(problem)
    if isinstance(problem, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return f"The memory of this machine is full, so training stopped. {SMALLER}"
    if getattr(problem, "errno", None) == errno.ENOSPC or any(words in text for words in OUT_OF_DISK):
        return (
            "The disk became full while this run was written. Free some space, then run the notebook again from the"
            ' section "Dials": it goes on after the last whole epoch.'
        )
    return ""


def room_in_memory(model: "PreTrainedModel", tokens: "Tokens") -> str:
    """Look, before the first step, whether training will fit into the free memory; else what to tell the learner.

    Counted are the gradients, AdamW's two moving averages, and what a batch of the longest sentences keeps for the
    backward pass: some 17 numbers per token, layer and unit of width (Korthikanti et al. 2022, Reducing Activation
    Recomputation in Large Transformer Models, section 4.1).
    """
    if model.device.type != "cpu":
        return ""
    longest = max(map(len, tokens.train["input_ids"]))
    config = model.config
    kept = NUMBERS_KEPT * longest * tokens.dials.BATCH_SIZE * config.hidden_size * config.num_hidden_layers
    needed = 4 * (3 * model.num_parameters() + kept)
    free = free_memory()
    if free >= needed:
        return ""
    return (
        f"There may be too little memory: training needs about {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB is free."
        f" If the kernel dies, that is why. {SMALLER}"
    )


def peak_memory_mb() -> float | None:
    """Highest resident memory of this process so far, in MB (10^6 bytes); None where the system does not tell."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def give_memory_back() -> None:
    """Hand memory that is free again back to the system; glibc would keep it, in pieces that nothing large fits in."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def keep_large_blocks() -> None:
    """Let glibc take large blocks from the memory that it holds, not from the system each time.

    By default each of a step's large arrays is asked for and given back anew, and the system clears every page of it
    again: about a tenth of a training step. :func:`give_memory_back` is what then keeps the peak low.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            glibc = ctypes.CDLL(None)
            for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
                glibc.mallopt(option, LARGEST_BLOCK)


def choose_precision(dial: str, hidden: int, intermediate: int) -> str:
    """Decide the number format, ``fp32``, ``bf16`` or ``fp16``: the one of the dial, or the fastest here for ``auto``.

    On a GPU ``auto`` is bf16 where the GPU computes it, else fp16. On a CPU a probe of half a second times the forward
    and backward pass of a layer of the encoder's size in both formats; bf16 must win by 5%. The answer is remembered
    per machine, versions and size.
    """
    import torch

    if torch.cuda.is_available():
        best = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return best if dial == "auto" else dial
    if dial != "auto":
        return "fp32" if dial == "fp16" else dial
    if torch.backends.mps.is_available():
        return "fp32"
    key = f"{processor()} | {torch.get_num_threads()} threads | torch {torch.__version__} | {hidden}x{intermediate}"
    remembered = _remembered()
    if key not in remembered:
        remembered[key] = "bf16" if _bf16_speedup(hidden, intermediate) > BF16_MUST_WIN else "fp32"
        write_whole(_memory_file(), json.dumps(remembered, indent=1) + "\n")
    return remembered[key]


def memory_folder() -> Path:
    """Where is kept what was measured about this machine, so that it is measured once; not in the home folder, which
    may be locked or missing.
    """
    return Path(os.environ.get("WORKSHOP_CACHE") or paths.ROOT / ".workshop")


def _memory_file() -> Path:
    return memory_folder() / "precision.json"


def _remembered() -> dict[str, str]:
    try:
        remembered = json.loads(_memory_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    good = isinstance(remembered, dict) and all(value in ("fp32", "bf16") for value in remembered.values())
    return remembered if good else {}


def _bf16_speedup(hidden: int, intermediate: int) -> float:
    """Time of a feed-forward layer's training pass in fp32 over its time under bf16 autocast."""
    import torch

    state = torch.get_rng_state()
    layer = torch.nn.Sequential(
        torch.nn.Linear(hidden, intermediate),
        torch.nn.GELU(),
        torch.nn.Linear(intermediate, hidden),
        torch.nn.LayerNorm(hidden),
    )
    batch = torch.randn(8, 32, hidden)

    def once(precise: bool) -> float:
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not precise):
            layer(batch).float().sum().backward()
        return time.perf_counter() - begin

    fp32, bf16 = [], []
    end = time.perf_counter() + PROBE_SECONDS
    while time.perf_counter() < end or len(fp32) < 3:
        fp32.append(once(True))
        bf16.append(once(False))
    torch.set_rng_state(state)
    # The fastest pass of each is the one least disturbed by other programs; the first passes warm up.
    return min(fp32[1:]) / min(bf16[1:])
