"""Which Pythons will do, and which one an interpreter is.

Every Python from 2.7 on reads this file and ``workshop.py``, so that an old one gets a sentence and not a syntax error:
no annotations, no f-strings, nothing that came later.
"""

import os
import re
import subprocess
import sys

# The Pythons for which every pinned package has a ready-made build.
PYTHON_OLDEST = (3, 11)
PYTHON_NEWEST = (3, 14)


def dotted(version):
    """Write the first two parts of a version: ``(3, 11, 7)`` becomes ``"3.11"``."""
    return ".".join(str(part) for part in version[:2])


def version_of(python):
    """Ask an interpreter for its version.

    Parameters
    ----------
    python : path or str
        The program, or a name that is looked up in PATH.

    Returns
    -------
    tuple of int
        Such as ``(3, 11)``; None if it is not there or does not run.
    """
    code = "import sys; print('%d %d' % sys.version_info[:2])"
    with open(os.devnull, "w") as nowhere:
        try:
            process = subprocess.Popen([str(python), "-I", "-S", "-c", code], stdout=subprocess.PIPE, stderr=nowhere)
        except OSError:
            return None
        printed = process.communicate()[0].decode("ascii", "replace")
    match = re.match(r"(\d+) (\d+)", printed)
    return (int(match.group(1)), int(match.group(2))) if match else None


def suitable_python():
    """Say which Pythons will do, and where one is: on this machine, or on the download page."""
    needed = "the workshop needs Python {} to {}".format(dotted(PYTHON_OLDEST), dotted(PYTHON_NEWEST))
    for minor in range(PYTHON_NEWEST[1], PYTHON_OLDEST[1] - 1, -1):
        name = "python3.{}".format(minor)
        if version_of(name) == (3, minor):
            return "{}, and this machine has one; run: {} {}".format(needed, name, " ".join(sys.argv))
    return needed + "; get one from python.org (it installs without admin rights) and use that"


def too_old(version):
    """Say in one line that a Python is too old to run anything here, and which one will do; empty if it is not.

    Parameters
    ----------
    version : sequence of int
        Such as ``sys.version_info``.
    """
    if tuple(version[:2]) >= PYTHON_OLDEST:
        return ""
    return "this is Python {}, which is too old: {}".format(dotted(version), suitable_python())
