#!/usr/bin/env python3
"""Set up the workshop and start its parts; ``python3 workshop.py --help`` lists them.

The first use installs what ``requirements.txt`` names into ``.venv/`` beside this file. A stamp file, written
last, says that the installation is whole: later uses find it and start at once, and a half-finished one is
carried on. Inside Google Colab and GitHub Codespaces the interpreter that is there is used instead, and the
stamp is in ``.workshop/``.

This file is the door: it checks the Python and hands over to ``launcher/``. Every Python from 2.7 on reads it, so that
an old one gets a sentence and not a syntax error.
"""

import os
import sys

# Beside the file itself, where a link of another folder starts it.
HERE = os.path.dirname(os.path.realpath(__file__) if os.path.islink(__file__) else os.path.abspath(__file__))

if __name__ == "__main__":
    # A file that lies beside this one, or in PYTHONPATH, must not be taken for a library of the same name.
    foreign = [HERE, os.path.realpath(HERE)] + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) not in map(os.path.abspath, foreign)]


def refuse(message):
    """End with one line."""
    sys.exit("workshop: " + message)


sys.path.insert(0, HERE)
try:
    import launcher  # noqa: F401 - it is empty, so that nothing else is looked up in this folder
except ImportError:
    refuse("the folder launcher/ is missing beside workshop.py: unpack or clone the whole workshop again")
finally:
    sys.path.remove(HERE)

from launcher.pythons import too_old  # noqa: E402


def join():
    """Make the notebook that runs part of the workshop: Google Colab starts with nothing but the notebook."""
    refuse_an_old_python()
    from launcher import colab

    colab.join()


def refuse_an_old_python():
    """End where this Python is too old to read the rest."""
    if too_old(sys.version_info):
        refuse(too_old(sys.version_info))


def stop(number, frame):
    """Leave through the ``finally`` clauses when the system ends us, so that no program is left behind."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    refuse_an_old_python()
    import signal

    from launcher.commands import main

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a name that the terminal cannot show must not end the program
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:]))
