"""Blocks of the coach's pages beside the playbook: what the worksheet serves, and other shapes of the day."""

from collections.abc import Callable
from pathlib import Path

from tuning.evidence import task6, worksheet
from tuning.evidence.markdown_tables import find_table, table
from tuning.notebook import activities


def parts_of_ksbs() -> dict[str, list[str]]:
    """Parts of the worksheet by the KSB that they serve, as its table "Task 6 mapping" says."""
    mapping = find_table(worksheet.read_template(), task6.MAPPING_COLUMNS)
    served: dict[str, list[str]] = {code: [] for code in activities.KSBS}
    for _, places, codes in mapping.rows:
        for code in codes.split(","):
            served[code.strip()] += [place.strip() for place in places.split(",")]
    return served


def _task_6_parts(path: Path) -> str:
    rows = [(code, activities.KSBS[code], ", ".join(places)) for code, places in parts_of_ksbs().items()]
    return table(("KSB", "what it is about", "parts of the worksheet"), rows)


BLOCKS: dict[str, Callable[[Path], str]] = {"task-6-parts": _task_6_parts}
