"""Folders of this user for what can be made again: compiled programs, times of pilots; one per kind of CPU."""

import hashlib
import platform
from pathlib import Path

from kernels.cache import cache_folder


def cache(name: str) -> Path:
    """The folder of a name for this kind of CPU, made or not. Raises RuntimeError for a user without a home."""
    return cache_folder() / f"{name}-{_cpu()}"


def _cpu() -> str:
    """A digest of the CPU's model and features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        text = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        text = platform.processor()
    return hashlib.sha256(f"{platform.machine()}\n{text}".encode()).hexdigest()[:12]
