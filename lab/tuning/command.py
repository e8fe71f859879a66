"""How a command ends: an error that a person can put right is one line, and the exit code 2."""

import functools
import sys
from collections.abc import Callable

from tuning.errors import WorkshopError

EXIT_ERROR = 2


def one_line_errors(main: Callable[..., int]) -> Callable[..., int]:
    """Decorate the ``main`` of a command: a `WorkshopError` becomes one line on standard error, and exit code 2."""

    @functools.wraps(main)
    def ended(*arguments: object, **named: object) -> int:
        try:
            return main(*arguments, **named)
        except WorkshopError as problem:
            print(f"error: {problem}", file=sys.stderr)
            return EXIT_ERROR

    return ended
