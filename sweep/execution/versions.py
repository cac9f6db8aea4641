"""What moves numbers beside the spec of a run: our code, Python, and the packages that compute.

A worker whose code or packages are not the driver's refuses its batch (`worker.Refused`): a number from other code
would be stored under the id of a run that this code defines.
"""

import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = "gradient-flow-sweep"

PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "diffrax", "equinox", "lineax", "optimistix", "clarabel")
"""Packages that move numbers. Ray itself refuses a node with another Ray or another Python."""

CODE = (
    "kernels/**/*.py",  # the mathematics, all of it
    *(f"sweep/execution/{name}.py" for name in ("worker", "records", "versions", "cache")),  # a worker
    "db/arrow.py", "db/checksum.py", "db/models.py",  # and the columns that carry it
)  # fmt: skip
"""Files whose text the digest covers. Grids, charts, driver and command line run beside the store alone."""

ABSENT = "not installed"


@functools.cache
def versions() -> Mapping[str, str]:
    """{what: version} of this process: `code` (digest), `python` (minor version), packages, and our release."""
    return {
        "code": code_digest({name: folder(name) for name in ("kernels", "sweep", "db")}),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **installed((*PACKAGES, OURS)),
    }


def folder(package: str) -> Path:
    """Where this process has a package of ours; on a worker each may lie somewhere else."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(next(iter(found.submodule_search_locations)))


def code_digest(folders: Mapping[str, Path]) -> str:
    """Sixteen hexadecimal digits of the CODE of our packages, wherever they lie: names and bytes, in order of names."""
    files: dict[str, Path] = {}
    for pattern in CODE:
        package, _, inside = pattern.partition("/")
        root = folders[package]
        files |= {f"{package}/{path.relative_to(root).as_posix()}": path for path in root.glob(inside)}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        text = path.read_bytes()
        digest.update(b"%d %s %d " % (len(name.encode()), name.encode(), len(text)) + text)
    return digest.hexdigest()[:16]


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions; packages that are not there are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[str, ...]:
    """What differs, in words, ours first. A release that one side has not installed is no difference: its code may
    have travelled, and `code` says whether it is the same.
    """
    names = [name for name in {**ours, **theirs} if name != OURS or (name in ours and name in theirs)]
    return tuple(
        f"{name} {ours.get(name, ABSENT)} here, {theirs.get(name, ABSENT)} there"
        for name in names
        if ours.get(name) != theirs.get(name)
    )
