"""Room for compiled programs in a process: Linux bounds its memory maps, and XLA crashes where it is met."""

from pathlib import Path

from kernels.x64 import jax

MAPS, LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def make_room(share: float = 0.5) -> None:
    """Forget every compiled program if the process has used that share of the maps it may have.

    A program takes several hundred of them; a process that integrates a hundred shapes would end in a segmentation
    fault. Elsewhere than on Linux there is no such bound.
    """
    if not (MAPS.exists() and LIMIT.exists()):
        return
    with MAPS.open("rb") as maps:
        used = sum(1 for _ in maps)
    if used > share * int(LIMIT.read_text()):
        jax.clear_caches()  # type: ignore[no-untyped-call]
