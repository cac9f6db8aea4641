"""Seconds of a run of a program; those of pilots are kept for the launch that follows, outside of any store."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from analysis.files import writing
from kernels.spec import KERNEL_VERSION
from sweep.execution.cache import cache

Source = Literal["timed", "alike", "pilot", "kept"]
"""Of a timing: batches of this program, the cost of others, a few runs of it now, or in an earlier pilot."""


@dataclass(frozen=True)
class Timing:
    """Seconds that one run of a program takes a worker: about `middle`, mostly between `low` and `high`.

    Attributes:
        compiling: seconds that a worker spends on the program before, once; None where nobody has measured that.
    """

    low: float
    middle: float
    high: float
    source: Source
    compiling: float | None = None


def keep(timings: Mapping[str, Timing]) -> None:
    """Write the timings of a pilot, by key of the program, a file each. Raises OSError, CannotWrite.

    A launch that reads at this moment sees the old times or the new ones.
    """
    for key, timing in timings.items():
        path = _path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as temporary:
            temporary.write_text(json.dumps(asdict(timing)), encoding="utf-8")


def kept(key: str) -> Timing | None:
    """The timing of a program from an earlier pilot on this kind of CPU; None where there is none that can be read."""
    try:
        found = json.loads(_path(key).read_text(encoding="utf-8"))
        low, middle, high, compiling = (float(found[name]) for name in ("low", "middle", "high", "compiling"))
    except (OSError, RuntimeError, ValueError, TypeError, KeyError):
        return None
    sound = 0 < low <= middle <= high < math.inf and 0 <= compiling < math.inf
    return Timing(low, middle, high, "kept", compiling) if sound else None


def _path(key: str) -> Path:
    told = f"{KERNEL_VERSION} {version('jaxlib')} {key}"
    return cache("pilots") / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"
