"""Batches of a machine that went away without a word: power or cable, so that no connection breaks.

Ray knows within half a minute that the machine is dead, but tells the driver of its tasks minutes later, when the
connection to the worker is at last given up. Meanwhile batches are out that nobody computes.
"""

import time
from typing import Any

LOOK_SECONDS = 10.0
GRACE_SECONDS = 30.0
"""So long nothing may run while batches are out, once a machine is dead."""


class Stranded:
    """Looks, now and then, whether what is out is computed anywhere."""

    def __init__(self, ray: Any):
        self._ray = ray
        self._looked = 0.0
        self._since: float | None = None

    def found(self) -> bool:
        """Whether a machine is dead and every CPU and GPU of the others has been free for GRACE_SECONDS.

        To be asked while batches are out and none has ended.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        if not self._idle():
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        if now - self._since < GRACE_SECONDS:
            return False
        self._since = None
        return True

    def _idle(self) -> bool:
        if all(node["Alive"] for node in self._ray.nodes()):
            return False
        total, free = self._ray.cluster_resources(), self._ray.available_resources()
        return total.get("CPU", 0) + total.get("GPU", 0) >= 1 and all(
            free.get(name, 0) >= total.get(name, 0) for name in ("CPU", "GPU")
        )
