"""Energy and money of a finished run, measured where it can be, else assumed, and then the assumption is said.

Energy is measured by CodeCarbon, where that is installed and this machine has a meter; else it is an assumed power
times the time. Money is an assumed price per hour times the time.

CodeCarbon is optional; ``requirements/tracking.txt`` names the version. Without a meter in the processor or the
graphics card it would guess from a table of processors; such a guess is not kept, for the assumption here is said
openly.
"""

import dataclasses
import importlib.util
import logging
from typing import Any

from tuning.dials import FurtherDials
from tuning.runs.record import Run

# Assumptions, not measurements: the price of a small cloud machine, and the power of a small computer at work.
PRICE_PER_HOUR, WATTS = FurtherDials().PRICE_PER_HOUR, FurtherDials().WATTS

# What CodeCarbon calls the meters that it can read, and where it puts what each has read; "Cpu Load" and "constant" are
# guesses, and so is all that it says of memory.
METERS = {
    "Rapl": "cpu_energy",
    "Power Gadget": "cpu_energy",
    "Windows Emi": "cpu_energy",
    "AppleSilicon": "cpu_energy",
    "GPU": "gpu_energy",
}


# What tables call the seconds of a whole run; "seconds" alone are those of training.
WHOLE_RUN = "seconds with evaluations"


@dataclasses.dataclass(frozen=True)
class Footprint:
    """What a finished run took."""

    seconds: float | None  # Of the whole run, evaluations included.
    watt_hours: float | None
    measured: bool  # Whether the energy was measured; else it is `watts` times the time.
    money: float | None  # In the currency of the price.
    # The assumptions.
    watts: float
    price_per_hour: float


def footprint(run: Run, watts: float = WATTS, price_per_hour: float = PRICE_PER_HOUR) -> Footprint:
    """Seconds, energy and money of a finished run; None for what the record does not tell."""
    seconds, measured = run.timing.get("total_seconds"), run.timing.get("energy_wh")
    if seconds is None:
        return Footprint(None, measured, measured is not None, None, watts, price_per_hour)
    energy = watts * seconds / 3600 if measured is None else measured
    return Footprint(seconds, energy, measured is not None, price_per_hour * seconds / 3600, watts, price_per_hour)


class Meter:
    """A meter that runs from its making until :meth:`stop`; it does nothing where nothing can be measured."""

    def __init__(self) -> None:
        self._tracker: Any = None
        if importlib.util.find_spec("codecarbon") is None:
            return
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
        # Offline, and in memory: nothing is sent and no file is written, whatever this person's own settings for
        # CodeCarbon say. The country only matters for the CO2.
        tracker = OfflineEmissionsTracker(country_iso_code="GBR", output_methods=[], log_level="critical")
        tracker.start()
        # Only a tracker that has started knows what it reads from.
        hardware = str(getattr(tracker, "_hardware", ""))
        self._read = {part for meter, part in METERS.items() if meter in hardware}
        if self._read:
            self._tracker = tracker
        else:
            tracker.stop()

    def stop(self) -> float | None:
        """Energy since the start in Wh; None where it was not measured."""
        if self._tracker is None:
            return None
        self._tracker.stop()
        emissions = self._tracker.final_emissions_data
        return 1000 * sum(getattr(emissions, part) for part in self._read)
