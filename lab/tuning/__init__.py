"""The plumbing behind the notebooks of Workshop 6W, "Optimisation in the Wild".

Everything downstream of training reads one record, :class:`tuning.runs.record.Run`. The rooms ``training`` and ``sgd``
make it; figures, verdict, log, worksheet and board only read it.

Importing the package is cheap: it loads neither torch nor transformers, so the first cell of a notebook is quick.
The settings below must be in place before those libraries are first imported.
"""

import os
import sys
import warnings

# Worker threads that sleep while they wait: with a second busy process on two cores, spinning threads made
# training many times slower, and sleeping ones change no result.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# oneDNN keeps a prepared product, with memory of its own, for every shape it has met, and every batch has another
# length: with its usual thousand the memory of a bf16 run grows step by step, with these it does not.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DATASETS_VERBOSITY", "error")

# The workshop shows its own progress in plain text, so that notebooks carry no widgets: nothing is missing.
warnings.filterwarnings("ignore", message="IProgress not found")

if "IPython" in sys.modules:
    from tuning.notebook.session import one_line_errors

    one_line_errors()
